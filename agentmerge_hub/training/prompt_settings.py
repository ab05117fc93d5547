"""How the prompts of a run's rows were made, from the manifest of its dataset: `evaluate` compares it with a recipe."""

from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import fixed_settings
from agentmerge_hub.traces.values import as_dict
from agentmerge_hub.training.arguments import RunConfig

_BUILT = ("window", "answer", "screenshots", "image_tokens", "versions", "rebuild_prompts")
"""Settings of a build that shape prompts and answers, beside the flags."""

_DEFAULT_CONFIG = "all"
_PAGE_PACKAGES = ("agentlab", "browsergym")
"""They print the pages."""


def prompt_settings(config: RunConfig, template: ChatTemplate) -> dict[str, Any]:
    """The settings of the chat template and, as far as the dataset's manifest records them, the build's settings, the packages
    that print pages, the ``flags`` that all prompts of the run's config share, and the names of ``different_flags``."""
    found: dict[str, Any] = {"chat_template_kwargs": fixed_settings(template.source)}
    folder = Path(config.dataset_name)
    if not (folder / manifest.NAME).is_file():
        return found
    dataset = manifest.read(folder)
    found |= {name: dataset["config"][name] for name in _BUILT if name in dataset["config"]}
    packages = dataset.get("versions", {})
    found["packages"] = {name: packages[name] for name in packages if name.startswith(_PAGE_PACKAGES)}
    flags = as_dict(dataset["config"].get("prompt_flags")).get(config.dataset_config or _DEFAULT_CONFIG)
    if flags:
        without = {"use_screenshot": False, "use_som": False} if config.options.text_only else {}
        shared = flags["shared"] | without
        found |= {"flags": shared, "different_flags": [name for name in flags["different"] if name not in shared]}
    return found
