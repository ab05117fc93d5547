"""A rejected answer that solves its task is found by replaying it in the browser, and can be left out of the dataset."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentmerge_hub.agents.browser import browsergym_patches
from agentmerge_hub.agents.browser.agentlab_api import EnvArgs
from agentmerge_hub.agents.check_pairs import OTHER_PAGE, REJECTED, SOLVES, check_pairs
from agentmerge_hub.agents.observations import flatten
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Flags

pytestmark = pytest.mark.browser

TASK, SEED = "miniwob.click-test", 7
MARKED = Flags(filter_som_only=True)


def write_dataset(folder: Path, tree: str, rejected: dict[str, str], **of_step: str) -> None:
    for config, rows in {
        "preferences": [
            {
                "pair_id": name, "origin": "other_element", "episode_id": "e", "task": TASK, "seed": SEED, "step": 0,
                "action": "noop()", "rejected_action": action,
            }
            for name, action in rejected.items()
        ],
        "episodes": [{"episode_id": "e", "step": 0, "action": "noop()", "axtree": tree} | of_step],
    }.items():  # fmt: skip
        (folder / "data" / config).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / config / "train-0.parquet")


def page() -> tuple[str, str]:
    """The tree of the task's page, with all elements and with the marked ones."""
    browsergym_patches.apply()
    env = EnvArgs(task_name=TASK, task_seed=SEED, max_steps=2).make_env(
        action_mapping=None, exp_dir=None, use_raw_page_output=False
    )
    obs, _ = env.reset(seed=SEED)
    env.close()
    return flatten(obs, Flags())["axtree_txt"], flatten(obs, MARKED)["axtree_txt"]


def outcomes(dataset: Path) -> dict[str, str]:
    return {one.pair_id: one.outcome for one in check_pairs(dataset, 10)}


def test_an_answer_that_solves_the_task_is_found(browser_process, tmp_path: Path) -> None:
    tree, marked = browser_process.apply(page)
    button = next(line for line in tree.splitlines() if "button" in line).split("]")[0].strip().lstrip("[")
    write_dataset(tmp_path / "set", tree, {"right": f"click('{button}')", "wrong": "click('a324')"})
    assert browser_process.apply(outcomes, (tmp_path / "set",)) == {"right": SOLVES, "wrong": REJECTED}
    write_dataset(tmp_path / "changed", tree.replace("button", "link"), {"right": f"click('{button}')"})
    assert browser_process.apply(outcomes, (tmp_path / "changed",)) == {"right": OTHER_PAGE}
    printed = {"axtree_flags": MARKED.page_flags.model_dump_json()}
    write_dataset(tmp_path / "marked", marked, {"right": f"click('{button}')"}, **printed)
    assert marked != tree and browser_process.apply(outcomes, (tmp_path / "marked",)) == {"right": SOLVES}


def test_a_dataset_without_pairs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--preferences"):
        check_pairs(tmp_path, 10)
