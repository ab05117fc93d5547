"""croissant.json: a description of the dataset in JSON-LD, so that other tools can find and read it.

Vocabulary and layout: MLCommons Croissant 1.1 (https://docs.mlcommons.org/croissant/). Paths are relative to the file, so
that a downloaded folder reads without a network. The same data give the same bytes.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from agentmerge_hub.dataset.card.figures import benchmarks_of, language_of
from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.files.parquet_reading import read_schema, read_table
from agentmerge_hub.licenses.license_terms import ordered
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.records import IMAGE, SCHEMA_VERSION

FILE = "croissant.json"

_CR = (
    "arrayShape", "citeAs", "column", "dataType", "equivalentProperty", "extract", "field", "fileObject", "fileProperty",
    "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
    "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT = {name: f"cr:{name}" for name in _CR} | {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
}


def croissant(name: str, written: Iterable[WrittenSplit]) -> str:
    """The description as text.

    Args:
        name: name of the dataset.
        written: its splits, with files in ``data/<config>/<split>-*.parquet``.
    """
    written = list(written)
    files: dict[str, list[Path]] = {}
    for split in written:
        files.setdefault(split.config, []).extend(split.files)
    configs = {config: read_schema(paths[0]) for config, paths in files.items() if paths}
    terms = {
        id for path in files["all"] for id in read_table(path, columns=["license"])["license"].unique().to_pylist()
    }
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": "Steps of web agents that solved their task, as prompt/completion chat rows for supervised fine-tuning.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "version": SCHEMA_VERSION,
        "license": [license.link or license.id for license in ordered(terms)],
        **({"inLanguage": language} if (language := language_of(benchmarks_of(written))) else {}),
        "isLiveDataset": False,
        "citeAs": _citation(),
        "rai:dataCollection": "Web agents acted in benchmark tasks; steps of episodes that the task's own validation confirmed are kept.",
        "rai:dataLimitations": _limits(),
        "rai:personalSensitiveInformation": "Addresses, hosts, keys, tokens, phone numbers, paths, account names and the names of persons in fields are replaced, as far as patterns find them.",
        "keywords": ["web agents", "BrowserGym", *benchmarks_of(written), "behavior cloning"],
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": f"{config}-files",
                "name": f"{config}-files",
                "encodingFormat": "application/x-parquet",
                "includes": f"data/{config}/*.parquet",
            }
            for config in configs
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": config, "name": config, "field": _fields(config, schema)}
            for config, schema in configs.items()
        ],
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _citation() -> str:
    """The BibTeX entry of the card."""
    return (
        (data_folder("dataset_card") / "citation.md")
        .read_text(encoding="utf-8")
        .split("```")[1]
        .removeprefix("bibtex")
        .strip()
    )


def _limits() -> list[str]:
    """The known limits of the card, without what depends on a review, which can follow."""
    text = (data_folder("dataset_card") / "limits.md").read_text(encoding="utf-8")
    text = re.sub(r"\{% if .*?\{% endif %\}", "", text, flags=re.DOTALL)
    return [" ".join(limit.split()) for limit in text.removeprefix("- ").split("\n- ")]


def _fields(config: str, schema: pa.Schema) -> list[dict[str, Any]]:
    files = {"fileSet": {"@id": f"{config}-files"}}
    split = {"extract": {"fileProperty": "filename"}, "transform": {"regex": "^([a-z_]+)-"}}
    return [_field(f"{config}/split", "split", pa.string(), files | split)] + [
        _field(f"{config}/{column.name}", column.name, column.type, files | {"extract": {"column": column.name}})
        for column in schema
    ]


def _field(id: str, name: str, kind: pa.DataType, source: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {"@type": "cr:Field", "@id": id, "name": name}
    if kind == IMAGE:
        return field | {"dataType": "sc:ImageObject", "source": source | {"transform": {"jsonPath": "bytes"}}}
    inner = kind.value_type if pa.types.is_list(kind) else kind
    if pa.types.is_list(kind):
        field |= {"isArray": True, "arrayShape": "-1"}
    if not pa.types.is_struct(inner):
        return field | {"dataType": _type(inner), "source": source}
    parts = [inner.field(index) for index in range(inner.num_fields)]
    picked = {part.name: source | {"transform": {"jsonPath": f"[*].{part.name}"}} for part in parts}
    return field | {
        "subField": [_field(f"{id}/{part.name}", part.name, part.type, picked[part.name]) for part in parts]
    }


def _type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return f"cr:Int{kind.bit_width}"
    return f"cr:Float{kind.bit_width}" if pa.types.is_floating(kind) else "sc:Text"
