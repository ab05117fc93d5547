"""Rows of a built dataset: each loads, fits its budget and can be trained on."""

import gzip
import pickle
from pathlib import Path

import pytest
import yaml
from dataset_files import ledger, rows, run
from made_traces import write_episode

from agentmerge_hub.prompt import ADVANCED, BASIC, Turn, answer, html_bids, render, tree_bids
from agentmerge_hub.records import Observation
from agentmerge_hub.tokenizer import ChatTokenizer


def test_every_config_loads_by_name(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    monkeypatch.chdir(built.parent)
    sizes = {}
    for config in ("all", "cot", "no_cot", "episodes"):
        loaded = load_dataset("workarena-traces", config)
        assert set(loaded) == {"train", "inter_task", "cross_task"}
        sizes[config] = {split: data.num_rows for split, data in loaded.items()}
        card = yaml.safe_load((built / "README.md").read_text().split("---")[1])
        (info,) = (info for info in card["dataset_info"] if info["config_name"] == config)
        in_card = {split["name"]: (split["num_examples"], split["num_bytes"]) for split in info["splits"]}
        loaded_sizes = {name: (d.num_rows, d.info.splits[name].num_bytes) for name, d in loaded.items()}
        assert in_card == loaded_sizes
        assert info["download_size"] == loaded["train"].info.download_size
    assert sizes["cot"] == sizes["no_cot"]
    assert sum(sizes["all"].values()) == 72 and sizes["all"]["cross_task"] == 24


def test_every_row_is_trainable(built: Path, tokenizer_folder: Path) -> None:
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    for row in rows(built, "all"):
        text = tokenizer.render(row["prompt"])
        prompt = tokenizer.count(text)
        whole = tokenizer.count(text + tokenizer.template.completion_text(row["completion"][0]["content"]))
        assert (row["n_prompt_tokens"], row["n_completion_tokens"]) == (prompt, whole - prompt)
        assert prompt <= 7168 and whole - prompt <= 1024
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert row["cot"] == ("<think>" in row["completion"][0]["content"])
        assert row["license"] == "apache-2.0" and row["teacher"] == "scripted"


def test_cot_and_no_cot_are_equally_large_per_task(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(9):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=ADVANCED)
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=BASIC)
        write_episode(tmp_path / "t", "miniwob.click-option", seed, flags=BASIC)
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--inter-share", 0)
    assert {config: len(rows(tmp_path / "out", config)) for config in ("all", "cot", "no_cot")} == {
        "all": 17,
        "cot": 4,
        "no_cot": 4,
    }
    assert {row["task"] for row in rows(tmp_path / "out", "no_cot")} == {"miniwob.click-dialog"}
    options = ("--tokenizer", tokenizer_folder, "--inter-share", 0, "--rebuild-prompts")
    run("build", tmp_path / "t", "-o", tmp_path / "out", *options)
    steps = {
        name: [(row["episode_id"], row["step"]) for row in rows(tmp_path / "out", name)] for name in ("cot", "no_cot")
    }
    assert (
        len(steps["cot"]) == 9 and steps["cot"] == steps["no_cot"]
    )  # each step that had a thought, with and without it


def test_steps_of_cot_and_no_cot_in_a_mixture_with_cut_pages(tmp_path: Path, tokenizer_folder: Path) -> None:
    """Recorded prompts of one version each, rendered ones with and without a thought, and pages around the size of the window."""
    for seed in range(5):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=ADVANCED)
        write_episode(tmp_path / "t", "miniwob.click-option", seed, flags=BASIC if seed > 2 else ADVANCED)
    for seed in range(10, 34):
        buttons = {
            "axtree_txt": "RootWebArea 'x'\n" + "\n".join(f"\t[{n}] button 'B {n} {seed}'" for n in range(3 * seed))
        }
        action = f"click('{3 * seed - 1 - 9 * (seed % 3)}')"
        folder = write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=None, action=action, obs=buttons)
        if seed % 4 == 0:
            silent = {"obs": {"goal": "Click it.", **buttons}, "action": action, "agent_info": {"stats": {}}}
            (folder / "step_0.pkl.gz").write_bytes(gzip.compress(pickle.dumps(silent)))
    options = ("--tokenizer", tokenizer_folder, "--window", 2400, "--answer", 300, "--workers", 1)
    for rebuilt in ((), ("--rebuild-prompts",)):
        run("build", tmp_path / "t", "-o", tmp_path / "out", *options, *rebuilt)
        seen = {
            name: [(row["episode_id"], row["step"], row["cot"]) for row in rows(tmp_path / "out", name)]
            for name in ("all", "cot", "no_cot")
        }
        in_all = {step[:2] for step in seen["all"] if step[2]} & {step[:2] for step in seen["all"] if not step[2]}
        alone = {step[:2] for step in seen["all"]} - in_all
        with_, without = ({step[:2] for step in seen[name]} for name in ("cot", "no_cot"))
        assert len(seen["cot"]) == len(seen["no_cot"]) and in_all and alone
        assert with_ & without == in_all and (with_ | without) - in_all <= alone
        if rebuilt:
            assert with_ == without == in_all
        assert "bid_cut_away" in {rule for rule, _ in ledger(tmp_path / "out")}


