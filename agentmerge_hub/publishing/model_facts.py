"""Facts for the card of a model, read from the files that are published: size, tokenizer, GGUF files, and the classes that load it."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.weights import served_hash, weights_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.content_hash import file_hash
from agentmerge_hub.files.parquet_reading import read_schema
from agentmerge_hub.merging.inputs import adapter
from agentmerge_hub.publishing.cards.model_card import GgufFile, Loading
from agentmerge_hub.publishing.gguf.header import read_header
from agentmerge_hub.publishing.publish_checks.dataset_folder import splits_of
from agentmerge_hub.publishing.publish_checks.safetensors_texts import safetensors_header
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, read_bytes
from agentmerge_hub.records import IMAGE
from agentmerge_hub.sizes import size_text


def parameters_of(files: Mapping[str, Content]) -> int:
    """Number of parameters in the published weights."""
    total = 0
    for name, content in files.items():
        if name.endswith(".safetensors"):
            header = safetensors_header(name, content)
            total += sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    return total


def tokenizer_facts(files: Mapping[str, Content]) -> str:
    """One sentence on the published tokenizer; empty if there is none."""
    if "tokenizer.json" not in files:
        return ""
    tokenizer = json.loads(read_bytes(files["tokenizer.json"]))
    model, added = tokenizer.get("model", {}), tokenizer.get("added_tokens", [])
    size = (
        len(set(model.get("vocab", ())) | {token["content"] for token in added})
        if isinstance(model.get("vocab"), dict)
        else len(model.get("vocab", ()))
    )
    template = " with a chat template" if "chat_template.jinja" in files else ""
    return f"Its tokenizer has {size:,} tokens ({model.get('type', 'unknown type')}){template}."


def gguf_files(files: Mapping[str, Content]) -> list[GgufFile]:
    """The GGUF files among the published ones."""
    sizes = {name: content.stat().st_size for name, content in files.items() if isinstance(content, Path)}
    return [
        GgufFile(name, f"{name.removeprefix('model-').removesuffix('.gguf')}, {size_text(size)}")
        for name, size in sorted(sizes.items())
        if name.endswith(".gguf")
    ]


def loading_of(files: Mapping[str, Content]) -> Loading:
    """How transformers loads the model, from its configuration; an adapter's base model is looked at if it is a local folder.

    Raises:
        UserError: if config.json does not name the architecture as transformers writes it.
    """
    config = _json(files.get("config.json"))
    if adapter.CONFIG in files and not config:
        settings = _json(files[adapter.CONFIG])
        base = Path(str(settings.get("base_model_name_or_path"))) / "config.json"
        config = _json(base) if base.is_file() else {}
        if not config and settings.get("task_type") == "CAUSAL_LM":
            return Loading("", "AutoModelForCausalLM", "AutoTokenizer", "text-generation")
    architectures = config.get("architectures") or [""]
    if not (isinstance(architectures, list) and isinstance(architectures[0], str)):
        raise UserError(
            f"config.json has the architectures {architectures!r}: write a list of names, as transformers does."
        )
    architecture = architectures[0]
    if "vision_config" in config:
        return Loading(architecture, "AutoModelForImageTextToText", "AutoProcessor", "image-text-to-text")
    causal = architecture.endswith("ForCausalLM")
    return Loading(architecture, "AutoModelForCausalLM", "AutoTokenizer", "text-generation" if causal else "")


def evaluated_as(folder: Path, files: Mapping[str, Content]) -> dict[str, str]:
    """Hashes that an evaluation records for the model in a folder → number format of the published GGUF file with that hash, else
    empty."""
    hashes = {weights_hash(folder): ""}
    if adapter.is_adapter(folder):
        hashes[served_hash(folder, "vllm")] = ""
    for name, path in files.items():
        if name.endswith(".gguf") and isinstance(path, Path):
            formats = Counter(tensor.number_format for tensor in read_header(name, path).tensors.values())
            hashes[file_hash(path)] = f"{formats.most_common(1)[0][0]} (GGUF)"
    return hashes


def has_screenshots(dataset: Path) -> bool:
    """Whether rows of a dataset have a screenshot."""
    return any(IMAGE in read_schema(shards[0]).types for shards in splits_of(dataset).values())


def _json(content: Content | None) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        value = json.loads(read_bytes(content)) if content is not None else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
