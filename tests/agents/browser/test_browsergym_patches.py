"""The patched functions return BrowserGym's own observations, trees and focus included; what is built from them is what an agent
that acts on them is prompted with."""

import gzip
import itertools
import os
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import pytest

from agentmerge_hub.agents.browser import browsergym_patches
from agentmerge_hub.agents.browser.agentlab_api import env, observation
from agentmerge_hub.agents.observations import flatten, to_observation
from agentmerge_hub.dataset.rows.samples import make_samples, shown_by_default
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.prompt import render
from agentmerge_hub.records import Episode
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import Found

pytestmark = pytest.mark.browser

FORM = """
<div style="height: 3000px"><button>Top</button><input value="x"><p hidden>No</p><div><div><span>Nested</span> text</div></div>
<button style="visibility: hidden">Hidden</button><button style="opacity: 0"><b>Clear</b></button></div><a href="#">Below</a>
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


@pytest.fixture(scope="module")
def results(browser_process) -> dict[str, tuple[list[Any], list[Any]]]:
    return browser_process.apply(compare_observations)


def test_observations_equal_browsergyms_own(results) -> None:
    for name, (patched, own) in results.items():
        assert patched == own, name
    focused = [results[name][1][2] for name in FOCUS]
    assert len(set(focused)) == len(FOCUS)  # each page has another focus
    assert results["the host of a shadow root"][1][2] == "" and focused[-1].startswith("aa")


@pytest.fixture(scope="module")
def seen(results) -> dict[str, Any]:
    """An observation of the form, as BrowserGym gives it to an agent."""
    dom, tree, focused, properties = results["an input"][0]
    return {
        "goal_object": ({"type": "text", "text": "Press Top."},),
        "dom_object": dom,
        "axtree_object": tree,
        "extra_element_properties": properties,
        "focused_element_bid": focused,
        "last_action_error": "",
    }


def recorded(folder: Path, obs: dict[str, Any], settings: Settings, flags: dict[str, Any] | None = None) -> Episode:
    """The episode of a click on the page, read for the settings."""
    folder.mkdir(parents=True)
    step = {"obs": obs, "action": "noop()", "agent_info": {}, "reward": 1.0, "terminated": True}
    arguments = {"agent_args": {"flags": flags}, "env_args": {"task_name": "openended.form", "task_seed": 1}}
    (folder / "step_0.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step), 1))
    (folder / "exp_args.pkl").write_bytes(pickle.dumps(arguments))
    return read_episode(Found("a", folder), settings.read_options)


def settings_of(**flags: Any) -> Settings:
    return Settings(window=32_000, versions="no_cot", flags=flags)


EVERY_FLAGS = [
    {"extract_coords": coords, "filter_visible_elements_only": visible, "filter_with_bid_only": with_bid,
     "filter_som_only": marked, "extract_visible_tag": tags, "extract_clickable_tag": not tags}
    for coords in ("False", "center", "box")
    for visible, with_bid, marked, tags in itertools.product((False, True), repeat=4)
]  # fmt: skip


def test_a_built_prompt_is_the_acting_agents(seen, tmp_path: Path, tokenizer_folder: Path) -> None:
    tokenizer, prompts = ChatTokenizer(str(tokenizer_folder)), set()
    for number, changes in enumerate(EVERY_FLAGS):
        settings = settings_of(**changes)
        episode = recorded(tmp_path / str(number), seen, settings)
        flags = settings.rendering_flags(shown_by_default(episode), thinking=False)
        acting = render(to_observation(flatten(seen, flags)), [], flags).messages()
        (sample,) = make_samples(episode, settings, tokenizer).samples
        assert sample.prompt == acting and "] button 'Top'" in acting[-1]["content"]
        prompts.add(acting[-1]["content"])
    assert len(prompts) == len(EVERY_FLAGS) * 3 / 4  # an element without a bid has no mark either


def test_a_page_of_which_only_the_text_was_saved_is_shown_as_it_was_printed(
    seen, tmp_path: Path, tokenizer_folder: Path
) -> None:
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    asked = settings_of(extract_coords="center", filter_visible_elements_only=True, use_html=True)
    flags = asked.rendering_flags({"action_space": "workarena++"}, thinking=False)
    text = flatten(seen, flags)
    own = recorded(tmp_path / "own", text, asked, flags.model_dump())
    agentlabs = recorded(tmp_path / "agentlab", text, asked, {"obs": flags.page_flags.model_dump()})
    acting = render(to_observation(text), [], flags).messages()
    for episode in (own, agentlabs):
        assert [sample.prompt for sample in make_samples(episode, asked, tokenizer).samples] == [acting]

    def dropped(**changes: Any) -> list[tuple[str, str]]:
        return [(row.rule, row.detail) for row in make_samples(own, settings_of(**changes), tokenizer).dropped]

    visible = {"filter_visible_elements_only": True}
    assert dropped() == [("printed_otherwise", "the AXTree was saved with filter_visible_elements_only=true")]
    assert dropped(**visible, extract_coords="box") == [
        ("printed_otherwise", "the AXTree was saved with extract_coords=center")
    ]
    assert dropped(**visible, use_html=True) == [("printed_otherwise", "the HTML was saved with extract_coords=center")]
    (without,) = make_samples(own, settings_of(**visible), tokenizer).samples
    bare = flags.model_copy(update={"extract_coords": "False", "use_html": False})
    assert without.prompt == render(to_observation(flatten(seen, bare)), [], bare).messages()
