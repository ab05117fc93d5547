"""The scripted expert in the browser: every task of its recipe once, one action at a time."""

from pathlib import Path

import pytest
import yaml

from agentmerge_hub.agents.study import studies
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.prompt import EXAMPLE_BID, tree_bids
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes


@pytest.mark.browser
def test_every_task_of_the_recipe_is_solved(tmp_path: Path) -> None:
    recipe = yaml.safe_load((data_folder("recipes") / "collect" / "miniwob.yaml").read_text())
    recipe["agents"] = [agent for agent in recipe["agents"] if agent["name"] == "basic"]
    for group in recipe["episodes"]:
        group["seeds"] = [3]
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(recipe))
    counts = studies.run_collect(path, tmp_path / "traces")
    episodes = [read_episode(found) for found in find_episodes([tmp_path / "traces"])]
    assert counts == {"done": len(episodes), "crashed": 0, "missing": 0} and len(episodes) >= 35
    assert [episode.task for episode in episodes if episode.reward <= 0] == []
    for step in (step for episode in episodes for step in episode.steps):
        # The prompt shows what is needed to learn the action: its bids are in the tree and are not the example's.
        assert step.action is not None and EXAMPLE_BID not in step.action
        assert step.answer and step.messages and tree_bids(step.observation.axtree)
