"""What counts as equal, and rows that the Hub's viewer can show."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_traces import write_episode

from agentmerge_hub.dataset import parquet_writer
from agentmerge_hub.dataset.build import build
from agentmerge_hub.dataset.parallel.workers import WorkerConfig
from agentmerge_hub.dataset.selection.deduplication import exact_key, near_key
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import ADVANCED, BASIC, Flags


def messages(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            "[1] link 'x', id=e0d08b13c3330100c8b837659bba8fb4",
            "[1] link 'x', id=0a1b2c13c3330100c8b837659bba8fb4",
            True,
        ),
        ("opened 2024-12-18 12:49:54", "opened 2025-01-02 09:10:11", True),
        ("Press  OK\n", "press ok", True),
        ("3 + 5 =", "2 + 6 =", False),
        ("click('1')", "click('2')", False),
    ],
)
def test_near_duplicates_differ_in_ids_times_case_or_spacing_alone(one: str, other: str, same: bool) -> None:
    assert exact_key(messages(one)) != exact_key(messages(other))
    assert (near_key(messages(one)) == near_key(messages(other))) is same


def test_rows_stay_below_two_megabytes(tmp_path: Path, tokenizer_folder: Path) -> None:
    html = f'<b bid="10">{"long page " * 300_000}</b>'
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, obs={"pruned_html": html})
    build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(keep_html=True), str(tokenizer_folder)))
    (row,) = pq.read_table(tmp_path / "out/data/episodes").to_pylist()
    assert row["html"] == "" and row["axtree"]


def test_text_that_is_no_unicode_does_not_stop_a_build(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, goal="half a pair \ud83d and \x00 zero")
    built = build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    assert built.counts["samples"] == 1


def rebuilt_equals_built(traces: Path, folder: Path, tokenizer: str, **settings: Any) -> dict[str, dict]:
    """Builds at a narrow window from traces, and from the episodes of a dataset that was built at a wide one."""
    narrow = WorkerConfig(Settings(window=4096, answer=512, **settings), tokenizer)
    build([traces], folder / "wide", WorkerConfig(Settings(window=16384, **settings), tokenizer))
    build([traces], folder / "narrow", narrow)
    build([folder / "wide"], folder / "again", narrow)
    direct, again = (
        {row["sample_id"]: row for row in pq.read_table(folder / name / "data/all").to_pylist()}
        for name in ("narrow", "again")
    )
    assert direct == again
    return direct


def test_a_dataset_is_built_anew_for_another_window_from_its_own_episodes(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    for seed in range(6):
        for flags in (ADVANCED, None):
            write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=flags, extra_lines=300)
    rows = rebuilt_equals_built(tmp_path / "t", tmp_path, str(tokenizer_folder))
    assert len(rows) == 18 and all(row["axtree_lines_cut"] > 0 for row in rows.values())


@pytest.mark.parametrize("recorded", [ADVANCED.model_copy(update={"use_html": True}), None])
def test_the_html_of_prompts_is_in_a_dataset_that_is_built_anew(
    tmp_path: Path, tokenizer_folder: Path, recorded: Flags | None
) -> None:
    task = "workarena.servicenow.create-incident"
    html = "\n".join(f'<b bid="{bid}">element {bid}</b>' for bid in range(10, 400))
    for seed in range(2):
        write_episode(tmp_path / "t", task, seed, flags=recorded, obs={"pruned_html": html})
    rows = rebuilt_equals_built(
        tmp_path / "t", tmp_path, str(tokenizer_folder), flags={} if recorded else {"use_html": True}
    )
    assert len(rows) == (4 if recorded is None else 2) and all(row["html_lines_cut"] > 0 for row in rows.values())


def test_html_that_was_asked_for_and_is_not_there_is_no_prompt_without_it(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    task = "workarena.servicenow.create-incident"
    write_episode(tmp_path / "t", task, 0, flags=None, obs={"pruned_html": '<b bid="10">OK</b>'})
    build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    config = WorkerConfig(Settings(flags={"use_html": True}), str(tokenizer_folder))
    with pytest.raises(UserError, match=r"the rule no_html dropped most .* built with --keep-html or with that flag"):
        build([tmp_path / "out"], tmp_path / "again", config)


def test_a_rebuilt_dataset_knows_the_last_page_of_a_run(tmp_path: Path, tokenizer_folder: Path) -> None:
    task = "workarena.servicenow.create-incident"
    here, elsewhere = ({"url": url, "open_pages_urls": [url]} for url in ("http://a.org/x", "http://b.org/y"))
    for seed in range(2):
        write_episode(tmp_path / "t", task, seed, obs=here, name=f"run {seed}")
    left = write_episode(tmp_path / "other", task, 9, obs=elsewhere)
    (left / "step_1.pkl.gz").replace(tmp_path / "t" / "run 1" / "step_1.pkl.gz")
    for given, out, site_rule, dropped in (("t", "loose", False, {}), ("loose", "strict", True, {"left_site": 1})):
        config = WorkerConfig(Settings(site_rule=site_rule), str(tokenizer_folder))
        counts = build([tmp_path / given], tmp_path / out, config).counts
        assert counts["dropped"] == dropped and counts["samples"] == 2 - len(dropped)


def test_no_file_ends_within_an_episode(
    real_traces: Path, tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_BYTES", 40_000)
    monkeypatch.setattr(parquet_writer, "SHARD_BYTES", 100_000)
    rebuilt_equals_built(real_traces / "workarena", tmp_path, str(tokenizer_folder))
    files = sorted((tmp_path / "wide/data/episodes").glob("train-*"))
    of_files = [set(pq.read_table(path)["episode_id"].to_pylist()) for path in files]
    assert len(files) > 2 and sum(map(len, of_files)) == len(set.union(*of_files))
    assert all(pq.ParquetFile(path).num_row_groups == len(ids) for path, ids in zip(files, of_files))


@pytest.mark.parametrize("reward", [0.9, 1 / 3, 0.1, 0.7])
def test_a_reward_is_the_same_when_a_dataset_is_built_anew(
    tmp_path: Path, tokenizer_folder: Path, reward: float
) -> None:
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, reward=round(reward, 6))
    config = WorkerConfig(Settings(min_reward=round(reward, 6)), str(tokenizer_folder))
    for given, out in (("t", "first"), ("first", "again")):
        assert build([tmp_path / given], tmp_path / out, config).counts["samples"] == 1


@pytest.mark.parametrize("of_task", [{"inter_seeds": ((1, 9),)}, {"validation_tasks": ("miniwob.click-option",)}])
def test_equal_samples_that_are_kept_are_in_one_split(
    tmp_path: Path, tokenizer_folder: Path, of_task: dict[str, tuple]
) -> None:
    for seed in range(4):  # goals that differ in an id alone, on one page
        task = "miniwob.click-option" if seed and "validation_tasks" in of_task else "miniwob.click-dialog"
        write_episode(
            tmp_path / "t", task, seed, flags=BASIC, goal=f"Open 0a1b2c13c3330100c8b837659bba8f{seed:02}.", action="click('10')",
            obs={"axtree_txt": "RootWebArea 'a'\n\t[10] button 'OK'"}, name=f"run {seed}",
        )  # fmt: skip
    settings = Settings(keep_duplicates=2, **of_task)
    counts = build([tmp_path / "t"], tmp_path / "out", WorkerConfig(settings, str(tokenizer_folder))).counts
    assert counts["splits"]["all"]["train"] == 1 and counts["samples"] == 1
    assert counts["dropped"] == {"near_duplicate": 3}
    details = pq.read_table(tmp_path / "out/ledger.parquet")["detail"].to_pylist()
    assert details == ["of step 0 of run 0, which is in train"] * 3


def test_a_file_that_changed_since_an_earlier_build_of_this_process_is_read_again(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    call = {"function_name": "click", "arguments": {"bid": "10"}}
    config = WorkerConfig(Settings(unscored=True), str(tokenizer_folder))
    for goal in ("Press OK.", "Press the other."):
        steps = [
            {"step_id": 1, "source": "user", "message": goal, "observation": {"results": [{"content": "RootWebArea 'a'\n\t[10] button 'OK'"}]}},
            {"step_id": 2, "source": "agent", "message": "I press it.", "tool_calls": [call]},
        ]  # fmt: skip
        document = {"schema_version": "ATIF-v1.7", "session_id": "a", "agent": {"name": "a"}, "steps": steps}
        (tmp_path / "a.json").write_text(json.dumps(document))
        assert build([tmp_path / "a.json"], tmp_path / "out", config).n_new == 1
        assert pq.read_table(tmp_path / "out/data/episodes")["goal"].to_pylist() == [goal]
