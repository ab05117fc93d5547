"""Schemas of datasets with screenshots: the text columns, and a column `image` that `datasets` loads as pictures."""

from typing import Any

import pyarrow as pa

from agentmerge_hub.records import IMAGE

COLUMN = "image"

_OF_SAMPLE = [pa.field(COLUMN, IMAGE)]
_OF_STEP = [*_OF_SAMPLE, pa.field("image_has_marks", pa.bool_()), pa.field("prompt_has_screenshot", pa.bool_())]


def with_image(schema: pa.Schema, *, images: bool) -> pa.Schema:
    """The schema of samples, with the column of their pictures if they have them."""
    return pa.schema([*schema, *_OF_SAMPLE]) if images else schema


def with_step_image(schema: pa.Schema, *, images: bool) -> pa.Schema:
    """The schema of recorded steps, with the picture, whether it has marks, and whether the recorded prompt showed it."""
    return pa.schema([*schema, *_OF_STEP]) if images else schema


def image_value(png: bytes) -> dict[str, Any] | None:
    """A cell of the column."""
    return {"bytes": png, "path": None} if png else None


def loadable(schema: pa.Schema) -> pa.Schema:
    """The schema with the metadata by which `datasets` decodes the pictures; a schema without pictures as it is."""
    if COLUMN not in schema.names:
        return schema
    from datasets import Features, Image

    features = Features.from_arrow_schema(schema)
    features[COLUMN] = Image()
    return schema.with_metadata(features.arrow_schema.metadata)
