"""The dataset card: README.md with the YAML that `load_dataset` and the Hub's viewer read, and figures computed from the data."""

from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agentmerge_hub.dataset.card.croissant import FILE as CROISSANT
from agentmerge_hub.dataset.card.croissant import croissant
from agentmerge_hub.dataset.card.example import example
from agentmerge_hub.dataset.card.figures import benchmarks_of, draw_lengths, figures, language_of
from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.dataset.preferences import pairs, unpaired
from agentmerge_hub.dataset.preferences.origins import origin_counts
from agentmerge_hub.dataset.redaction.rules import KINDS
from agentmerge_hub.dataset.selection.drop_rules import EPISODE_RULES, SAMPLE_RULES
from agentmerge_hub.dataset.selection.split import split_names
from agentmerge_hub.files.parquet_reading import read_schema
from agentmerge_hub.licenses.license_terms import LICENSES, dataset_notices, ordered
from agentmerge_hub.licenses.license_terms import metadata as license_metadata
from agentmerge_hub.manifest import write_text
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.records import IMAGE
from agentmerge_hub.terminal_text import printable

TEMPLATE = "card.md.jinja"
PICTURE = "lengths.png"


def write_card(
    folder: Path, name: str, written: list[WrittenSplit], counts: dict[str, Any], config: dict[str, Any]
) -> None:
    """Write README.md, lengths.png and croissant.json into a dataset folder whose Parquet files are complete and measured."""
    draw_lengths(written, folder / PICTURE)
    write_text(folder / CROISSANT, croissant(name, written))
    write_text(folder / "README.md", card_text(name, written, counts, config))


def card_text(
    name: str, written: list[WrittenSplit], counts: dict[str, Any], config: dict[str, Any], loaded_as: str | None = None,
    revision: str | None = None,
) -> str:  # fmt: skip
    """The card. Its figures come from the rows of `written`; the numbers of dropped rows and redacted values from `counts`.

    Args:
        loaded_as: argument of `load_dataset`: ``ORG/NAME`` once it is published; `name` if None.
        revision: tag of its release, once it is published.
    """
    shown = figures(written, config)
    terms = [row["license"] for row in shown["teachers"]]
    for row in shown["teachers"]:
        row["terms"] = _terms(row["license"])
    environment = Environment(
        loader=FileSystemLoader(data_folder("dataset_card")), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = _cell
    present = [(split.config, split.split) for split in written if split.files]
    first_config, first_split = next(
        (pair for pair in (("cot", "train"), ("all", "train"), *present) if pair in present), ("all", "train")
    )
    return environment.get_template(TEMPLATE).render(
        name=name,
        loaded_as=loaded_as or name,
        pin=f', revision="{revision}"' if revision else "",
        example=example({(split.config, split.split): split.files for split in written}),
        counts=counts,
        first_config=first_config,
        first_split=first_split,
        sizes_of_configs={
            config: counts["splits"][config]
            for config in dict.fromkeys([*(split.config for split in written), *counts["splits"]])
            if config in counts["splits"]
        },
        review=counts.get("review"),
        config=config,
        splits=split_names(split.split for split in written),
        rules=EPISODE_RULES | SAMPLE_RULES,
        kinds=KINDS,
        notices=dataset_notices(terms),
        pairs=origin_counts(written, pairs.CONFIG, pairs.ORIGINS),
        unpaired=origin_counts(written, unpaired.CONFIG, unpaired.ORIGINS),
        meanings=pairs.ORIGINS,
        label_meanings=unpaired.ORIGINS,
        metadata=_metadata(name, [split for split in written if split.files], terms),
        **shown,
    )


def _cell(name: str) -> str:
    """A recorded name as text of a table's cell: traces can hold any."""
    return escape(printable(" ".join(name.split())), quote=False).replace("|", "\\|").replace("`", "'")


def _terms(license: str) -> str:
    known = LICENSES.get(license)
    return f"[{known.name}]({known.link})" if known else license


def _metadata(name: str, written: list[WrittenSplit], terms: list[str]) -> str:
    """The YAML block: configs with their files, and dataset_info with exact sizes."""
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = {}
    configs = []
    for config in dict.fromkeys(split.config for split in written):
        splits = [split for split in written if split.config == config]
        schema: pa.Schema = read_schema(splits[0].files[0])
        infos[config] = DatasetInfo(
            features=Features.from_arrow_schema(schema),
            splits=[{"name": s.split, "num_bytes": s.num_bytes, "num_examples": s.num_examples} for s in splits],
            download_size=sum(split.download_size for split in splits),
            dataset_size=sum(split.num_bytes for split in splits),
        )
        configs.append(
            {
                "config_name": config,
                "data_files": [{"split": s.split, "path": f"data/{config}/{s.split}-*.parquet"} for s in splits],
            }
            | ({"default": True} if config == "all" else {})
        )
    has_images = any(IMAGE in read_schema(split.files[0]).types for split in written)
    license_fields: dict[str, Any] = license_metadata(terms) if ordered(terms) else {"license": "unknown"}
    card = DatasetCardData(
        pretty_name=name,
        language=language_of(benchmarks_of(written)),
        **license_fields,
        task_categories=["image-text-to-text" if has_images else "text-generation"],
        tags=["web-agents", "browsergym", *benchmarks_of(written), "behavior-cloning"],
        size_categories=[_size_category(sum(s.num_examples for s in written if s.config == "all"))],
        configs=configs,
    )
    DatasetInfosDict(infos).to_dataset_card_data(card)
    return card.to_yaml()


def _size_category(rows: int) -> str:
    for limit, name in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if rows < limit:
            return name
    return "1M<n<10M"
