"""Verbs of `agentmerge`: collect, evaluate, watch, serve, xray."""

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted

if TYPE_CHECKING:
    from agentmerge_hub.agents.study.studies import DryRun

RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
OUT = click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for the output.")
DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="List the episodes and what is missing; run nothing. The exit status is 1 if the run would be refused.",
)


@click.command()
@RECIPE
@OUT
@DRY_RUN
def collect(recipe: Path, out: Path | None, dry_run: bool) -> None:
    """Run a study of expert agents; its traces are what AgentLab writes.

    Run it again after an interruption: only missing and crashed episodes are run.
    """
    from agentmerge_hub.agents.study import studies

    if dry_run:
        _print_dry_run(studies.dry_run(recipe, out, "collect"))
        return
    out = _required(out)
    _stop_on_terminate()
    _print_counts(studies.run_collect(recipe, out), out)


@click.command()
@RECIPE
@OUT
@DRY_RUN
def evaluate(recipe: Path, out: Path | None, dry_run: bool) -> None:
    """Score models on a benchmark: OUT/results.parquet has one row for each episode.

    Model folders are served on this machine, one after another; a recipe can name an endpoint instead.
    """
    from agentmerge_hub.agents.study import studies

    if dry_run:
        _print_dry_run(studies.dry_run(recipe, out, "evaluate"))
        return
    out = _required(out)
    _stop_on_terminate()
    _print_counts(studies.run_evaluate(recipe, out), out / "results.parquet")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seconds", type=click.IntRange(1), default=2, show_default=True, help="Time between two updates.")
def watch(out: Path, seconds: int) -> None:
    """Show a study while it runs: episodes, success, errors by class, tokens, cost and time left.

    OUT is the folder of `collect` or `evaluate`. The view ends with the study, or with Ctrl-C, which does not stop the study.
    Where the output is no terminal, the state is printed once.
    """
    from agentmerge_hub.agents.status.live_view import watch as show

    show(out, seconds=seconds)


@click.command()
@click.argument("model")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of 127.0.0.1.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "vllm", "sglang", "transformers", "llama.cpp"]),
    default="auto",
    show_default=True,
    help="auto is vLLM where it is installed, else transformers; llama.cpp serves the folder's GGUF file.",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Data type the model computes in.",
)
@click.argument("arguments", nargs=-1)
def serve(model: str, port: int, engine: str, dtype: str, arguments: tuple[str, ...]) -> None:
    """Serve a model folder behind an OpenAI-compatible endpoint until Ctrl-C.

    vLLM and SGLang serve a LoRA adapter on its base model, without a merge. Arguments after -- are passed to the engine, e.g. `agentmerge serve MODEL -- --tensor-parallel-size 2`.
    """
    import time

    from agentmerge_hub.agents.serving.engines import request_name, select_engine
    from agentmerge_hub.agents.serving.model_folder import check_model_folder
    from agentmerge_hub.agents.serving.server import serve_model

    engine = select_engine(engine)
    check_model_folder(model, engine)
    _stop_on_terminate()
    with serve_model(model, engine, port, dtype=dtype, arguments=arguments) as address:
        click.echo(f"{request_name(model, engine)} answers at {address} (Ctrl-C stops it)")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped")


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--port", default=7899, show_default=True)
def xray(results: Path, port: int) -> None:
    """Open AgentLab's AgentXray on the traces under a folder of results or traces."""
    from agentmerge_hub.agents.xray import serve_xray

    serve_xray(results, port)


@click.command("check-pairs")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--sample", type=click.IntRange(1), default=50, show_default=True, help="Number of pairs to replay.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the sample.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="File for the ids of pairs that must not be used.")
def check_pairs(dataset: Path, sample: int, seed: int, out: Path | None) -> None:
    """Replay preference pairs of MiniWoB tasks in the browser: does a rejected answer solve its task after all?

    `agentmerge build --exclude-pairs OUT` leaves out the pairs whose ids OUT lists.
    """
    from collections import Counter

    from agentmerge_hub.agents import check_pairs as pairs
    from agentmerge_hub.files.atomic_write import write_text

    if out is not None and out.exists() and not pairs.is_list(out):
        raise UserError(f"{out} exists and lists no pairs: choose another path with -o")
    checked = pairs.check_pairs(dataset, sample, seed)
    for (origin, outcome), number in sorted(Counter((one.origin, one.outcome) for one in checked).items()):
        click.echo(f"{origin}: {number} of {len(checked)}: {outcome}")
    solving = [one.pair_id for one in checked if one.outcome == pairs.SOLVES]
    if out is not None:
        write_text(out, "".join(f"{pair_id}\n" for pair_id in solving))
        click.echo(f"{counted(len(solving), 'pair')} to exclude written to {out}")


def _required(out: Path | None) -> Path:
    if out is None:
        raise click.UsageError("name the output folder with -o FOLDER (or use --dry-run)")
    return out


def _stop_on_terminate() -> None:
    """Let SIGTERM end workers, browsers and servers as Ctrl-C does, until the command ends. Ctrl-C is set too: a script's
    background job ignores it by default."""
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.signal(number, signal.default_int_handler)
        click.get_current_context().call_on_close(partial(signal.signal, number, before or signal.SIG_DFL))


def _print_dry_run(found: "DryRun") -> None:
    click.echo("\n".join(found.lines))
    if found.problems:
        raise UserError(
            f"the run would be refused: {counted(len(found.problems), 'thing is', 'things are')} missing, see above"
        )


def _print_counts(counts: dict[str, int], where: Path) -> None:
    parts = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    click.echo(f"{counted(sum(counts.values()), 'episode')} ({parts}) → {where}")
