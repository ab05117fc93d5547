"""Traces → `workarena-traces/`: parts are made batch by batch, then put together in one pass.

Everything that is drawn or decided depends on names and seeds, never on order or time: the same traces and settings give
the same Parquet bytes.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from agentmerge_hub import manifest
from agentmerge_hub.dataset.balance import Kept, balance
from agentmerge_hub.dataset.card import write_card
from agentmerge_hub.dataset.parts import KEYS, STEP_SCHEMA, make_part
from agentmerge_hub.dataset.redaction import Allowed, Scanner, scan_file
from agentmerge_hub.dataset.rules import Dropped
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.split import SPLITS, assign
from agentmerge_hub.dataset.write import SplitWriter, Written
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import LEDGER_SCHEMA, SAMPLE_SCHEMA, SCHEMA_VERSION
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.find import Found, find_episodes

BATCH = 32
"""Episodes a part."""

STAGE = "build"


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    written: list[Written]
    counts: dict


def build(
    traces: Sequence[Path], out: Path, tokenizer_name: str, chat_template: Path | None, settings: Settings
) -> Built:
    """Build the dataset folder `out`.

    Raises:
        UserError: if there are no traces, no successes, no tokenizer, or nothing fits the window.
    """
    started = time.time()
    manifest.check_replaceable(out, STAGE)
    found = find_episodes(list(traces))
    tokenizer = ChatTokenizer(tokenizer_name, chat_template)
    with manifest.new_folder(out, STAGE) as folder:
        parts = folder / "parts"
        parts.mkdir()
        reading = _make_parts(found, parts, settings, tokenizer)
        written, counts = _assemble(parts, folder, settings)
        counts |= reading
        if not counts["samples"]:
            raise UserError(_why_nothing(counts, traces))
        for path in parts.iterdir():
            path.unlink()
        parts.rmdir()
        config = settings.model_dump(mode="json") | {"tokenizer": tokenizer_name, "schema_version": SCHEMA_VERSION}
        write_card(folder, out.name, written, counts, config)
        _gate(folder, settings)
        manifest.write(folder, STAGE, config=config, counts=counts, started=started)
    return Built(written, counts)


def _make_parts(found: list[Found], parts: Path, settings: Settings, tokenizer: ChatTokenizer) -> dict[str, int]:
    counts, redacted = Counter(read=0, unreadable=0), Counter()
    scanner = Scanner(Allowed(settings.allow))
    batches = [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
    for number, batch in enumerate(track(batches, description="Reading and fitting", transient=True)):
        part = make_part(batch, settings, tokenizer, scanner)
        for name, table in (("samples", part.samples), ("steps", part.steps), ("ledger", part.ledger)):
            pq.write_table(table, parts / f"{name}-{number:06d}.parquet", compression="zstd")
        counts += part.counts
        redacted += part.redacted
    return {
        "episodes_found": len(found),
        "episodes_read": counts["read"],
        "episodes_unreadable": counts["unreadable"],
        "redacted": dict(sorted(redacted.items())),
    }


def _assemble(parts: Path, folder: Path, settings: Settings) -> tuple[list[Written], dict]:
    """Decide what needs all samples at once, on their keys alone, then copy the rows part by part."""
    names = ["sample_id", "episode_id", "task", "seed", "step", "cot", *KEYS.names]
    files = sorted(parts.glob("samples-*.parquet"))
    rows = [row for path in files for row in pq.read_table(path, columns=names).to_pylist()]
    split_of = assign([(row["task"], row["seed"], row["goal_key"]) for row in rows], settings)
    placed, dropped = _place(rows, split_of)
    kept = [Kept(row["sample_id"], placed[row["sample_id"]], row["task"], row["cot"]) for row in rows
            if row["success"] and row["sample_id"] in placed]  # fmt: skip
    drawn = balance(kept, settings.seed)
    members = {
        "all": {sample.sample_id for sample in kept},
        "cot": {sample.sample_id for sample in kept if sample.cot} & drawn,
        "no_cot": {sample.sample_id for sample in kept if not sample.cot} & drawn,
    }
    if settings.failures:
        members["failures"] = {row["sample_id"] for row in rows if not row["success"] and row["sample_id"] in placed}
    written = _copy_samples(files, folder, placed, members)
    episodes = {row["episode_id"]: placed[row["sample_id"]] for row in rows if row["sample_id"] in members["all"]}
    written += _copy_steps(sorted(parts.glob("steps-*.parquet")), folder, episodes)
    ledger = _write_ledger(sorted(parts.glob("ledger-*.parquet")), folder, dropped)
    counts = {
        "episodes": len(episodes),
        "samples": len(members["all"]),
        "dropped": dict(sorted(Counter(ledger["rule"].to_pylist()).items())),
        "splits": {part.config: {} for part in written},
    }
    for part in written:
        counts["splits"][part.config][part.split] = part.num_examples
    return written, counts


def _place(rows: list[dict], split_of: dict) -> tuple[dict[str, str], list[Dropped]]:
    """Split by sample id, and the samples dropped as duplicates or for their goal. The first of equals stays."""
    placed: dict[str, str] = {}
    dropped: list[Dropped] = []
    seen: dict[str, dict] = {}
    episodes: dict[str, str] = {}
    twice: set[str] = set()
    for row in rows:
        where = (row["source"], row["episode_id"])
        if episodes.setdefault(row["episode_id"], row["source"]) != row["source"]:
            if row["source"] not in twice:
                twice.add(row["source"])
                dropped.append(
                    Dropped(*where, None, "duplicate_episode", f"same files as {episodes[row['episode_id']]}")
                )
            continue
        split = split_of.get((row["task"], row["seed"], row["goal_key"]))
        if split is None:
            dropped.append(Dropped(*where, row["step"], "goal_on_both_sides"))
            continue
        earlier = seen.setdefault(row["exact_key"], row)
        nearly = seen.setdefault("~" + row["near_key"], row)
        if earlier is not row or nearly is not row:
            rule, first = ("duplicate", earlier) if earlier is not row else ("near_duplicate", nearly)
            dropped.append(Dropped(*where, row["step"], rule, f"of step {first['step']} of {first['source']}"))
            continue
        placed[row["sample_id"]] = split
    return placed, dropped


def _copy_samples(
    files: list[Path], folder: Path, placed: dict[str, str], members: dict[str, set[str]]
) -> list[Written]:
    writers = {
        (config, split): SplitWriter(folder, config, split, SAMPLE_SCHEMA) for config in members for split in SPLITS
    }
    for table in _tables(files):
        ids = table["sample_id"].to_pylist()
        for (config, split), writer in writers.items():
            mask = pa.array([name in members[config] and placed[name] == split for name in ids], pa.bool_())
            writer.add(table.filter(mask).select(SAMPLE_SCHEMA.names))
    return [writer.close() for writer in writers.values()]


def _copy_steps(files: list[Path], folder: Path, episodes: dict[str, str]) -> list[Written]:
    writers = {split: SplitWriter(folder, "episodes", split, STEP_SCHEMA) for split in SPLITS}
    for table in _tables(files):
        ids = table["episode_id"].to_pylist()
        for split, writer in writers.items():
            writer.add(
                table.filter(pa.array([episodes.get(name) == split for name in ids], pa.bool_())).select(
                    STEP_SCHEMA.names
                )
            )
    return [writer.close() for writer in writers.values()]


def _tables(files: list[Path]) -> Iterator[pa.Table]:
    for path in files:
        table = pq.read_table(path)
        if table.num_rows:
            yield table


def _write_ledger(files: list[Path], folder: Path, dropped: list[Dropped]) -> pa.Table:
    rows = pa.Table.from_pylist([vars(row) for row in dropped], LEDGER_SCHEMA)
    table = pa.concat_tables([*(pq.read_table(path) for path in files), rows]).sort_by(
        [("source", "ascending"), ("step", "ascending"), ("rule", "ascending"), ("detail", "ascending")]
    )
    pq.write_table(table, folder / "ledger.parquet", compression="zstd")
    return table


def _gate(folder: Path, settings: Settings) -> None:
    """Scan everything that was written once more.

    Raises:
        UserError: if a secret is left.
    """
    scanner = Scanner(Allowed(settings.allow))
    hits = [hit for path in sorted(folder.rglob("*")) if path.is_file() for hit in scan_file(path, scanner)]
    if hits:
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(hit.kind for hit in hits).items()))
        raise UserError(
            f"redaction left secrets in what was written ({kinds}; first in {hits[0]}), so nothing was kept: "
            "say --allow WHAT=REASON if they may be published"
        )


def _why_nothing(counts: dict, traces: Sequence[Path]) -> str:
    rules = ", ".join(f"{rule} {number}" for rule, number in counts["dropped"].items())
    where = ", ".join(str(path) for path in traces)
    return (
        f"no sample is left of the {counts['episodes_found']} episodes in {where} ({rules}): "
        "a larger --window or a lower --min-reward keeps more"
    )
