"""Screenshots beside the steps of an AgentLab episode: which file shows a step, and its checked content."""

from pathlib import Path
from typing import Any, Literal

from agentmerge_hub.traces.files import Refused, read_file
from agentmerge_hub.traces.observation.png import MAX_BYTES, read_png
from agentmerge_hub.traces.values import as_dict

Screenshots = Literal["off", "shown", "plain", "som"]
"""Which screenshots are read: none; those that the agent's flags say it was shown, else plain ones; plain ones; or those with
a box and the bid around each element (set of marks)."""


def has_marks(screenshots: Screenshots, flags: dict[str, Any]) -> bool:
    """Whether the wanted screenshots of a run with these flags have marks. AgentLab keeps ``use_som`` under ``obs``."""
    recorded = flags.get("use_som") is True or as_dict(flags.get("obs")).get("use_som") is True
    return screenshots == "som" or (screenshots == "shown" and recorded)


def file_name(step: int, *, marks: bool) -> str:
    """The file that AgentLab writes for a step."""
    return f"screenshot_som_step_{step}.png" if marks else f"screenshot_step_{step}.png"


def read_screenshot(folder: Path, name: str) -> bytes:
    """A screenshot without its metadata.

    Raises:
        Refused: if it is missing, no PNG, damaged or too large; the message begins with the file's name.
    """
    path = folder / name
    if not path.is_symlink() and not path.exists():
        raise Refused(f"{name} is missing")
    try:
        return read_png(read_file(path, MAX_BYTES)).data
    except Refused as refused:
        raise Refused(f"{name} {refused}") from None
