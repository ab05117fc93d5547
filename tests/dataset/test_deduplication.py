"""What counts as equal, and rows that the Hub's viewer can show."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_traces import write_episode

from agentmerge_hub.dataset import parquet_writer
from agentmerge_hub.dataset.build import build
from agentmerge_hub.dataset.parallel.workers import WorkerConfig
from agentmerge_hub.dataset.selection.deduplication import exact_key, near_key
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.prompt import ADVANCED


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


def rebuilt_equals_built(traces: Path, folder: Path, tokenizer: str) -> dict[str, dict]:
    """Builds at a narrow window from traces, and from the episodes of a dataset that was built at a wide one."""
    narrow = WorkerConfig(Settings(window=4096, answer=512), tokenizer)
    build([traces], folder / "wide", WorkerConfig(Settings(window=16384), tokenizer))
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
