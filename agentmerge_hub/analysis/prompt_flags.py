"""The prompt flags of episodes, as results hold them, and which of them differ."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agentmerge_hub.prompt import Flags


def unlike(episodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the flags that have several values. One that an earlier version did not write has its default."""
    defaults: dict[str, Any] = Flags().model_dump()
    written = [flags for text in {episode["flags"] or "" for episode in episodes} if (flags := _parsed(text))]
    every = [defaults | flags if flags.keys() & defaults.keys() else flags for flags in written]
    names = sorted({name for flags in every for name in flags})
    return [name for name in names if len({json.dumps(flags[name]) for flags in every if name in flags}) > 1]


def _parsed(text: str) -> dict[str, Any]:
    """The flags of a text; empty where it holds none."""
    try:
        flags = json.loads(text)
    except ValueError:
        return {}
    return flags if isinstance(flags, dict) else {}
