"""Observations of BrowserGym: what was recorded is read, and nothing else."""

from pathlib import Path

import pytest
from trace_folders import ARGS, DONE, PAGE, STEP, write

from agentmerge_hub.traces.episode import read_episode

SYSTEM, GOOD = {"role": "system", "content": "s"}, {"role": "assistant", "content": "good"}

TREE = {
    "nodes": [
        {"nodeId": "1", "role": {"value": "RootWebArea"}, "name": {"value": "Shop"}, "childIds": ["2", "1"],
         "properties": [{"name": "focused", "value": {"value": True}}]},
        {"nodeId": "2", "role": {"value": "button"}, "name": {"value": "Send"}, "childIds": [], "browsergym_id": "13"},
    ]
}  # fmt: skip
PROPERTIES = {"13": {"visibility": 1.0, "bbox": [0, 0, 9, 9], "clickable": True, "set_of_marks": True}}


@pytest.mark.parametrize("saved", ["", "RootWebArea 'Shop', focused\n\t[13] button 'Send'"])
def test_a_tree_is_printed_with_all_that_is_known_of_it(tmp_path: Path, saved: str) -> None:
    page = PAGE | {"axtree_txt": saved, "axtree_object": TREE, "extra_element_properties": PROPERTIES}
    episode = read_episode(write(tmp_path / "a", [STEP | {"obs": page}], summary=DONE, args=ARGS))
    shown = "RootWebArea 'Shop', focused\n\t[13] button 'Send', clickable, visible"
    assert episode.steps[0].observation.axtree == shown
    chat = [SYSTEM, {"role": "user", "content": f"# Page\n{saved}"}, GOOD]
    recorded = STEP | {"obs": page, "agent_info": {"chat_messages": {"messages": chat}}}
    as_sent = read_episode(write(tmp_path / "b", [recorded], summary=DONE, args=ARGS))
    assert as_sent.steps[0].observation.axtree == (saved or shown)


def test_what_was_not_recorded_is_absent(tmp_path: Path) -> None:
    tabs = {"open_pages_urls": ["http://a", "http://b"], "open_pages_titles": ["A", "B"], "active_page_index": 1}
    found = write(
        tmp_path / "a", [STEP, STEP | {"obs": PAGE | tabs | {"focused_element_bid": ""}}], summary=DONE, args=ARGS
    )
    first, second = (step.observation for step in read_episode(found).steps)
    assert (first.focused_bid, first.tabs) == (None, "")
    assert (second.focused_bid, second.title, second.url) == ("", "B", "http://b")
    assert (
        second.tabs
        == "Tab 0:\n    Title: A\n    URL: http://a\n\nTab 1 (active tab):\n    Title: B\n    URL: http://b\n"
    )


def test_an_image_in_the_goal_is_noted(tmp_path: Path) -> None:
    goal = [
        {"type": "text", "text": "Find it."},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    step = STEP | {"obs": PAGE | {"goal_object": goal}}
    episode = read_episode(write(tmp_path / "a", [step], summary=DONE, args=ARGS))
    assert episode.image_goal and episode.steps[0].observation.goal == "Find it."
    assert not read_episode(write(tmp_path / "b", [STEP], summary=DONE, args=ARGS)).image_goal


@pytest.mark.parametrize(
    ("goal", "text", "has_image"),
    [
        ([{"type": "text", "text": "Find it."}], "Find it.", False),
        (({"text": "Find"}, {"type": "text", "text": "it."}), "Find\nit.", False),
        (["Find it."], "Find it.", False),
        ("Find it.", "Find it.", False),
        ([{"text": "Find it."}, {"image": "data:image/png;base64,AA"}], "Find it.", True),
        ([{"text": "Find it."}, {"image_url": {"url": "http://a/b.png"}}], "Find it.", True),
        ([{"type": "text", "text": "Find it."}, {"type": "input_image", "image_url": "x"}], "Find it.", True),
        ([{"type": "image_url", "image_url": "x"}], "Press OK.", True),
        (["Find it.", b"\x89PNG"], "Find it.", True),
        ({"text": "Find it.", "images": ["x"]}, "Find it.", True),
        ([{"type": "text", "text": "Find it.", "image_url": "http://a/b.png"}], "Find it.", True),
        ("![](data:image/png;base64,AA)", "![](data:image/png;base64,AA)", True),
        ([{"type": "text", "text": " "}], "Press OK.", False),
    ],
)
def test_the_parts_of_a_goal(tmp_path: Path, goal: object, text: str, has_image: bool) -> None:
    episode = read_episode(
        write(tmp_path / "a", [STEP | {"obs": PAGE | {"goal_object": goal}}], summary=DONE, args=ARGS)
    )
    assert (episode.steps[0].observation.goal, episode.image_goal) == (text, has_image)
    older = STEP | {"obs": PAGE | {"goal_image_urls": ["http://a/b.png"] * has_image}}
    assert read_episode(write(tmp_path / "b", [older], summary=DONE, args=ARGS)).image_goal is has_image


@pytest.mark.parametrize(
    ("page", "active", "url", "title"),
    [
        ({"active_page_index": 1}, 1, "http://b", "B"),
        ({"active_page_index": [1]}, 1, "http://b", "B"),
        ({"url": "http://b"}, 1, "http://b", "B"),
        ({}, None, "", ""),
        ({"active_page_index": 7}, None, "", ""),
        ({"active_page_index": "1"}, None, "", ""),
        ({"url": "http://c"}, None, "http://c", ""),
    ],
)
def test_no_tab_is_said_to_be_active_where_that_was_not_recorded(
    tmp_path: Path, page: dict, active: int | None, url: str, title: str
) -> None:
    tabs = {"open_pages_urls": ("http://a", "http://b"), "open_pages_titles": ("A", "B")}
    found = write(tmp_path / "a", [STEP | {"obs": PAGE | tabs | page}], summary=DONE, args=ARGS)
    shown = read_episode(found).steps[0].observation
    assert (shown.url, shown.title) == (url, title)
    assert [line.endswith("(active tab):") for line in shown.tabs.splitlines() if line.startswith("Tab")] == [
        active == 0,
        active == 1,
    ]
