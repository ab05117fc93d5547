"""Partial tables → the dataset's Parquet files: deduplicate, split and balance on keys, then copy rows.

Rows are sorted by source, step and version. Neither the order nor the file boundaries depend on the batches, so that the
same traces and settings give the same bytes.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.parallel import part_cache
from agentmerge_hub.dataset.parallel.part_cache import CacheEntry
from agentmerge_hub.dataset.parquet_writer import SplitWriter, WrittenSplit
from agentmerge_hub.dataset.preferences import pairs, unpaired
from agentmerge_hub.dataset.preferences.origins import origin_counts
from agentmerge_hub.dataset.preferences.pairs import write_pairs
from agentmerge_hub.dataset.preferences.unpaired import write_unpaired
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.machine_names import machine_names
from agentmerge_hub.dataset.redaction.replacement import Replacer
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.rows.image_columns import loadable, with_image, with_step_image
from agentmerge_hub.dataset.rows.prompt_flags import shared_flags
from agentmerge_hub.dataset.rows.step_rows import STEP_SCHEMA
from agentmerge_hub.dataset.selection.balance import SampleKey, balance
from agentmerge_hub.dataset.selection.drop_rules import Dropped
from agentmerge_hub.dataset.selection.split import assign, split_names
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.records import LEDGER_SCHEMA, SAMPLE_SCHEMA


class Row(NamedTuple):
    """The keys of one sample, in sort order, and its position."""

    source: str
    step: int
    no_cot: bool
    sample_id: str
    episode_id: str
    task: str
    seed: int
    goal_key: str
    exact_key: str
    near_key: str
    success: bool
    rendered: bool
    earlier_thought: bool
    """Whether the recorded prompt shows a thought of an earlier step."""
    prompt_flags: str
    """The prompt's flags as JSON."""
    n_bytes: int
    part: Path
    position: int


SplitRow = tuple[Row, str]
"""A sample and its split."""


@dataclass(frozen=True)
class Assembled:
    """What was written of the dataset."""

    written: list[WrittenSplit]
    counts: dict
    ledger: pa.Table
    prompt_flags: dict[str, dict]
    """Config → the flags that its prompts share, as `shared_flags`."""


def assemble(entries: Iterable[CacheEntry], folder: Path, settings: Settings) -> Assembled:
    """Write data/ and ledger.parquet for the given episodes."""
    sources: dict[Path, set[str]] = defaultdict(set)
    for entry in entries:
        sources[entry.part].add(entry.status.source)
    rows = sorted(_rows(sources))
    split_of = assign([(row.task, row.seed, row.goal_key) for row in rows], settings)
    split_rows, dropped = _assign_splits(rows, split_of, settings)
    kept = [
        SampleKey(row.sample_id, split, row.task, not row.no_cot, (row.episode_id, row.step), row.rendered)
        for row, split in split_rows
        if row.success
    ]
    thinking = [row for row, _ in split_rows if row.success and row.no_cot and row.earlier_thought]
    dropped += [Dropped(row.source, row.episode_id, row.step, "thought_in_prompt") for row in thinking]
    left_out = {row.sample_id for row in thinking}
    drawn = balance((sample for sample in kept if sample.sample_id not in left_out), settings.seed)
    members = {
        "all": {sample.sample_id for sample in kept},
        "cot": {sample.sample_id for sample in kept if sample.cot} & drawn,
        "no_cot": {sample.sample_id for sample in kept if not sample.cot} & drawn,
    }
    if settings.failures:
        members["failures"] = {row.sample_id for row, _ in split_rows if not row.success}
    written = _copy_samples(split_rows, folder, members, with_image(SAMPLE_SCHEMA, images=settings.has_screenshots))
    if settings.preferences:
        paired, unpairable = write_pairs(split_rows, folder, settings.answer, frozenset(settings.exclude_pairs))
        labeled, without_label = write_unpaired(split_rows, folder, settings.answer)
        written += paired + labeled
        dropped += unpairable + without_label
    episodes = {(row.source, row.episode_id): split for row, split in split_rows if row.success}
    written += _copy_steps(sources, folder, episodes, with_step_image(STEP_SCHEMA, images=settings.has_screenshots))
    ledger = _write_ledger(sources, folder, dropped, settings)
    return Assembled(
        written,
        {
            "episodes": len(episodes),
            "samples": len(members["all"]),
            "dropped": dict(sorted(Counter(ledger["rule"].to_pylist()).items())),
            "splits": {
                config: {part.split: part.num_examples for part in written if part.config == config}
                for config in dict.fromkeys(part.config for part in written)
            },
        }
        | ({"origins": _origins(written)} if settings.preferences else {}),
        ledger,
        _prompt_flags(split_rows, members) | (_flags_of_pairs(split_rows) if settings.preferences else {}),
    )


def _prompt_flags(split_rows: list[SplitRow], members: dict[str, set[str]]) -> dict[str, dict]:
    return {
        config: shared_flags(row.prompt_flags for row, _ in split_rows if row.sample_id in ids)
        for config, ids in members.items()
        if ids
    }


def _flags_of_pairs(split_rows: list[SplitRow]) -> dict[str, dict]:
    """Of the samples that pairs and labeled answers are made of."""
    successful = (row.prompt_flags for row, _ in split_rows if row.success)
    return {
        pairs.CONFIG: shared_flags(successful),
        unpaired.CONFIG: shared_flags(row.prompt_flags for row, _ in split_rows),
    }


def _origins(written: list[WrittenSplit]) -> dict[str, dict[str, dict[str, int]]]:
    """Config → origin → split → rows, of preference pairs and labeled answers."""
    return {config.CONFIG: origin_counts(written, config.CONFIG, config.ORIGINS) for config in (pairs, unpaired)}


