"""Episodes of a dataset as session traces in its repository, which the trace viewer of the Hub shows, and their config in the card.

Format: https://huggingface.co/docs/hub/session-traces-format. One file an episode; `datasets` reads the config with the package teich.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from agentmerge_hub.dataset import reload
from agentmerge_hub.dataset.export import session_trace
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Episode

FOLDER = "sessions"
MOST = 1000
"""Files; the Hub recommends fewer than 10,000 in a folder."""
_CONFIG = f"- config_name: {FOLDER}\n  data_files:\n  - split: train\n    path: {FOLDER}/*.jsonl\n"
_KEY = "\nconfigs:\n"


def session_files(dataset: Path, number: int) -> dict[str, bytes]:
    """Path in the repository → content, for episodes that are spread evenly over the tasks.

    Args:
        dataset: a folder of `agentmerge build`.
        number: how many; all if there are fewer.

    Raises:
        UserError: if it has no episodes, or too many are wanted.
    """
    if number > MOST:
        raise UserError(f"--session-traces {number}: at most {MOST} files are published.")
    if not (dataset / "data" / "episodes").is_dir():
        raise UserError(f"{dataset} has no data/episodes, which session traces are made of: build it again.")
    files = {}
    for episode in _spread(dataset, number):
        lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in session_trace.lines(episode, facts=False))
        files[f"{FOLDER}/{episode.episode_id}.jsonl"] = "".join(lines).encode()
    return files


def _spread(dataset: Path, number: int) -> Iterator[Episode]:
    """One episode of each task, then a second one of each, until the number is reached."""
    of_task: dict[str, list[Episode]] = defaultdict(list)
    for found in reload.find_inputs([dataset]):
        episode = reload.read_input(found)
        if episode.steps and len(of_task[episode.task]) < number:
            of_task[episode.task].append(episode)
    rounds = zip_longest(*(of_task[task] for task in sorted(of_task)))
    chosen = [episode for episodes in rounds for episode in episodes if episode is not None]
    yield from chosen[:number]


def with_sessions(card: str) -> str:
    """The card with the config of session traces in its metadata."""
    return without_sessions(card).replace(_KEY, f"{_KEY}{_CONFIG}", 1)


def without_sessions(card: str) -> str:
    """The card without that config."""
    return card.replace(f"{_KEY}{_CONFIG}", _KEY, 1)
