"""Whether a run renders rows as its dataset was built: the chat template in the dataset's manifest against the run's."""

from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig


def compare(config: RunConfig, template: ChatTemplate) -> str | None:
    """A warning if the dataset was built for another chat template, None if not or if it is not recorded.

    Raises:
        UserError: if the template is the same and its settings (chat_template_kwargs) are not.
    """
    built = _recorded(Path(config.dataset_name))
    if built is None or built.get("sha256") == template.sha256:
        return None
    settings = built.get("settings")
    if settings != template.settings and built.get("template_sha256") == template.manifest["template_sha256"]:
        raise UserError(
            f"{config.dataset_name} was built with chat_template_kwargs {settings or 'unset'} and the run has "
            f"{template.settings or 'none'}: set the same in both"
        )
    return (
        f"Warning: {config.dataset_name} was built with another chat template than that of {config.tokenizer_name}: prompts were "
        "trimmed to the window under that one; rows are checked in full, but build the dataset again with this tokenizer for "
        "an exact fit"
    )


def _recorded(dataset: Path) -> dict[str, Any] | None:
    if not (dataset / manifest.NAME).is_file():
        return None
    entry = manifest.read(dataset)["config"].get("chat_template")
    return entry if isinstance(entry, dict) else None
