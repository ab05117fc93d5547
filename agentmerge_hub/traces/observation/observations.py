"""Read an observation as BrowserGym's environment gives it to an agent: goal, page, focused element and open tabs."""

from typing import Any

from agentmerge_hub.prompt import PageFlags
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.observation.axtree import flatten_axtree
from agentmerge_hub.traces.pickles.standins import Array
from agentmerge_hub.traces.values import as_dict, as_text, as_texts


def read_observation(obs: dict[str, Any], goal: str, page_flags: PageFlags | None) -> Observation:
    """The observation before a step.

    Args:
        obs: as recorded.
        goal: the goal of the run, for observations without one.
        page_flags: how to print the tree; None where it must be the saved text, which is in the recorded prompt.

    Raises:
        TreeError: if its accessibility tree cannot be printed.
    """
    urls, titles = as_texts(obs.get("open_pages_urls")), as_texts(obs.get("open_pages_titles"))
    active = _active(obs, urls)
    axtree, axtree_flags = _axtree(obs, page_flags)
    return Observation(
        goal=next(
            filter(str.strip, (goal_text(obs.get("goal_object")), as_text(obs.get("goal")), goal, _goal_of_chat(obs))),
            "",
        ),
        axtree=axtree,
        axtree_flags=axtree_flags,
        html=as_text(obs.get("pruned_html")),
        focused_bid=as_text(obs["focused_element_bid"]) if isinstance(obs.get("focused_element_bid"), str) else None,
        last_action=as_text(obs.get("last_action")),
        last_action_error=as_text(obs.get("last_action_error")),
        url=as_text(obs.get("url")) or (urls[active] if active is not None else ""),
        title=titles[active] if active is not None and active < len(titles) else "",
        tabs=tab_list(urls, titles, active) if len(urls) == len(titles) else "",
    )


def _axtree(obs: dict[str, Any], page_flags: PageFlags | None) -> tuple[str, str]:
    """The tree, and the flags that it was printed with as JSON: it is printed wherever the trace holds it and its elements'
    properties. The saved text has no such flags."""
    saved, tree, properties = (
        as_text(obs.get("axtree_txt")),
        obs.get("axtree_object"),
        obs.get("extra_element_properties"),
    )
    has_properties = isinstance(properties, dict)
    if not as_dict(tree) or (saved and (page_flags is None or not has_properties)):
        return saved, ""
    flags = page_flags if page_flags and has_properties else PageFlags()
    return as_text(flatten_axtree(tree, properties, flags)), flags.model_dump_json()


def tab_list(urls: tuple[str, ...], titles: tuple[str, ...], active: int | None) -> str:
    """Several open tabs as AgentLab's prompt lists them; empty for a single one. None of them is marked as active where that was
    not recorded."""
    if len(urls) < 2:
        return ""
    return "\n".join(
        f"Tab {n}{' (active tab)' if n == active else ''}:\n    Title: {title}\n    URL: {url}\n"
        for n, (url, title) in enumerate(zip(urls, titles))
    )


def _active(obs: dict[str, Any], urls: tuple[str, ...]) -> int | None:
    """Place of the page that the agent sees among the open ones; None where that was not recorded."""
    index = obs.get("active_page_index")
    values = index.values_read() if isinstance(index, Array) else index if isinstance(index, list | tuple) else [index]
    if values and isinstance(values[0], int) and 0 <= values[0] < len(urls):
        return values[0]
    shown = [place for place, url in enumerate(urls) if len(urls) == 1 or url == obs.get("url")]
    return shown[0] if len(shown) == 1 else None


def goal_text(goal: Any) -> str:
    """The texts of a goal object."""
    texts = (part if isinstance(part, str) else as_dict(part).get("text") for part in _parts(goal))
    return "\n".join(as_text(text) for text in texts if isinstance(text, str))


def has_image(goal: Any) -> bool:
    """Whether a goal object has a part that is no text, or a text that holds a picture."""
    return any(not _is_text(part) for part in _parts(goal))


def _is_text(part: Any) -> bool:
    fields = part if isinstance(part, dict) else {"text": part}
    text = fields.get("text")
    pictures = [key for key, value in fields.items() if "image" in str(key) and value is not None]
    is_text = as_text(fields.get("type")) in ("", "text") and isinstance(text, str) and "data:image/" not in text
    return is_text and not pictures


def _parts(goal: Any) -> list[Any] | tuple[Any, ...]:
    return goal if isinstance(goal, list | tuple) else [goal] if isinstance(goal, str | dict) else []


def _goal_of_chat(obs: dict[str, Any]) -> str:
    """The goal of traces from before it was an observation: the user's first chat message."""
    chat = obs.get("chat_messages")
    turns = chat if isinstance(chat, list | tuple) else ()
    return next(
        (as_text(turn.get("message")) for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"), ""
    )
