"""What one episode becomes: the rules of its rows that need no build."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from agentmerge_hub.dataset.rows.samples import make_samples
from agentmerge_hub.dataset.selection.drop_rules import episode_drop_rule
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.prompt import answer
from agentmerge_hub.records import Episode, Observation, Step
from agentmerge_hub.tokenizer import ChatTokenizer

CALL = answer("click('13')")
PAGE = Observation(
    "Send it.", "RootWebArea 'Shop'\n\t[13] button 'Send', clickable, visible", html='<b bid="13">Send</b>'
)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> ChatTokenizer:
    return ChatTokenizer(str(tokenizer_folder))


def step(index: int = 0, action: str | None = "click('13')", **more) -> Step:
    return Step(
        **{"index": index, "observation": PAGE, "answer": "", "action": action, "thought": "I press it."} | more
    )


def episode(*steps: Step, task: str = "webarena.3", **more) -> Episode:
    facts = {"episode_id": "e", "source": "s", "benchmark": task.split(".")[0], "task": task, "seed": 1, "agent": "a"}
    facts |= {"teacher": "t", "reward": 1.0, "terminated": True, "truncated": False, "error": "", "complete": True}
    return Episode(**facts | {"steps": steps} | more)


def prompts(made: Episode, tokenizer: ChatTokenizer, **settings) -> list[str]:
    samples = make_samples(made, Settings(window=20_000, **settings), tokenizer).samples
    return [sample.prompt[-1]["content"] for sample in samples]


def test_the_action_space_is_wide_enough_for_the_episode(tokenizer: ChatTokenizer) -> None:
    assert "drag" not in prompts(episode(step()), tokenizer)[0].split("# Action space")[1].replace("drag_and_drop", "")
    drag = episode(step(action="mouse_drag_and_drop(1, 2, 3, 4)"))
    assert "mouse_drag_and_drop(from_x: float" in prompts(drag, tokenizer)[0]
    narrow = make_samples(drag, Settings(window=20_000, flags={"action_space": "click_fill"}), tokenizer)
    assert [dropped.rule for dropped in narrow.dropped] == ["outside_action_space"]


def test_what_was_executed_stays_in_the_history(tokenizer: ChatTokenizer) -> None:
    run = episode(step(action=None, executed="page.reload()"), step(1, "click('13')\nnoop()"), step(2))
    last = prompts(run, tokenizer, versions="cot")[-1]
    assert "<action>\npage.reload()\n</action>" in last and "<action>\nclick('13')\nnoop()\n</action>" in last


def test_miniwob_prompts_show_the_html_too(tokenizer: ChatTokenizer) -> None:
    assert PAGE.html in prompts(episode(step(), task="miniwob.click-test"), tokenizer)[0]
    assert PAGE.html not in prompts(episode(step(), task="miniwob.click-test"), tokenizer, flags={"use_html": False})[0]
    assert PAGE.html not in prompts(episode(step()), tokenizer)[0]


def test_html_is_shown_where_no_tree_was_recorded(tokenizer: ChatTokenizer) -> None:
    html_alone = replace(PAGE, axtree="")
    run = episode(step(observation=html_alone), step(1, action="noop()", observation=html_alone))
    assert all(PAGE.html in text for text in prompts(run, tokenizer)) and len(prompts(run, tokenizer)) == 4
    hidden = make_samples(run, Settings(window=20_000, flags={"use_html": False}), tokenizer)
    assert [row.rule for row in hidden.dropped] == ["no_page"] * 2 and not hidden.samples
    mixed = make_samples(episode(step(), step(1, observation=html_alone)), Settings(window=20_000), tokenizer)
    assert [(row.step, row.rule) for row in mixed.dropped] == [(1, "no_page")]


def test_open_tabs_are_shown_where_the_episode_had_several(tokenizer: ChatTokenizer) -> None:
    tabs = replace(PAGE, tabs="Tab 0 (active tab):\n    Title: Shop\n    URL: http://a\n")
    assert "Currently open tabs" in prompts(episode(step(observation=tabs)), tokenizer)[0]


@pytest.mark.parametrize(
    ("text", "cot"),
    [
        (answer("click('13')", "I press it."), True),
        (f"I press it.\n</think>\n{CALL}", True),
        (f"I press it.\n{CALL}", True),
        (answer("click('13')", ""), False),
        (f"<THINKING>\n</THINKING>{CALL}", False),
        (f"[THINK][/THINK]{CALL}", False),
        (f"<thought>\u200b</thought>{CALL}", False),
        (f"<thought>I press it.</thought>{CALL}", True),
        (answer("click('13')"), False),
    ],
)
def test_a_recorded_answer_is_cot_where_it_reasons(tokenizer: ChatTokenizer, text: str, cot: bool) -> None:
    messages = ({"role": "system", "content": "s"}, {"role": "user", "content": PAGE.axtree})
    (sample,) = make_samples(episode(step(answer=text, messages=messages)), Settings(), tokenizer).samples
    assert sample.cot is cot and sample.completion[0]["content"] == text


@pytest.mark.parametrize("thought", ["...", "None", "<b>–</b>"])
def test_a_recorded_answer_that_thinks_of_nothing_is_dropped(tokenizer: ChatTokenizer, thought: str) -> None:
    messages = ({"role": "system", "content": "s"}, {"role": "user", "content": PAGE.axtree})
    made = make_samples(episode(step(answer=answer("click('13')", thought), messages=messages)), Settings(), tokenizer)
    assert not made.samples and [row.rule for row in made.dropped] == ["thought_of_nothing"]


@pytest.mark.parametrize(
    ("action", "thought", "versions"),
    [
        ("click('13')", "Either <action>noop()</action> or a click.", ["no_cot"]),
        ("fill('13', '</action>')", "I fill it.", []),
    ],
)
def test_an_answer_that_is_read_as_another_action_is_dropped(
    tokenizer: ChatTokenizer, action: str, thought: str, versions: list[str]
) -> None:
    made = make_samples(episode(step(action=action, thought=thought)), Settings(window=20_000), tokenizer)
    assert ["cot" if sample.cot else "no_cot" for sample in made.samples] == versions
    assert {dropped.rule for dropped in made.dropped} == {"answer_not_trainable"}


def test_an_answer_with_a_control_token_is_dropped(tokenizer: ChatTokenizer) -> None:
    made = make_samples(episode(step(thought="I press <|end|>.")), Settings(window=20_000), tokenizer)
    assert [(row.rule, row.detail) for row in made.dropped] == [("control_token", "cot")] and len(made.samples) == 1


def test_a_sample_that_fills_its_window_is_whole(tokenizer: ChatTokenizer, tokenizer_folder: Path) -> None:
    made, bare = episode(step()), Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    (sample,) = make_samples(made, Settings(window=20_000, versions="cot"), tokenizer).samples
    n_answer = len(bare.encode(sample.completion[0]["content"] + "<|end|>", add_special_tokens=False))
    n_prompt = len(bare.encode(tokenizer.render(sample.prompt), add_special_tokens=False))
    assert (sample.n_prompt_tokens, sample.n_completion_tokens) == (n_prompt, n_answer)
    for less, expected in ((0, [sample]), (1, [])):
        narrow = Settings(window=n_prompt + n_answer - less, answer=n_answer, versions="cot")
        assert make_samples(made, narrow, tokenizer).samples == expected
        short = Settings(window=20_000, answer=n_answer - less, versions="cot")
        assert make_samples(made, short, tokenizer).samples == expected


def test_an_answer_of_any_size_is_dropped_before_it_is_tokenized(
    tokenizer: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmerge_hub.fit.FREE_CHARACTERS", 40_000)
    made = make_samples(episode(step(thought="word " * 20_000)), Settings(window=20_000, answer=500), tokenizer)
    assert [(row.rule, row.detail) for row in made.dropped] == [("answer_too_long", "cot: 100049 characters")]
    assert [sample.cot for sample in made.samples] == [False]


def test_a_step_without_a_call_is_dropped_with_what_was_executed(tokenizer: ChatTokenizer) -> None:
    made = make_samples(episode(step(action=None, executed="bash(command='ls\n-l')")), Settings(), tokenizer)
    assert [(row.rule, row.detail) for row in made.dropped] == [("no_action", "bash(command='ls -l')")]


def test_only_benchmarks_of_one_site_have_the_site_rule() -> None:
    pages = [replace(PAGE, url=url) for url in ("http://map.lab/", "http://wiki.lab/")]
    steps = [step(n, observation=page) for n, page in enumerate(pages)]
    for task, rule in (("webarena.97", None), ("assistantbench.3", None), ("workarena.servicenow.x", "left_site")):
        assert (episode_drop_rule(episode(*steps, task=task), Settings()) or [None])[0] == rule
    assert episode_drop_rule(episode(*steps, task="workarena.servicenow.x"), Settings(site_rule=False)) is None
    for url, rule in (
        ("https://Map.lab./a", None),
        ("about:blank", None),
        ("view-source:http://wiki.lab/", "left_site"),
        ("file:///pages/a.html", "left_site"),
    ):
        other = episode(steps[0], step(1, observation=replace(PAGE, url=url)), task="miniwob.x")
        assert (episode_drop_rule(other, Settings()) or [None])[0] == rule


def test_the_ledger_says_how_a_run_ended_and_does_not_round_its_reward() -> None:
    for changes, says in (
        ({"reward": 0.9999999}, ("unsuccessful", "reward 0.9999999")),
        ({"terminated": False}, ("not_validated", "reward 1")),
        ({"terminated": False, "truncated": True}, ("not_validated", "reward 1, truncated")),
    ):
        assert episode_drop_rule(replace(episode(step()), **changes), Settings()) == says


def test_a_goal_with_an_image_is_dropped() -> None:
    assert episode_drop_rule(episode(step(), image_goal=True), Settings()) == ("image_goal", "")
