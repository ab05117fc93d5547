"""`agentmerge inspect` prints samples for reading."""

from pathlib import Path

import pytest
from dataset_files import rows, run

from agentmerge_hub.errors import UserError


def test_inspect_prints_goal_thought_action_and_token_counts(built: Path) -> None:
    listing = run("inspect", built)
    assert "miniwob.click-dialog" in listing and "72 samples" in listing
    row = rows(built, "all")[0]
    shown = run("inspect", built, "--episode", row["episode_id"])
    for part in (row["action"], "The goal names", f"{row['n_prompt_tokens']} prompt", "truncated: nothing", "Click"):
        assert part in shown
    assert row["sample_id"] in run("inspect", built, "--row", "0", "--split", "cross_task")
    with pytest.raises(UserError, match="--row 9999: there are rows 0 to 71"):
        run("inspect", built, "--row", "9999")
    with pytest.raises(
        UserError, match="has no config failures, but all, cot, no_cot; `agentmerge build --failures` writes"
    ):
        run("inspect", built, "--config", "failures")
    with pytest.raises(UserError, match=r"--split test: .* has cross_task, inter_task, train"):
        run("inspect", built, "--split", "test")
    with pytest.raises(UserError, match=r"^there is no folder .*/nothing: "):
        run("inspect", built / "nothing")
