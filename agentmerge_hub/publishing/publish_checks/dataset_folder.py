"""Checks a dataset folder before it is published: card and manifest agree with the rows, every row has a license."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from huggingface_hub import DatasetCard
from jinja2 import TemplateError

from agentmerge_hub.dataset.card.croissant import FILE as CROISSANT
from agentmerge_hub.dataset.card.croissant import croissant
from agentmerge_hub.dataset.card.readme import card_text
from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.dataset.selection.split import SPLITS
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.parquet_reading import read_schema, read_table, row_groups
from agentmerge_hub.licenses.model_licenses import UNKNOWN, license_of
from agentmerge_hub.publishing.hub.release_text import pinned_revision, without_release
from agentmerge_hub.publishing.overlay import generated_part
from agentmerge_hub.records import SCHEMA_VERSION

Splits = dict[tuple[str, str], list[Path]]
"""(config, split) → its shards in order."""

CONFIGS = ("all", "cot", "no_cot", "failures", "preferences", "unpaired", "episodes")
_WRITTEN = re.compile(
    rf"README\.md|{re.escape(CROISSANT)}|lengths\.png|ledger\.parquet|data/(?:{'|'.join(CONFIGS)})/[^/]+\.parquet|sessions/[^/]+\.jsonl"
    r"|(?:LICENSE|NOTICE)[^/]*|withdrawn\.json"
)
"""Files of a build, and those that a published one has besides."""
_LOADED = re.compile(r'load_dataset\("([^"]+)"')
_MOST = 10
"""Lines of the card that are quoted."""


def check_dataset(folder: Path, content: Mapping[str, Any], written: list[WrittenSplit] | None = None) -> list[str]:
    """Findings on a folder whose files are those of its manifest.

    Args:
        content: the folder's manifest.json.
        written: of `written_splits`; read if None.
    """
    splits = splits_of(folder)
    written = written_splits(folder) if written is None else written
    if not splits:
        return ["the folder has no data/<config>/<split>-*.parquet"]
    return [
        *_check_names(content),
        *_check_version(content),
        *_check_counts(folder, content, splits),
        *_check_card(folder, content, written),
        *_check_licenses(splits, content["config"].get("licenses", {})),
    ]


def splits_of(folder: Path) -> Splits:
    """(config, split) → its shards in order."""
    found: Splits = {}
    for path in sorted((folder / "data").glob("*/*.parquet")):
        found.setdefault((path.parent.name, path.name.split("-")[0]), []).append(path)
    return found


def _check_names(content: Mapping[str, Any]) -> Iterator[str]:
    for name in content["outputs"]:
        if not _WRITTEN.fullmatch(name):
            yield f"{name} is not a file that `build` writes, and loaders might read it: build again"


def _check_version(content: Mapping[str, Any]) -> Iterator[str]:
    version = content["config"].get("schema_version")
    if version != SCHEMA_VERSION:
        yield f"the dataset has schema {version} and this package writes {SCHEMA_VERSION}: build it again"


def written_splits(folder: Path) -> list[WrittenSplit]:
    """The splits of a dataset's folder in the order of a build."""
    splits = splits_of(folder)
    return [_written(config, split, splits[config, split]) for config, split in sorted(splits, key=build_order)]


def rebuilt_card(
    folder: Path, content: Mapping[str, Any], written: list[WrittenSplit], repo_id: str | None, revision: str | None
) -> str:
    """The card generated from the data.

    Args:
        repo_id: argument of `load_dataset` in its example.
        revision: tag in its example, none if None.

    Raises:
        UserError: if the folder's card or manifest lacks what is needed.
    """
    try:
        return card_text(
            dataset_name(folder), written, dict(content["counts"]), dict(content["config"]), repo_id, revision
        )
    except (TemplateError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"manifest.json lacks what the card shows ({error}): it is of another version of this package, so build again"
        ) from error


def dataset_name(folder: Path) -> str:
    """The name in the metadata of a dataset's card, else the folder's."""
    text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    try:
        return DatasetCard(text).data.to_dict().get("pretty_name") or folder.resolve().name
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"README.md is no dataset card: {' '.join(str(error).split())}") from error


