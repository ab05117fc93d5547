"""What every process that runs AgentLab needs before it imports it: offline switches, a browser, MiniWoB's pages."""

import importlib.util
import logging
import os
import sys
import types
from pathlib import Path

from agentmerge_hub.errors import require

SWITCHES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "true",
}
"""Nothing here calls home; a value the user set stays."""


def prepare() -> None:
    """Set this process up for AgentLab; children inherit it. Calling it again costs nothing.

    Raises:
        UserError: if AgentLab is not installed.
    """
    require("agents", "agentlab", "browsergym", "miniwob", "playwright", "openai")
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    # AgentLab makes its default results folder when it is imported, in the user's home unless told otherwise.
    os.environ.setdefault("AGENTLAB_EXP_ROOT", str(cache_folder() / "agentlab"))
    os.environ.setdefault("MINIWOB_URL", (_package("miniwob") / "html" / "miniwob").as_uri() + "/")
    # tiktoken would fetch GPT-4's vocabulary from the net to count tokens for AgentLab's statistics; litellm brings it.
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(_package("litellm") / "litellm_core_utils" / "tokenizers"))
    logging.getLogger("browsergym.experiments.benchmark").setLevel(logging.ERROR)
    _stand_in_for_webarena()
    _ignore_inline_text_boxes()


def cache_folder() -> Path:
    """Where what can be made again is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentmerge"


def _package(name: str) -> Path:
    return Path(importlib.util.find_spec(name).submodule_search_locations[0])


def _stand_in_for_webarena() -> None:
    """AgentLab's study module imports WebArena's instance class, whose package would pull in another transformers."""
    if importlib.util.find_spec("browsergym.webarena") is not None:
        return
    package = types.ModuleType("browsergym.webarena")
    instance = types.ModuleType("browsergym.webarena.instance")
    package.__path__ = []
    package.__spec__ = importlib.util.spec_from_loader("browsergym.webarena", None, is_package=True)
    instance.WebArenaInstance = type("WebArenaInstance", (), {})
    sys.modules.update({package.__name__: package, instance.__name__: instance})


def _ignore_inline_text_boxes() -> None:
    """Recent Chromiums repeat every text as an InlineTextBox node, which nearly doubles the tree."""
    from browsergym.utils import obs

    if "InlineTextBox" not in obs.IGNORED_AXTREE_ROLES:
        obs.IGNORED_AXTREE_ROLES.append("InlineTextBox")
