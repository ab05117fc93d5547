"""The merging room's verbs."""

from pathlib import Path

import click

from agentmerge_hub.errors import UserError, require


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


@click.command()
@click.argument("merged", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_set
@_reply
def verify(merged: Path, values: dict[str, str], reply: bool) -> None:
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

    verdict = room.verify(merged, values, reply=reply)
    click.echo(f"{merged}: all {verdict.tensors} tensors ({verdict.parameters:,} values) are what the inputs give")
    if verdict.reply is not None:
        click.echo(f"It answers a greeting with {verdict.reply!r}")
    if verdict.first:
        click.echo(f"Wrote {merged / 'manifest.json'}")
