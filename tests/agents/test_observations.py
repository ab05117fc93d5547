"""BrowserGym's observations become records without paths of this machine."""

import os

import numpy as np

from agentmerge_hub.agents import observations
from agentmerge_hub.prompt import Flags, render


def test_an_observation_has_the_fields_of_the_prompt() -> None:
    obs = {
        "goal": "legacy",
        "goal_object": ({"type": "text", "text": "Do this."}, {"type": "image_url", "image_url": "x"}),
        "axtree_txt": "RootWebArea 'a'",
        "focused_element_bid": "12",
        "last_action": "click('1')",
        "last_action_error": "Error: gone",
        "url": "miniwob/a.html",
        "open_pages_urls": ("http://a", "http://b"),
        "open_pages_titles": ("first", "second"),
        "active_page_index": [1],
    }
    seen = observations.to_observation(obs)
    assert (seen.goal, seen.focused_bid, seen.title) == ("Do this.", "12", "second")
    assert seen.tabs == (
        "Tab 0:\n    Title: first\n    URL: http://a\n\nTab 1 (active tab):\n    Title: second\n    URL: http://b\n"
    )
    assert (seen.last_action, seen.last_action_error, seen.html) == ("click('1')", "Error: gone", "")


def test_what_an_observation_lacks_is_not_in_the_prompt() -> None:
    tree = {"goal": "Do this.", "axtree_txt": "RootWebArea 'a'"}
    tabs = tree | {"open_pages_urls": ["http://a"], "open_pages_titles": ["first"]}
    for obs in (tree, tabs, tree | {"focused_element_bid": None}):
        prompt = render(observations.to_observation(obs), [], Flags()).messages()[-1]["content"]
        assert "Focused element" not in prompt
    assert observations.to_observation(tree | {"focused_element_bid": ""}).focused_bid == ""
    assert observations.to_observation(tabs | {"active_page_index": np.array([0])}).title == "first"


def test_no_path_of_this_machine_is_kept() -> None:
    pages = os.environ["MINIWOB_URL"]
    image = pages.removesuffix("miniwob/") + "common/star.png"
    kept = observations._strip_pages_folder((f"{pages}click-test.html", f"[1] image '', url='{image}'", 3))
    assert kept == ("miniwob/click-test.html", "[1] image '', url='common/star.png'", 3)
