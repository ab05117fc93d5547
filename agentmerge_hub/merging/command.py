"""The command line of merging: the verbs merge, sweep, graft and verify."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from agentmerge_hub.errors import UserError, require
from agentmerge_hub.plural import counted
from agentmerge_hub.sizes import size_text
from agentmerge_hub.terminal_text import printable

if TYPE_CHECKING:
    from agentmerge_hub.merging.merge_job import MergeSettings
    from agentmerge_hub.merging.specs.spec import Spec
    from agentmerge_hub.merging.sweep import SweepResult


def assignments(given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE options as a mapping."""
    pairs = [item.partition("=") for item in given]
    for name, equals, value in pairs:
        if not name or not equals or not value:
            raise UserError(f"--set {name}{equals}{value}: it takes NAME=VALUE, e.g. --set lambda=0.4")
    return {name: value for name, _, value in pairs}


def _bytes(_: click.Context, __: click.Parameter, given: str) -> int:
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    text = given.strip().upper()
    number, unit = (text[:-2], units[text[-2:]]) if text[-2:] in units else (text, 1)
    if not number.isdecimal() or int(number) < 1:
        raise UserError(f"--shard-size {given}: it takes a size in bytes, or with KB, MB or GB, e.g. 2GB")
    return int(number) * unit


_set = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    callback=lambda _context, _parameter, given: assignments(given),
    help="Replace a value that the spec's comments name: --set lambda=0.4, --set agent=runs/other.",
)
_reply = click.option("--reply/--no-reply", default=True, show_default=True, help="Load the model and let it answer.")
_quick = click.option(
    "--quick", is_flag=True, help="Skip what takes seconds: validation by mergekit's own classes, and the reply."
)
_shard_size = click.option(
    "--shard-size",
    "shard_bytes",
    default="5GB",
    show_default=True,
    callback=_bytes,
    help="Size of a weights file at most.",
)
_adapter_base = click.option(
    "--adapter-base", metavar="MODEL", help="The model that LoRA adapters were trained on, where it has moved."
)
_device = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where task_arithmetic and ties are computed; the weights are the same to the bit.",
)

_dry_run = click.option(
    "--dry-run",
    is_flag=True,
    help="Check the inputs and print what a merge would read, write and take; write nothing. The exit status is 1 if it would be refused before it reads weights.",
)
_disk_speed = click.option(
    "--disk-speed", type=float, default=500, show_default=True, metavar="MB/S", help="For --dry-run: speed of the disk."
)


def _reply_warning(folder: Path, reply: str | None) -> str | None:
    """A sentence if a model's answer to a greeting has no words, None if it has some or was not asked for."""
    if reply is None or reply.strip():
        return None
    blanks = "line breaks" if not reply.strip("\r\n") else "blanks"
    what = f"{blanks} only" if reply else "nothing: it ends its turn at once"
    return f"Warning: {folder} answers a greeting with {what}. Try it before you use it."


def _extrapolation_warning(name: str, values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values)
    return f"Warning: {name} {shown} is outside of 0 … 1: the merge extrapolates beyond its models"


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The merged model's folder.")
@_set
@_reply
@_quick
@_shard_size
@_adapter_base
@_device
@_dry_run
@_disk_speed
def merge(
    spec: Path,
    out: Path,
    values: dict[str, str],
    reply: bool,
    quick: bool,
    shard_bytes: int,
    adapter_base: str | None,
    device: str,
    dry_run: bool,
    disk_speed: float,
) -> None:
    """Merge models as a mergekit spec says, checked before and after.

    SPEC is plain mergekit YAML; recipes/merge has one a method. task_arithmetic, linear and ties are computed here in one
    streaming pass, for architectures that mergekit defines equal to its numbers to the bit; mergekit runs other methods.

    \b
    agentmerge merge recipes/merge/agentmerge.yml -o merged/agentmerge --set lambda=0.4
    """
    settings = _settings(reply, quick, shard_bytes, adapter_base, device)
    from agentmerge_hub.merging import api
    from agentmerge_hub.merging.specs.spec import extrapolated

    parsed = _read(spec, values)
    for name in extrapolated(parsed):
        click.echo(_extrapolation_warning(name, [parsed.names[name]]), err=True)
    if dry_run:
        cost = api.estimate_merge(spec, out, values, settings, disk_speed)
        click.echo(f"{out} by {cost}")
        if cost.replaced:
            click.echo(f"It would be in place of {cost.replaced}")
        return
    result = api.merge(spec, out, values, settings)
    if warning := _reply_warning(out, result.reply):
        click.echo(warning, err=True)
    place = f", in place of {result.replaced}" if result.replaced else ""
    answer = f"; it answers a greeting with {result.reply!r}" if result.reply and not warning else ""
    click.echo(f"Wrote {out} ({parsed.method}){place}{answer}")


