"""The rows that λ is learned on: expert answers of validation tasks, some of them held out. Other splits are refused."""

import re
from collections import defaultdict
from collections.abc import Sequence

from datasets import Dataset, get_dataset_split_names

from agentmerge_hub.dataset.selection.split import draw
from agentmerge_hub.errors import UserError
from agentmerge_hub.hub_names import check_name
from agentmerge_hub.training.rows import load_split

_VALIDATION = re.compile(r"(validation|valid|val|dev)([_-]\w+)*")
_FEWEST = 4
"""Tasks, or episodes, from which on some are held out."""


def load_validation(data: str, config: str, split: str) -> Dataset:
    """The rows of a validation split.

    Args:
        data: folder or Hub id of a dataset of chat rows.
        split: its name; ``validation-tasks`` is ``validation`` in a dataset that `agentmerge build` wrote.

    Raises:
        UserError: if the split is none for validation, does not exist, or shares tasks with another split.
    """
    if not _VALIDATION.fullmatch(split):
        raise UserError(
            f"--split {split}: λ is learned on validation tasks only, because what is trained or reported on must not choose "
            "it; `agentmerge build --validation-task NAME` makes the split validation"
        )
    check_name(data, "dataset")
    try:
        present = get_dataset_split_names(data, config)
    except (ValueError, OSError):
        present = []  # load_split reports what is wrong
    names = (split, split.replace("-", "_"), *(["validation"] if split.startswith("validation") else []))
    name = next((name for name in names if name in present), None)
    if name is None and present:
        raise UserError(
            f"{data}, config {config}, has no split {split!r}: it has {', '.join(present)}; `agentmerge build "
            "--validation-task NAME` makes the split validation"
        )
    rows = load_split(data, config, name or "validation")
    for other in present:
        if other != name and not _VALIDATION.fullmatch(other) and "task" in rows.column_names:
            shared = set(rows.unique("task")) & set(load_split(data, config, other, ("task",)).unique("task"))
            if shared:
                raise UserError(
                    f"{data}: the task {min(shared)} is in the splits {name} and {other}: validation needs tasks of its own"
                )
    return rows


def hold_out(rows: Dataset, share: float, seed: int) -> tuple[list[int], list[int], str]:
    """Indices of the rows to fit and of those that are held out, and what they are apart by: task or episode.

    Raises:
        UserError: if there are too few tasks and too few episodes.
    """
    for column, name in (("task", "task"), ("episode_id", "episode")):
        if column not in rows.column_names:
            continue
        units = rows[column]
        order = sorted(set(units), key=lambda unit: (draw(str(unit), seed), str(unit)))
        if len(order) >= _FEWEST:
            held = set(order[: max(1, round(share * len(order)))])
            fit = [index for index, unit in enumerate(units) if unit not in held]
            return fit, [index for index, unit in enumerate(units) if unit in held], name
    raise UserError(
        f"the validation split has fewer than {_FEWEST} tasks and fewer than {_FEWEST} episodes (columns task, episode_id): "
        "none can be held out, so that overfitting would not show"
    )


def choose(indices: Sequence[int], units: Sequence[str], count: int, seed: int) -> list[int]:
    """At most `count` of the rows, as many of each unit as possible, drawn by a hash."""
    by_unit: dict[str, list[int]] = defaultdict(list)
    for index in sorted(indices, key=lambda index: draw(str(index), seed)):
        by_unit[units[index]].append(index)
    ranked = [
        (rank, draw(str(unit), seed), index) for unit, found in by_unit.items() for rank, index in enumerate(found)
    ]
    return sorted(index for _, _, index in sorted(ranked)[:count])
