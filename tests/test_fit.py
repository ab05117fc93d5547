"""Fitting: never over the budget, never a line more than needed, and the mark is true."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentmerge_hub.errors import UserError
from agentmerge_hub.fit import DoesNotFit, Window, fit
from agentmerge_hub.prompt import Flags, Prompt, render
from agentmerge_hub.records import Observation
from agentmerge_hub.tokenizer import ChatTokenizer


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> ChatTokenizer:
    return ChatTokenizer(str(tokenizer_folder))


def count(tokenizer: ChatTokenizer, prompt: Prompt) -> int:
    return tokenizer.count(tokenizer.render(prompt.messages()))


def cut_by_hand(prompt: Prompt, tokenizer: ChatTokenizer, budget: int) -> int:
    """The most lines of the tree that fit, by trying them all."""
    lines = prompt.block("axtree").split("\n")
    for kept in range(len(lines) - 1, -1, -1):
        gone = len(lines) - kept
        mark = f"... ({gone} more {'line' if gone == 1 else 'lines'} cut)"
        if count(tokenizer, prompt.with_block("axtree", "\n".join([*lines[:kept], mark]))) <= budget:
            return kept
    return -1


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=1, max_size=30), share=st.floats(0, 1))
def test_the_cut_is_exact(tokenizer: ChatTokenizer, lines: list[str], share: float) -> None:
    tree = "\n".join([f"[{i}] generic '{line}'" for i, line in enumerate(lines)])
    prompt = render(Observation("goal", tree), [], Flags(long_description=False, individual_examples=False))
    bare, whole = count(tokenizer, prompt.with_block("axtree", "")), count(tokenizer, prompt)
    budget = int(bare + 12 + share * (whole - bare))
    expected = len(lines) if whole <= budget else cut_by_hand(prompt, tokenizer, budget)
    if expected < 0:
        with pytest.raises(DoesNotFit):
            fit(prompt, tokenizer, budget)
        return
    fitted = fit(prompt, tokenizer, budget)
    assert fitted.n_tokens == count(tokenizer, fitted.prompt) <= budget
    assert len(lines) - fitted.lines_cut.get("axtree", 0) == expected


def test_a_prompt_within_its_budget_is_untouched(tokenizer: ChatTokenizer) -> None:
    prompt = render(Observation("goal", "[1] button 'OK'"), [], Flags())
    fitted = fit(prompt, tokenizer, 100_000)
    assert fitted.prompt is prompt and not fitted.lines_cut


def test_the_tree_goes_before_the_html(tokenizer: ChatTokenizer) -> None:
    tree = "\n".join(f"[{i}] button 'number {i}'" for i in range(50))
    html = "\n".join(f'<b bid="{i}">number {i}</b>' for i in range(50))
    prompt = render(Observation("goal", tree, html), [], Flags(use_html=True))
    tree_gone = count(tokenizer, prompt.with_block("axtree", ""))
    some = fit(prompt, tokenizer, count(tokenizer, prompt) - 50)
    assert set(some.lines_cut) == {"axtree"}
    assert re.search(rf"\.\.\. \({some.lines_cut['axtree']} more lines cut\)", some.prompt.block("axtree"))
    both = fit(prompt, tokenizer, tree_gone - 100)
    assert both.lines_cut["axtree"] == 50 and 0 < both.lines_cut["html"] < 50
    assert both.n_tokens <= tree_gone - 100


def test_a_recorded_prompt_is_cut_inside(tokenizer: ChatTokenizer) -> None:
    tree = "\n".join(f"[{i}] button 'number {i}'" for i in range(50))
    recorded = Prompt.from_recorded(
        ({"role": "system", "content": "Be brief."}, {"role": "user", "content": f"\n\n Page:\n{tree}\n\nAnswer now."}),
        Observation("", tree),
    )
    fitted = fit(recorded, tokenizer, count(tokenizer, recorded) - 100)
    user = fitted.prompt.messages()[-1]["content"]
    assert user.startswith("\n\n Page:\n[0] button") and user.endswith("lines cut)\n\nAnswer now.")


def test_what_cannot_fit_says_how_much_it_needs(tokenizer: ChatTokenizer) -> None:
    with pytest.raises(DoesNotFit, match=r"\d+ tokens without any line of the page; the budget is 10"):
        fit(render(Observation("goal", "[1] button 'OK'"), [], Flags()), tokenizer, 10)
    with pytest.raises(UserError, match="leaves no prompt"):
        Window(total=512, answer=512)


def test_a_tokenizer_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer at"):
        ChatTokenizer(str(tmp_path))
    with pytest.raises(UserError, match="no tokenizer at"):
        ChatTokenizer("nobody/nothing")
