"""The command-line verbs of training: tiny-pair, recipes, likelihood."""

from pathlib import Path
from typing import Any

import click

from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import require
from agentmerge_hub.files import output_folder


@click.command("tiny-pair")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for base/ and instruct/.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the synthetic texts.")
def tiny_pair(out: Path, seed: int) -> None:
    """Make a tiny base model and its instruct model, from scratch, on the CPU.

    Both are Llamas of about two million parameters with one tokenizer and chat template, so that the whole pipeline runs on
    a laptop. They are good for nothing else.
    """
    require("train", "torch", "transformers", "datasets")
    for name in ("base", "instruct"):
        output_folder.check_replaceable(out / name, "tiny-pair")
    from agentmerge_hub.training.tiny.pair import make

    make(out, seed)


@click.group()
def recipes() -> None:
    """List, show, copy and expand the recipes of the package."""


@recipes.command("ls")
def list_recipes() -> None:
    """List every recipe and what it is for."""
    from agentmerge_hub.training.recipes import listed

    found = listed()
    width = max(len(name) for name, _ in found)
    for name, about in found:
        click.echo(f"{name:<{width}}  {about}")


@recipes.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe, e.g. sft/tiny/base-all.yaml."""
    from agentmerge_hub.training.recipes import find

    click.echo(find(name).read_text(encoding="utf-8"), nl=False)


@recipes.command()
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
def copy(name: str, out: Path) -> None:
    """Copy a recipe to OUT, a file or a folder, to change it."""
    from agentmerge_hub.training.recipes import copy as copy_recipe

    click.echo(f"{name} copied to {copy_recipe(name, out)}")


@recipes.command()
@click.argument("name")
def expand(name: str) -> None:
    """Print a launch line for each run of a sweep, e.g. sft/llama-3.1-8b/sweep.yaml."""
    from agentmerge_hub.training.recipes import expand as expand_sweep

    for line in expand_sweep(name):
        click.echo(line)


@click.command()
@click.argument("model")
@click.option("--revision", help="Of a model on the Hub.")
@click.option("--dataset", default="workarena-traces", show_default=True, help="Folder or Hub id.")
@click.option("--config", default="all", show_default=True, help="all, cot, no_cot, preferences or unpaired.")
@click.option("--split", "splits", multiple=True, default=("inter_task", "cross_task"), show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Rows drawn from each split; default: all.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(min=1), help="Rows of a forward pass.")
@click.option(
    "--text-only", is_flag=True, help="Score the texts of a dataset with screenshots without its screenshots."
)
@click.option("--bf16", is_flag=True, help="Autocast to bfloat16, as in training with bf16: true.")
@click.option(
    "--chat-template-kwargs", help="Settings of the chat template as a JSON object, as in the dataset's build."
)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A Parquet file.")
def likelihood(out: Path, **options: Any) -> None:
    """Score held-out expert answers under MODEL: their probability, by span, one row a sample. Of preference pairs, the margin of
    the chosen over the rejected answer; of labeled answers, their log-probability.

    Every model is scored on the same rows, in the same prompts. `torchrun --nproc_per_node N -m agentmerge_hub.cli
    likelihood …` divides the rows over N processes.
    """
    require("train", "torch", "transformers", "datasets", "peft", "accelerate")
    parse_settings(options["chat_template_kwargs"], "--chat-template-kwargs")
    from agentmerge_hub.training import process_group
    from agentmerge_hub.training.likelihood.score_likelihood import LikelihoodArgs, score_likelihood

    score_likelihood(LikelihoodArgs(**options), out)
    process_group.leave()
