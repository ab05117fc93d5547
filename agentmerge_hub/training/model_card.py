"""The README.md of a fine-tuned model: a draft of the known facts, for its author to complete before publishing."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from agentmerge_hub import __version__
from agentmerge_hub.licenses import license_terms, model_licenses

_TEMPLATE = "model_card.md.jinja"
_SETTINGS = (
    "model_revision", "learning_rate", "lr_scheduler_type", "epochs", "max_steps", "batch", "samples_seen", "trained_parameters", "freeze",
    "instruct_rows", "lora_r", "packing", "dtype", "bf16", "seed",
    "beta", "loss_type", "loss_weights", "desirable_weight", "undesirable_weight", "reference_model",
)  # fmt: skip
_PACKAGES = ("trl", "transformers", "torch", "datasets", "peft")


def draft(name: str, config: dict[str, Any], hashes: dict[str, str], counts: dict[str, Any]) -> str:
    """The card's text, as huggingface_hub accepts it.

    Args:
        name: of the run's folder.
        config: the run's settings, as in its manifest.
        hashes: sha256 of the local inputs, by role.
        counts: the figures of its manifest.
    """
    license = model_licenses.license_of(str(config["model"]))
    metadata = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=None if "model" in hashes else config["model"],
        base_model_relation=None if "model" in hashes else "finetune",
        datasets=None if "dataset" in hashes else [config["dataset"]],
        tags=[
            "trl",
            config["method"],
            "agentmerge",
            "web-agents",
            "browsergym",
            *(["lora"] if config["lora_r"] else []),
        ],
    )
    licensed = {"license": license} if license == model_licenses.UNKNOWN else license_terms.metadata([license])
    for key, value in licensed.items():
        setattr(metadata, key, value)
    each = config | counts
    environment = Environment(
        loader=PackageLoader("agentmerge_hub.training", "."),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    text = environment.get_template(_TEMPLATE).render(
        metadata=metadata.to_yaml().strip(),
        name=name,
        model=_shown(config["model"], "model" in hashes),
        dataset=_shown(config["dataset"], "dataset" in hashes),
        replay=_shown(config["replay_dataset"] or "", "replay" in hashes),
        hashes={role: f"`{hashes[role]}`" if role in hashes else "" for role in ("model", "dataset", "replay")},
        config=config,
        counts=counts,
        settings={key: _plain(each[key]) for key in _SETTINGS if each.get(key) not in (None, [], -1)},
        versions={"agentmerge_hub": __version__} | {package: version(package) for package in _PACKAGES},
        license=license,
    )
    ModelCard(text)
    return text


def _shown(name: str, local: bool) -> str:
    return Path(name).name if local else name


def _plain(value: Any) -> str:
    return ", ".join(f"`{each}`" for each in value) if isinstance(value, list) else str(value)
