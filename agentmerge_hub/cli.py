"""`agentmerge`: one verb a stage, in the order of the pipeline.

Each room defines its verbs in its own command.py, which imports nothing heavy until a verb runs; so the help answers at
once, and a missing package matters only to the verb that needs it.
"""

import importlib
import sys

import click

from agentmerge_hub import __version__
from agentmerge_hub.errors import UserError

ROOM_OF = {
    "collect": "agents",
    "build": "dataset",
    "inspect": "dataset",
    "tiny-pair": "training",
    "recipes": "training",
    "likelihood": "training",
    "merge": "merging",
    "sweep": "merging",
    "graft": "merging",
    "verify": "merging",
    "serve": "agents",
    "evaluate": "agents",
    "xray": "agents",
    "plan": "analysis",
    "analyse": "analysis",
    "push": "publishing",
    "download": "publishing",
}
"""Verb → the room whose command.py defines it, in the order a user meets them."""


class Pipeline(click.Group):
    """Finds each verb in its room when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(ROOM_OF)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in ROOM_OF:
            return None
        return getattr(importlib.import_module(f"agentmerge_hub.{ROOM_OF[name]}.command"), name.replace("-", "_"))


@click.group(cls=Pipeline, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentmerge")
def agentmerge() -> None:
    """Collect traces of web agents, build a dataset, fine-tune, merge, evaluate.

    \b
    collect → build → train → merge → evaluate → analyse
    Training is `accelerate launch recipes/sft.py --config …`, merging `mergekit-yaml recipes/merge/….yml OUT`.
    Each verb reads folders and writes one; any of them can be run alone or again.
    """


def main() -> None:
    """Console entry: a user's mistake is one sentence on stderr and exit code 1."""
    try:
        agentmerge.main(standalone_mode=False)
    except UserError as error:
        sys.exit(f"Error: {error}")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit("Interrupted: what was finished is kept; run the same command again to go on.")


if __name__ == "__main__":
    main()
