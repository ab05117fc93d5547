"""Read trajectories of the Agent Data Protocol's standard files (1.0 to 1.3).

They say nothing of model, seed and reward, so that an episode counts as unfinished unless this package wrote it. The page
before an action is the last web observation before it. Code and messages are steps without a call of the browser.
"""

from typing import Any

from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.formats import episode_json
from agentmerge_hub.traces.formats.atif import finish_message, unquoted
from agentmerge_hub.traces.formats.tool_calls import Turns, call_text
from agentmerge_hub.traces.values import as_dict, as_text

_ITEMS = {"text_observation", "web_observation", "image_observation", "api_action", "code_action", "message_action"}


def is_document(document: Any) -> bool:
    """Whether a JSON value is a trajectory of the protocol."""
    content = as_dict(document).get("content")
    return isinstance(content, list) and any(as_text(as_dict(item).get("class_")) in _ITEMS for item in content)


def read(document: dict[str, Any], source: str, episode_id: str) -> Episode:
    """Read one trajectory.

    Raises:
        OutOfRange: for a value that must not be guessed.
    """
    items, details = [as_dict(item) for item in document["content"]], as_dict(document.get("details"))
    facts = details.get(episode_json.KEY)
    if episode_json.is_facts(facts):
        pages = [
            (as_text(i.get("axtree")), as_text(i.get("html"))) for i in items if i.get("class_") == "web_observation"
        ]
        return episode_json.from_facts(facts, pages, episode_id=episode_id, source=source)
    turns, unmapped = Turns(), set[str]()
    for item in items:
        _add(item, turns, unmapped)
    collection = as_text(details.get("source")) or "adp"
    return Episode(
        episode_id=episode_id,
        source=source,
        benchmark=collection,
        task=f"{collection}.{as_text(document.get('id'))}",
        seed=-1,
        agent="",
        teacher="",
        reward=0.0,
        terminated=False,
        truncated=False,
        error="",
        complete=False,
        scored=False,
        steps=tuple(turns.steps),
        unmapped=tuple(sorted(unmapped)),
    )


def _add(item: dict[str, Any], turns: Turns, unmapped: set[str]) -> None:
    kind, content = as_text(item.get("class_")), as_text(item.get("content"))
    if item.get("reward") is not None:
        unmapped.add("rewards of single items, which do not say how the run ended")
    thoughts = (as_text(item.get(name)) for name in ("reasoning_content", "description"))
    thought = next(filter(None, (thought_of(text, has_action=False) for text in thoughts)), None)
    if kind == "text_observation":
        if item.get("source") == "user" and not turns.goal:
            turns.goal = content
        else:
            unmapped.add("messages after the goal")
    elif kind == "web_observation":
        turns.see(axtree=as_text(item.get("axtree")), html=as_text(item.get("html")), url=as_text(item.get("url")))
        if item.get("image_observation"):
            unmapped.add("images")
    elif kind == "api_action":
        calls = _calls(as_text(item.get("function")), unquoted(as_dict(item.get("kwargs"))))
        turns.act(calls, thought=thought)
    elif kind == "message_action" and (final := finish_message(content)) is not None:
        turns.act([call_text("send_msg_to_user", {"text": final})], answer=content, thought=thought)
    elif kind in ("message_action", "code_action"):
        turns.act_outside(content, thought=thought)
    else:
        unmapped.add("images" if kind == "image_observation" else "items of an unknown class")


def _calls(function: str, arguments: dict[str, Any]) -> list[str]:
    """The calls of BrowserGym for a function of BrowserGym or of WebArena."""
    enter = arguments.get("press_enter_after")
    if function == "type" and {"bid", "text"} <= set(arguments) and enter in (*_ENTER, *_NO_ENTER):
        bid = arguments["bid"]
        pressed = [call_text("press", {"bid": bid, "key_comb": "Enter"})] if enter in _ENTER else []
        return [call_text("fill", {"bid": bid, "value": arguments["text"]}), *pressed]
    if function == "stop":
        return [call_text("send_msg_to_user", {"text": as_text(arguments.get("answer") or arguments.get("text"))})]
    if function == "scroll" and (direction := as_text(arguments.get("direction"))) in ("down", "up"):
        return [call_text("scroll", {"delta_x": 0, "delta_y": 500 if direction == "down" else -500})]
    return [call_text(function, arguments)]


_ENTER = ("1", 1, "true", "True")
_NO_ENTER = (None, "", "0", 0, "false", "False")
"""Values of ``press_enter_after``; with another one a call is none that the browser is known to have carried out."""
