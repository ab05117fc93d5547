"""Verbs of the training room."""

from pathlib import Path

import click

from agentmerge_hub.errors import require


@click.command("tiny-pair")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for base/ and instruct/.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the synthetic texts.")
def tiny_pair(out: Path, seed: int) -> None:
    """Make a tiny base model and its instruct model, from scratch, on the CPU.

    Both are Llamas of about a million parameters with one tokenizer and chat template: small enough that the whole
    pipeline runs on a laptop, and no more than that.
    """
    require("train", "torch", "transformers", "datasets")
    from agentmerge_hub.training.tiny.pair import make

    make(out, seed)