def _rows(sources: dict[Path, set[str]]) -> Iterator[Row]:
    columns = [name for name in Row._fields if name not in ("no_cot", "part", "position")]
    for part, table in part_cache.columns_of(sources, "samples", [*columns, "cot"]):
        for index, values in enumerate(zip(*(table[name] for name in columns), table["cot"])):
            row = dict(zip([*columns, "cot"], values))
            if row["source"] in sources[part]:
                row["prompt_flags"] = sys.intern(row["prompt_flags"])  # few are distinct
                yield Row(no_cot=not row.pop("cot"), part=part, position=index, **row)


def _assign_splits(rows: list[Row], split_of: dict, settings: Settings) -> tuple[list[SplitRow], list[Dropped]]:
    """Rows with their splits, and the samples dropped as duplicates or because of their goal. The first duplicates stay,
    all in the split of the first of them."""
    split_rows: list[SplitRow] = []
    dropped: list[Dropped] = []
    first_with: dict[tuple[bool, str, str], Row] = {}
    n_kept: Counter[tuple[bool, str]] = Counter()
    source_of: dict[str, str] = {}
    duplicate_sources: set[str] = set()
    for row in rows:
        if source_of.setdefault(row.episode_id, row.source) != row.source:
            if row.source not in duplicate_sources:
                duplicate_sources.add(row.source)
                same = f"same files as {source_of[row.episode_id]}"
                dropped.append(Dropped(row.source, row.episode_id, None, "duplicate_episode", same))
            continue
        split = split_of.get((row.task, row.seed, row.goal_key))
        if split is None:
            dropped.append(Dropped(row.source, row.episode_id, row.step, "goal_on_both_sides"))
            continue
        # Failures are compared among themselves: they must not take a success out of the dataset.
        rule, first = "duplicate", first_with.setdefault((row.success, "exact", row.exact_key), row)
        kept = first_with.setdefault((row.success, "near", row.near_key), row)
        if first is row:
            rule, first = "near_duplicate", kept
        split_of_kept = split_of[kept.task, kept.seed, kept.goal_key]
        if kept is not row and (
            split != split_of_kept or n_kept[row.success, row.near_key] >= settings.keep_duplicates
        ):
            detail = f"of step {first.step} of {first.source}"
            if split != split_of_kept:
                detail = f"of step {kept.step} of {kept.source}, which is in {split_of_kept}"
            dropped.append(Dropped(row.source, row.episode_id, row.step, rule, detail))
            continue
        n_kept[row.success, row.near_key] += 1
        split_rows.append((row, split))
    return split_rows, dropped


def _copy_samples(
    split_rows: list[SplitRow], folder: Path, members: dict[str, set[str]], schema: pa.Schema
) -> list[WrittenSplit]:
    schema = loadable(schema)
    splits = split_names(split for _, split in split_rows)
    writers = {(config, split): SplitWriter(folder, config, split, schema) for config in members for split in splits}
    for part, group in groupby(split_rows, key=lambda pair: pair[0].part):
        rows = list(group)
        table = part_cache.table(part, "samples").select(schema.names)
        for (config, split), writer in writers.items():
            selected = [row for row, row_split in rows if row_split == split and row.sample_id in members[config]]
            if selected:
                writer.add(table.take([row.position for row in selected]), [row.n_bytes for row in selected])
    return [writer.close() for writer in writers.values()]


def _copy_steps(
    sources: dict[Path, set[str]], folder: Path, episodes: dict[tuple[str, str], str], schema: pa.Schema
) -> list[WrittenSplit]:
    schema = loadable(schema)
    steps = []
    for part, table in part_cache.columns_of(sources, "steps", ["source", "step", "episode_id", "n_bytes"]):
        for index, (source, step, episode, size) in enumerate(zip(*table.values())):
            if source in sources[part] and (source, episode) in episodes:
                steps.append((source, step, episodes[source, episode], size, part, index))
    splits = split_names(episodes.values())
    writers = {split: SplitWriter(folder, "episodes", split, schema) for split in splits}
    for part, group in groupby(sorted(steps), key=lambda step: step[4]):
        rows = list(group)
        table = part_cache.table(part, "steps").select(schema.names)
        for split, writer in writers.items():
            selected = [step for step in rows if step[2] == split]
            if selected:
                writer.add(table.take([step[5] for step in selected]), _sizes_at_last_step(selected))
    return [writer.close() for writer in writers.values()]


def _sizes_at_last_step(steps: list[tuple]) -> list[int]:
    """Sizes of rows, with the size of each episode at its last row, so that no row group ends inside an episode."""
    sizes = []
    for _, group in groupby(steps, key=lambda step: step[0]):
        of_episode = [step[3] for step in group]
        sizes += [0] * (len(of_episode) - 1) + [sum(of_episode)]
    return sizes


def _write_ledger(sources: dict[Path, set[str]], folder: Path, dropped: list[Dropped], settings: Settings) -> pa.Table:
    rows = [vars(row) for row in dropped]
    for part in sources:
        rows += [row for row in part_cache.table(part, "ledger").to_pylist() if row["source"] in sources[part]]
    rows.sort(key=lambda row: (row["source"], -1 if row["step"] is None else row["step"], row["rule"], row["detail"]))
    texts = [text for row in rows for text in (row["source"], row["detail"])]
    redact = Replacer(texts, LineScanner(Allowlist(settings.allow)), machine_names())
    rows = [row | {"source": redact(row["source"]), "detail": redact(row["detail"])} for row in rows]
    table = pa.Table.from_pylist(rows, LEDGER_SCHEMA)
    pq.write_table(table, folder / "ledger.parquet", compression="zstd")
    return table
