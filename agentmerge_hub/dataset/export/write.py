"""Write the episodes of a built dataset, one file each, in another tool's format."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.dataset import reload
from agentmerge_hub.dataset.export import adp, atif, session_trace
from agentmerge_hub.dataset.rows.image_columns import COLUMN
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.parquet_reading import read_schema, row_groups
from agentmerge_hub.records import Episode

STAGE = "export"


def _one_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Episode], str]]] = {
    "atif": (".json", lambda episode: json.dumps(atif.document(episode), ensure_ascii=False, indent=1) + "\n"),
    "adp": (".jsonl", lambda episode: _one_line(adp.document(episode))),
    "session-trace": (".jsonl", lambda episode: "".join(map(_one_line, session_trace.lines(episode)))),
}
"""Name of a format → ending of its files, and the text of an episode in it."""


def export(dataset: Path, out: Path, format_name: str) -> tuple[int, int]:
    """Write the folder `out` and return the number of episodes, and of screenshots that are left out.

    Raises:
        UserError: if `dataset` is no built dataset, has no episodes, or `out` cannot be written.
    """
    started = time.time()
    if not dataset.is_dir():
        raise UserError(f"there is no folder {dataset}: give a dataset that `agentmerge build` wrote")
    if not (dataset / "data" / "episodes").is_dir():
        raise UserError(f"{dataset} has no data/episodes: give the folder that `agentmerge build` wrote")
    ending, text_of = FORMATS[format_name]
    n, n_screenshots = 0, _count_screenshots(dataset)
    with output_folder.new_folder(out, STAGE, [dataset]) as folder:
        for episode in _episodes(dataset):
            (folder / f"{episode.episode_id}{ending}").write_text(text_of(episode), encoding="utf-8")
            n += 1
        if not n:
            raise UserError(f"{dataset} has no episodes")
        manifest.write(
            folder,
            STAGE,
            inputs={"dataset": dataset},
            config={"format": format_name},
            counts={"episodes": n} | ({"screenshots_left_out": n_screenshots} if n_screenshots else {}),
            started=started,
        )
    return n, n_screenshots


def _count_screenshots(dataset: Path) -> int:
    files = [path for path in (dataset / "data" / "episodes").glob("*.parquet") if COLUMN in read_schema(path).names]
    images = [table[COLUMN] for path in files for table in row_groups(path, [f"{COLUMN}.path"])]
    return sum(len(column) - column.null_count for column in images)


def _episodes(dataset: Path) -> Iterator[Episode]:
    for found in reload.find_inputs([dataset]):
        episode = reload.read_input(found)
        if episode.steps:
            yield episode
