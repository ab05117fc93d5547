"""Apply a review: the dataset without the struck rows, its card, ledger and manifest made anew. It appears whole or not at all.

A struck row leaves with its whole step: its other version with or without chain of thought, its preference pairs, and its
episode in the config `episodes`, which holds whole episodes only.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.dataset.card.readme import write_card
from agentmerge_hub.dataset.parquet_writer import WrittenSplit, open_writer
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.scanner import LineScanner, redact_text
from agentmerge_hub.dataset.selection.balance import SampleKey, balance
from agentmerge_hub.dataset.selection.drop_rules import STRUCK_IN_REVIEW
from agentmerge_hub.dataset.verify_output import measure_and_scan, scan_other_files
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.parquet_reading import read_row_group, read_schema, read_table, row_groups
from agentmerge_hub.publishing.publish_checks.dataset_folder import build_order, dataset_name, splits_of
from agentmerge_hub.publishing.review.decisions import Decision, Decisions
from agentmerge_hub.publishing.review.rows import iterate_rows
from agentmerge_hub.publishing.review.summary import REVIEW, ReviewCounts
from agentmerge_hub.records import LEDGER_SCHEMA

Step = tuple[str, int]
"""Episode and number of a step."""


@dataclass(frozen=True)
class Struck:
    """What leaves a dataset."""

    reasons: Mapping[Step, str]
    failed_answers: frozenset[tuple[str, int, str]]
    """Task, seed and answer of struck rows of `failures`, which must not stay as the rejected answers of pairs."""

    @property
    def episodes(self) -> set[str]:
        return {episode for episode, _ in self.reasons}


def apply_review(folder: Path, decisions: Decisions) -> ReviewCounts:
    """Replace a dataset by itself without the rows that were struck.

    Raises:
        UserError: if the folder is no finished dataset, was changed since it was built, or no row would be left.
    """
    if (stage := manifest.read(folder)["stage"]) != "build":
        raise UserError(f"{folder} was written by `{stage}`: only a dataset of `agentmerge build` is reviewed")
    with output_folder.new_folder(folder, "build") as new:  # from here on, no build can replace the dataset
        if changed := manifest.verify(folder):
            raise UserError(
                f"{folder}: {changed[0]}: build it again, or restore the file, before the review is applied"
            )
        content = manifest.read(folder)
        struck, counts = _outcome(folder, decisions, content)
        written = _copy_splits(folder, new, struck)
        _write_dataset(folder, new, content, written, struck, counts)
    return counts


def _outcome(folder: Path, decisions: Decisions, content: Mapping[str, Any]) -> tuple[Struck, ReviewCounts]:
    earlier = ReviewCounts.from_manifest(content)
    reasons: dict[Step, str] = {}
    answers: set[tuple[str, int, str]] = set()
    total = approved = n_struck = 0
    dates = [earlier.date] if earlier else []
    for row, values in iterate_rows(folder):
        total += 1
        decision: Decision | None = decisions.get(row.key)
        if decision is None:
            continue
        dates.append(decision.date)
        if decisions.is_struck(row):
            n_struck += 1
            reasons.setdefault((row.episode_id, row.step), decision.reason)
            if row.config == "failures":
                answers |= {(row.task, values["seed"], turn["content"]) for turn in values["completion"]}
        else:
            approved += 1
    before = earlier.struck if earlier else 0
    date = max(dates, default=time.strftime("%Y-%m-%d", time.gmtime()))
    counts = ReviewCounts(
        reviewed=approved + n_struck + before, rows=total + before, struck=n_struck + before, date=date
    )
    return Struck(reasons, frozenset(answers)), counts


def _copy_splits(folder: Path, new: Path, struck: Struck) -> list[WrittenSplit]:
    """Copy every split without what was struck; `cot` and `no_cot` stay equally large."""
    splits = splits_of(folder)
    drawn = _still_balanced(splits, struck)

    def stays(config: str, row: dict[str, Any]) -> bool:
        if config == "episodes":
            return row["episode_id"] not in struck.episodes
        if (row["episode_id"], row["step"]) in struck.reasons:
            return False
        if config in ("cot", "no_cot"):
            return row["sample_id"] in drawn
        answers = {(row["task"], row["seed"], turn["content"]) for turn in row.get("rejected", ())}
        return answers.isdisjoint(struck.failed_answers)

    return [
        _copy_split(new, config, split, splits[config, split], stays)
        for config, split in sorted(splits, key=build_order)
    ]


def _still_balanced(splits: Mapping[tuple[str, str], list[Path]], struck: Struck) -> set[str]:
    """Ids of the samples of `cot` and `no_cot` that stay."""
    names = ["sample_id", "task", "cot", "episode_id", "step"]
    rows = [
        (row["sample_id"], split, row["task"], row["cot"], (row["episode_id"], row["step"]))
        for (config, split), paths in splits.items()
        if config in ("cot", "no_cot")
        for path in paths
        for row in read_table(path, columns=names).to_pylist()
        if (row["episode_id"], row["step"]) not in struck.reasons
    ]
    versions = Counter(step for *_, step in rows)
    return balance((SampleKey(*row, rendered=versions[row[-1]] > 1) for row in rows), seed=0)


def _copy_split(
    new: Path, config: str, split: str, paths: list[Path], stays: Callable[[str, dict[str, Any]], bool]
) -> WrittenSplit:
    """Copy the shards of a split row group by row group; one that loses no row is copied as it is."""
    target = new / "data" / config
    target.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, path in enumerate(paths):
        copy = target / f"{split}-{number}.copying"
        if _copy_shard(path, copy, config, stays):
            shards.append(copy)
    total = len(shards)
    files = [shard.rename(target / f"{split}-{n:05d}-of-{total:05d}.parquet") for n, shard in enumerate(shards)]
    if not any(target.iterdir()):
        target.rmdir()
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    return WrittenSplit(config, split, num_examples=rows, files=files)


def _copy_shard(path: Path, copy: Path, config: str, stays: Callable[[str, dict[str, Any]], bool]) -> bool:
    """Whether a row of the shard was left to copy."""
    schema = read_schema(path)
    keys = [name for name in ("episode_id", "step", "sample_id", "task", "seed", "rejected") if name in schema.names]
    kept: list[list[int]] = []
    total = 0
    for table in row_groups(path, keys):
        total += table.num_rows
        kept.append([number for number, row in enumerate(table.to_pylist()) if stays(config, row)])
    if sum(map(len, kept)) == total:
        shutil.copyfile(path, copy)
    elif any(kept):
        with open_writer(copy, schema) as writer:
            for group, numbers in enumerate(kept):
                if numbers:
                    writer.write_table(read_row_group(path, group).take(numbers), row_group_size=len(numbers))
    return any(kept)


def _write_dataset(
    folder: Path,
    new: Path,
    content: Mapping[str, Any],
    written: list[WrittenSplit],
    struck: Struck,
    review: ReviewCounts,
) -> None:
    every = [path for split in written if split.config == "all" for path in split.files]
    if not every:
        raise UserError(f"every row of {folder} was struck: nothing would be left, so nothing was changed")
    config = dict(content["config"])
    scanner = LineScanner(Allowlist(config.get("allow", {})))
    title = dataset_name(folder)
    ledger = _ledger(folder, title, struck, scanner)
    pq.write_table(ledger, new / "ledger.parquet", compression="zstd")
    measure_and_scan(written, scanner)
    counts = content["counts"] | {
        "samples": sum(split.num_examples for split in written if split.config == "all"),
        "episodes": len({id for path in every for id in read_table(path, columns=["episode_id"])[0].to_pylist()}),
        "dropped": dict(sorted(Counter(ledger["rule"].to_pylist()).items())),
        "splits": _sizes(content["counts"]["splits"], written),
        REVIEW: review.for_manifest(),
    }
    write_card(new, title, written, counts, config)
    scan_other_files(new, scanner)
    manifest.write(new, "build", recorded_inputs=content["inputs"], config=config, counts=counts)


def _sizes(before: Mapping[str, Mapping[str, int]], written: list[WrittenSplit]) -> dict[str, dict[str, int]]:
    now = {(split.config, split.split): split.num_examples for split in written}
    return {config: {split: now.get((config, split), 0) for split in sizes} for config, sizes in before.items()}


def _ledger(folder: Path, title: str, struck: Struck, scanner: LineScanner) -> pa.Table:
    rows = read_table(folder / "ledger.parquet").to_pylist()
    rows += [
        {
            "source": f"{title}/{episode}",
            "episode_id": episode,
            "step": step,
            "rule": STRUCK_IN_REVIEW,
            "detail": redact_text(reason, scanner.allowlist),
        }
        for (episode, step), reason in struck.reasons.items()
    ]
    rows.sort(key=lambda row: (row["source"], -1 if row["step"] is None else row["step"], row["rule"], row["detail"]))
    return pa.Table.from_pylist(rows, LEDGER_SCHEMA)