def _settings(reply: bool, quick: bool, shard_bytes: int, adapter_base: str | None, device: str) -> "MergeSettings":
    require("merge", "torch", "mergekit")
    from agentmerge_hub.merging.merge_job import MergeSettings

    return MergeSettings(reply=reply, quick=quick, shard_bytes=shard_bytes, adapter_base=adapter_base, device=device)


def _read(spec: Path, values: dict[str, str]) -> "Spec":
    """The spec as `api` reads it; prints which seed a random method without one gets."""
    from agentmerge_hub.merging import api

    parsed = api.read_spec(spec, values)
    if parsed.seed_is_default:
        click.echo(
            f"{parsed.config['merge_method']} is random and {spec} names no seed: seed {parsed.seed} is used and kept in the "
            "merge's spec",
            err=True,
        )
    return parsed


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("more", nargs=-1, metavar="")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The folder of the merges' folders.")
@click.option(
    "--lambda",
    "lambdas",
    metavar="FIRST:LAST:STEP",
    help="Values of lambda; or a list: 0.3,0.5. The value in SPEC where absent.",
)
@click.option(
    "--checkpoints",
    multiple=True,
    metavar="FOLDER…",
    help="Checkpoints to merge as the agent; a pattern, quoted or not. The agent in SPEC where absent.",
)
@_set
@_reply
@_quick
@_shard_size
@_adapter_base
@_device
@_dry_run
@_disk_speed
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    help="Merges of one pass over the inputs; they appear before the next pass begins.  [default: all that the disk takes]",
)
@click.option(
    "--evaluate",
    metavar="COMMAND",
    help="Run this on each finished merge, its folder as the last argument; its last line is the score, higher is better.",
)
@click.option(
    "--keep",
    type=click.Choice(["all", "best"]),
    default="all",
    show_default=True,
    help="With --evaluate: which merges stay on the disk.",
)
def sweep(
    spec: Path,
    more: tuple[str, ...],
    out: Path,
    lambdas: str | None,
    checkpoints: tuple[str, ...],
    values: dict[str, str],
    reply: bool,
    quick: bool,
    shard_bytes: int,
    adapter_base: str | None,
    device: str,
    dry_run: bool,
    disk_speed: float,
    at_once: int | None,
    evaluate: str | None,
    keep: Literal["all", "best"],
) -> None:
    """Merge over a grid of λ and checkpoints, reading each model once.

    Each merge gets its own folder in OUT, such as checkpoint-5120-lambda-0.3; finished ones are kept. A merge that fails
    does not stop the others; an unfinished checkpoint is skipped and named. Scores of --evaluate are kept in
    OUT/scores.json; choose λ and checkpoints on validation tasks only.

    \b
    agentmerge sweep recipes/merge/agentmerge.yml -o merged --lambda 0.1:0.9:0.1 --checkpoints runs/base-all/checkpoint-*
    """
    settings = _settings(reply, quick, shard_bytes, adapter_base, device)
    from agentmerge_hub.merging import api
    from agentmerge_hub.merging.dry_run import most_on_disk
    from agentmerge_hub.merging.outputs.replaced_merge import SAME_SETTINGS
    from agentmerge_hub.merging.specs.spec import extrapolated
    from agentmerge_hub.merging.sweep import lambdas_of

    if more and not checkpoints:
        raise UserError(f"{more[0]}: a sweep takes one spec; checkpoints follow --checkpoints")
    grid = (lambdas_of(lambdas) if lambdas else [], [*checkpoints, *more])
    _read(spec, values)
    outside = [value for value in grid[0] if not 0 <= value <= 1]
    if outside and "lambda" in extrapolated(api.read_spec(spec, {**values, "lambda": f"{outside[0]:.12g}"})):
        click.echo(_extrapolation_warning("lambda", outside), err=True)
    if dry_run:
        costs = api.estimate_sweep(spec, out, *grid, values, settings, disk_speed)
        for folder, cost in costs.items():
            click.echo(f"{folder} would fail: {cost}" if isinstance(cost, UserError) else f"{folder} by {cost}")
            if not isinstance(cost, UserError) and cost.replaced:
                kept = ", which stays if spec and inputs have not changed" if cost.replaced == SAME_SETTINGS else ""
                click.echo(f"It would be in place of {cost.replaced}{kept}")
        planned = [cost for cost in costs.values() if not isinstance(cost, UserError)]
        written, most = sum(cost.written for cost in planned), most_on_disk(planned, at_once, keep)
        click.echo(
            f"Together they write {size_text(written)} of weights, of which the disk holds {size_text(most)} at most at a "
            "time; merges of one pass read each model once"
        )
        if failing := sum(isinstance(cost, UserError) for cost in costs.values()):
            raise UserError(f"{failing} of {counted(len(costs), 'merge')} would fail, see above")
        return
    results = api.sweep(spec, out, *grid, values, settings, at_once=at_once, evaluate=evaluate, keep=keep)
    _show(results)
    failed = [result for result in results if result.failed]
    if failed:
        reasons = "; ".join(dict.fromkeys(result.state for result in failed))
        raise UserError(
            f"{len(failed)} of {counted(len(results), 'merge')} failed or have no score, the others are in {out}: {reasons}"
        )


