"""The `agentmerge` command: one verb for each stage, in the order of the pipeline.

Each package defines its verbs in its own command.py. It is imported when the verb is used, so the help is fast and a missing
dependency concerns only the verb that needs it.
"""

import difflib
import importlib
import io
import sys

import click

from agentmerge_hub import __version__
from agentmerge_hub.__main__ import exit_interrupted
from agentmerge_hub.errors import UserError, os_error_sentence
from agentmerge_hub.terminal_text import printable

PACKAGE_OF = {
    "collect": "agents",
    "build": "dataset",
    "inspect": "dataset",
    "export": "dataset",
    "tiny-pair": "training",
    "recipes": "training",
    "likelihood": "training",
    "merge": "merging",
    "sweep": "merging",
    "graft": "merging",
    "verify": "merging",
    "tune": "tuning",
    "serve": "agents",
    "evaluate": "agents",
    "watch": "agents",
    "xray": "agents",
    "check-pairs": "agents",
    "plan": "analysis",
    "analyse": "analysis",
    "review": "publishing",
    "demo-page": "publishing",
    "gguf": "publishing",
    "push": "publishing",
    "download": "publishing",
    "yank": "publishing",
}
"""Verb → the package whose command.py defines it, in the order of the pipeline."""


class LazyGroup(click.Group):
    """Imports a verb's package when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PACKAGE_OF)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in PACKAGE_OF:
            return None
        return getattr(importlib.import_module(f"agentmerge_hub.{PACKAGE_OF[name]}.command"), name.replace("-", "_"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Names the verb that is meant; click looks only among those that are loaded."""
        if args[0] not in PACKAGE_OF and (near := difflib.get_close_matches(args[0], PACKAGE_OF, 1)):
            ctx.fail(f"No such command {args[0]!r}: did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each verb with its whole first sentence; click would cut it at the width of the terminal."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(500)) for name, command in commands if command])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentmerge")
def agentmerge() -> None:
    """Collect traces of web agents, build a dataset, fine-tune, merge, evaluate.

    \b
    collect → build → train → merge → evaluate → analyse
    Training is `accelerate launch -q recipes/sft.py --config …`, merging `mergekit-yaml recipes/merge/….yml OUT`.
    Each verb reads folders and writes one; any of them can be run alone or again.
    """


def main() -> None:
    """Console entry: a user's mistake, or an operating system error, is one sentence on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal without λ or →, or a name that is not UTF-8, stops no stage
            stream.reconfigure(errors="backslashreplace")
    try:
        agentmerge.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        exit_interrupted()
    except Exception as error:
        sentence = str(error) if isinstance(error, UserError) else os_error_sentence(error)
        if sentence is None:
            raise
        sys.exit(f"Error: {printable(sentence)}")


if __name__ == "__main__":
    main()
