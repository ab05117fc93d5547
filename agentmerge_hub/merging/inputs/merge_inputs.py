"""The inputs of a merge, opened and compared before the first byte is written.

Input: a spec. Output: one table of tensors a model. Merging models that do not fit together gives a model that loads and
answers nonsense, so every mismatch is an error here: architecture, config, tensors, shapes, vocabulary, chat template.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentmerge_hub.chat_template.limits import excess
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs import model_configs, peft_backend, tokenizer_block
from agentmerge_hub.merging.inputs.adapter import (
    AdaptedTensor,
    adapt,
    base_of,
    check_one_kind,
    config_of_adapter,
    has_plain_weights,
    is_adapter,
    is_plain,
)
from agentmerge_hub.merging.inputs.architecture import Architecture, architecture_of, is_buffer, is_head, lookup
from agentmerge_hub.merging.inputs.chat_templates import is_same_template, template_of
from agentmerge_hub.merging.inputs.checkpoint import TOKENIZER_FILES, config_of, locate, read_json, tensors_of
from agentmerge_hub.merging.inputs.safetensors_header import FLOATS, Tensor
from agentmerge_hub.merging.inputs.tied_heads import (
    check_heads,
    head_equals_embeddings,
    with_heads,
    with_heads_of_their_own,
)
from agentmerge_hub.merging.inputs.tokenizer_block import TokenizedModel
from agentmerge_hub.merging.inputs.vocabulary import Rows, has_tokenizer, rows_of
from agentmerge_hub.merging.specs.spec import Spec, donor_of, references_of, sliced_layers, tokenizer_source_of
from agentmerge_hub.plural import counted

Table = dict[str, Tensor | AdaptedTensor]


@dataclass(frozen=True)
class ModelInput:
    """One model of a merge."""

    reference: str
    """As the spec names it."""
    folder: Path
    """Of an adapter, where its weights are."""
    base_folder: Path
    """Where config.json is: of an adapter, the model it was trained on."""
    weights_folder: Path
    """What mergekit reads: of an adapter that PEFT merged, the merged model."""
    is_adapter: bool
    tensors: Mapping[str, Tensor | AdaptedTensor]
    config: Mapping[str, Any]
    is_untied: bool = False
    """Its head, which is tied to the embeddings, is merged as a tensor of its own (`with_heads_of_their_own`)."""

    @property
    def mergekit_folder(self) -> Path:
        """Where mergekit finds config.json and the tokenizer."""
        return self.base_folder if self.weights_folder == self.folder else self.weights_folder


@dataclass(frozen=True)
class MergeInputs:
    """What a merge reads."""

    models: Mapping[str, ModelInput]
    """By reference."""
    base: str
    donor_reference: str
    """The model that gives the tokenizer; for a union whose base model has no chat template, the model that gives that."""
    architecture: Architecture
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor of the merge, in the order they are written."""
    rows: Rows
    layer_counts: Mapping[str, int] = field(default_factory=dict)
    """Key of config.json → number of layers, where the spec takes slices of the models."""

    @property
    def folders(self) -> dict[str, Path]:
        """Reference → folder."""
        return {reference: model.folder for reference, model in self.models.items()}

    @property
    def read_folders(self) -> list[Path]:
        """Every folder that is read, an adapter's base included."""
        found = [folder for model in self.models.values() for folder in (model.folder, model.base_folder)]
        return list(dict.fromkeys(found))

    @property
    def donor(self) -> Path:
        """Folder of the model that gives the tokenizer."""
        return self.models[self.donor_reference].folder

    @property
    def merged_configs(self) -> dict[str, Mapping[str, Any]]:
        """Reference → config.json of the models that give the merge its own: the base, and the donor of token ids."""
        return {reference: self.models[reference].config for reference in (self.base, self.donor_reference)}

    @property
    def tensors(self) -> dict[str, Mapping[str, Tensor | AdaptedTensor]]:
        """Reference → its tensors by name."""
        return {reference: model.tensors for reference, model in self.models.items()}


