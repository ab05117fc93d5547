"""Values of a recipe that people write in a short form or that a type does not describe: seeds, flags, names."""

import re
from collections import Counter
from typing import Annotated, Any

from pydantic import AfterValidator

from agentmerge_hub.prompt import ADVANCED, BASIC


def parse_seeds(value: Any) -> Any:
    """``0-24`` → 0, 1 … 24. Lists and ``default`` are unchanged.

    Raises:
        ValueError: for anything else, an empty list, a reversed range, a seed that is given twice.
    """
    if value == "default":
        return value
    seeds = [value] if isinstance(value, int) else value
    if isinstance(value, str) and (bounds := re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", value)):
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if first > last:
            raise ValueError(f"{value}: the first seed is larger than the last: write {last}-{first}")
        if last - first >= _MOST_SEEDS:
            raise ValueError(f"{value} are more than {_MOST_SEEDS:,} seeds")
        seeds = list(range(first, last + 1))
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
        raise ValueError(
            f"{value!r} is no range of seeds, such as 0-24, no list of whole numbers below 2**32, and not default"
        )
    if repeated := [seed for seed, number in Counter(seeds).items() if number > 1]:
        raise ValueError(f"seed {repeated[0]} is given twice, remove one")
    return seeds


_MOST_SEEDS = 1_000_000


def _name(value: str) -> str:
    """A name that a table can show and a folder's name can include."""
    if not value.strip() or len(value) > 100 or not value.isprintable():
        raise ValueError("a name has 1 to 100 characters on one line")
    return value


def check_folder_name(value: str) -> str:
    """The name, unless it has a slash."""
    if "/" in value or "\\" in value:
        raise ValueError(f"{value!r} has a slash, and a folder is named after the study: use a hyphen")
    return value


Name = Annotated[str, AfterValidator(_name)]


def parse_flags(value: Any) -> Any:
    """``preset: advanced`` or ``basic`` sets the flags that are not given."""
    if isinstance(value, dict) and "preset" in value:
        presets = {"advanced": ADVANCED, "basic": BASIC}
        if not isinstance(value["preset"], str) or value["preset"] not in presets:
            raise ValueError(f"no preset {value['preset']!r}: use advanced or basic")
        # These stay unset, so that they follow the benchmark.
        preset = presets[value["preset"]].model_dump(exclude={"action_space", "use_tabs"})
        return preset | {k: v for k, v in value.items() if k != "preset"}
    return value
