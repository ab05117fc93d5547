"""The one exception a user sees as a sentence, and the sentence for a room whose packages are missing."""

from importlib.util import find_spec


class UserError(Exception):
    """A mistake the user can mend: one sentence naming what is wrong, where, and what to do."""


def require(extra: str, *packages: str) -> None:
    """Raise UserError unless every package of an optional room is installed.

    Args:
        extra: the extra of this package that brings them, e.g. ``"train"``.
        packages: importable top-level names, e.g. ``"torch"``.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} is not installed: run `pip install 'agentmerge-hub[{extra}]'`, "
            "or `make setup` in a clone for the complete locked environment."
        )
