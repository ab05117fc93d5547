"""Check preference pairs in the browser: does a rejected answer solve its task after all?

Input: a dataset with the configs `preferences` and `episodes`. Each sampled pair is replayed: the episode's own actions up to the
pair's step, then the rejected action. Only MiniWoB tasks can be replayed: the same seed gives the same page there.
"""

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentmerge_hub.actions import PRIMITIVES
from agentmerge_hub.agents.browser import browsergym_patches
from agentmerge_hub.agents.browser.agentlab_api import EnvArgs, HighLevelActionSet, functions
from agentmerge_hub.agents.observations import flatten
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.parquet_reading import read_schema, read_table
from agentmerge_hub.prompt import Flags
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.observation.printed_flags import tree_flags

SOLVES = "solves the task"
REJECTED = "does not solve the task"
OTHER_PAGE = "another page"
NOT_REPLAYED = "not replayed"

_REPLAYED = "miniwob."


@dataclass(frozen=True)
class CheckedPair:
    """A pair and what its rejected action came to, one of the constants above."""

    pair_id: str
    origin: str
    outcome: str


def is_list(path: Path) -> bool:
    """Whether a file is what `agentmerge check-pairs -o` writes: an id a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return all(re.fullmatch(r"[0-9a-z]+", line) for line in lines)


def check_pairs(dataset: Path, sample: int, seed: int = 0) -> list[CheckedPair]:
    """Replay a random sample of the pairs whose rejected answer holds an action.

    Raises:
        UserError: if the dataset has no pairs of MiniWoB tasks.
    """
    columns = ["pair_id", "origin", "episode_id", "task", "seed", "step", "action", "rejected_action"]
    pairs = _rows(dataset, "preferences", columns)
    candidates = [row for row in pairs if row["task"].startswith(_REPLAYED) and row["rejected_action"] != row["action"]]
    candidates = [row for row in candidates if row["rejected_action"]]
    if not candidates:
        raise UserError(f"{dataset} has no preference pairs of MiniWoB tasks: build it with --preferences")
    chosen = random.Random(seed).sample(candidates, min(sample, len(candidates)))
    wanted = {row["episode_id"] for row in chosen}
    steps = {
        (row["episode_id"], row["step"]): row
        for row in _rows(dataset, "episodes", ["episode_id", "step", "action", "axtree", "axtree_flags", "flags"])
        if row["episode_id"] in wanted
    }
    browsergym_patches.apply()
    return [CheckedPair(row["pair_id"], row["origin"], _replay(row, steps)) for row in chosen]


def _rows(dataset: Path, config: str, columns: list[str]) -> list[dict[str, Any]]:
    files = sorted((dataset / "data" / config).glob("*.parquet"))
    held = {path: [name for name in columns if name in read_schema(path).names] for path in files}
    return [row for path in files for row in read_table(path, columns=held[path]).to_pylist()]


def _replay(pair: dict[str, Any], steps: dict[tuple[str, int], dict[str, Any]]) -> str:
    before = [steps.get((pair["episode_id"], number)) for number in range(pair["step"] + 1)]
    if any(step is None for step in before):
        return NOT_REPLAYED
    env = EnvArgs(task_name=pair["task"], task_seed=pair["seed"], max_steps=pair["step"] + 2, headless=True).make_env(
        action_mapping=_executor().to_python_code, exp_dir=None, use_raw_page_output=False
    )
    try:
        obs, _ = env.reset(seed=pair["seed"])
        for step in before[:-1]:
            assert step is not None
            obs, _, terminated, _, _ = env.step(step["action"])
            if terminated:
                return OTHER_PAGE
        last = before[-1]
        assert last is not None
        if not _same_page(flatten(obs, _flags_of(last))["axtree_txt"], last["axtree"]):
            return OTHER_PAGE
        _, reward, _, _, _ = env.step(pair["rejected_action"])
        return SOLVES if reward > 0 else REJECTED
    finally:
        env.close()


def _flags_of(step: dict[str, Any]) -> Flags:
    """Flags that print the page as the step's was."""
    page = Observation("", step["axtree"], axtree_flags=step.get("axtree_flags") or "")
    return Flags(**tree_flags(page, json.loads(step.get("flags") or "{}")).model_dump())


_ELEMENT = re.compile(r"^\s*\[(\w+)\] (\w+)", re.MULTILINE)


def _same_page(tree: str, recorded: str) -> bool:
    """Whether two trees hold the same elements; their tags depend on the flags, and redaction may have changed a name."""
    return _ELEMENT.findall(tree) == _ELEMENT.findall(recorded)


@cache
def _executor() -> HighLevelActionSet:
    calls = [getattr(functions, name) for name in PRIMITIVES]
    return HighLevelActionSet(subsets=["custom"], custom_actions=calls, multiaction=True, strict=False)
