"""The chat template of a model folder, read without loading its tokenizer."""

from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.checkpoint import read_json

FILE = "chat_template.jinja"
MORE_FOLDER = "additional_chat_templates"
"""Holds a model's further templates, NAME.jinja each, e.g. for tools."""


def template_of(folder: Path) -> str | None:
    """The default chat template of a model folder; None if it has none.

    tokenizer_config.json may hold one template, or a list of named ones, of which `default` is the model's.
    """
    try:
        if (folder / FILE).is_file():
            return (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / FILE} cannot be read: {error}") from error
    if not (folder / "tokenizer_config.json").is_file():
        return None
    return default_template(read_json(folder / "tokenizer_config.json").get("chat_template"))


def is_same_template(one: str | None, other: str | None) -> bool:
    """Whether two templates render the same: Jinja leaves out one line break at a template's end."""
    return (one or "").removesuffix("\n") == (other or "").removesuffix("\n")


def default_template(value: Any) -> str | None:
    """The default of one template, a list of named ones, or a mapping from names to templates."""
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    return value if isinstance(value, str) else None
