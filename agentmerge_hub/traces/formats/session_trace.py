"""Read Hugging Face session traces that this package exported: JSON lines that the Hub's trace viewer shows.

Sessions of other programs are no web episodes: the format has no pages and no rewards.
"""

from typing import Any

from agentmerge_hub.records import Episode
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.formats import episode_json
from agentmerge_hub.traces.values import as_dict, as_text


def is_document(document: Any) -> bool:
    """Whether a list of lines is a session with the facts of an episode."""
    header = as_dict(document[0]) if isinstance(document, list) and document else {}
    return header.get("type") == "session" and episode_json.is_facts(header.get(episode_json.KEY))


def read(lines: list[Any], source: str, episode_id: str) -> Episode:
    """Read one session.

    Raises:
        Refused: if it lacks a page.
        OutOfRange: for a value that must not be guessed.
    """
    facts = as_dict(lines[0])[episode_json.KEY]
    messages = [as_dict(as_dict(line).get("message")) for line in lines[1:]]
    trees = [as_text(message.get("content")) for message in messages if message.get("role") in ("user", "tool")][1:]
    html = facts.get("html") if isinstance(facts.get("html"), list) else []
    if len(trees) < len(facts["steps"]):
        raise Refused("the session lacks the page of a step")
    pages = [(tree, as_text(html[n]) if n < len(html) else "") for n, tree in enumerate(trees)]
    return episode_json.from_facts(facts, pages, episode_id=episode_id, source=source)
