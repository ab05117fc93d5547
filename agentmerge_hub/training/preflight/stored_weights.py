"""Whether the files of a local model hold all of its weights: transformers gives random numbers to missing ones. Reads headers."""

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import model_loading
from agentmerge_hub.training.arguments import RunConfig


def check_weights(config: RunConfig) -> None:
    """Check the model of a run; of a model on the Hub nothing is checked.

    Raises:
        UserError: if a tensor is missing or has another shape than the configuration says.
    """
    name = config.model_name
    if not Path(name).is_dir():
        return
    settings = model_loading.load_config(name, None, config.config_overrides)
    loader: Any = AutoModelForCausalLM
    try:
        _, info = loader.from_pretrained(
            name, config=settings, device_map="meta", output_loading_info=True, trust_remote_code=False
        )
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise UserError(
            f"the weights of {name} cannot be loaded as config.json describes them: {' '.join(str(error).split())[:200]}"
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"the weights of {name} lack {missing[0]}{f' and {len(missing) - 1} more tensors' if len(missing) > 1 else ''}, "
            "which would be random numbers: use a complete causal language model"
        )
