"""The patched functions return BrowserGym's own observations, trees and focus included."""

import os
import pkgutil
from typing import Any

import pytest

from agentmerge_hub.agents.browser import browsergym_patches
from agentmerge_hub.agents.browser.agentlab_api import env, observation

pytestmark = pytest.mark.browser

FORM = """
<div style="height: 3000px"><button>Top</button><input value="x"><p hidden>No</p></div><a href="#">Below</a>
<div id="host"></div><div id="empty" tabindex="0"></div><iframe srcdoc="<input id=inner><iframe srcdoc='<button id=deep>B</button>'></iframe>"></iframe>
<script>
document.getElementById('host').attachShadow({mode: 'open'}).innerHTML = '<input id=shadow>';
document.getElementById('empty').attachShadow({mode: 'open'}).innerHTML = '<p>text</p>';
</script>
"""

FOCUS = {
    "nothing": "() => document.activeElement.blur()",
    "an input": "() => document.querySelector('input').focus()",
    "inside a shadow root": "() => document.getElementById('host').shadowRoot.getElementById('shadow').focus()",
    "the host of a shadow root": "() => document.getElementById('empty').focus()",
    "inside a frame": "() => frames[0].document.getElementById('inner').focus()",
    "inside a frame of a frame": "() => frames[0].frames[0].document.getElementById('deep').focus()",
}

FUNCTIONS = ("extract_dom_snapshot", "extract_merged_axtree", "extract_focused_element_bid")


def observe(page: Any, functions: Any) -> list[Any]:
    env._pre_extract(page)
    try:
        seen = [getattr(functions, name)(page) for name in FUNCTIONS]
    finally:
        env._post_extract(page)
    return [*seen, observation.extract_dom_extra_properties(seen[0], 1.0)]


def compare_observations() -> dict[str, tuple[list[Any], list[Any]]]:
    """Page → what the patched functions and BrowserGym's own return."""
    browsergym_patches.apply()
    patched = observation.pkgutil
    assert patched.get_data("browsergym.core.observation", "javascript/frame_mark_elements.js") != pkgutil.get_data(
        "browsergym.core.observation", "javascript/frame_mark_elements.js"
    )
    playwright = env._get_global_playwright()
    playwright.selectors.set_test_id_attribute("bid")
    context = playwright.chromium.launch(headless=True).new_context(viewport={"width": 500, "height": 400})
    page = context.new_page()

    def both() -> tuple[list[Any], list[Any]]:
        observe(page, env)  # the first pass gives the elements their bids
        own = observe(page, env)
        observation.pkgutil = pkgutil
        try:
            return own, observe(page, observation)
        finally:
            observation.pkgutil = patched

    results = {}
    for task in ("click-dialog-2", "use-autocomplete", "click-shades"):
        page.goto(f"{os.environ['MINIWOB_URL']}{task}.html")
        page.evaluate("() => core.startEpisodeReal()")
        results[task] = both()
    page.goto("about:blank")
    page.set_content(FORM)
    for name, script in FOCUS.items():
        page.evaluate(script)
        results[name] = both()
    context.close()
    return results


def test_observations_equal_browsergyms_own(browser_process) -> None:
    results = browser_process.apply(compare_observations)
    for name, (patched, own) in results.items():
        assert patched == own, name
    focused = [results[name][1][2] for name in FOCUS]
    assert len(set(focused)) == len(FOCUS)  # each page has another focus
    assert results["the host of a shadow root"][1][2] == "" and focused[-1].startswith("aa")
