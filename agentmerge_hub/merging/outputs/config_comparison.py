"""Compares config.json and generation_config.json of a merged model with what its inputs give, key by key.

Every key counts, also those that transformers' class does not define: they can choose a kernel, load code or quantize.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.files.strict_json import is_same
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, TOKENIZER_CONFIG, config_of, read_json, tensors_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_configs import as_transformers_reads, plain
from agentmerge_hub.merging.outputs.model_files import STORED_DTYPES, config_of_merge, with_sizes

NAMES = ("_name_or_path", "name_or_path", "_commit_hash", "transformers_version")
"""Keys that say where a file came from, and what wrote it."""

_DTYPES = ("dtype", "torch_dtype")

_MISSING = object()


def config_findings(folder: Path, inputs: MergeInputs, *, streamed: bool, again: Path | None) -> list[str]:
    """What config.json has that no program which makes this merge writes, one sentence each.

    Args:
        streamed: the streaming pass here can make the merge.
        again: the merge as mergekit made it again, if it was run.
    """
    found, dtype = config_of(folder), _dtype(folder)
    candidates = [config_of_merge(inputs, dtype)] if streamed else []
    candidates.append(config_of(again) if again else _by_mergekit(inputs))
    wrong = min((list(_differences(found, candidate, str(folder))) for candidate in candidates), key=len)
    name = STORED_DTYPES.get(dtype, "float64")
    return wrong + [
        f"config.json says {key} {value}, and the weights are {name}"
        for key, value in _flat(found)
        if key in _DTYPES and value != name
    ]


def generation_findings(folder: Path, inputs: MergeInputs) -> list[str]:
    """What generation_config.json has that the one of the tokenizer's model does not, one sentence each."""
    source = inputs.donor / GENERATION
    if not (folder / GENERATION).is_file():
        return [f"{GENERATION} is missing"] if source.is_file() else []
    if not source.is_file():
        return [f"{GENERATION} is in none of its inputs"]
    keys = different_keys(read_json(folder / GENERATION), read_json(source))
    return [f"{GENERATION} has other values than that of {inputs.donor}: {', '.join(keys)}"] if keys else []


def different_keys(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Keys whose values differ as JSON; a key that is not there is not ``null``."""
    common = found.keys() & expected.keys()
    return sorted((found.keys() ^ expected.keys()) | {key for key in common if not is_same(found[key], expected[key])})


def with_auto_map_of(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The expected values without auto_map if those that were found have none: a merge leaves it out."""
    return {key: value for key, value in expected.items() if key != "auto_map" or key in found}


def foreign_names(folder: Path, inputs: MergeInputs) -> list[str]:
    """Where config.json and tokenizer_config.json say that they came from, as claims that are not checked; what an input's
    file says too, and the version of transformers that is here, are left out."""
    claims = []
    for name in ("config.json", TOKENIZER_CONFIG):
        sources = [path / name for model in inputs.models.values() for path in (model.folder, model.base_folder)]
        known = [_names(path) for path in sources if path.is_file()]
        known.append({"transformers_version": version("transformers")})
        for key, value in sorted(_names(folder / name).items()) if (folder / name).is_file() else ():
            if not any(key in names and is_same(names[key], value) for names in known):
                claims.append(f"{name}: {key} {plain(value)}")
    return claims


def left_out(folder: Path, inputs: MergeInputs) -> list[str]:
    """The keys that config.json leaves to transformers' defaults and programs that make this merge write, as one claim."""
    found = dict(_flat(config_of(folder)))
    ignored = {*NAMES, *(_DTYPES if any(key in found for key in _DTYPES) else ())}

    def missing(written: Mapping[str, Any]) -> list[str]:
        absent = ((key, value) for key, value in _flat(written) if key not in found and value is not None)
        return sorted(key for key, _ in absent if key.rpartition(".")[2] not in ignored)

    fewest = min(map(missing, (config_of_merge(inputs, _dtype(folder)), _by_mergekit(inputs))), key=len)
    return [f"config.json: {', '.join(fewest)} (left to the defaults of transformers)"] if fewest else []


def _names(path: Path) -> dict[str, Any]:
    return {key: value for key, value in _flat(read_json(path)) if not {*NAMES}.isdisjoint(key.split("."))}


def _dtype(folder: Path) -> str:
    """The type of most values of a model."""
    counts: dict[str, int] = {}
    for tensor in tensors_of(folder).values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.count
    return max(counts, key=lambda dtype: counts[dtype])


def _by_mergekit(inputs: MergeInputs) -> dict[str, Any]:
    """config.json as mergekit writes it: the base model's as transformers saves it, with the merge's sizes."""
    from transformers import AutoConfig

    base = inputs.models[inputs.base].base_folder
    try:
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    except Exception as error:  # whatever the class raises for values it does not expect
        raise UserError(f"the config.json of {base} is not accepted by transformers: {error}") from error
    return with_sizes(json.loads(config.to_json_string(use_diff=True)), inputs)


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> Iterator[str]:
    """A sentence for each key whose value is another: as transformers' class reads both, defaults filled in, and as the
    files have it, for keys that the class leaves out or whose values it ignores."""
    raw, raw_expected = dict(_flat(found)), dict(_flat(expected))
    read, read_expected = (dict(_flat(as_transformers_reads(one, where))) for one in (found, expected))
    for key in sorted(read.keys() | read_expected.keys() | raw.keys()):
        ignored = None not in (raw.get(key), raw_expected.get(key)) and read.get(key) == read_expected.get(key)
        is_read = (key in read or key in read_expected) and not ignored
        ours, theirs = (read, read_expected) if is_read else (raw, raw_expected)
        value, right = ours.get(key, _MISSING), theirs.get(key, _MISSING)
        last = key.rpartition(".")[2]
        if last in NAMES or key in _DTYPES or _is_equal(value, right):
            continue
        if last in _DTYPES and value in (_MISSING, None, found.get("dtype")):
            continue  # of a nested config: the type that the weights have
        if value is _MISSING:
            yield f"config.json lacks {key}, and the inputs give {plain(right)}"
        elif right is _MISSING:
            yield f"config.json has {key} {plain(value)}, which none of its inputs has"
        else:
            yield f"config.json has {key} {plain(value)}, and the inputs give {plain(right)}"


def _is_equal(value: Any, expected: Any) -> bool:
    """Whether two values of config.json are one setting; one program writes 1.0 for another's 1."""
    if _MISSING in (value, expected):
        return value is expected
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (value, expected)]
    return value == expected if all(numbers) else is_same(value, expected)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in nested mappings."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
