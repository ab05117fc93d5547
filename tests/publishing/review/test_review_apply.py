"""Decisions apply to the rows they were made on, and to no other."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dataset_files import data_hashes, rows, run

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.dataset_folder import check_dataset
from agentmerge_hub.publishing.review.apply import apply_review
from agentmerge_hub.publishing.review.decisions import APPROVED, STRUCK, Decisions
from agentmerge_hub.publishing.review.rows import iterate_rows, picture_of, row_key
from agentmerge_hub.publishing.review.sampling import draw_sample, score_rows
from agentmerge_hub.publishing.review.summary import review_findings
from agentmerge_hub.publishing.review.uncertainty import SpotFinder


def test_approval_alone_changes_card_and_manifest_only(clicks: Path) -> None:
    before, made = data_hashes(clicks), manifest.read(clicks)
    decisions = Decisions(clicks)
    row = next(row for row, _ in iterate_rows(clicks))
    decisions.record(row, APPROVED)
    counts = apply_review(clicks, decisions)
    after, content = data_hashes(clicks), manifest.read(clicks)
    assert (counts.reviewed, counts.struck) == (1, 0) and counts.rows == len(list(iterate_rows(clicks)))
    assert {name for name in before if after[name] != before[name]} == {"README.md"}
    assert content["inputs"] == made["inputs"] and content["config"] == made["config"]
    assert check_dataset(clicks, content) == [] == manifest.verify(clicks)


def test_struck_rows_of_several_reviews_add_up(clicks: Path) -> None:
    total = len(list(iterate_rows(clicks)))
    (shard,) = (clicks / "data" / "cot").glob("train-*.parquet")
    says_of_itself = pq.read_metadata(shard).metadata
    for number in (1, 2):
        decisions = Decisions(clicks)
        row = next(row for row, values in iterate_rows(clicks) if row.config == "all" and values["cot"])
        decisions.record(row, STRUCK, "a name")
        assert "1 struck rows are still in the dataset" in run("review", clicks, "--list")
        counts = apply_review(clicks, decisions)
        assert (counts.reviewed, counts.struck) == (number, number) and counts.rows <= total
        assert len(rows(clicks, "cot")) == len(rows(clicks, "no_cot"))
        assert check_dataset(clicks, manifest.read(clicks)) == [] == review_findings(clicks)
        assert pq.read_metadata(shard).metadata == says_of_itself
        *lines, last = run("review", clicks, "--list").splitlines()
        assert len(lines) == number and all(line.endswith("(not in the dataset): a name") for line in lines)
        n_rows = len(list(iterate_rows(clicks)))
        assert last == f"0 approved, {number} struck, {n_rows} of {n_rows} rows open"


def test_a_step_struck_in_another_form_stops_a_push_until_it_is_decided(clicks: Path) -> None:
    decisions = Decisions(clicks)
    row = next(row for row, _ in iterate_rows(clicks))
    decisions.record(row, STRUCK)
    assert "1 rows that were struck" in review_findings(clicks)[0]
    file = clicks.parent / "clicks.review.json"
    file.write_text(json.dumps({"0" * 64: json.loads(file.read_text())[row.key]}))  # as of a row with another window
    assert "steps that were struck before" in review_findings(clicks)[0]
    changed = Decisions(clicks)
    assert not changed.is_struck(row)
    same_step = [row for row, _ in iterate_rows(clicks) if changed.is_struck_in_another_form(row)]
    scored = score_rows(clicks, SpotFinder())
    first = draw_sample(scored, 1, seed=3, first={row.key for row in same_step})
    assert {one.row.key for one in first} == {row.key for row in same_step}
    for row in same_step:
        changed.record(row, APPROVED)
    assert review_findings(clicks) == []


def test_a_dataset_is_never_emptied_and_never_changed_when_it_was_edited(clicks: Path) -> None:
    decisions = Decisions(clicks)
    for row, _ in iterate_rows(clicks):
        decisions.record(row, STRUCK)
    before = data_hashes(clicks)
    with pytest.raises(UserError, match="every row"):
        apply_review(clicks, decisions)
    assert data_hashes(clicks) == before
    (clicks / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"README\.md was edited"):
        apply_review(clicks, decisions)
    assert (clicks / "README.md").read_text() == "mine"


def test_rare_tasks_and_unsure_rows_are_drawn_more_often(clicks: Path) -> None:
    scored = score_rows(clicks, SpotFinder())
    assert [one.row.key for one in draw_sample(scored, 9, 0)] == [
        one.row.key for one in draw_sample(scored[::-1], 9, 0)
    ]
    drawn = [one.row.task for seed in range(300) for one in draw_sample(scored, 1, seed)]
    share = sum(one.row.task == "miniwob.click-option" for one in scored) / len(scored)
    assert drawn.count("miniwob.click-option") > 3 * share * len(drawn)
    assert len(set(drawn)) == 3


def test_a_screenshot_is_a_part_of_the_row() -> None:
    row, other = ({"task": "t", "image": {"bytes": png, "path": None}} for png in (b"\x89PNG1", b"\x89PNG2"))
    assert row_key(row) == row_key(dict(row)) != row_key(other) and picture_of(row) == b"\x89PNG1"
    assert picture_of({"task": "t"}) == picture_of({"image": None}) == b""