def _show(results: "list[SweepResult]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("folder", "checkpoint", "λ", "state", "score", "reply")
    for result in results:
        checkpoint = Path(result.checkpoint).name if result.checkpoint else ""
        value = f"{result.lambda_:g}" if result.lambda_ is not None else ""
        reply = "(nothing)" if result.reply == "" else result.reply or ""
        reply = reply if reply.strip() or not reply else "(blanks only)"
        score = f"{result.score:g}" if result.score is not None else ""
        cells = (str(result.out), checkpoint, value, result.state, score, reply)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)
    for result in results:
        if result.replaced:
            click.echo(printable(f"{result.out} is in place of {result.replaced}"))


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
    from agentmerge_hub.merging import graft as grafts

    grafts.graft(adapter, onto, out)
    click.echo(f"Wrote {out}: PEFT loads it on {onto}")


@click.command()
@click.argument("merged", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_set
@_reply
@_adapter_base
@click.option(
    "--began", type=float, metavar="TIME", help="When mergekit-yaml was started (date +%s), to record how long it took."
)
def verify(merged: Path, values: dict[str, str], reply: bool, adapter_base: str | None, began: float | None) -> None:
    """Prove a merged model: recompute every tensor from its inputs.

    MERGED is a folder that mergekit-yaml or `agentmerge merge` wrote, or a downloaded one; its mergekit_config.yml names
    its inputs. Every tensor is compared to the bit; config.json, generation_config.json, tokenizer, chat template and the
    manifest's claims are compared with what the inputs give, and files that could hold code are refused. What is compared
    with nothing, such as the card or a GGUF file, is listed. A folder without a manifest gets its manifest.json, and generation_config.json
    from the instruct model where mergekit left it out.

    \b
    agentmerge verify merged/agentmerge
    agentmerge verify downloaded --set base=/models/base --set agent=/models/agent
    """
    require("merge", "torch", "mergekit")
    from agentmerge_hub.merging import verify as verification

    verdict = verification.verify(merged, values, reply=reply, began=began, adapter_base=adapter_base)
    click.echo(
        f"{merged}: all {counted(verdict.tensors, 'tensor')} ({counted(verdict.parameters, 'value')}) are what the inputs give"
    )
    if verdict.unchecked:
        click.echo(f"Not checked: {', '.join(verdict.unchecked)}")
    if warning := _reply_warning(merged, verdict.reply):
        click.echo(warning, err=True)
    elif verdict.reply is not None:
        click.echo(f"It answers a greeting with {verdict.reply!r}")
    if verdict.first:
        click.echo(f"Wrote {merged / 'manifest.json'}")
