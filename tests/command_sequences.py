"""Which folders a sequence of commands reads before one of its commands wrote them."""

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
_FOLDER = re.compile(r"(?:\./)?((?:traces|workarena-traces|results)(?:/.*)?|(?:runs|merged|models)/.+)")
_OUTPUT_OPTIONS = ("-o", "--out", "--local-dir")


def unwritten_inputs(commands: Iterable[list[str]]) -> list[str]:
    """Folders that a command, or a recipe that it names, reads and no earlier command wrote."""
    written: set[str] = set()
    missing = []
    for words in commands:
        outputs = {following for word, following in itertools.pairwise(words) if word in _OUTPUT_OPTIONS}
        outputs |= {words[2]} if words[0] == "mergekit-yaml" else set()
        settings = dict(pair for word in words if (pair := word.partition("=")[::2])[1])
        names = [word for word in words if word not in outputs]
        for recipe in (ROOT / word for word in words if re.fullmatch(r"recipes/.*\.ya?ml", word)):
            content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
            outputs |= {content.pop("output_dir", "")} if "--output_dir" not in words else set()
            content.pop("output_dir", None)
            spec_agent_replaced = "agent" in settings or "--checkpoints" in words
            names += [settings.get("agent", "")] if spec_agent_replaced else _strings(content)
        if "--output_dir" in words:
            outputs.add(words[words.index("--output_dir") + 1])
        read = {found[1] for name in names if (found := _FOLDER.fullmatch(name))} - outputs
        missing += [f"{' '.join(words)}: {name}" for name in sorted(read) if not _is_written(name, written)]
        written |= outputs
    return missing


def _is_written(name: str, written: set[str]) -> bool:
    return any(name == folder or name.startswith(f"{folder}/") for folder in written)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
