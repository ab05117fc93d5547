"""The command line of tuning: the verb tune."""

from pathlib import Path
from typing import Any

import click

from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError, require
from agentmerge_hub.plural import counted


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data", required=True, metavar="DATASET", help="Folder or Hub id of a dataset with a validation split.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The tuned spec, e.g. tuned.yml.")
@click.option("--split", default="validation", show_default=True, help="A validation split; no other is accepted.")
@click.option("--config", default="all", show_default=True, help="all, cot or no_cot.")
@click.option(
    "--by",
    type=click.Choice(["constant", "layer", "layer-and-block"]),
    default="layer-and-block",
    show_default=True,
    help="Which tensors share a λ: all; those of a layer; the attention, or the MLP, of a layer.",
)
@click.option(
    "--instructions",
    metavar="FILE|DATASET",
    help="General instructions, on which the merge is kept near the instruct model: JSON rows of instruction, input and "
    "output, or chat rows.  [default: generated requests with exact answers]",
)
@click.option(
    "--keep-weight",
    type=float,
    default=1.0,
    show_default=True,
    help="Weight of KL(instruct ‖ merged) on the instructions; 0 uses none.",
)
@click.option("--rows", type=click.IntRange(min=8), default=256, show_default=True, help="Expert answers at most.")
@click.option(
    "--held-out", type=float, default=0.25, show_default=True, help="Share of the tasks (or episodes) not fitted."
)
@click.option("--steps", type=click.IntRange(min=1), default=40, show_default=True, help="Steps of Adam.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Rows of a step.")
@click.option("--learning-rate", type=float, default=0.1, show_default=True, help="Of the logit of λ.")
@click.option("--grid", default="0:1:0.1", show_default=True, help="Constant λ to compare with, FIRST:LAST:STEP.")
@click.option("--seed", default=0, show_default=True, help="Of what is held out and of the order of the rows.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="cpu computes in float32, cuda in bfloat16.",
)
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="As in `agentmerge merge`.")
@click.option("--adapter-base", metavar="MODEL", help="As in `agentmerge merge`.")
@click.option("--chat-template-kwargs", metavar="JSON", help="As in the dataset's build.")
def tune(spec: Path, data: str, out: Path, values: tuple[str, ...], grid: str, **options: Any) -> None:
    """Learn the λ of SPEC on validation tasks, by layer and by block.

    λ minimises the negative log-likelihood of the expert answers plus the distance from the instruct model on general
    instructions. A part of the tasks is held out: the result says how the learned λ and the best constant λ do there. OUT is
    plain mergekit YAML, with the curve in its comments and in a manifest beside it. A run that was killed continues when the
    same command is run again.

    \b
    agentmerge build traces -o workarena-traces --validation-task NAME --validation-task NAME …
    agentmerge tune recipes/merge/agentmerge.yml --data workarena-traces -o tuned.yml
    agentmerge merge tuned.yml -o merged/tuned
    """
    require("merge", "torch", "mergekit")
    require("train", "torch", "transformers", "datasets", "peft", "accelerate", "trl")
    parse_settings(options["chat_template_kwargs"], "--chat-template-kwargs")
    from agentmerge_hub.merging.command import assignments
    from agentmerge_hub.merging.sweep import lambdas_of
    from agentmerge_hub.tuning.settings import TuneSettings
    from agentmerge_hub.tuning.tune import tune as learn

    try:
        constants = tuple(lambdas_of(grid))
    except UserError as error:
        raise UserError(str(error).replace("--lambda", "--grid")) from None
    settings = TuneSettings(grid=constants, **options)
    tuned = learn(spec, data, out, assignments(values), settings, report=click.echo)
    for sentence in tuned.verdict:
        click.echo(sentence)
    click.echo(
        f"Wrote {out}: {counted(len(tuned.groups.names), 'value')} of λ; agentmerge merge {out} -o FOLDER makes the model"
    )