def open_inputs(spec: Spec, scratch: Path | None, adapter_base: str | None = None) -> MergeInputs:
    """Find and compare the models of a spec.

    Args:
        scratch: an existing folder for models that PEFT merges; the caller removes it. None for a plan: PEFT merges nothing,
            and such an adapter has its base's tensors, and a head where PEFT would untie it.
        adapter_base: the model that adapters were trained on, where it is not at the path they name.

    Raises:
        UserError: at the first thing that does not fit.
    """
    references, donor = references_of(spec), donor_of(spec)
    base = spec.config.get("base_model") or references[0]
    models = with_heads_of_their_own(
        {reference: open_model(reference, scratch, adapter_base) for reference in references}
    )
    configs = {reference: model.config for reference, model in models.items()}
    model_configs.check_same(configs, base)
    if model_configs.has_own_code(configs[base]):
        raise UserError(
            f"{base} needs code of its own (auto_map in config.json), which is never run: it cannot be merged and checked"
        )
    rows = rows_of(spec, {name: _tokenizer_folder(model, name == donor) for name, model in models.items()}, donor, base)
    if tokenizer_source_of(spec.config) == "union" and not template_of(models[donor].folder):
        # mergekit builds a union on the base model's tokenizer; turns are those of a model that has a template.
        donor = next((name for name, model in models.items() if template_of(model.folder)), donor)
    _check_templates(models, donor, base, spec.config.get("chat_template"))
    for name in TOKENIZER_FILES:
        if name.endswith(".json") and (models[donor].folder / name).is_file():
            read_json(models[donor].folder / name)
    architecture = architecture_of(configs[base], {name: tensor.shape for name, tensor in models[base].tensors.items()})
    models = _without_tied_heads(models, base, architecture)
    check_heads(spec, models, architecture)
    for reference in references:
        _check_tensors(models[reference], models[base], architecture, rows)
    if architecture.other_layers:
        said, stored = architecture.other_layers
        raise UserError(
            f"the config.json of {base} says {counted(said, 'layer')}, and {stored} are stored: correct it, or complete the weights"
        )
    shapes = {name: _shape(tensor, architecture, rows) for name, tensor in models[base].tensors.items()}
    architecture = architecture_of(configs[base], {name: tensor.shape for name, tensor in models[base].tensors.items()})
    if rows.aligned_by_mergekit:
        sizes = {name: lookup(model.config, architecture.vocabulary_key) for name, model in models.items()}
        tokenized = {name: TokenizedModel(model.mergekit_folder, sizes[name] or 0) for name, model in models.items()}
        rows = replace(rows, built=tokenizer_block.check(spec, tokenized))
    counts = sliced_layers(spec, architecture.layer_keys)
    return MergeInputs(models, base, donor, architecture, shapes, rows, counts)


def split_reference(reference: str) -> tuple[str, str | None]:
    """Model and adapter of ``MODEL+ADAPTER``; a folder whose name holds a `+` is one model."""
    if "+" not in reference or Path(reference).is_dir():
        return reference, None
    for index, character in enumerate(reference):
        if character == "+" and Path(reference[index + 1 :]).is_dir() and Path(reference[:index]).is_dir():
            return reference[:index], reference[index + 1 :]
    model, _, adapter = reference.partition("+")
    return model, adapter


def folders_of(reference: str, adapter_base: str | None = None) -> tuple[Path, Path]:
    """The folder of a reference, and the folder of the model it is based on: the same, except for an adapter.

    Raises:
        UserError: if one of them is not here, both are adapters, or a folder holds a model and an adapter.
    """
    model, adapter = split_reference(reference)
    folder = locate(adapter or model)
    check_one_kind(folder)
    if adapter is None and not is_adapter(folder):
        return folder, folder
    if adapter is None:
        model = adapter_base or base_of(config_of_adapter(folder))
    try:
        base = locate(model)
    except UserError as error:
        raise UserError(
            f"the adapter {folder} was trained on {model!r}, which is not here: write MODEL+{reference} in the spec, or "
            "give --adapter-base MODEL"
        ) from error
    check_one_kind(base)
    if is_adapter(base):
        raise UserError(
            f"{folder} is an adapter on the adapter {base}: merge {base} into its base model first, and write that merge's "
            f"folder in the spec, as MODEL+{folder}"
        )
    return folder, base


def open_model(reference: str, scratch: Path | None, adapter_base: str | None = None) -> ModelInput:
    """A model or adapter, by its reference; buffers that the model computes itself are left out."""
    folder, base = folders_of(reference, adapter_base)
    model_configs.check_one(config_of(base), reference)
    if base == folder:
        tensors: Table = {name: tensor for name, tensor in tensors_of(folder).items() if not _is_buffer(tensor)}
        return ModelInput(reference, folder, folder, folder, False, tensors, config_of(folder))
    stored = tensors_of(base)
    settings = config_of_adapter(folder)
    if is_plain(settings) and has_plain_weights(folder, settings, stored):
        adapted = adapt(folder, stored, str(base))
        tensors = {name: tensor for name, tensor in adapted.items() if not _is_buffer(tensor)}
        return ModelInput(reference, folder, base, folder, True, tensors, config_of(base))
    merged = peft_backend.merge_adapter(folder, base, scratch) if scratch else base
    tensors = {name: tensor for name, tensor in tensors_of(merged).items() if not _is_buffer(tensor)}
    config = config_of(base)
    if config_of(merged).get("tie_word_embeddings") is False:  # PEFT unties a head that it replaces
        config["tie_word_embeddings"] = False
    model = ModelInput(reference, folder, base, merged, True, tensors, config)
    heads = peft_backend.untied_heads(folder, base) if scratch is None and settings.get("modules_to_save") else []
    return with_heads(model, heads) if heads else model


