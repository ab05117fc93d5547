"""Read episodes back from the config `episodes` of a built dataset, to fit them to another window, prompt or tokenizer
without their traces."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from agentmerge_hub.files.parquet_reading import read_row_group, row_groups
from agentmerge_hub.records import Episode, Message, Observation, Step
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.find import Found, find_episodes
from agentmerge_hub.traces.limits import EPISODE_BYTES
from agentmerge_hub.traces.observation.png import read_png
from agentmerge_hub.traces.observation.screenshots import has_marks
from agentmerge_hub.traces.options import TEXTS, ReadOptions


@dataclass(frozen=True, order=True)
class StoredEpisode(Found):
    """One episode in a Parquet file: `folder` is the file; its steps are `rows` rows of a row group from row `start` on."""

    group: int = 0
    start: int = 0
    rows: int = 0


def find_inputs(roots: Iterable[Path]) -> list[Found]:
    """Episodes in the roots: folders of traces, and datasets that `agentmerge build` wrote, sorted by source.

    With several roots, a label of the root is the first part of each source, so that equal names stay apart.

    Raises:
        UserError: see traces.find.
    """
    roots = list({root.resolve(): root for root in roots}.values())
    found: dict[object, Found] = {}
    for root, label in zip(roots, _labels(roots)):
        is_dataset = (root / "data" / "episodes").is_dir()
        for episode in _episodes_of(root, label) if is_dataset else find_episodes([root]):
            source = episode.source
            if len(roots) > 1 and not is_dataset:
                # The root's own name is there only for an episode, or a document, that the root itself is.
                name = root.name if root.is_file() else root.resolve().name
                source = label + source.removeprefix(name) if episode.folder == root else f"{label}/{source}"
            identity = source if is_dataset else episode.identity
            found.setdefault(identity, replace(episode, source=_printable(source)))
    return sorted(found.values(), key=lambda episode: episode.source)


def _labels(roots: list[Path]) -> list[str]:
    """The name of each root, with a number where several have the same name."""
    labels: list[str] = []
    for root in roots:
        name = root.resolve().name
        number = 1 + sum(other.resolve().name == name for other in roots[: len(labels)])
        labels.append(name if number == 1 else f"{name}-{number}")
    return labels


def _printable(name: str) -> str:
    """A name without the surrogates that stand for bytes which are no UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _episodes_of(root: Path, label: str) -> Iterable[StoredEpisode]:
    for path in sorted(path for path in (root / "data" / "episodes").iterdir() if path.suffix == ".parquet"):
        for group, table in enumerate(row_groups(path, ["episode_id"])):
            ids = table["episode_id"].to_pylist()
            start = 0
            for episode, rows in groupby(ids):
                n = len(list(rows))
                yield StoredEpisode(f"{label}/{episode}", path, group, start, n)
                start += n


def read_input(found: Found, options: ReadOptions = TEXTS, max_bytes: int = EPISODE_BYTES) -> Episode:
    """Read an episode from its traces or from a dataset.

    Args:
        options: what to read. A dataset holds one screenshot a step, with marks or without them, and the text of its page.
        max_bytes: memory that the work on an episode of traces may add.

    Raises:
        Unreadable: as traces.episode.
    """
    if not isinstance(found, StoredEpisode):
        return read_episode(found, options, max_bytes)
    rows = _group(found.folder, found.group, found.folder.stat().st_mtime_ns).slice(found.start, found.rows).to_pylist()
    first = rows[0]
    of_episode = {field.name: first[field.name] for field in fields(Episode) if field.name in first}
    of_episode["final_urls"] = tuple(first.get("final_urls") or ())
    flags = json.loads(first["flags"])
    marks = has_marks(options.screenshots, flags)
    steps = (_step(row) for row in rows)
    scored = first["reward"] is not None
    return Episode(
        **of_episode | {"flags": flags, "reward": _decimal(first["reward"]) if scored else 0.0},
        scored=scored,
        source=found.source,
        error="",
        complete=scored,
        steps=tuple(
            _without_screenshot(step) if options.screenshots == "off" else _with_screenshot(step, row, marks)
            for step, row in zip(steps, rows)
        ),
    )


def _decimal(reward: float) -> float:
    """The reward that was recorded: of a column of 32-bit numbers 0.9 comes back as 0.8999999761581421."""
    return float(str(np.float32(reward)))


def _without_screenshot(step: Step) -> Step:
    """The step without a recorded prompt that showed a screenshot: its text alone is not what the agent saw."""
    return replace(step, messages=(), prompt_has_screenshot=False) if step.prompt_has_screenshot else step


def _with_screenshot(step: Step, row: dict, marks: bool) -> Step:
    png = (row.get("image") or {}).get("bytes")
    if not png:
        return replace(step, no_screenshot="the dataset has none")
    if row["image_has_marks"] != marks:
        held = "with" if row["image_has_marks"] else "without"
        return replace(_without_screenshot(step), no_screenshot=f"the dataset has screenshots {held} marks")
    try:
        checked = read_png(png)
    except Refused as refused:
        return replace(step, no_screenshot=f"the screenshot {refused}")
    return replace(step, observation=replace(step.observation, screenshot=checked.data))


def _step(row: dict) -> Step:
    return Step(
        index=row["step"],
        observation=Observation(**{field.name: row[field.name] for field in fields(Observation) if field.name in row}),
        answer=row["answer"],
        action=row["action"],
        executed=row.get("executed") or row["action"] or "",
        thought=row["thought"],
        messages=tuple(Message(role=turn["role"], content=turn["content"]) for turn in row["recorded_prompt"]),
        parse_retries=row["parse_retries"],
        refused_answers=tuple(row.get("refused_answers") or ()),
        prompt_has_screenshot=bool(row.get("prompt_has_screenshot")),
    )


@lru_cache(maxsize=2)
def _group(path: Path, group: int, _version: int) -> pa.Table:
    return read_row_group(path, group)
