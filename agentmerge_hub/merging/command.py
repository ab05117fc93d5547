"""The merging room's verbs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmerge_hub.errors import UserError, require

if TYPE_CHECKING:
    from agentmerge_hub.merging.sweep import Point


def _assignments(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    for name, equals, value in pairs:
        if not name or not equals or not value:
            raise UserError(f"--set {name}{equals}{value}: it takes NAME=VALUE, e.g. --set lambda=0.4")
    return {name: value for name, _, value in pairs}


_set = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_assignments,
    help="Replace a value that the spec's comments name: --set lambda=0.4, --set agent=runs/other.",
)
_reply = click.option("--reply/--no-reply", default=True, show_default=True, help="Load the model and let it answer.")
_quick = click.option(
    "--quick", is_flag=True, help="Leave out what takes seconds: mergekit's own judgement of the spec, and the reply."
)

_NOTHING = "Warning: {} answers a greeting with nothing: it ends its turn at once. Try it before you use it."


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The merged model's folder.")
@_set
@_reply
@_quick
def merge(spec: Path, out: Path, values: dict[str, str], reply: bool, quick: bool) -> None:
    """Merge models as a mergekit spec says, checked before and after.

    SPEC is plain mergekit YAML; recipes/merge has one a method. The linear family and TIES are computed here in one
    streaming pass, with mergekit's numbers to the bit; other methods run in mergekit.

    \b
    agentmerge merge recipes/merge/agentmerge.yml -o merged/agentmerge --set lambda=0.4
    """
    require("merge", "torch", "mergekit")
    from agentmerge_hub.merging import merge as room
    from agentmerge_hub.merging import spec as specs

    read = specs.with_values(specs.read(spec), values, str(spec))
    (done,) = room.merge([room.Wanted(read, out, str(spec))], reply=reply, quick=quick)
    if done.problem:
        raise UserError(done.problem)
    if done.reply is not None and not done.reply.strip():
        click.echo(_NOTHING.format(out), err=True)
    said = f"; it answers a greeting with {done.reply!r}" if done.reply else ""
    click.echo(f"Wrote {out} ({read.method}){said}")


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("more", nargs=-1, metavar="")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The folder of the merges' folders.")
@click.option("--lambda", "lambdas", metavar="FIRST:LAST:STEP", help="Values of lambda; or a list: 0.3,0.5.")
@click.option(
    "--checkpoints",
    multiple=True,
    metavar="FOLDER…",
    help="Checkpoints to merge as the agent; a pattern, quoted or not.",
)
@_set
@_reply
@_quick
def sweep(
    spec: Path,
    more: tuple[str, ...],
    out: Path,
    lambdas: str | None,
    checkpoints: tuple[str, ...],
    values: dict[str, str],
    reply: bool,
    quick: bool,
) -> None:
    """Merge over a grid of λ and checkpoints, reading each model once.

    Each merge gets its own folder in OUT, such as checkpoint-5120-lambda-0.3; those that stand there already are kept.

    \b
    agentmerge sweep recipes/merge/agentmerge.yml -o merged --lambda 0.1:0.9:0.1 --checkpoints runs/base-all/checkpoint-*
    """
    require("merge", "torch", "mergekit")
    from agentmerge_hub.merging import spec as specs
    from agentmerge_hub.merging import sweep as room

    if more and not checkpoints:
        raise UserError(f"{more[0]}: a sweep takes one spec; checkpoints come behind --checkpoints")
    if not lambdas and not checkpoints:
        raise UserError("nothing to sweep over: give --lambda FIRST:LAST:STEP, --checkpoints FOLDER…, or both")
    read = specs.with_values(specs.read(spec), values, str(spec))
    over = room.lambdas_of(lambdas) if lambdas else []
    folders = room.checkpoints_of([*checkpoints, *more])
    points = room.sweep(read, str(spec), out, over, folders, reply=reply, quick=quick)
    _show(points)
    failed = [point for point in points if point.state not in ("made", "kept")]
    if failed:
        raise UserError(f"{len(failed)} of {len(points)} merges are not usable; the others stand in {out}")


def _show(points: "list[Point]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("folder", "checkpoint", "λ", "state", "reply")
    for point in points:
        checkpoint = Path(point.checkpoint).name if point.checkpoint else ""
        value = f"{point.lambda_:g}" if point.lambda_ is not None else ""
        table.add_row(
            str(point.out), checkpoint, value, point.state, "(nothing)" if point.reply == "" else point.reply or ""
        )
    Console().print(table)


@click.command()
@click.argument("adapter", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--onto", required=True, metavar="INSTRUCT", help="The instruct model, a folder or Hub id.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The new adapter's folder.")
def graft(adapter: Path, onto: str, out: Path) -> None:
    """Put an adapter trained on the base model on the instruct model.

    No weights are merged or written: PEFT loads OUT on INSTRUCT, which is agentmerge_sum with λ = μ = 1.

    \b
    agentmerge graft runs/base-all-lora --onto meta-llama/Llama-3.1-8B-Instruct -o merged/graft
    """
    require("merge", "torch")
    from agentmerge_hub.merging import graft as room

    room.graft(adapter, onto, out)
    click.echo(f"Wrote {out}: PEFT loads it on {onto}")


@click.command()
@click.argument("merged", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_set
@_reply
@click.option(
    "--began", type=float, metavar="TIME", help="When mergekit-yaml was started (date +%s), to say how long it took."
)
def verify(merged: Path, values: dict[str, str], reply: bool, began: float | None) -> None:
    """Prove a merged model: recompute every tensor from its inputs.

    MERGED is a folder that mergekit-yaml or `agentmerge merge` wrote, or a downloaded one; its mergekit_config.yml says
    what it was made from. The first time it also gets its manifest.json, and generation_config.json from the instruct
    model where mergekit left it out.

    \b
    agentmerge verify merged/agentmerge
    agentmerge verify downloaded --set base=/models/base --set agent=/models/agent
    """
    require("merge", "torch", "mergekit")
    from agentmerge_hub.merging import verify as room

    verdict = room.verify(merged, values, reply=reply, began=began)
    click.echo(f"{merged}: all {verdict.tensors} tensors ({verdict.parameters:,} values) are what the inputs give")
    if verdict.reply is not None and not verdict.reply.strip():
        click.echo(_NOTHING.format(merged), err=True)
    elif verdict.reply is not None:
        click.echo(f"It answers a greeting with {verdict.reply!r}")
    if verdict.first:
        click.echo(f"Wrote {merged / 'manifest.json'}")
