"""A GGUF file against the model folder it was made from: the same weights, settings, tokenizer and chat template, or findings.

Weights in F32, F16 and BF16 have to be the folder's in that format; in Q8_0 they may differ by the rounding of a block
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agentmerge_hub.errors import UserError, require
from agentmerge_hub.publishing.gguf.header import Header, Tensor, read_header
from agentmerge_hub.publishing.publish_checks.safetensors_texts import safetensors_header

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3")
"""Those whose tensors a conversion changes in a known way."""
_VALUES = 2**22
"""Values compared at a time."""
_BLOCK, _BLOCK_BYTES = 32, 34
_ROUNDING = 0.6
"""Of a step of Q8_0: half a step, and the rounding of the step to 16 bits."""
_ROPE = "rope_freqs.weight"
_SETTINGS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
"""Metadata that shapes the forward pass → key of config.json."""
_BASE = 10_000.0
"""Of rotary embeddings, where the metadata name none."""


def compare(folder: Path, path: Path) -> list[str]:
    """Findings on a GGUF file beside the weights of a folder.

    Raises:
        UserError: if the GGUF file is damaged.
    """
    require("gguf", "gguf")
    header = read_header(path.name, path)
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        return [
            f"{path.name} has the architecture {header.architecture!r}, and only {known} can be compared: remove it"
        ]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return [
        *_compare_tensors(folder, path, header, config),
        *_compare_settings(path.name, header, config),
        *_compare_tokenizer(folder, path.name, header.metadata),
    ]


def _compare_tensors(folder: Path, path: Path, header: Header, config: dict[str, Any]) -> Iterator[str]:
    stored = dict(_stored(folder))
    if config.get("tie_word_embeddings"):
        stored.pop("lm_head.weight", None)
    names = _names(header, list(stored))
    if unmapped := sorted(set(stored) - set(names)):
        yield f"{path.name}: nothing in it is known to correspond to {unmapped[0]} of the model"
        return
    if missing := sorted(set(names.values()) - set(header.tensors)):
        yield f"{path.name} lacks {missing[0]}, which the model has: convert it again"
        return
    if extra := sorted(set(header.tensors) - set(names.values()) - {_ROPE}):
        yield f"{path.name} has {extra[0]}, which the model does not have: remove it"
        return
    for name, target in names.items():
        if not _equal(path, header, target, stored[name], config):
            yield f"{path.name}: {target} does not hold the model's {name}: convert it again"
    if _ROPE in header.tensors and not _is_rope(path, header.tensors[_ROPE], config):
        yield f"{path.name}: {_ROPE} does not follow from the model's rope_scaling: convert it again"


def _names(header: Header, stored: list[str]) -> dict[str, str]:
    """Name of a tensor in the model → its name in the GGUF file."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    architecture = next(arch for arch, name in MODEL_ARCH_NAMES.items() if name == header.architecture)
    blocks = int(header.metadata.get(f"{header.architecture}.block_count", 0))
    known = get_tensor_name_map(architecture, min(blocks, 1024))
    found = {name: known.get_name(name, try_suffixes=(".weight", ".bias")) for name in stored}
    return {name: target for name, target in found.items() if target}


