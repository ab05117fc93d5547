"""The class of transformers that a model folder's config.json names. No code of a model is run."""

from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.checkpoint import config_of


def model_class(folder: Path) -> Any:
    """The class of transformers that config.json names.

    Raises:
        UserError: if transformers has none of that name.
    """
    import transformers

    name = (config_of(folder).get("architectures") or ["unknown"])[0]
    found = getattr(transformers, name) if name in dir(transformers) else None
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise UserError(f"{folder}: transformers has no model class {name}, which config.json names")
    return found


def missing_tensors(folder: Path) -> list[str]:
    """Tensors that transformers misses when it loads a model, and would fill with random values; no weights are read."""
    _, info = model_class(folder).from_pretrained(folder, device_map="meta", output_loading_info=True)
    return sorted(info["missing_keys"])
