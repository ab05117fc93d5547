"""`agentmerge build --preferences`: every pair has a better and a worse answer to the same prompt, with its origin."""

import json
from pathlib import Path

import pytest
from dataset_files import ledger, rows, run
from datasets import load_dataset
from made_traces import write_episode

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.dataset.preferences.pairs import ORIGINS
from agentmerge_hub.prompt import ADVANCED, BASIC


@pytest.fixture(scope="module")
def pairs_dataset(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """Seed 1: a success and two failures, one of which does what another success did. Seed 20: an answer that was refused."""
    root = tmp_path_factory.mktemp("preferences")
    traces = root / "traces"
    for seed in range(8):
        write_episode(traces, "miniwob.click-dialog", seed, flags=ADVANCED)
        write_episode(traces, "miniwob.click-dialog", seed, flags=BASIC)
    write_episode(traces, "miniwob.click-dialog", 1, flags=BASIC, action="click('15')", reward=0.0, name="failed")
    write_episode(traces, "miniwob.click-dialog", 1, flags=BASIC, action="click('12')", name="other-way")
    write_episode(traces, "miniwob.click-dialog", 1, flags=BASIC, action="click('12')", reward=0.0, name="failed-too")
    write_episode(traces, "miniwob.click-dialog", 2, flags=BASIC, action="click('77')", reward=0.0, name="failed-bid")
    write_episode(traces, "miniwob.click-dialog", 3, flags=BASIC, action="click('10')", reward=0.0, name="failed-alone")
    write_episode(traces, "miniwob.click-dialog", 20, flags=BASIC, refused="I would press Cancel.")
    write_episode(traces, "miniwob.click-dialog", 21, flags=BASIC, refused="I would press. " * 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTMERGE_CACHE", str(root / "cache"))
        run("build", traces, "-o", root / "set", "--tokenizer", tokenizer_folder, "--preferences", "--inter-share", "0")
    return root / "set"


def test_trl_reads_the_pairs(pairs_dataset: Path) -> None:
    split = load_dataset(str(pairs_dataset), "preferences", split="train")
    first = split[0]
    assert [turn["role"] for turn in first["prompt"]] == ["system", "user"]
    assert [turn["role"] for turn in first["chosen"] + first["rejected"]] == ["assistant", "assistant"]
    assert set(split["origin"]) <= set(ORIGINS)


def test_a_failed_episode_gives_its_answer_unless_a_success_gave_it_too(pairs_dataset: Path) -> None:
    failed = [row for row in rows(pairs_dataset, "preferences") if row["origin"] == "failed_episode"]
    assert {(row["seed"], row["action"], row["rejected_action"]) for row in failed} == {
        (1, "click('11')", "click('15')"),
        (1, "click('12')", "click('15')"),
        (2, "click('12')", "click('77')"),
        (3, "click('13')", "click('10')"),
    }
    assert ("pair_accepted", "failed") not in ledger(pairs_dataset)
    assert any(rule == "pair_accepted" for rule, _ in ledger(pairs_dataset))


def test_a_refused_answer_is_worse_than_the_one_that_was_taken(pairs_dataset: Path) -> None:
    (row,) = [row for row in rows(pairs_dataset, "preferences") if row["origin"] == "refused_answer"]
    assert (
        row["seed"] == 20 and row["rejected"][0]["content"] == "I would press Cancel." and row["rejected_action"] == ""
    )
    assert row["chosen"][0]["content"] != row["rejected"][0]["content"]
    assert {rule for rule, source in ledger(pairs_dataset) if "_21" in source} == {"pair_too_long", "answer_too_long"}


def test_chosen_answers_are_the_samples_and_rejected_calls_were_never_right(pairs_dataset: Path) -> None:
    samples = {row["sample_id"]: row for row in rows(pairs_dataset, "all")}
    pairs = rows(pairs_dataset, "preferences")
    assert {row["origin"] for row in pairs} == set(ORIGINS) - {"repeated_action"}
    for row in pairs:
        sample = samples[row["sample_id"]]
        assert row["chosen"] == sample["completion"] and row["prompt"] == sample["prompt"]
        same_call = row["origin"] in ("missing_thought", "refused_answer")
        assert same_call or parse_calls(row["rejected_action"]) != parse_calls(row["action"])
    assert len({row["pair_id"] for row in pairs}) == len(pairs)
    # Without preference pairs nothing of the failed episodes is in the other configs.
    assert all(sample["reward"] == 1 for sample in samples.values())


def test_labeled_answers_are_read_by_trl_and_an_answer_that_was_also_right_has_no_label(pairs_dataset: Path) -> None:
    split = load_dataset(str(pairs_dataset), "unpaired", split="train")
    assert split.features["label"].dtype == "bool" and [turn["role"] for turn in split[0]["completion"]] == [
        "assistant"
    ]
    labeled = rows(pairs_dataset, "unpaired")
    assert len({row["sample_id"] for row in labeled}) == len(labeled)
    undesirable = {(row["seed"], row["action"], row["origin"]) for row in labeled if not row["label"]}
    assert undesirable == {
        (1, "click('15')", "failed_episode"),
        (2, "click('77')", "failed_episode"),
        (3, "click('10')", "failed_episode"),
        (20, "", "refused_answer"),
    }
    samples = {row["sample_id"]: row["completion"] for row in rows(pairs_dataset, "all")}
    assert {row["sample_id"]: row["completion"] for row in labeled if row["label"]} == samples
    assert ["failed-too" in source for rule, source in ledger(pairs_dataset) if rule == "answer_accepted"] == [True]


def test_excluded_pairs_are_left_out(pairs_dataset: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    excluded = rows(pairs_dataset, "preferences")[0]["pair_id"]
    (tmp_path / "ids").write_text(f"{excluded}\n")
    settings = ("--tokenizer", tokenizer_folder, "--preferences", "--inter-share", "0")
    run(
        "build", pairs_dataset.parent / "traces", "-o", tmp_path / "set", *settings, "--exclude-pairs", tmp_path / "ids"
    )
    kept = {row["pair_id"] for row in rows(tmp_path / "set", "preferences")}
    assert kept == {row["pair_id"] for row in rows(pairs_dataset, "preferences")} - {excluded}
    assert [rule for rule, _ in ledger(tmp_path / "set")].count("pair_excluded") == 1


def test_card_and_inspect_show_the_pairs(pairs_dataset: Path) -> None:
    card = (pairs_dataset / "README.md").read_text(encoding="utf-8")
    counts = json.loads((pairs_dataset / "manifest.json").read_text())["counts"]
    n_pairs = counts["splits"]["preferences"]["train"]
    assert counts["origins"]["preferences"]["failed_episode"] == {"train": 4}
    assert counts["origins"]["unpaired"]["refused_answer"] == {"train": 1}
    assert (
        "| `failed_episode` | an unsuccessful episode" in card
        and "config_name: preferences" in card
        and n_pairs == len(rows(pairs_dataset, "preferences"))
    )
    shown = run("inspect", pairs_dataset, "--config", "preferences", "--row", "0")
    assert "rejected: " in shown and "action" in shown
    assert "| `successful_episode` | desirable" in card
    refused = [row["origin"] for row in rows(pairs_dataset, "unpaired")].index("refused_answer")
    shown = run("inspect", pairs_dataset, "--config", "unpaired", "--row", refused)
    assert "undesirable: refused_answer" in shown