@pytest.mark.parametrize("thought", ["The goal names OK. I click it.", "Click OK.", ""])
def test_no_prompt_of_no_cot_shows_an_earlier_thought(tmp_path: Path, tokenizer_folder: Path, thought: str) -> None:
    for seed in range(3):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=ADVANCED)
    folder = write_episode(tmp_path / "t", "miniwob.click-dialog", 8, flags=ADVANCED)
    first, last = (pickle.loads(gzip.decompress((folder / f"step_{n}.pkl.gz").read_bytes())) for n in (0, 1))
    action, page = first["action"], Observation(first["obs"]["goal"], first["obs"]["axtree_txt"])
    first["agent_info"]["think"] = thought
    first["agent_info"]["chat_messages"]["messages"][-1]["content"] = answer(action, thought)
    chat = [
        *render(page, [Turn(action, thought)], ADVANCED).messages(),
        {"role": "assistant", "content": answer(action)},
    ]
    second = first | {"agent_info": {"think": None, "chat_messages": {"messages": chat}}}
    for number, step in enumerate((first, second, last)):
        (folder / f"step_{number}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step), mtime=0))
    options = ("--tokenizer", tokenizer_folder, "--inter-share", 0)
    run("build", tmp_path / "t", "-o", tmp_path / "out", *options)
    samples, without = rows(tmp_path / "out", "all"), rows(tmp_path / "out", "no_cot")
    assert len(samples) == 5 and len(rows(tmp_path / "out", "cot")) == len(without)
    source = folder.name
    if thought:
        assert sum(f"<think>\n{thought}" in row["prompt"][1]["content"] for row in samples) == 1
        assert without == [] and ("thought_in_prompt", source) in ledger(tmp_path / "out")
        assert "| `thought_in_prompt` |" in (tmp_path / "out" / "README.md").read_text()
    else:
        assert {row["step"] for row in without} >= {1} and ledger(tmp_path / "out") == []


def test_steps_without_a_recorded_prompt_become_both_versions(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(3):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=None)
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--inter-share", 0)
    with_, without = rows(tmp_path / "out", "cot"), rows(tmp_path / "out", "no_cot")
    assert len(with_) == len(without) == 3
    assert with_[0]["completion"][0]["content"].startswith("<think>\nThe goal names")
    assert without[0]["completion"][0]["content"] == f"<action>\n{without[0]['action']}\n</action>"
    assert with_[0]["teacher"] == "scripted"


def test_failures_are_a_separate_config(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, reward=seed % 2)
    write_episode(tmp_path / "t", "miniwob.click-dialog", 1, reward=0.0, name="a failure with the same step")
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--failures")
    assert len(rows(tmp_path / "out", "all")) == 2 and len(rows(tmp_path / "out", "failures")) == 3
    assert {row["reward"] for row in rows(tmp_path / "out", "all")} == {1.0}
    assert {row["reward"] for row in rows(tmp_path / "out", "failures")} == {0.0}


def test_real_traces_become_rows(real_traces: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    run("build", real_traces, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--window", 16384)
    samples = rows(tmp_path / "out", "all")
    assert len(samples) > 150 and {row["benchmark"] for row in samples} == {"workarena", "miniwob", "webarena"}
    assert len(rows(tmp_path / "out", "cot")) == len(rows(tmp_path / "out", "no_cot")) > 50
    for row in samples:
        page = row["prompt"][1]["content"]
        called = [argument for argument in row["action"].split("'")[1:2] if row["action"].startswith(("click", "fill"))]
        assert set(called) <= tree_bids(page) | html_bids(page)
    dropped = {rule for rule, _ in ledger(tmp_path / "out")}
    assert {"crashed", "no_summary", "unsuccessful", "bid_not_on_page"} <= dropped


def test_a_goal_that_a_user_gave_during_a_run_is_in_one_split(tmp_path: Path, tokenizer_folder: Path) -> None:
    task, root = "miniwob.click-dialog", tmp_path / "t"
    reserved = write_episode(root, task, 1, flags=BASIC, goal="Find the first one.", name="reserved")
    write_episode(root, task, 2, flags=BASIC, goal="Then find another.", name="trained")
    later = write_episode(tmp_path / "other", task, 3, flags=BASIC, goal="Then find another!")
    (reserved / "step_1.pkl.gz").rename(reserved / "step_2.pkl.gz")
    (later / "step_0.pkl.gz").rename(reserved / "step_1.pkl.gz")
    run("build", root, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--inter-seeds", "1")
    of_splits = [
        [(row["seed"], row["step"]) for row in rows(tmp_path / "out", "all", split)]
        for split in ("inter_task", "train")
    ]
    assert of_splits == [[(1, 0)], [(2, 0)]]
    assert ledger(tmp_path / "out") == [("goal_on_both_sides", "reserved")]
