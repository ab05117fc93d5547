"""Entry of `agentmerge` and `python -m agentmerge_hub`: Ctrl-C is one sentence, also while modules are imported."""

import _thread
import gc
import sys
import threading
from typing import Any, NoReturn

RESUMABLE = ("collect", "sweep", "tune", "evaluate", "review", "push", "download")
"""Verbs that keep what is finished when they are interrupted, and continue from it."""


def main() -> None:
    """Run the command line."""
    sys.unraisablehook = _raise_interrupt_again
    try:
        from agentmerge_hub.cli import main as run

        run()
    except KeyboardInterrupt:
        exit_interrupted()
    finally:
        gc.freeze()  # the process ends: to search torch's modules for garbage takes it half a second more


def exit_interrupted() -> NoReturn:
    """Say that Ctrl-C ended the command, and exit with the status that shells use for it."""
    resumable = sys.argv[1:2] and sys.argv[1] in RESUMABLE
    kept = " Finished parts are kept: run the same command again to continue." if resumable else ""
    print(f"Interrupted.{kept}", file=sys.stderr)
    sys.exit(130)


def _raise_interrupt_again(unraisable: Any) -> None:
    """Python prints and forgets an exception in a callback, such as those of its import locks; Ctrl-C must not get lost there."""
    if unraisable.exc_type is KeyboardInterrupt:
        again = threading.Timer(0.01, _thread.interrupt_main)  # after this callback, which would forget it too
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main()
