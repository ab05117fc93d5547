"""Entry of `agentmerge` and `python -m agentmerge_hub`: Ctrl-C is one sentence, also while the command line is imported."""

import sys

INTERRUPTED = "Interrupted: finished parts are kept; run the same command again to continue."


def main() -> None:
    """Run the command line."""
    try:
        from agentmerge_hub.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
