"""Environment variables and patches that a process needs before it imports AgentLab. No browser starts here."""

import importlib.util
import logging
import os
import sys
import types
from pathlib import Path

from agentmerge_hub.errors import UserError, require

SWITCHES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "true",
}
"""Disable network calls of the libraries; values that the user set are kept."""


def prepare() -> None:
    """Prepare this process and its children for AgentLab. Idempotent.

    Raises:
        UserError: if AgentLab is not installed.
    """
    require("agents", "browsergym", "miniwob", "playwright", "openai")
    if importlib.util.find_spec("agentlab") is None:
        raise UserError(
            "agentlab is not installed: run `pip install --no-deps agentlab==0.4.2` (its own requirements exclude current versions "
            "of transformers; the extra agents has installed what it uses), or `make setup` in a clone for the complete locked environment."
        )
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    # AgentLab creates its default results folder on import, in the home folder unless this variable is set.
    os.environ.setdefault("AGENTLAB_EXP_ROOT", str(cache_folder() / "agentlab"))
    os.environ.setdefault("MINIWOB_URL", (_package("miniwob") / "html" / "miniwob").as_uri() + "/")
    # AgentLab's statistics count tokens with GPT-4's vocabulary; litellm ships the file that tiktoken would download.
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(_package("litellm") / "litellm_core_utils" / "tokenizers"))
    logging.getLogger("browsergym.experiments.benchmark").setLevel(logging.ERROR)
    _add_webarena_placeholder()
    _ignore_inline_text_boxes()


def cache_folder() -> Path:
    """Folder for files that can be created again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentmerge"


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.submodule_search_locations  # `require` checked that it is installed
    return Path(spec.submodule_search_locations[0])


def _add_webarena_placeholder() -> None:
    """AgentLab's study module imports WebArena's instance class; the real package depends on an older transformers."""
    if importlib.util.find_spec("browsergym.webarena") is not None:
        return
    package = types.ModuleType("browsergym.webarena")
    instance = types.ModuleType("browsergym.webarena.instance")
    package.__path__ = []
    package.__spec__ = importlib.util.spec_from_loader("browsergym.webarena", None, is_package=True)
    vars(instance)["WebArenaInstance"] = type("WebArenaInstance", (), {})
    sys.modules.update({package.__name__: package, instance.__name__: instance})


def _ignore_inline_text_boxes() -> None:
    """Recent Chromium versions add an InlineTextBox node for every text, which nearly doubles the tree."""
    from browsergym.utils import obs

    if "InlineTextBox" not in obs.IGNORED_AXTREE_ROLES:
        obs.IGNORED_AXTREE_ROLES.append("InlineTextBox")
