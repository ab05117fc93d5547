"""Adapters that only PEFT applies exactly: merged into their base in a scratch folder, in float32."""

import shutil
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.merging.inputs.adapter import weights_of
from agentmerge_hub.merging.inputs.architecture import is_buffer, is_head
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.model_class import model_class

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")

_TOLERANCE = 1e-3
"""Difference of answers, as a share of their standard deviation: above what float32 rounds, below what an adapter changes."""


def merge_adapter(adapter: Path, base: Path, scratch: Path) -> Path:
    """The model that PEFT makes of a base and an adapter (`merge_and_unload`).

    Args:
        adapter: an adapter of a type and with settings of the allow-lists (`adapter.config_of_adapter`).
        base: the model it was trained on.
        scratch: an existing folder; gets a new folder with the merged model.

    Raises:
        UserError: if PEFT refuses it, it does not fit the base, or the saved model does not answer as the adapter does (tied
            embeddings that an adapter changes at one end only).
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from transformers.utils import logging

    stored = set(weights_of(adapter))
    out = scratch / f"adapter-{sum(1 for _ in scratch.iterdir())}"
    logging.disable_progress_bar()
    kind = model_class(base)
    try:
        model = kind.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
        inputs = model.dummy_inputs
        adapted = PeftModel.from_pretrained(model, adapter)
        loaded = set(get_peft_model_state_dict(adapted))
        if stored != loaded:
            raise UserError(
                f"the adapter {adapter} does not fit {base}: {sorted(stored ^ loaded)[0]} is in one of them only"
            )
        expected = _answers(adapted, inputs)
        with os_errors_as_sentences(out):
            adapted.merge_and_unload(safe_merge=True).save_pretrained(out)
        del model, adapted
        found = _answers(kind.from_pretrained(out, dtype=torch.float32), inputs)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        raise UserError(_refusal(adapter, base, error)) from error
    if (found - expected).abs().amax(dim=-1).median() > _TOLERANCE * expected.std():
        raise UserError(
            f"the adapter {adapter} cannot be merged exactly: the model that PEFT saves answers otherwise (where it changes "
            "embeddings or a head that are tied, store both in the base, with tie_word_embeddings: false)"
        )
    _check_same_names(out, base)
    for name in _TOKENIZER_FILES:
        source = next((folder / name for folder in (adapter, base) if (folder / name).is_file()), None)
        if source is not None:
            with os_errors_as_sentences(out):
                shutil.copyfile(source, out / name)
    return out


def untied_heads(adapter: Path, base: Path) -> list[str]:
    """The head that `merge_adapter` would store beside the embeddings of a tied base, as a list of none or one; PEFT applies
    the adapter to the class without weights."""
    from peft import PeftModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = model_class(base).from_pretrained(base, device_map="meta")
    head = model.get_output_embeddings()
    if head is None or head.weight is not model.get_input_embeddings().weight:
        return []
    try:
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        raise UserError(_refusal(adapter, base, error)) from error
    if merged.get_output_embeddings().weight is merged.get_input_embeddings().weight:
        return []
    return [f"{name}.weight" for name, module in merged.named_modules() if module is merged.get_output_embeddings()]


def _refusal(adapter: Path, base: Path, error: Exception) -> str:
    return f"PEFT cannot merge the adapter {adapter} into {base}: {' '.join(str(error).split())[:200]}"


def _answers(model: Any, inputs: dict[str, Any]) -> Any:
    """Logits, or last hidden states, for transformers' dummy inputs of the class."""
    import torch

    with torch.inference_mode():
        return model.eval()(**inputs)[0]


def _check_same_names(merged: Path, base: Path) -> None:
    """Raise UserError if transformers saves a model with other names than its base has, e.g. of older checkpoints."""
    ours, theirs = (
        {name for name, tensor in tensors_of(folder).items() if not is_buffer(name, tensor.shape) and not is_head(name)}
        for folder in (merged, base)
    )
    if ours != theirs:
        raise UserError(
            f"{base} stores {sorted(ours ^ theirs)[0]} under a name that transformers does not write any more: load each of the "
            "models with transformers, save it, and merge what was saved"
        )
