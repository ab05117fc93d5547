"""Runs mergekit on a spec, in a process of its own (`mergekit_process`), and checks that the result is finite."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from agentmerge_hub.errors import UserError, is_no_space, os_error_sentence
from agentmerge_hub.merging.engine.mergekit_process import LORA_CACHE, NOT_WHOLE, PLAN_ONLY, run_command
from agentmerge_hub.merging.engine.streaming import is_finite
from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.inputs.tensor_reader import TORCH_DTYPES, TensorReader, chunks
from agentmerge_hub.merging.specs.spec import SPEC_FILE, Spec, is_model_place


def run(spec: Spec, out: Path, inputs: MergeInputs, *, shard_bytes: int) -> None:
    """Run mergekit on a spec.

    Args:
        out: an existing folder; gets the model and the spec's text.
        inputs: the spec's models.
        shard_bytes: bytes a weights file at most.

    Raises:
        UserError: with mergekit's last line if it fails, or naming a tensor that is not finite.
    """
    (out / SPEC_FILE).write_text(spec.text, encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix=".mergekit.", dir=out) as folder:
        arguments = ["--out-shard-size", str(shard_bytes)]
        if spec.seed is not None:
            arguments += ["--random-seed", str(spec.seed)]
        code, printed = _run_in(Path(folder), spec, inputs, out, arguments)
    if code:
        if code != NOT_WHOLE and (source := _not_finite_input(inputs)):
            raise UserError(f"{source} holds values that are not finite (NaN or infinity): it cannot be merged")
        raise _refusal(code, printed)
    for path in out.iterdir():
        path.chmod(0o644)  # mergekit makes weights readable by their owner only
    problem = not_finite(out, inputs)
    if problem:
        raise UserError(problem)


def check_plan(spec: Spec, inputs: MergeInputs, scratch: Path) -> None:
    """Raise UserError if mergekit would refuse the merge before it computes; of adapters it computes at once, they are not
    checked.

    Args:
        scratch: an existing folder for links to the inputs.
    """
    if not any(model.is_adapter for model in inputs.models.values()):
        code, printed = _run_in(scratch, spec, inputs, scratch, [PLAN_ONLY])
        if code:
            raise _refusal(code, printed)


def _run_in(scratch: Path, spec: Spec, inputs: MergeInputs, out: Path, more: Sequence[str]) -> tuple[int, str]:
    """Exit status of mergekit in a folder, and what it printed, with the references of the spec.

    mergekit splits the path of a model at `+` and `@`: it runs where relative paths hold none.
    """
    links = _linked(inputs, scratch)
    (scratch / SPEC_FILE).write_text(yaml.safe_dump(with_links(spec.config, links)), encoding="utf-8")
    # The card that mergekit writes asks the Hub about every short path, and the merge fails without network.
    arguments = [SPEC_FILE, str(out.absolute()), "--quiet", "--no-write-model-card"]
    arguments += [LORA_CACHE, "adapters", "--lora-merge-dtype", "float32", *more]
    code, printed = run_command(arguments, scratch)
    for reference, link in links.items():
        printed = printed.replace(link, reference)
    return code, printed


def _refusal(code: int, printed: str) -> UserError:
    lines = printed.strip().splitlines()
    if code < 0:
        lines.append(f"it was stopped by signal {-code}, which the system sends where memory is short")
    last = lines[-1].strip() if lines else "no message"
    cause = RuntimeError(last)
    if is_no_space(cause):
        last = os_error_sentence(cause) or last
    error = UserError(f"mergekit could not merge: {last}")
    error.__cause__ = cause
    return error


def not_finite(folder: Path, inputs: MergeInputs) -> str | None:
    """A sentence on the first tensor of a merged model that is not finite; None if all are."""
    with TensorReader() as reader:
        for tensor in tensors_of(folder).values():
            if tensor.dtype in TORCH_DTYPES and not all(_finite_chunks(tensor, reader)):
                source = _not_finite_input(inputs)
                cause = f"{source} does" if source else "the inputs are finite, the merge overflows its out_dtype"
                return f"{tensor.name} of the merge holds values that are not finite (NaN or infinity): {cause}"
    return None


def _not_finite_input(inputs: MergeInputs) -> str | None:
    """The first input tensor that is not finite, and its model; None if all are."""
    with TensorReader() as reader:
        for reference, model in inputs.models.items():
            for name, tensor in model.tensors.items():
                if not all(_finite_chunks(tensor, reader)):
                    return f"{name} of {reference}"
    return None


def _finite_chunks(tensor: Tensor | AdaptedTensor, reader: TensorReader) -> Iterator[bool]:
    for begin, end in chunks(tensor.count):
        yield is_finite(reader.values(tensor, begin, end).float(), torch.float32)


def _linked(inputs: MergeInputs, scratch: Path) -> dict[str, str]:
    """Reference → how mergekit finds the model from the scratch folder: a link with a plain name."""
    links: dict[str, str] = {}
    for number, (reference, model) in enumerate(inputs.models.items()):
        links[reference] = f"./model-{number}"
        (scratch / links[reference]).symlink_to(model.weights_folder.resolve())
        if model.is_adapter and model.weights_folder == model.folder:
            base = f"./base-{number}"
            (scratch / base).symlink_to(model.base_folder.resolve())
            links[reference] = f"{base}+{links[reference]}"
    return links


def with_links(value: Any, links: Mapping[str, str], key: str = "") -> Any:
    """A configuration with links in place of its models' references.

    Args:
        links: reference → link.
        key: the mapping's key that holds the value. Only some keys hold models: a folder can have the name of a method.
    """
    if isinstance(value, Mapping):
        return {inner_key: with_links(inner, links, inner_key) for inner_key, inner in value.items()}
    if isinstance(value, list):
        return [with_links(inner, links) for inner in value]
    if isinstance(value, str) and is_model_place(key, value):
        return links.get(value, value)
    return value
