"""A plan → a sentence for each setting of the prompts with which a model folder is evaluated and was not trained.

What a model was trained with is in the manifest of its folder, of a run or a merge. Without one, and for a model behind an endpoint
alone, nothing is known and nothing is said.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.browser.agentlab_api import AgentArgs
from agentmerge_hub.agents.provenance import recorded_config
from agentmerge_hub.agents.recipes.recipe import Recipe
from agentmerge_hub.agents.study.plan import Plan
from agentmerge_hub.chat_template.settings import fixed_settings, settings_read
from agentmerge_hub.errors import UserError
from agentmerge_hub.fit import Window
from agentmerge_hub.tokenizer import fast_tokenizer
from agentmerge_hub.traces.values import as_dict

_Difference = tuple[str, str]
"""What the recipe has; what the model was trained with, and what to set."""

_Template = tuple[str, set[str]]
"""Source of a chat template, and the settings that it reads."""


def list_differences(planned: Plan) -> list[str]:
    """A sentence for each setting, with all candidates that were trained with the same other value."""
    agents = {(e.candidate.name, e.agent_name): e for e in planned.episodes if e.candidate.path}
    candidates: dict[_Difference, list[str]] = {}
    read = cache(_template)  # agents share a candidate's tokenizer, which takes a second to load
    for (candidate, agent), episode in agents.items():
        for difference in _differences(planned.recipe, agent, episode.run.agent_args, episode.candidate.path, read):
            named = candidates.setdefault(difference, [])
            named += [candidate] if candidate not in named else []
    return [f"{here}, and {_describe(names)} trained with {there}" for (here, there), names in candidates.items()]


def _differences(
    recipe: Recipe, agent: str, args: AgentArgs, folder: str, read: Callable[[str], _Template | None]
) -> Iterator[_Difference]:
    trained: dict[str, Any] = {}
    with contextlib.suppress(UserError):  # another program's manifest
        trained = as_dict(recorded_config(Path(folder)).get("prompts"))
    flags = args.flags if isinstance(args.flags, dict) else {}  # AgentLab's GenericAgent has prompts of its own
    for name, value in as_dict(trained.get("flags")).items():
        if name in flags and flags[name] != value:
            yield (
                f"agent {agent!r} has {name} {_text(flags[name])}",
                f"{_text(value)}: set {name}: {_text(value)} in its flags",
            )
    window = Window(recipe.window, recipe.answer, recipe.image_tokens if flags.get("use_screenshot") else 0)
    tokens = _prompt_tokens(trained)
    if tokens not in (None, window.prompt):
        yield (
            f"agent {agent!r} has prompts of at most {window.prompt} tokens",
            f"{tokens}: set window: {recipe.window + tokens - window.prompt}",
        )
    if flags and "chat_template_kwargs" in trained:
        yield from _template_differences(args, as_dict(trained["chat_template_kwargs"]), read)


def _prompt_tokens(trained: dict[str, Any]) -> int | None:
    """What the build left of the window for prompts."""
    window, answer, image = (trained.get(name) for name in ("window", "answer", "image_tokens"))
    if not isinstance(window, int) or not isinstance(answer, int):
        return None
    return window - answer - (image if isinstance(image, int) else 0)


def _template_differences(
    args: AgentArgs, trained: dict[str, Any], read: Callable[[str], _Template | None]
) -> Iterator[_Difference]:
    """Of the settings that the requests send or that are written into the saved template, if it reads them."""
    if not (trained or args.chat_template_kwargs) or (template := read(args.tokenizer)) is None:
        return
    source, settings = template
    known = settings | trained.keys()
    sent = fixed_settings(source) | {name: value for name, value in args.chat_template_kwargs.items() if name in known}
    for name in sorted(trained.keys() | sent.keys()):
        if name not in trained:
            yield f"chat_template_kwargs has {name} {_text(sent[name])}", f"no {name}: remove it"
        elif sent.get(name) != trained[name]:
            here = f"chat_template_kwargs has {name} {_text(sent[name])}" if name in sent else f"nothing sets {name}"
            yield here, f"{_text(trained[name])}: set {name}: {_text(trained[name])} in chat_template_kwargs"


def _template(tokenizer: str) -> _Template | None:
    """A tokenizer's chat template; None if the run refuses it."""
    try:
        found = fast_tokenizer(tokenizer).chat_template
        source = str(found.get("default") if isinstance(found, dict) else found)
        return source, settings_read(source, tokenizer)
    except UserError:
        return None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe(candidates: list[str]) -> str:
    named = ", ".join(candidates[:3]) + (f" and {len(candidates) - 3} more" if len(candidates) > 3 else "")
    return f"candidate {named} was" if len(candidates) == 1 else f"candidates {named} were"