def _stored(folder: Path) -> Iterator[tuple[str, tuple[Path, int, dict[str, Any]]]]:
    """Name of a tensor → its file, the start of the file's data, and its entry."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        header = safetensors_header(path.name, path)
        yield from ((name, (path, start, entry)) for name, entry in header.items() if name != "__metadata__")


def _equal(path: Path, header: Header, name: str, stored: tuple[Path, int, dict[str, Any]], config: Any) -> bool:
    file, start, entry = stored
    tensor, shape = header.tensors[name], list(entry["shape"])
    kept_rows = header.architecture == "gemma3" and name == "token_embd.weight"
    if (list(tensor.shape) != shape and not kept_rows) or list(tensor.shape)[1:] != shape[1:]:
        return False
    source = _floats(np.memmap(file, np.uint8, "r", start + entry["data_offsets"][0]), entry["dtype"], math.prod(shape))
    values = source.reshape(shape)[: tensor.shape[0]]
    if header.architecture == "llama" and name.endswith(
        ("attn_q.weight", "attn_k.weight", "attn_q.bias", "attn_k.bias")
    ):
        values = _permuted(values, config, "attn_k" in name)
    if header.architecture == "gemma3" and name.endswith("norm.weight"):
        values = values.astype(np.float32) + np.float32(1)
    return all(_same_values(*pair, tensor.number_format) for pair in _pieces(path, tensor, values))


def _permuted(values: np.ndarray, config: Any, key: bool) -> np.ndarray:
    """Rows in llama.cpp's order of rotary embeddings, where the two halves of a head alternate."""
    heads = int(config["num_attention_heads"])
    heads = int(config.get("num_key_value_heads") or heads) if key else heads
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _floats(data: np.ndarray, dtype: str, count: int) -> np.ndarray:
    """The first values of a tensor: float32, float16, or uint16 as the upper half of a float32 for BF16."""
    kinds: dict[str, Any] = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64}
    if dtype not in kinds:
        raise UserError(f"weights of the type {dtype} cannot be compared with a GGUF file: remove it")
    values = data[: count * np.dtype(kinds[dtype]).itemsize].view(kinds[dtype])
    return (values.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else values


def _pieces(path: Path, tensor: Tensor, values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Bytes of the GGUF tensor and the model's values, piece by piece."""
    flat = values.reshape(-1)
    data = np.memmap(path, np.uint8, "r", tensor.start, (tensor.size,))
    for first in range(0, flat.size, _VALUES):
        piece = flat[first : first + _VALUES].astype(np.float32)
        scale = tensor.size // (flat.size // _BLOCK) if tensor.number_format == "Q8_0" else tensor.size // flat.size
        unit = _BLOCK if tensor.number_format == "Q8_0" else 1
        yield data[first // unit * scale : (first + piece.size) // unit * scale], piece


def _same_values(data: np.ndarray, values: np.ndarray, number_format: str) -> bool:
    if number_format == "F32":
        return np.array_equal(data.view(np.uint32), values.view(np.uint32))
    if number_format == "F16":
        with np.errstate(over="ignore"):
            return np.array_equal(data.view(np.uint16), values.astype(np.float16).view(np.uint16))
    if number_format == "BF16":
        bits = values.view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return np.array_equal(data.view(np.uint16), rounded)
    blocks = data.reshape(-1, _BLOCK_BYTES)
    steps = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    stored = steps * blocks[:, 2:].view(np.int8)
    expected = values.reshape(-1, _BLOCK)
    allowed = _ROUNDING * np.abs(expected).max(axis=1, keepdims=True) / 127 + 2.0**-24 * 127
    return bool(np.isfinite(stored).all() and (np.abs(stored - expected) <= allowed).all())


def _is_rope(path: Path, tensor: Tensor, config: dict[str, Any]) -> bool:
    """Whether the frequencies' factors are those of Llama 3 (transformers, `_compute_llama3_parameters`)."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type")) != "llama3" or tensor.number_format != "F32":
        return False
    base = float(config.get("rope_theta") or scaling.get("rope_theta") or 10000.0)
    dim = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    factor, low, high = float(scaling["factor"]), float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    old = float(scaling["original_max_position_embeddings"])
    wavelengths = 2 * math.pi * base ** (np.arange(0, dim, 2, dtype=np.float64) / dim)
    smooth = (old / wavelengths - low) / (high - low)
    factors = np.where(wavelengths > old / low, factor, 1 / ((1 - smooth) / factor + smooth))
    factors = np.where(wavelengths < old / high, 1.0, factors)
    stored = np.memmap(path, np.float32, "r", tensor.start, (tensor.size // 4,))
    return stored.shape == factors.shape and bool(np.allclose(stored, factors, rtol=1e-4))


def _compare_settings(name: str, header: Header, config: dict[str, Any]) -> Iterator[str]:
    config = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    rope = config.get("rope_parameters") or {}
    said = {key: config.get(setting) for key, setting in _SETTINGS.items()}
    said["rope.freq_base"] = rope.get("full_attention", rope).get("rope_theta", config.get("rope_theta"))
    for key, value in ((key, value) for key, value in said.items() if value is not None):
        found = header.metadata.get(f"{header.architecture}.{key}", _BASE if key == "rope.freq_base" else None)
        if not isinstance(found, int | float) or np.float32(found) != np.float32(value):
            yield f"{name} has {key} {found}, and config.json gives {value}: convert it again"


def _compare_tokenizer(folder: Path, name: str, metadata: dict[str, Any]) -> Iterator[str]:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    by_id = {number: token for token, number in vocabulary.items()} if isinstance(vocabulary, dict) else {}
    by_id |= {token["id"]: token["content"] for token in tokenizer.get("added_tokens", [])}
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    wrong = [number for number, token in by_id.items() if number >= len(tokens) or tokens[number] != token]
    if wrong or not by_id:
        yield f"{name}: its tokenizer is not the model's (token {wrong[0] if wrong else 0} differs): convert it again"
    merges = tokenizer.get("model", {}).get("merges")
    if isinstance(merges, list) and metadata.get("tokenizer.ggml.merges") not in (None, list(map(_merge, merges))):
        yield f"{name}: its tokenizer's merges are not the model's: convert it again"
    template = folder / "chat_template.jinja"
    if template.is_file() and metadata.get("tokenizer.chat_template") != template.read_text(encoding="utf-8"):
        yield f"{name}: its chat template is not the model's: convert it again"


def _merge(pair: Any) -> str:
    """A merge as the converter writes it: two tokens, in which a blank has another letter."""
    return pair if isinstance(pair, str) else " ".join(str(token).replace(" ", "\u0120") for token in pair)
