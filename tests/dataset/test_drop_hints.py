"""Each rule that drops rows has a hint: the option that it names keeps the row, or no option does."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_tokenizers import CHAT_TEMPLATE

from agentmerge_hub.dataset.rows.samples import make_samples
from agentmerge_hub.dataset.selection.drop_rules import (
    EPISODE_RULES,
    KEPT_BY,
    KEPT_BY_NONE,
    NOT_DROPPED,
    SAMPLE_RULES,
    episode_drop_rule,
)
from agentmerge_hub.dataset.selection.split import assign
from agentmerge_hub.dataset.settings import Settings, option_of
from agentmerge_hub.prompt import answer
from agentmerge_hub.records import Episode, Observation, Step
from agentmerge_hub.tokenizer import ChatTokenizer

TREE = "RootWebArea 'Shop'\n\t[13] button 'Send', clickable, visible"
PAGE = Observation("Send it.", TREE, html='<b bid="13">Send</b><b bid="14">More</b>', url="http://a.org/")
STEP = Step(0, PAGE, answer="", action="click('13')", executed="click('13')", thought="I press it.")
EPISODE = Episode(
    "e", "s", "workarena", "workarena.x", 1, "a", "t", reward=1.0, terminated=True, truncated=False, error="", complete=True,
    steps=(STEP,),
)  # fmt: skip
CHAT = ({"role": "system", "content": "s"}, {"role": "user", "content": TREE})
RECORDED = replace(STEP, messages=CHAT, answer=answer("click('13')"))
LONG = replace(STEP, observation=replace(PAGE, axtree=TREE + "\n\t[15] link 'x'" * 3000 + "\n\t[16] link 'y'"))
TURNS = (CHAT[0], CHAT[1], {"role": "user", "content": "Go on."})
STRICT = CHAT_TEMPLATE.replace(
    "{% for message in messages %}",
    "{% for message in messages %}{% if loop.index > 2 %}{% if message['role'] != 'assistant' %}"
    "{{ raise_exception('too many turns') }}{% endif %}{% endif %}",
)


def of_step(step: Step, **more: Any) -> Episode:
    return replace(EPISODE, steps=(replace(step, **more),))


def of_page(**more: Any) -> Episode:
    return of_step(STEP, observation=replace(PAGE, **more))


FAILED = replace(STEP, observation=replace(PAGE, last_action_error="Error: gone"))
DROPS: list[tuple[str, Episode, dict[str, Any], dict[str, Any]]] = [
    ("other_agent", EPISODE, {"agents": ("b",)}, {"agents": ("a",)}),
    ("no_outcome", replace(EPISODE, scored=False), {}, {"unscored": True}),
    ("unsuccessful", replace(EPISODE, reward=0.5), {}, {"min_reward": 0.5}),
    ("left_site", replace(EPISODE, final_urls=("http://b.org/",)), {}, {"site_rule": False}),
    ("no_thought", of_step(STEP, thought=None), {"versions": "cot"}, {"versions": "both"}),
    ("no_page", replace(EPISODE, steps=(STEP, replace(STEP, observation=replace(PAGE, axtree="")))), {}, {"flags": {"use_html": True}}),
    ("no_page", of_page(html=""), {"flags": {"use_ax_tree": False, "use_html": True}}, {"flags": {"use_ax_tree": True}}),
    ("printed_otherwise", EPISODE, {"flags": {"extract_coords": "box"}}, {"flags": {"extract_coords": "False"}}),
    ("no_html", of_page(html=""), {"flags": {"use_html": True}}, {"flags": {}}),
    ("printed_otherwise", of_page(html='<b alt="x" bid="13" box="(1,-2,3,4)" id="b">Send</b>'), {"flags": {"use_html": True}}, {"flags": {"use_html": False}}),
    ("no_screenshot", EPISODE, {"screenshots": "plain"}, {"screenshots": "off"}),
    ("failed_action", replace(EPISODE, steps=(STEP, FAILED)), {"drop_failed_actions": True}, {"drop_failed_actions": False}),
    ("answer_mismatch", of_step(RECORDED, answer=answer("click('14')")), {}, {"rebuild_prompts": True}),
    ("answer_mismatch", of_step(RECORDED, answer="I press it."), {}, {"rebuild_prompts": True}),
    ("thought_of_nothing", of_step(RECORDED, answer=answer("click('13')", "..."), thought=None), {}, {"rebuild_prompts": True}),
    ("outside_action_space", of_step(STEP, action="mouse_click(1, 2)"), {"flags": {"action_space": "workarena++"}}, {"flags": {"action_space": "all"}}),
    ("page_not_found", of_step(RECORDED, messages=(CHAT[0], {"role": "user", "content": "Go on."})), {}, {"rebuild_prompts": True}),
    ("bid_not_on_page", of_step(RECORDED, observation=replace(PAGE, axtree=TREE + "\n\t[14] button 'More'\n\t[15] link 'y'"), messages=(CHAT[0], {"role": "user", "content": TREE + "\n\t[14] button 'More'\n"}), action="click('15')", answer=answer("click('15')")), {}, {"rebuild_prompts": True}),
    ("bid_not_on_page", of_step(STEP, action="click('14')"), {}, {"flags": {"use_html": True}}),
    ("bid_cut_away", replace(EPISODE, steps=(replace(LONG, action="click('16')"),)), {}, {"window": 90_000}),
    ("does_not_fit", EPISODE, {"window": 700, "answer": 500}, {"window": 8000}),
    ("answer_too_long", of_step(STEP, thought="word " * 600), {"answer": 100, "versions": "cot"}, {"answer": 2000, "window": 12_000}),
    ("template_refused", of_step(RECORDED, messages=TURNS), {}, {"rebuild_prompts": True}),
]  # fmt: skip
ELSEWHERE = {"duplicate", "near_duplicate", "pair_too_long", "pair_excluded", "goal_on_both_sides"}
"""Rules of the assembly, which the test below and those of duplicates and of preference pairs cover."""


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    template = tmp_path_factory.mktemp("template") / "strict.jinja"
    template.write_text(STRICT)
    return ChatTokenizer(str(tokenizer_folder), template)


def test_every_rule_that_drops_has_a_hint_or_none() -> None:
    rules = set(EPISODE_RULES) | set(SAMPLE_RULES)
    assert set(KEPT_BY) | KEPT_BY_NONE | NOT_DROPPED == rules
    assert len(KEPT_BY) + len(KEPT_BY_NONE) + len(NOT_DROPPED) == len(rules)
    assert {rule for rule, *_ in DROPS} | ELSEWHERE == set(KEPT_BY)


@pytest.mark.parametrize(("rule", "episode", "dropping", "keeping"), DROPS, ids=[rule for rule, *_ in DROPS])
def test_the_option_of_a_hint_keeps_the_row(
    tokenizer: ChatTokenizer, rule: str, episode: Episode, dropping: dict[str, Any], keeping: dict[str, Any]
) -> None:
    place = {"no_page": len(episode.steps) - 1}.get(rule, 0)
    assert _rule(episode, place, Settings(**{"window": 8192} | dropping), tokenizer) == rule
    assert _rule(episode, place, Settings(**{"window": 8192} | dropping | keeping), tokenizer) == ""
    options = {option_of(name) for name in keeping}
    assert options <= set(re.findall(r"--[a-z-]+", KEPT_BY[rule].replace("--no-site-rule", "--site-rule")))
    assert all(
        f"--flag {name}={str(value).lower()}" in KEPT_BY[rule] for name, value in keeping.get("flags", {}).items()
    )


def _rule(episode: Episode, place: int, settings: Settings, tokenizer: ChatTokenizer) -> str:
    """The rule that drops the step at this place; empty if every version of it becomes a sample."""
    if drop := episode_drop_rule(episode, settings):
        return drop[0]
    made = make_samples(episode, settings, tokenizer)
    dropped = [row.rule for row in made.dropped if row.step == episode.steps[place].index]
    return dropped[0] if dropped else "" if made.samples else "no sample"


def test_goals_of_two_splits_are_kept_without_the_options_that_split_by_task() -> None:
    runs = [("workarena.x", 1, "g"), ("workarena.y", 2, "g")]
    held_out = Settings(hold_out_tasks=("workarena.y",))
    assert len(assign(runs, held_out)) == 1 and len(assign(runs, Settings(benchmark_split=False))) == 2