def _tokenizer_folder(model: ModelInput, is_donor: bool) -> Path:
    """Where a model's tokenizer is: of an adapter without one, the model it was trained on."""
    return model.folder if is_donor or has_tokenizer(model.folder) else model.base_folder


def _is_buffer(tensor: Tensor | AdaptedTensor) -> bool:
    return is_buffer(tensor.name, tensor.shape)


def _without_tied_heads(
    models: Mapping[str, ModelInput], base: str, architecture: Architecture
) -> dict[str, ModelInput]:
    """The models without heads that are stored beside the embeddings they are tied to, where not all models store one."""
    names: list[set[str]] = [{name for name in model.tensors if is_head(name)} for model in models.values()]
    extra = {name for found in names for name in found if not all(name in other for other in names)}
    if not extra or architecture.embeddings is None:
        return dict(models)
    found = {}
    for reference, model in models.items():
        heads = extra & model.tensors.keys()
        for name in heads:
            if not head_equals_embeddings(model.tensors[name], model.tensors[architecture.embeddings]):
                raise UserError(
                    f"{reference} has a head of its own, {name}, and others of these models use their embeddings as the "
                    "head (tie_word_embeddings): they cannot be merged"
                )
        tensors = {name: tensor for name, tensor in model.tensors.items() if name not in heads}
        found[reference] = replace(model, tensors=tensors)
    return found


def _check_tensors(model: ModelInput, base: ModelInput, architecture: Architecture, rows: Rows) -> None:
    name, tensors, expected = model.reference, model.tensors, base.tensors
    for missing in sorted(expected.keys() - tensors.keys()):
        raise UserError(f"{name} lacks the tensor {missing}, which {base.reference} has")
    for extra in sorted(tensors.keys() - expected.keys()):
        raise UserError(f"{name} has a tensor {extra}, which {base.reference} lacks")
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise UserError(f"{key} of {name} is stored as {tensor.dtype}: merging needs floating point")
        if key in architecture.vocabulary and tensor.shape[1:] == expected[key].shape[1:]:
            _check_rows(model, key, expected[key].shape[0], rows)
        elif tensor.shape != expected[key].shape:
            raise UserError(
                f"{key} of {name} is {list(tensor.shape)}, of {base.reference} {list(expected[key].shape)}: they cannot be "
                "merged"
            )


def _check_rows(model: ModelInput, key: str, base_rows: int, rows: Rows) -> None:
    count = model.tensors[key].shape[0]
    if rows.aligned_by_mergekit:
        return
    if rows.trims and count < rows.tokens:
        raise UserError(f"{key} of {model.reference} has {count} rows for a vocabulary of {rows.tokens} tokens")
    if not rows.trims and count != base_rows:
        raise UserError(
            f"{key} of {model.reference} has {count} rows, the base model's {base_rows}: set tokenizer_source to the model "
            "whose tokens the merge should have, and rows beyond them are left out"
        )


def _shape(tensor: Tensor | AdaptedTensor, architecture: Architecture, rows: Rows) -> tuple[int, ...]:
    if tensor.name not in architecture.vocabulary or rows.count is None:
        return tensor.shape
    return (rows.count, *tensor.shape[1:])


def _check_templates(models: Mapping[str, ModelInput], donor: str, base: str, chosen: str | None) -> None:
    expected = template_of(models[donor].folder)
    if not expected:
        raise UserError(
            f"{donor} has no chat template, and gives the tokenizer: set tokenizer_source to the instruct model"
        )
    if reason := excess(expected):
        raise UserError(f"the chat template of {models[donor].folder} {reason}: replace it, or use another model")
    if chosen not in (None, "auto") and not is_same_template(chosen, expected):
        raise UserError(
            f"the spec's chat_template {chosen[:40]!r} is not that of {donor}, which the models were trained with: leave it out"
        )
    for reference, model in models.items():
        template = template_of(model.folder)
        if template and not is_same_template(template, expected) and reference != base:
            raise UserError(f"the chat template of {reference} is not that of {donor}: it was trained on other prompts")
