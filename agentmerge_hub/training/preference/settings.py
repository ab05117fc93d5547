"""What decides a preference run beside the options of every run: method, loss, and the reference model by its name."""

from pathlib import Path
from typing import Any

from agentmerge_hub.training.arguments import RunConfig

_OF_METHOD = {
    "dpo": ("beta", "loss_type", "loss_weights"),
    "kto": ("beta", "loss_type", "desirable_weight", "undesirable_weight"),
}


def settings(config: RunConfig) -> dict[str, Any]:
    """Settings for the manifest and the card."""
    of_trainer: Any = config.sft
    chosen = {name: getattr(of_trainer, name) for name in _OF_METHOD[of_trainer.method]}
    return {"method": of_trainer.method, **chosen, "reference_model": reference_model(config)}


def reference_model(config: RunConfig) -> str:
    """The model that the reference log-probabilities come from, in words."""
    named = getattr(config.sft, "reference_model", None)
    if named:
        return _shown(str(named))
    return f"{_shown(config.model_name)} {'without the adapter' if config.peft else 'before this training'}"


def _shown(name: str) -> str:
    """A Hub id, or the name of a local folder without its place."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def describe(config: RunConfig) -> str:
    """One sentence for the terminal."""
    chosen = settings(config)
    return f"{chosen['method'].upper()} with beta {chosen['beta']:g}; reference model: {chosen['reference_model']}"
