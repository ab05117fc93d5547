"""Output heads that are tied to the embeddings: what models store of both must agree with their config.json and the spec."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.architecture import Architecture, architecture_of, is_head, lookup
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.specs.formula import differing_parameter
from agentmerge_hub.merging.specs.spec import Spec

if TYPE_CHECKING:
    from agentmerge_hub.merging.inputs.merge_inputs import ModelInput


def with_heads_of_their_own(models: Mapping[str, "ModelInput"]) -> dict[str, "ModelInput"]:
    """The models, all with a head of their own where PEFT gave one to the model of an adapter (`modules_to_save` of a tied
    model): the head of a tied model is its embeddings."""
    heads = {
        name
        for model in models.values()
        if model.weights_folder != model.folder and _ties(model) is False
        for name in model.tensors
        if is_head(name)
    }
    found = dict(models)
    for reference, model in models.items():
        if _ties(model) is not False and not heads <= model.tensors.keys():
            found[reference] = replace(with_heads(model, heads), is_untied=True)
    return found


def with_heads(model: "ModelInput", heads: Collection[str]) -> "ModelInput":
    """A tied model with its embeddings as untied heads too."""
    embeddings = architecture_of(model.config, {name: one.shape for name, one in model.tensors.items()}).embeddings
    if embeddings is None:
        return model
    tensor = model.tensors[embeddings]
    assert not isinstance(tensor, AdaptedTensor), "plain adapters do not change embeddings"
    tensors = {**model.tensors, **{name: replace(tensor, name=name) for name in heads}}
    return replace(model, tensors=tensors, config={**model.config, "tie_word_embeddings": False})


def check_heads(spec: Spec, models: Mapping[str, "ModelInput"], architecture: Architecture) -> None:
    """Check that each model has a head, stored or tied, and that the spec treats a tied head as the embeddings.

    Raises:
        UserError: if an untied model stores only one of head and embeddings, a tied model stores two different ones (or two
            that a random method would make different), or a filter of the spec gives a tied head other values.
    """
    embeddings, tied = architecture.embeddings, False
    for reference, model in models.items():
        heads = [name for name in model.tensors if is_head(name)]
        ties = _ties(model)
        if not heads or embeddings is None:
            tied = tied or ties is not False
            if ties is not True and (missing := _missing(model)):
                raise UserError(
                    f"{reference} does not store {missing[0]}, and its config.json does not tie it to the embeddings: set "
                    "tie_word_embeddings to true there if they are tied, or add the tensor"
                )
        elif ties:
            tied = True
            if spec.is_random:
                raise UserError(
                    f"{reference} stores {heads[0]} beside {embeddings}, to which it is tied, and {spec.method} would draw "
                    "other random numbers for each: save the model with transformers, which stores one"
                )
            for name in heads:
                if not head_equals_embeddings(model.tensors[name], model.tensors[embeddings]):
                    raise UserError(
                        f"{reference} stores {name} with other values than {embeddings}, and its config.json ties both: set "
                        "tie_word_embeddings to false there if it has a head of its own, or remove the tensor"
                    )
    if tied and embeddings is not None and (key := differing_parameter(spec.config, "lm_head.weight", embeddings)):
        raise UserError(
            f"a filter of the spec gives the head another {key} than {embeddings}, to which the models tie it "
            "(tie_word_embeddings): give both the same"
        )


def head_equals_embeddings(head: Tensor | AdaptedTensor, embeddings: Tensor | AdaptedTensor) -> bool:
    """Compare two tensors of one model, chunk by chunk, to the bit."""
    from agentmerge_hub.merging.inputs.tensor_reader import TensorReader, chunks  # imports torch

    if head.shape != embeddings.shape or head.dtype != embeddings.dtype:
        return False
    with TensorReader() as reader:
        return all(
            reader.values(head, begin, end).equal(reader.values(embeddings, begin, end))
            for begin, end in chunks(head.count)
        )


def _ties(model: "ModelInput") -> bool | None:
    """Whether config.json ties the head to the embeddings; None where it leaves that to the class."""
    found = lookup(model.config, "tie_word_embeddings")
    return lookup(model.config, "text_config.tie_word_embeddings") if found is None else found


def _missing(model: "ModelInput") -> list[str]:
    from agentmerge_hub.merging.inputs.model_class import missing_tensors

    try:
        return missing_tensors(model.mergekit_folder)
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError) as error:
        raise UserError(
            f"transformers does not load {model.reference}: {' '.join(str(error).split())[:200]}"
        ) from error
