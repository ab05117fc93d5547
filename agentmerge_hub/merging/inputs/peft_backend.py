"""Adapters that only PEFT applies exactly: merged into their base in a scratch folder, in float32."""

import shutil
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.adapter import weights_of

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def merge_adapter(adapter: Path, base: Path, scratch: Path) -> Path:
    """The model that PEFT makes of a base and an adapter (`merge_and_unload`).

    Args:
        adapter: an adapter of a type and with settings of the allow-lists (`adapter.config_of_adapter`).
        base: the model it was trained on.
        scratch: an existing folder; gets a new folder with the merged model.

    Raises:
        UserError: if PEFT refuses it, or it does not fit the base.
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    stored = set(weights_of(adapter))
    out = scratch / f"adapter-{sum(1 for _ in scratch.iterdir())}"
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
        adapted = PeftModel.from_pretrained(model, adapter)
        loaded = set(get_peft_model_state_dict(adapted))
        if stored != loaded:
            raise UserError(
                f"the adapter {adapter} does not fit {base}: {sorted(stored ^ loaded)[0]} is in one of them only"
            )
        adapted.merge_and_unload(safe_merge=True).save_pretrained(out)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"PEFT cannot merge the adapter {adapter} into {base}: {' '.join(str(error).split())[:200]}"
        ) from error
    for name in _TOKENIZER_FILES:
        source = next((folder / name for folder in (adapter, base) if (folder / name).is_file()), None)
        if source is not None:
            shutil.copyfile(source, out / name)
    return out
