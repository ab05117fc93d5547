"""`agentmerge inspect` prints samples for reading."""

import gzip
import pickle
from pathlib import Path

import pytest
from dataset_files import rows, run
from made_traces import write_episode

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
    for inside in (built / "data/all", next(built.glob("data/cot/train-*"))):
        with pytest.raises(UserError, match=rf"^{inside} is inside of a dataset: give the dataset's folder, {built}$"):
            run("inspect", inside)
    with pytest.raises(UserError, match=r"^.*\.py is a file: give the folder of a dataset"):
        run("inspect", __file__)


def test_recorded_text_is_shown_and_steers_nothing(tmp_path: Path, tokenizer_folder: Path) -> None:
    odd = "[/red] \x1b[2J\x9b1m"
    write_episode(tmp_path / "t", f"made.{odd}", 1, goal=f"Click it {odd}", model=odd)
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--workers", 1)
    for shown in (run("inspect", tmp_path / "out"), run("inspect", tmp_path / "out", "--row", 0)):
        assert "[/red] \\x1b[2J\\x9b1m" in shown and "\x1b" not in shown and "\x9b" not in shown
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "made.[/red] \\x1b[2J" in card and all(letter >= " " for letter in card if letter != "\n")


def test_every_turn_of_a_prompt_is_shown_with_its_role(tmp_path: Path, tokenizer_folder: Path) -> None:
    folder = write_episode(tmp_path / "t", "miniwob.click-dialog", 1)
    first = pickle.loads(gzip.decompress((folder / "step_0.pkl.gz").read_bytes()))
    chat = first["agent_info"]["chat_messages"]["messages"]
    chat[:2] = [{"role": "user", "content": "The first turn."}, *chat[1:2]]
    (folder / "step_0.pkl.gz").write_bytes(gzip.compress(pickle.dumps(first)))
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--workers", 1)
    shown = run("inspect", tmp_path / "out", "--row", 0)
    assert shown.count("─ user ─") == 2 and "system ─" not in shown and "The first turn." in shown
