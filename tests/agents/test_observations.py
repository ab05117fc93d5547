"""BrowserGym's observations become records without paths of this machine."""

import os

from agentmerge_hub.agents import observations


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


def test_no_path_of_this_machine_is_kept() -> None:
    pages = os.environ["MINIWOB_URL"]
    image = pages.removesuffix("miniwob/") + "common/star.png"
    kept = observations._strip_pages_folder((f"{pages}click-test.html", f"[1] image '', url='{image}'", 3))
    assert kept == ("miniwob/click-test.html", "[1] image '', url='common/star.png'", 3)
