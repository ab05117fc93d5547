"""Recipes: the shipped ones are valid, a wrong one is one sentence, WorkArena is planned without an instance."""

import signal
from dataclasses import fields
from pathlib import Path

import pytest
from agentlab.agents.dynamic_prompting import ActionFlags, ObsFlags
from agentlab.agents.generic_agent.generic_agent_prompt import GenericPromptFlags
from click.testing import CliRunner
from pydantic import BaseModel

from agentmerge_hub.agents.command import collect
from agentmerge_hub.agents.recipes.recipe import AgentConfig, Candidate, Group, Price, Recipe, read
from agentmerge_hub.agents.solvers.solver import SOLVERS
from agentmerge_hub.agents.study.plan import plan
from agentmerge_hub.agents.study.preflight import WORKARENA_VARIABLES
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.atomic_write import temporary_name
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.prompt import Flags
from agentmerge_hub.prompt.flags import NOT_APPLIED

SHIPPED = sorted(path for part in ("collect", "evaluate") for path in (data_folder("recipes") / part).glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_recipes_can_be_planned(path: Path) -> None:
    recipe = read(path)
    planned = plan(recipe, hashed=False)
    seeds = {episode.group.split: set() for episode in planned.episodes}
    for episode in planned.episodes:
        seeds[episode.group.split].add(episode.run.env_args.task_seed)
    if path.parent.name == "collect":
        assert max(max(values) for values in seeds.values()) < 1000
    else:
        assert min(seeds["inter_task"]) >= 1000


def test_the_recipes_readme_lists_every_key_with_its_description() -> None:
    table = (data_folder("recipes") / "README.md").read_text(encoding="utf-8")
    sections: dict[type[BaseModel], str] = {Recipe: "", Candidate: "candidates: ", Price: "candidates: price: "}
    for model, prefix in (sections | {AgentConfig: "agents: ", Group: "episodes: ", Flags: ""}).items():
        for name, field in model.model_fields.items():
            assert f"| `{prefix}{name}` | {field.description} |" in table


def test_the_expert_has_solvers_for_tasks_of_many_kinds() -> None:
    kinds = [
        "button",
        "option",
        "checkboxes",
        "text",
        "date",
        "list",
        "table",
        "tab",
        "menu",
        "email",
        "autocomplete",
        "password",
        "login",
        "form",
    ]
    assert len(SOLVERS) >= 35
    assert all(any(kind in task for task in SOLVERS) for kind in kinds)


def test_workarena_is_planned_with_its_own_lists_seeds_and_splits() -> None:
    recipe = {"name": "w", "benchmark": "workarena_l1", "candidates": [{"name": "m", "model": "m"}]}
    recipe |= {"agents": [{"name": "a", "flags": {"preset": "advanced"}}]}
    both = [{"split": "inter_task", "browsergym_split": "train"}, {"split": "cross_task", "browsergym_split": "test"}]
    planned = plan(Recipe.model_validate(recipe | {"episodes": both}))
    tasks = {split: {e.run.env_args.task_name for e in planned.episodes if e.group.split == split} for split in
             ("inter_task", "cross_task")}  # fmt: skip
    assert (len(tasks["inter_task"]), len(tasks["cross_task"]), len(planned.episodes)) == (15, 18, 330)
    assert {e.run.env_args.max_steps for e in planned.episodes} == {15}
    assert {e.run.env_args.slow_mo for e in planned.episodes} == {None}  # the benchmark's own pace
    for level in ("workarena_l2", "workarena_l3"):
        whole = plan(Recipe.model_validate(recipe | {"benchmark": level, "episodes": [{"split": "test"}]}))
        assert len(whole.episodes) == 235


def test_workarena_without_an_instance_is_one_sentence(write_recipe, monkeypatch, tmp_path: Path) -> None:
    for name in (*WORKARENA_VARIABLES, "SNOW_INSTANCE_POOL", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    recipe = write_recipe(
        benchmark="workarena_l1",
        candidates=[{"name": "m", "path": str(tmp_path)}],
        episodes=[{"split": "cross_task", "browsergym_split": "test"}],
    )
    result = CliRunner().invoke(collect, [str(recipe), "--dry-run"])
    assert result.exit_code == 1 and "the run would be refused: " in str(result.exception)
    (sentence,) = [line for line in result.output.splitlines() if "WorkArena" in line]
    assert all(name in sentence for name in WORKARENA_VARIABLES) and "WorkArena-Instances" in sentence
    assert "180 episodes of 18 tasks" in result.output
    assert f"there is no model folder {tmp_path}" not in result.output
    assert "has no config.json" in result.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"benchmark": "workarena_l9"}, "there is no benchmark 'workarena_l9'"),
        ({"episodes": [{"split": "x", "tasks": ["click-nothing"]}]}, "has no task 'miniwob.click-nothing'"),
        (
            {"episodes": [{"split": "x", "tasks": ["clik-test-2"]}]},
            "'miniwob.clik-test-2': did you mean miniwob.click-test-2",
        ),
        ({"agents": [{"nam": "a", "flags": {}}]}, "agents.0.nam: there is no such key: did you mean name?"),
        (
            {"episodes": [{"split": "x", "tasks": ["click-test"], "browsergym_split": "train"}]},
            "is not in BrowserGym's train",
        ),
        ({"episodes": [{"split": "x", "tasks": ["tic-tac-toe"]}]}, "no solver for miniwob.tic-tac-toe"),
        ({"candidates": []}, "candidates: at least 1 is needed"),
        ({"max_steps": "five"}, "max_steps: 'five' should be a whole number"),
        ({"max_steps": 1.5}, "max_steps: 1.5 should be a whole number"),
        ({"step_seconds": float("inf")}, "step_seconds: inf should be a finite number"),
        ({"temperature": "hot"}, "temperature: 'hot' should be a number"),
        ({"screenshots": "maybe"}, "screenshots: 'maybe' should be true or false"),
        ({"name": [1]}, "name: [1] should be a text"),
        ({"agents": {"name": "a"}}, "agents: {'name': 'a'} should be a list"),
        ({"agents": ["a"]}, "agents.0: 'a' should be keys with values"),
        ({"candidates": None}, "candidates: None should be a list"),
        ({"engine": "vlm"}, "engine: 'vlm' should be 'auto', 'vllm'"),
        ({"candidates": [{"name": "m"}]}, "needs exactly one of path, model, scripted"),
        ({"agents": [{"name": "a"}]}, "needs flags, or generic, and not both"),
        ({"agents": [{"name": "a", "flags": {"preset": "fancy"}}]}, "no preset 'fancy'"),
        ({"agents": [{"name": "a", "flags": {"preset": ["basic"]}}]}, "no preset ['basic']"),
        (
            {"agents": [{"name": "a", "flags": {"use_thinkin": True}}]},
            "agents.0.flags.use_thinkin: there is no such key: did you mean use_thinking?",
        ),
        (
            {"agents": [{"name": "a", "flags": {"use_plan": True}}]},
            "agents.0.flags: AgentLab's flag use_plan is not applied here, remove it: an answer holds a thought",
        ),
        (
            {"agents": [{"name": "a", "flags": {"extract_coords": "both"}}]},
            "agents.0.flags.extract_coords: 'both' should be 'False', 'center' or 'box'",
        ),
        (
            {"candidates": [{"name": "m", "modle": "m"}]},
            "candidates.0.modle: there is no such key: did you mean model?",
        ),
        ({"episodes": [{"tasks": ["click-test"]}]}, "episodes.0.split: this key is missing"),
        ({"agents": [{"name": "a", "generic": "FLAGS_NONE"}]}, "no GenericAgent preset 'FLAGS_NONE'"),
        (
            {
                "candidates": [{"name": "m", "model": "m"}],
                "agents": [{"name": "a", "generic": "FLAGS_8B"}],
                "chat_template_kwargs": {"enable_thinking": False},
            },
            "GenericAgent sends no chat_template_kwargs",
        ),
        (
            {
                "candidates": [{"name": "m", "model": "m"}],
                "agents": [{"name": "a", "generic": "FLAGS_8B"}],
                "max_retry": 0,
            },
            "GenericAgent takes max_retry for the number of answers, and with 0 it asks for none: set max_retry to 1",
        ),
        ({"agents": [{"name": "a", "flags": {"preset": "basic"}}] * 2}, "agents: the name 'a' is used twice"),
        *(
            ({"episodes": [{"split": "x", "tasks": ["click-test"], "seeds": seeds}]}, f"episodes.0.seeds: {says}")
            for seeds, says in (
                ("9-3", "9-3: the first seed is larger than the last: write 3-9"),
                ("a-b", "'a-b' is no range of seeds, such as 0-24"),
                ([], "[] is no range of seeds, such as 0-24, no list of whole numbers below 2**32, and not default"),
                (-1, "-1 is no range of seeds"),
                (2**32, "4294967296 is no range of seeds"),
                (True, "True is no range of seeds"),
                ("0-", "'0-' is no range of seeds"),
                ([1, "x"], "[1, 'x'] is no range of seeds"),
                ([1, 1, 1], "seed 1 is given twice, remove one"),
                ("0-99999999999", "0-99999999999 are more than 1,000,000 seeds"),
            )
        ),
        (
            {"episodes": [{"split": split, "tasks": ["click-test"], "seeds": "0-2"} for split in "xy"]},
            "name task miniwob.click-test with seed 0 twice",
        ),
        *(
            (
                {
                    "episodes": [
                        {"split": "validation", "tasks": ["click-test"]},
                        {"split": "cross_task", "tasks": ["click-test"], "seeds": seeds},
                    ]
                },
                "the episodes name task miniwob.click-test with seed",
            )
            for seeds in ("default", "0-33")
        ),
        ({"name": "a/../b"}, "name: 'a/../b' has a slash, and a folder is named after the study"),
        ({"name": ""}, "name: a name has 1 to 100 characters"),
        ({"candidates": [{"name": "m\n", "model": "m"}]}, "candidates.0.name: a name has 1 to 100 characters"),
        ({"max_retry": -1}, "max_retry: -1 should be greater than or equal to 0"),
        ({"max_steps": 0}, "max_steps: 0 should be greater than 0"),
        ({"window": 512}, "a window of 512 tokens leaves no prompt beside an answer of 1024"),
        ({"jobz": 2}, "jobz: there is no such key: did you mean jobs?"),
        ({"xyzzy": 2}, "xyzzy: there is no such key: use one of name, benchmark, candidates"),
    ],
)
def test_a_wrong_value_is_one_sentence(write_recipe, changes: dict, says: str) -> None:
    with pytest.raises(UserError) as error:
        plan(read(write_recipe(**changes)))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_recipe_that_is_not_yaml_or_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="is not YAML: line 1: expected"):
        read(tmp_path / "bad.yaml")
    for text, says in (("name: 2026-13-01", "month must be"), ("[" * 5000, ""), ("a: \0", "special characters")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(UserError, match=f"is not YAML: .*{says}"):
            read(tmp_path / "bad.yaml")
    (tmp_path / "twice.yaml").write_text("name: a\nagents:\n- {<<: {name: b}, name: c}\n- {name: d, name: e}\n")
    with pytest.raises(UserError, match="line 4: 'name' is given twice, remove one"):
        read(tmp_path / "twice.yaml")
    for other, kind in (
        ("sft/tiny/base-all", "one of training: run `accelerate launch -q` with recipes/sft.py"),
        ("experiments/miniwob-cpu/sft", "one of training"),
        ("merge/ties", "a merge spec: run `agentmerge merge`"),
        ("sft/tiny/sweep", "a sweep of training runs: run `agentmerge recipes expand`"),
    ):
        found = next((data_folder("recipes")).glob(f"{other}.y*ml"))
        with pytest.raises(UserError, match=f"is no recipe of collect and evaluate, but {kind}"):
            read(found)


def test_a_path_with_wildcards_is_a_candidate_for_each_model_folder(tmp_path: Path) -> None:
    for name in ("lr1-seed0/lambda-0.3", "lr1-seed0/lambda-0.7", "lr1-seed1/lambda-0.3", "lr1-seed1/unfinished"):
        (tmp_path / "merged" / name).mkdir(parents=True)
        if "unfinished" not in name:
            (tmp_path / "merged" / name / "config.json").write_text("{}")
    recipe = tmp_path / "recipe.yaml"
    text = f"""
name: grid
candidates: [{{name: merge, method: agentmerge, path: {tmp_path}/merged/lr1-*/*}}, {{name: expert, scripted: true}}]
agents: [{{name: basic, flags: {{preset: basic}}}}]
episodes: [{{split: validation}}]
"""
    recipe.write_text(text)
    names = ["merge-lr1-seed0-lambda-0.3", "merge-lr1-seed0-lambda-0.7", "merge-lr1-seed1-lambda-0.3", "expert"]
    candidates = read(recipe).candidates
    assert [candidate.name for candidate in candidates] == names
    assert candidates[1].path == str(tmp_path / "merged/lr1-seed0/lambda-0.7")
    recipe.write_text(text.replace("lr1-*/*", "**/lambda-0.3"))
    with pytest.raises(UserError, match=r"'merge': its path has \*\*, write a \* for each level of folders"):
        read(recipe)
    recipe.write_text(text.replace("lr1-*", "lr2-*"))
    with pytest.raises(UserError, match=r"no model folder matches .*lr2.*, the path of candidate 'merge'"):
        read(recipe)


def test_a_wildcard_matches_adapters_and_no_folder_that_is_being_written(tmp_path: Path) -> None:
    partial = temporary_name(tmp_path / "base-2", "partial").name
    for name, file in (("base-0", "config.json"), ("base-1", "adapter_config.json"), (partial, "config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
candidates: [{{name: run, path: {tmp_path}/*}}]
name: runs
agents: [{{name: basic, flags: {{preset: basic}}}}]
episodes: [{{split: validation}}]
""")
    assert [candidate.name for candidate in read(recipe).candidates] == ["run-base-0", "run-base-1"]


def test_signals_are_handled_as_before_once_a_command_has_ended(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert CliRunner().invoke(collect, [str(tmp_path / "absent.yaml"), "-o", str(tmp_path / "out")]).exit_code == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_each_flag_of_agentlab_is_applied_or_refused_with_what_holds_in_its_place() -> None:
    of_agentlab = {field.name for kind in (ObsFlags, ActionFlags, GenericPromptFlags) for field in fields(kind)}
    applied = set(Flags.model_fields)
    assert of_agentlab - applied == set(NOT_APPLIED)
