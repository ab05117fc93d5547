"""What mergekit would read of its inputs, before it computes: a tensor that its plan leaves out would be lost without a word.

Runs in mergekit's process. Input: a configuration. Output: one sentence, or none. Reads the weight files' headers only.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from mergekit.architecture import get_architecture_info
from mergekit.architecture.conversion import convert_checkpoint_tensors
from mergekit.config import MergeConfiguration
from mergekit.io.tasks import LoaderCache, LoadTensor
from mergekit.options import MergeOptions
from mergekit.plan import MergePlanner
from safetensors import safe_open

from agentmerge_hub.merging.inputs.architecture import is_buffer, is_head

WAY_OUT = "task_arithmetic and linear with dtype: float32 and a model as tokenizer_source do not need mergekit"


def problem(file: Path, lora_cache: str) -> str | None:
    """Why mergekit would not merge every tensor of its inputs; None if it would.

    A configuration with slices leaves out layers on purpose: mergekit plans it, which may raise, and it is not judged.

    Args:
        file: the configuration.
        lora_cache: folder of the models that mergekit makes of adapters.
    """
    config = MergeConfiguration.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    options = MergeOptions(lora_merge_cache=lora_cache, lora_merge_dtype="float32", quiet=True)
    LoaderCache().setup(options=options)
    architecture = get_architecture_info(config, options)
    of_whole_models = bool(config.models and config.base_model)  # the planner makes slices of them
    first = config.base_model or config.referenced_models()[0]
    planner = MergePlanner(config, architecture, options, first.config(trust_remote_code=False))
    loads = list(_loads(planner.plan_to_disk(out_path="")))
    if not of_whole_models:
        return None
    for model in dict.fromkeys(load.model for load in loads):
        paths = LoaderCache().get(model).index
        folder, files = Path(paths.base_path), paths.tensor_paths
        read: set[str] = set()
        for load in loads:
            if load.model == model:
                found = _read_by(load, folder, files)
                if not found and not load.optional:
                    return f"it expects a tensor {load.tensor}, which {model} lacks: {WAY_OUT}"
                read |= found
        for name in files.keys() - read:
            if not is_head(name) and not is_buffer(name, _empty(folder, files, name).shape):
                return f"it would leave out {name} of {model}: {WAY_OUT}"
    return None


def _loads(tasks: Iterable[Any]) -> Iterator[LoadTensor]:
    """Every tensor that tasks load, each once."""
    seen: set[Any] = set()
    stack = list(tasks)
    while stack:
        task = stack.pop()
        if task not in seen:
            seen.add(task)
            stack += task.arguments().values()
            if isinstance(task, LoadTensor):
                yield task


def _read_by(load: LoadTensor, folder: Path, files: dict[str, str]) -> set[str]:
    """The stored tensors that one load reads: by one of its names, else those it is converted from (fused experts)."""
    for name in (load.tensor, *(load.aliases or ()), *(load.tied_names or ())):
        if name in files:
            return {name}
    read: set[str] = set()

    def source(name: str) -> Callable[[], torch.Tensor]:
        def empty() -> torch.Tensor:
            read.add(name)
            return _empty(folder, files, name)

        return empty

    sources = {name: source(name) for name in files}
    for target in (load.tensor, *(load.aliases or ())):
        if convert_checkpoint_tensors(load.model.config().model_type, sources, target) is not None:
            return read
        read.clear()
    return read


def _empty(folder: Path, files: dict[str, str], name: str) -> torch.Tensor:
    """A tensor of the stored shape without values."""
    with safe_open(folder / files[name], framework="np") as file:
        return torch.empty(file.get_slice(name).get_shape(), device="meta")
