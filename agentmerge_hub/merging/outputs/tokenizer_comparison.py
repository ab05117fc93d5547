"""Compares the tokenizer files of a merged model, chat templates included, with those that a merge of its inputs has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmerge_hub.merging.inputs.chat_templates import MORE_FOLDER
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, TOKENIZER_FILES, read_json
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.outputs.config_comparison import NAMES, different_keys, with_auto_map_of

FILES = tuple(name for name in TOKENIZER_FILES if name != GENERATION)

_HOW_LOADED = ("is_local", "local_files_only")
"""Switches of tokenizer_config.json that say how transformers loaded it, and change nothing."""

_NOT_COPIED = ("vocab.json",)
"""mergekit leaves out what tokenizer.json holds too."""


def tokenizer_findings(
    folder: Path, inputs: MergeInputs, scratch: Path, *, streamed: bool, again: Path | None
) -> list[str]:
    """What the tokenizer files have that no program which makes this merge writes, one sentence each.

    Args:
        scratch: an existing folder for the tokenizer as mergekit saves it.
        streamed: the streaming pass here can make the merge: it copies the donor's files.
        again: the merge as mergekit made it again, if it was run.
    """
    if again is not None and not streamed:
        return list(_differences(folder, again, inputs.donor))
    wrong = list(_differences(folder, inputs.donor, inputs.donor))
    for source in [again] if again else _saved_again(inputs.donor, scratch):
        other = list(_differences(folder, source, inputs.donor)) if wrong else []
        wrong = min(wrong, other, key=len)
    return wrong


def _saved_again(donor: Path, scratch: Path) -> Iterator[Path]:
    """A folder with the tokenizer as transformers saves it, which mergekit does where a spec names a tokenizer source; none
    where transformers does not load it. No code of the folder is run."""
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(donor, trust_remote_code=False).save_pretrained(scratch / "tokenizer")
    except Exception:  # files of unknown origin raise whatever their values lead to
        return
    yield scratch / "tokenizer"


def _differences(folder: Path, source: Path, donor: Path) -> Iterator[str]:
    templates = {
        path.relative_to(place).as_posix() for place in (folder, source) for path in (place / MORE_FOLDER).glob("*")
    }
    for name in [*FILES, *sorted(templates)]:
        found, expected = (_content(place / name) for place in (folder, source))
        if found is expected or (found is None and name in _NOT_COPIED):
            continue
        if found is None or expected is None:
            yield f"{name} is missing" if found is None else f"{name} is in none of its inputs"
        elif isinstance(found, dict) and isinstance(expected, dict):
            if keys := different_keys(found, with_auto_map_of(expected, found)):
                yield f"{name} has another {', '.join(keys)} than that of {donor}"
        elif found != expected:
            yield f"{name} is not that of {donor}"


def _content(path: Path) -> Any:
    """A file to compare: a JSON object as one, without how it was loaded; a template without the line break that Jinja leaves
    out at its end."""
    if not path.is_file():
        return None
    if path.suffix == ".json":
        found = read_json(path)
        return {
            key: found[key] for key in found.keys() - NAMES if key not in _HOW_LOADED or type(found[key]) is not bool
        }
    return path.read_bytes().removesuffix(b"\n") if path.suffix == ".jinja" else path.read_bytes()
