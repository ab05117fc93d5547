"""What is checked before the first episode: action spaces, the endpoint's models, context lengths."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentmerge_hub.agents import action_sets
from agentmerge_hub.agents.action_sets import default_action_space
from agentmerge_hub.agents.browser.agentlab_api import HighLevelActionSet
from agentmerge_hub.agents.command import collect, evaluate
from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.study.plan import plan
from agentmerge_hub.agents.study.preflight import list_problems
from agentmerge_hub.agents.study.warnings import list_warnings


@pytest.mark.parametrize(
    ("benchmark", "space", "tabs"),
    [
        ("miniwob", "miniwob_all", False),
        ("workarena_l1", "workarena", False),
        ("workarena_l2", "workarena++", True),
        ("workarena_l3", "workarena++", True),
        ("webarena", "webarena", True),
        ("assistantbench", "assistantbench", True),
    ],
)
def test_the_action_space_and_tabs_follow_the_benchmark(write_recipe, benchmark: str, space: str, tabs: bool) -> None:
    common = {"benchmark": benchmark, "candidates": [{"name": "m", "model": "m"}], "episodes": [{"split": "train"}]}
    planned = plan(read(write_recipe(agents=[{"name": "a", "flags": {"preset": "advanced"}}], **common)))
    flags = planned.episodes[0].run.agent_args.flags
    assert flags["action_space"] == default_action_space(planned.benchmark) == space and flags["use_tabs"] is tabs
    assert list_warnings(planned) == []


def test_named_flags_win_over_the_benchmarks(write_recipe) -> None:
    named = {"preset": "advanced", "action_space": "click_fill", "use_tabs": True}
    agents = [{"name": "a", "flags": named}]
    candidates = [{"name": "m", "model": "m"}]
    recipe = write_recipe(
        benchmark="miniwob_tiny_test", candidates=candidates, agents=agents, episodes=[{"split": "train"}]
    )
    flags = plan(read(recipe)).episodes[0].run.agent_args.flags
    assert (flags["action_space"], flags["use_tabs"]) == ("click_fill", True)


def test_a_dry_run_names_what_the_action_space_lacks(write_recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOW_INSTANCE_URL", raising=False)
    recipe = write_recipe(
        benchmark="workarena_l2",
        candidates=[{"name": "m", "model": "m"}],
        agents=[{"name": "adv", "flags": {"preset": "advanced", "action_space": "workarena"}}],
        episodes=[{"split": "cross_task"}],
    )
    output = CliRunner().invoke(evaluate, [str(recipe), "--dry-run"]).output
    (warning,) = [line for line in output.splitlines() if line.startswith("warning: ")]
    assert "'adv' cannot answer every task of workarena_l2" in warning and "set it to 'workarena++'" in warning
    assert "lacks report_infeasible (29 of 152 tasks are infeasible), tab_focus (tabs)" in warning


def test_an_unknown_split_and_seeds_of_the_evaluation_are_warnings(write_recipe) -> None:
    episodes = [
        {"split": split, "tasks": [task], "seeds": "990-1005"}
        for split, task in (("trian", "click-test"), ("mine", "focus-text"))
    ]
    planned = plan(read(write_recipe(episodes=episodes)))
    splits = [
        "the split 'trian' is none of train, inter_task, cross_task, validation: did you mean train?",
        "the split 'mine' is none of train, inter_task, cross_task, validation: `analyse` reports it beside them",
    ]
    assert list_warnings(planned, "evaluate") == splits
    assert list_warnings(planned, "collect")[:2] == splits
    output = CliRunner().invoke(collect, [str(write_recipe(episodes=episodes)), "--dry-run"]).output
    assert (
        "warning: seeds from 1000 on are reserved for evaluation, and the recipe collects on seed 1000: use" in output
    )


@pytest.mark.parametrize(("seeds", "shown"), [("998-1003", "998"), ("default", r"\d+")])
def test_inter_task_on_seeds_for_collecting_is_a_warning(write_recipe, seeds: str, shown: str) -> None:
    def warnings(seeds: str, split: str = "inter_task", verb: str = "evaluate") -> list[str]:
        episodes = [{"split": split, "tasks": ["click-test"], "seeds": seeds}]
        return list_warnings(plan(read(write_recipe(episodes=episodes))), verb)

    (warning,) = warnings(seeds)
    assert re.match(
        f"seeds below 1000 are for collecting, and inter_task has seed {shown} of miniwob.click-test: a model may",
        warning,
    )
    assert warnings("1000-1003") == warnings(seeds, "cross_task") == []
    assert "are for collecting" not in "".join(warnings(seeds, verb="collect"))


def test_an_action_set_is_built_once_however_many_episodes_there_are(write_recipe, monkeypatch) -> None:
    built = []

    def count(subsets: tuple[str, ...]) -> HighLevelActionSet:
        built.append(subsets)
        return HighLevelActionSet(subsets=subsets)

    monkeypatch.setattr(action_sets, "HighLevelActionSet", count)
    action_sets._calls_of_subsets.cache_clear()
    agents = [{"name": name, "flags": {"preset": name, "action_space": "click_fill"}} for name in ("basic", "advanced")]
    episodes = [{"split": "train", "tasks": ["click-test"], "seeds": "0-49"}]
    planned = plan(read(write_recipe(candidates=[{"name": "m", "model": "m"}], agents=agents, episodes=episodes)))
    assert list_warnings(planned) == [] and len(planned.episodes) == 100
    assert len(built) == 1


def test_a_benchmark_without_its_package_is_one_sentence(write_recipe) -> None:
    def problems(benchmark: str) -> list[str]:
        candidates = [{"name": "m", "model": "m"}]
        found = list_problems(
            read(write_recipe(benchmark=benchmark, candidates=candidates, episodes=[{"split": "train"}]))
        )
        return [problem for problem in found if "Python package" in problem]

    for benchmark, package in (("webarena_tiny", "browsergym-webarena"), ("weblinx", "weblinx-browsergym")):
        (problem,) = problems(benchmark)
        assert f"the tasks of {benchmark} are in the Python package {package}, which is not installed" in problem
    assert problems("miniwob_tiny_test") == problems("workarena_l2") == []
    agents = [{"name": name, "flags": {"preset": "basic"}} for name in "ab"]
    two = list_problems(read(write_recipe(benchmark="webarena_tiny", agents=agents, episodes=[{"split": "train"}])))
    assert any("webarena_tiny must be reset after each agent" in problem for problem in two)


def test_the_endpoint_must_serve_the_model_with_enough_context(write_recipe, chat_server) -> None:
    def problems(**changes: object) -> list[str]:
        candidates = [{"name": "m", "model": "m"}]
        return list_problems(read(write_recipe(endpoint=chat_server.address, candidates=candidates, **changes)))

    assert problems() == []
    chat_server.models = [{"id": "another", "object": "model"}]
    assert problems() == ["the endpoint does not serve 'm' but another: correct the candidate's model or the server"]
    chat_server.models = [{"id": "m", "max_model_len": 4096}]
    assert problems() == ["m has a context of 4096 tokens and the recipe's window is 8192: set window to 4096 or less"]
    assert problems(window=4096) == []
    chat_server.models = []  # an endpoint without a list
    assert problems() == []


def test_a_servicenow_instance_must_answer_and_take_the_user(write_recipe, chat_server, monkeypatch) -> None:
    def problems(url: str) -> list[str]:
        monkeypatch.setenv("SNOW_INSTANCE_URL", url)
        return list_problems(recipe)

    monkeypatch.setenv("SNOW_INSTANCE_UNAME", "admin")
    monkeypatch.setenv("SNOW_INSTANCE_PWD", "secret")
    recipe = read(write_recipe(benchmark="workarena_l1", episodes=[{"split": "train"}]))
    assert problems(chat_server.address) == []
    for status, sentence in (
        (401, "refuses the user (HTTP 401): correct SNOW_INSTANCE_UNAME"),
        (404, "answers HTTP 404"),
    ):
        chat_server.get_status = status
        (problem,) = problems(chat_server.address)
        assert sentence in problem and "secret" not in problem
    for url in ("http://127.0.0.1:9", "no address"):
        (problem,) = problems(url)
        assert problem.startswith("no ServiceNow instance answers at SNOW_INSTANCE_URL (")


def test_a_folder_with_a_short_context_is_one_sentence(write_recipe, model_folder: Path) -> None:
    (problem,) = list_problems(read(write_recipe(candidates=[{"name": "tiny", "path": str(model_folder)}])))
    length = json.loads((model_folder / "config.json").read_text())["max_position_embeddings"]
    assert problem.startswith("candidate tiny: ") and f"has a context of {length} tokens" in problem
