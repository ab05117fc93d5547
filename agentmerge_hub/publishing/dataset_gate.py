"""What is wrong with a dataset folder beside secrets: a card that does not tell what the data are, terms left out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from huggingface_hub import DatasetCard

from agentmerge_hub.dataset.teachers import UNKNOWN, licence
from agentmerge_hub.publishing.licences import LICENCES
from agentmerge_hub.records import SCHEMA_VERSION


def check_dataset(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Findings on a folder whose files are those of its manifest.

    Args:
        content: the folder's manifest.json.
    """
    try:
        card = DatasetCard((folder / "README.md").read_text(encoding="utf-8"))
        card_data = card.data.to_dict()
    except (OSError, ValueError, yaml.YAMLError) as error:
        return [f"README.md is no dataset card: {' '.join(str(error).split())}"]
    splits = splits_of(folder)
    if not splits:
        return ["there is no data/<config>/<split>-*.parquet"]
    return [
        *_version(content),
        *_splits_as_told(card_data, splits),
        *_counts_as_told(folder, content, splits),
        *_terms(card, splits),
    ]


def splits_of(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """(config, split) → its shards in order."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((folder / "data").glob("*/*.parquet")):
        found.setdefault((path.parent.name, path.name.split("-")[0]), []).append(path)
    return found


def _version(content: Mapping[str, Any]) -> Iterator[str]:
    version = content["config"].get("schema_version")
    if version != SCHEMA_VERSION:
        yield f"the dataset has schema {version} and this package writes {SCHEMA_VERSION}: build it again"


def _splits_as_told(card: Mapping[str, Any], splits: Mapping[tuple[str, str], list[Path]]) -> Iterator[str]:
    """The card's `configs` and `dataset_info` against the files."""
    infos = card.get("dataset_info") or []
    told = {
        (info.get("config_name", "default"), split["name"]): split
        for info in (infos if isinstance(infos, list) else [infos])
        for split in info.get("splits", [])
    }
    listed = {
        (config["config_name"], entry["split"])
        for config in card.get("configs") or []
        for entry in config.get("data_files", [])
    }
    for config, split in sorted(set(told) | listed | set(splits)):
        place = f"config {config}, split {split}"
        if (config, split) not in splits:
            yield f"the card tells of {place}, and there is no such file"
            continue
        if (config, split) not in listed:
            yield f"the card's configs leave out {place}"
        rows, size = _size(splits[config, split])
        for key, there in (("num_examples", rows), ("num_bytes", size)):
            said = told.get((config, split), {}).get(key)
            if said != there:
                yield f"the card says {said} {key} for {place}, the data have {there}"


def _size(paths: list[Path]) -> tuple[int, int]:
    """Rows, and bytes in Arrow as `datasets` counts them: row group by row group."""
    rows = size = 0
    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            rows, size = rows + table.num_rows, size + (table.nbytes if table.num_rows else 0)
    return rows, size


def _counts_as_told(
    folder: Path, content: Mapping[str, Any], splits: Mapping[tuple[str, str], list[Path]]
) -> Iterator[str]:
    """The manifest's counts, from which the card's text is made, against rows and ledger."""
    told = content["counts"]
    every = _columns(splits, "all", ["episode_id"])
    dropped = Counter(pq.read_table(folder / "ledger.parquet", columns=["rule"])["rule"].to_pylist())
    there = {
        "samples": every.num_rows,
        "episodes": len(every["episode_id"].unique()),
        "dropped": dict(sorted(dropped.items())),
    }
    for key, value in there.items():
        if told.get(key) != value:
            yield f"manifest.json says {key} {told.get(key)}, the data have {value}"


def _columns(splits: Mapping[tuple[str, str], list[Path]], config: str, columns: list[str]) -> pa.Table:
    paths = [path for (name, _), shards in splits.items() if name == config for path in shards]
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)


def terms_of_rows(splits: Mapping[tuple[str, str], list[Path]]) -> dict[tuple[str, str], int]:
    """(teacher, licence) → number of rows, over all configs that hold answers."""
    total: Counter[tuple[str, str]] = Counter()
    for paths in splits.values():
        for path in paths:
            if {"teacher", "license"} <= set(pq.read_schema(path).names):
                groups = pq.read_table(path, columns=["teacher", "license"]).group_by(["teacher", "license"])
                for row in groups.aggregate([([], "count_all")]).to_pylist():
                    total[row["teacher"] or "", row["license"] or ""] += row["count_all"]
    return dict(total)


def _terms(card: DatasetCard, splits: Mapping[tuple[str, str], list[Path]]) -> Iterator[str]:
    """Every row names the terms of whoever gave its answer, and the card names them all."""
    rows = terms_of_rows(splits)
    for (teacher, terms), number in sorted(rows.items()):
        known = licence(teacher)
        if terms in ("", UNKNOWN):
            yield f"{number} rows of teacher {teacher or '(none)'} say under no licence; nobody could tell how to use them"
        elif known not in (UNKNOWN, terms):
            yield f"{number} rows of teacher {teacher} say {terms}, and its licence is {known}"
    data = card.data.to_dict()
    named = data.get("license") or []
    named = set(named if isinstance(named, list) else [named])
    if not named:
        yield "the card's metadata names no license"
    if "other" in named and not data.get("license_name"):
        yield "the card's license is `other` without a license_name"
    for terms in sorted({terms for _, terms in rows} - {"", UNKNOWN}):
        entry = LICENCES.get(terms)
        if "other" not in named and terms not in named and (entry is None or entry.on_hub not in named):
            yield f"the card's metadata leaves out the licence {terms} of some rows"
        if terms not in card.text and (entry is None or entry.name not in card.text):
            yield f"the card's text does not mention the licence {terms} of some rows"
        if entry and entry.on_hub == "other" and entry.link not in card.text:
            yield f"the card does not link to the terms of {terms} ({entry.link})"
