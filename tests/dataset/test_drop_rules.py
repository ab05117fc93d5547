"""Every dropped episode and sample is in the ledger with its rule."""

from pathlib import Path

from dataset_files import ledger, rows, run
from made_traces import write_episode, write_study

from agentmerge_hub.prompt import BASIC


def test_every_drop_has_its_rule(tmp_path: Path, tokenizer_folder: Path) -> None:
    root = tmp_path / "t"
    task = "miniwob.click-dialog"
    write_episode(root, task, 0, name="good")
    write_episode(root, task, 1, name="failed", reward=0.0)
    write_episode(root, task, 2, name="crashed", summary={"err_msg": "TimeoutError: gone"})
    write_episode(root, task, 3, name="truncated", summary={"terminated": False})
    write_episode(
        root,
        task,
        4,
        name="elsewhere",
        obs={"url": "https://a.org/", "open_pages_urls": ["https://a.org/", "https://b.org/"]},
    )
    write_episode(root, task, 5, name="no such element", action="click('999')")
    write_episode(root, task, 6, name="cut away", action="click('2050')", extra_lines=2000)
    write_episode(root, task, 7, name="cut but kept", extra_lines=2000)
    write_episode(root, task, 8, name="long answer", action=f"fill('10', '{'word ' * 2000}')")
    (write_episode(root, task, 9, name="broken") / "step_1.pkl.gz").write_bytes(b"no pickle")
    (write_episode(root, task, 10, name="no summary") / "summary_info.json").unlink()
    write_episode(root, task, 0, name="zz good again")
    write_episode(root, task, 0, name="zz good, other file", summary={"note": "differs"})
    write_episode(root, task, 11, name="vast goal", goal="word " * 20000)
    write_episode(root, task, 12, name="no goal", flags=None, obs={"goal": "", "goal_object": []})
    write_episode(root, task, 13, name="no page", flags=None, obs={"axtree_txt": ""})
    write_episode(root, task, 15, name="another action", executed="click('10')")
    output = run(
        "build", root, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--window", 4096, "--answer", 512
    )
    assert dict((source, rule) for rule, source in ledger(tmp_path / "out")) == {
        "failed": "unsuccessful",
        "crashed": "crashed",
        "truncated": "not_validated",
        "elsewhere": "left_site",
        "no such element": "bid_not_on_page",
        "cut away": "bid_cut_away",
        "long answer": "answer_too_long",
        "broken": "unreadable",
        "no summary": "no_summary",
        "zz good again": "duplicate_episode",
        "zz good, other file": "duplicate",
        "vast goal": "does_not_fit",
        "no goal": "no_goal",
        "no page": "no_page",
        "another action": "answer_mismatch",
    }
    assert "1 unreadable" in output
    kept = {row["seed"]: row for row in rows(tmp_path / "out", "all")}
    assert set(kept) == {0, 7} and len(rows(tmp_path / "out", "all")) == len(rows(tmp_path / "out", "episodes")) == 2
    assert kept[0]["axtree_lines_cut"] == 0
    assert f"({kept[7]['axtree_lines_cut']} more lines cut)" in kept[7]["prompt"][1]["content"]
    assert kept[7]["n_prompt_tokens"] <= 3584


def test_keep_duplicates_keeps_equal_samples(tmp_path: Path, tokenizer_folder: Path) -> None:
    for number in range(5):
        write_episode(tmp_path / "t", "miniwob.click-dialog", 0, name=f"run {number}", summary={"number": number})
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, name="shouted", goal="CLICK OK 0 in miniwob.click-dialog.")
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    run(*build)
    assert len(rows(tmp_path / "out", "all")) == 1
    run(*build, "--keep-duplicates", 4)
    assert len(rows(tmp_path / "out", "all")) == 4
    assert [rule for rule, _ in ledger(tmp_path / "out")] == ["duplicate", "near_duplicate"]


def test_agent_option_keeps_only_that_agent(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_study(tmp_path / "t", range(4))
    write_episode(tmp_path / "t", "miniwob.click-option", 9, flags=BASIC, reward=0.0)
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--failures")
    run(*build, "--agent", "expert-advanced")
    assert {row["agent"] for row in rows(tmp_path / "out", "*")} == {"expert-advanced"}
    assert [rule for rule, _ in ledger(tmp_path / "out")] == ["other_agent"] * 13
