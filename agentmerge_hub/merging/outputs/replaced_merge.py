"""What an earlier merge at the place of a new one was, by the spec that it keeps. Nothing is written."""

from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import SPEC_FILE, Spec

SAME_SETTINGS = "a merge with the same settings"
_MOST_NAMED = 3


def replaced(out: Path, spec: Spec) -> str | None:
    """The finished merge at `out` by what differs from a new one, e.g. ``the merge with lambda 0.4``; None if there is none."""
    if not (out / manifest.NAME).is_file():
        return None
    try:
        earlier = specs.read(out / SPEC_FILE)
    except UserError:
        return "an earlier merge"
    differing = [
        f"{name} {f'{value:g}' if isinstance(value, float) else value}"
        for name, value in (earlier.names | {"seed": earlier.seed}).items()
        if value is not None and (spec.names | {"seed": spec.seed}).get(name) != value
    ]
    values = f" with {', '.join(differing[:_MOST_NAMED])}" if differing else ""
    if earlier.method != spec.method:
        return f"the {earlier.method} merge{values}"
    if differing:
        return f"the merge{values}"
    return SAME_SETTINGS if earlier.config == spec.config else "a merge with other settings"
