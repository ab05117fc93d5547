"""Evaluating a model with other prompt settings than it was trained with is a warning that says what to set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentmerge_hub import manifest
from agentmerge_hub.agents.command import evaluate
from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.study import trained_prompts
from agentmerge_hub.agents.study.plan import plan
from agentmerge_hub.agents.study.warnings import list_warnings
from agentmerge_hub.prompt import BASIC, Flags

FLAGS = BASIC.model_dump() | {"action_space": "click_fill"}
PROMPTS = {"window": 2048, "answer": 128, "flags": FLAGS, "different_flags": [], "chat_template_kwargs": {}}
READS_STYLE = "{% if style is defined %}{{ style }}{% endif %}"


@pytest.fixture
def warnings(write_recipe, model_folder: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Warnings of a study of model folders that were trained on prompts with these settings, one folder for each."""

    def find(*trained: dict[str, Any] | None, template: str = "", verb: str = "evaluate", **recipe: Any) -> list[str]:
        candidates = []
        for number, prompts in enumerate(trained):
            folder = tmp_path / f"run-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(model_folder, folder)
            file = folder / "chat_template.jinja"
            file.write_text(template + file.read_text())
            if prompts is not None:
                manifest.write(folder, "sft", config={"prompts": prompts})
            candidates.append({"name": f"run-{number}", "path": str(folder)})
        agents = [{"name": "basic", "flags": {"preset": "basic", "action_space": "click_fill"}}]
        settings = {"candidates": candidates, "agents": agents, "window": 2048, "answer": 128} | recipe
        return list_warnings(plan(read(write_recipe(**settings)), hashed=False), verb)

    return find


def test_the_dry_run_says_which_flag_differs_and_what_to_set(warnings, write_recipe, tmp_path: Path) -> None:
    assert warnings(PROMPTS) == []
    sentence = (
        "agent 'basic' has use_html false, and candidate run-0 was trained with true: set use_html: true in its flags"
    )
    assert warnings(PROMPTS | {"flags": FLAGS | {"use_html": True}}) == [sentence]
    output = CliRunner().invoke(evaluate, [str(tmp_path / "study.yaml"), "--dry-run"]).output
    assert [line for line in output.splitlines() if line.startswith("warning: ")] == [f"warning: {sentence}"]
    assert warnings(PROMPTS | {"flags": FLAGS | {"use_html": True}}, verb="collect") == []


def test_every_flag_of_the_training_is_compared(warnings) -> None:
    trained = Flags(action_space="miniwob", use_html=True, extract_coords="box", use_screenshot=True, use_som=True)
    others = {name: not value for name, value in FLAGS.items() if isinstance(value, bool)}
    found = warnings({"flags": trained.model_dump() | others})
    assert [line.split(" has ")[1].split()[0] for line in found] == sorted(Flags.model_fields)
    assert "has action_space click_fill, and candidate run-0 was trained with miniwob: set action_space" in found[0]


def test_chain_of_thought_is_one_of_them(warnings) -> None:
    (found,) = warnings({"flags": {"use_thinking": True}})
    assert found.startswith("agent 'basic' has use_thinking false, and candidate run-0 was trained with true")
    assert warnings({"flags": {}, "different_flags": ["use_thinking"]}) == []


def test_candidates_that_were_trained_alike_share_a_sentence(warnings) -> None:
    html, tabs = ({"flags": {name: True}} for name in ("use_html", "use_tabs"))
    first, second = warnings(html, html, tabs)
    assert "and candidates run-0, run-1 were trained with true" in first
    assert "has use_tabs false, and candidate run-2 was trained" in second
    assert "run-0, run-1, run-2 and 1 more were trained" in warnings(*[html] * 4)[0]


def test_the_tokens_of_a_prompt_are_compared(warnings) -> None:
    (found,) = warnings(PROMPTS, window=4096)
    assert found == (
        "agent 'basic' has prompts of at most 3968 tokens, and candidate run-0 was trained with 1920: set window: 2048"
    )
    assert warnings(PROMPTS, window=2000, answer=80) == []  # as much is left for the prompt
    assert "was trained with 1720: set window: 1848" in warnings(PROMPTS | {"image_tokens": 200})[0]


def test_settings_of_the_chat_template_are_compared(warnings) -> None:
    sent = {"chat_template_kwargs": {"style": "long"}}
    (found,) = warnings(PROMPTS, template=READS_STYLE, **sent)
    assert found == "chat_template_kwargs has style long, and candidate run-0 was trained with no style: remove it"
    assert warnings(PROMPTS, **sent) == []  # its template does not read it
    trained = PROMPTS | {"chat_template_kwargs": {"style": "short"}}
    (found,) = warnings(trained, template=READS_STYLE, **sent)
    assert "has style long, and candidate run-0 was trained with short: set style: short in chat_temp" in found
    (found,) = warnings(trained, template=READS_STYLE)
    assert found.startswith("nothing sets style, and candidate run-0 was trained with short: set style: short")
    assert warnings(trained, template=READS_STYLE, chat_template_kwargs={"style": "short"}) == []
    assert warnings(trained, template='{% set style = "short" %}\n' + READS_STYLE) == []  # as a run saves it


def test_a_candidates_tokenizer_is_loaded_once_for_all_agents(warnings, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = trained_prompts.fast_tokenizer
    monkeypatch.setattr(trained_prompts, "fast_tokenizer", lambda name: (loaded.append(name), load(name))[1])
    agents = [{"name": name, "flags": {"preset": "basic", "action_space": "click_fill"}} for name in ("one", "two")]
    trained = PROMPTS | {"chat_template_kwargs": {"style": "short"}}
    (found,) = warnings(trained, template=READS_STYLE, agents=agents)
    assert found.startswith("nothing sets style") and len(loaded) == 1


def test_nothing_is_said_where_nothing_is_known(warnings, write_recipe, tmp_path: Path) -> None:
    assert warnings(None, {}, {"flags": None, "window": "2048", "chat_template_kwargs": None}) == []
    assert list_warnings(plan(read(write_recipe(candidates=[{"name": "m", "model": "m"}])), hashed=False)) == []
    warnings(PROMPTS)
    (tmp_path / "run-0/manifest.json").write_text(json.dumps({"a": 1}))
    assert list_warnings(plan(read(tmp_path / "study.yaml"), hashed=False)) == []
