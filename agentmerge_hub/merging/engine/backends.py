"""Which engine computes a spec: the streaming pass here, where it gives mergekit's numbers to the bit, else mergekit."""

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.specs.formula import Formula, formula_of, has_lists
from agentmerge_hub.merging.specs.spec import Spec


def streaming_formula(spec: Spec, inputs: MergeInputs) -> Formula | None:
    """The spec's formula, or None if mergekit computes it.

    Where mergekit merges other tensors than the stored ones (it fuses experts, or renames), the streaming pass computes what
    treats every value alone: ties trims over whole tensors, and filters look at names.
    """
    formula = formula_of(spec)
    if formula is None or inputs.rows.aligned_by_mergekit or inputs.architecture.forced_dtypes:
        return None
    if inputs.architecture.separate_experts and formula.method == "ties":
        return None
    if formula.has_filters and (inputs.architecture.separate_experts or not inputs.architecture.same_names):
        return None
    return formula


def check_computable(spec: Spec, formula: Formula | None, inputs: MergeInputs) -> None:
    """Raise UserError if any parameter of a spec has values by layer and a tensor's layer cannot be found, or if mergekit,
    which computes what has no formula, would leave tensors out, cut them, or cannot merge a head."""
    if has_lists(spec.config):
        for name in inputs.shapes:
            inputs.architecture.depth(name)
    untied = next((model.reference for model in inputs.models.values() if model.is_untied), None)
    if formula is None and untied is not None:
        raise UserError(
            f"an adapter of this merge has a head of its own, and {untied} uses its embeddings as the head "
            "(tie_word_embeddings), which mergekit cannot merge: use task_arithmetic or linear with dtype: float32"
        )
    unfitting = inputs.architecture.unfitting_embeddings
    if formula is None and inputs.rows.trims and unfitting is not None:
        raise UserError(
            f"{unfitting} has {inputs.shapes[unfitting][0]} rows, another number than config.json's "
            f"{inputs.architecture.vocabulary_key}, and mergekit, which computes this merge, would cut it: leave out "
            "tokenizer_source, or use task_arithmetic or linear with dtype: float32"
        )
    if formula is None and inputs.architecture.lost_experts:
        raise UserError(
            f"mergekit leaves out experts of {inputs.architecture.name}, and this merge is computed by mergekit: use "
            "task_arithmetic or linear with dtype: float32"
        )
