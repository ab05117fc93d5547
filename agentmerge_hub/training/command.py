"""Verbs of the training room."""

from pathlib import Path

import click

from agentmerge_hub.errors import require


@click.command("tiny-pair")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for base/ and instruct/.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the synthetic texts.")
def tiny_pair(out: Path, seed: int) -> None:
    """Make a tiny base model and its instruct model, from scratch, on the CPU.

    Both are Llamas of about two million parameters with one tokenizer and chat template: small enough that the whole
    pipeline runs on a laptop, and no more than that.
    """
    require("train", "torch", "transformers", "datasets")
    from agentmerge_hub.training.tiny.pair import make

    make(out, seed)


@click.group()
def recipes() -> None:
    """List, show, copy and expand the recipes that travel with the package."""


@recipes.command("ls")
def list_recipes() -> None:
    """Every recipe and what it is for."""
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
@click.option("--dataset", default="workarena-traces", show_default=True, help="Folder or Hub id.")
@click.option("--config", default="all", show_default=True, help="all, cot or no_cot.")
@click.option("--split", "splits", multiple=True, default=("inter_task", "cross_task"), show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Rows a split; all of them without it.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(min=1), help="Rows a forward pass.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A Parquet file.")
def likelihood(
    model: str, dataset: str, config: str, splits: tuple[str, ...], limit: int | None, batch: int, out: Path
) -> None:
    """Score held-out expert answers under MODEL: their probability, by span, one row a sample.

    Every model is scored on the same rows, in the same prompts.
    """
    require("train", "torch", "transformers", "datasets")
    from agentmerge_hub.training.measure import measure

    measure(model, dataset, config, splits, limit, batch, out)