def _check_card(folder: Path, content: Mapping[str, Any], written: list[WrittenSplit]) -> Iterator[str]:
    """Compares README.md with the card generated from the data, line by line."""
    text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    try:
        rebuilt = rebuilt_card(folder, content, written, loaded_as(text), pinned_revision(text))
    except UserError as error:
        yield str(error)
        return
    described = folder / CROISSANT
    try:
        found = without_release(described.read_text(encoding="utf-8", errors="replace"), SCHEMA_VERSION)
    except (OSError, ValueError):
        found = ""
    if found != croissant(dataset_name(folder), written):
        yield f"{CROISSANT} does not agree with the data: build again"
    try:
        (published, body), (expected, expected_body) = generated_part(text), generated_part(rebuilt)
    except yaml.YAMLError as error:
        yield f"README.md is no dataset card: {' '.join(str(error).split())}"
        return
    for key in sorted(set(published) | set(expected)):
        missing = key == "tags" and set(expected[key]) - set(published.get(key) or ())
        if missing or (key != "tags" and published.get(key) != expected.get(key)):
            yield f"README.md's metadata {key} does not agree with the data: build again"
    # The manifest keeps its keys sorted, so that lists in the card can come out in another order.
    found_lines, right_lines = Counter(body.splitlines()), Counter(expected_body.splitlines())
    for wrong, right in zip_longest(
        list((found_lines - right_lines).elements())[:_MOST], list((right_lines - found_lines).elements())[:_MOST]
    ):
        found = f"has {wrong.strip()!r}" if wrong is not None else "lacks a line"
        yield (
            f"README.md {found}, expected from the data: {right.strip()!r}"
            if right is not None
            else f"README.md {found}, which does not follow from the data"
        )


def loaded_as(card: str) -> str | None:
    """The argument of `load_dataset` in the card's example."""
    found = _LOADED.search(card)
    return found[1] if found else None


def build_order(key: tuple[str, str]) -> tuple[int, ...]:
    """The order in which a build writes configs and splits."""
    return tuple(known.index(name) if name in known else len(known) for name, known in zip(key, (CONFIGS, SPLITS)))


def _written(config: str, split: str, paths: list[Path]) -> WrittenSplit:
    """One split's rows and bytes in Arrow, row group by row group as `datasets` counts them."""
    written = WrittenSplit(config, split, files=paths)
    for path in paths:
        for table in row_groups(path):
            written.num_examples += table.num_rows
            written.num_bytes += table.nbytes
    return written


def _check_counts(folder: Path, content: Mapping[str, Any], splits: Splits) -> Iterator[str]:
    """Compares the manifest's counts, which the card shows, with rows and ledger."""
    recorded = content["counts"]
    every = _columns(splits, "all", ["episode_id"])
    dropped = Counter(read_table(folder / "ledger.parquet", columns=["rule"])["rule"].to_pylist())
    actual = {
        "samples": every.num_rows,
        "episodes": len(every["episode_id"].unique()),
        "dropped": dict(sorted(dropped.items())),
    }
    for key, value in actual.items():
        if recorded.get(key) != value:
            yield f"manifest.json has {key} {recorded.get(key)}, the data have {value}"


def _columns(splits: Splits, config: str, columns: list[str]) -> pa.Table:
    paths = [path for (name, _), shards in splits.items() if name == config for path in shards]
    return pa.concat_tables(read_table(path, columns=columns) for path in paths)


def terms_of_rows(splits: Splits) -> dict[tuple[str, str], int]:
    """(teacher, license) → number of rows, over all configs that hold answers."""
    total: Counter[tuple[str, str]] = Counter()
    for paths in splits.values():
        for path in paths:
            if {"teacher", "license"} <= set(read_schema(path).names):
                groups = read_table(path, columns=["teacher", "license"]).group_by(["teacher", "license"])
                for row in groups.aggregate([([], "count_all")]).to_pylist():
                    total[row["teacher"] or "", row["license"] or ""] += row["count_all"]
    return dict(total)


def benchmarks_of(splits: Splits) -> list[str]:
    """Benchmarks of the rows of the config `all`."""
    return sorted(set(_columns(splits, "all", ["benchmark"])["benchmark"].unique().to_pylist()))


def _check_licenses(splits: Splits, declared: Mapping[str, str]) -> Iterator[str]:
    """Every row has the license of its teacher. The card is generated from the rows and lists the same licenses.

    Args:
        declared: teacher → license, as the build recorded.
    """
    for (teacher, terms), number in sorted(terms_of_rows(splits).items()):
        known = declared.get(teacher) or license_of(teacher)
        if terms in ("", UNKNOWN):
            of = f"of {teacher}" if teacher else "that name no teacher"
            yield f"{number} rows {of} have no license: build again with --license '{teacher}=LICENSE'"
        elif known not in (UNKNOWN, terms):
            yield f"{number} rows of {teacher} have the license {terms}, its license is {known}: build again"
