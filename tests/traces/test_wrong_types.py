"""Whatever type a value of a trajectory has, the trajectory is read or has a reason, and the others of its file are read."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cube import METADATA, STEPS, event
from test_documents import ADP, ATIF

from agentmerge_hub.records import Episode, Observation, Step
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.find import find_episodes
from agentmerge_hub.traces.formats import adp, atif, documents, session_trace
from agentmerge_hub.traces.formats.episode_json import KEY, to_facts
from agentmerge_hub.traces.values import OutOfRange

ODD = [None, True, -1, 10**30, float("nan"), "", "x", "\ud800", [], [[]], {}, {"a": []}, [None]]
OURS = Episode(
    "e", "s", "miniwob", "miniwob.a", 1, "a", "t", reward=1.0, terminated=True, truncated=False, error="", complete=True,
    flags={"use_html": True}, final_urls=("http://a",),
    steps=(Step(0, Observation("g", "[1] button 'OK'"), answer="", action="click('1')", executed="click('1')"),),
)  # fmt: skip
FACTS = to_facts(OURS)
SESSION = [
    {"type": "session", KEY: FACTS | {"html": [""]}},
    {"message": {"role": "user", "content": "g"}},
    {"message": {"role": "user", "content": "[1] button 'OK'"}},
]
DOCUMENTS = {
    "adp": ADP,
    "adp of ours": {"content": ADP["content"][:2], "details": {KEY: FACTS}},
    "atif": ATIF,
    "atif of ours": ATIF | {"extra": {KEY: FACTS}},
    "session": SESSION,
}


def changed(value: Any, odd: Any) -> Iterator[Any]:
    """The value with an odd one in each place of it in turn."""
    yield odd
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for inner in changed(value[key], odd):
            outer = copy.copy(value)
            outer[key] = inner
            yield outer


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_with_any_value_is_read_or_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    n_read = 0
    for odd in ODD:
        for document in changed(DOCUMENTS[name], odd):
            try:
                if atif.is_document(document):
                    episode = atif.read(document, "source", "id", tmp_path)
                elif adp.is_document(document):
                    episode = adp.read(document, "source", "id")
                elif session_trace.is_document(document):
                    episode = session_trace.read(document, "source", "id")
                else:
                    continue
            except (Refused, OutOfRange):
                continue
            n_read += 1
            texts = [text for step in episode.steps for text in (*vars(step.observation).values(), step.executed)]
            assert all("\ud800" not in text for text in texts if isinstance(text, str))
    assert n_read > 100


def test_one_odd_document_costs_no_other_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps(document) for odd in ODD for document in changed(ADP, odd)][::20]
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps(ADP), *lines, json.dumps(ADP)]))
    read = []
    for found in find_episodes([tmp_path]):
        try:
            read.append(read_episode(found).task)
        except Unreadable as error:
            assert str(error)
    assert read[0] == read[-1] == "walks.7"

    def broken(document: Any) -> bool:
        raise TypeError("unhashable")

    monkeypatch.setattr(documents.adp, "is_document", broken)
    documents._entries.cache_clear()
    (found,) = find_episodes([tmp_path])
    with pytest.raises(Unreadable, match=r"a.jsonl holds no document of a known format"):
        read_episode(found)


def test_a_cube_trajectory_with_any_value_is_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    lines, metadata = tmp_path / "a.jsonl", tmp_path / "a.metadata.json"
    lines.write_text("")
    metadata.write_text("")
    (found,) = find_episodes([tmp_path])
    recording = {"metadata": METADATA, "steps": [event(step) for step in STEPS]}
    n_read = 0
    for odd in ODD[::4]:
        for made in changed(recording, odd):
            if not isinstance(made, dict) or not isinstance(made.get("steps"), list) or "metadata" not in made:
                continue
            lines.write_text("".join(json.dumps(step) + "\n" for step in made["steps"]))
            metadata.write_text(json.dumps(made["metadata"]))
            try:
                n_read += bool(read_episode(found).steps)
            except Unreadable as error:
                assert "cannot be read (" not in str(error), (odd, str(error))
    assert n_read > 100
