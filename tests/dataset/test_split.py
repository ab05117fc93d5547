"""Splits: no task, seed or goal is in two splits, whatever the tasks, seeds and goals are; the task table equals BrowserGym's."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.dataset.selection.balance import SampleKey, balance
from agentmerge_hub.dataset.selection.split import assign, draw
from agentmerge_hub.dataset.selection.tasks import categories, task
from agentmerge_hub.dataset.settings import Settings, check_names, option_of, read_settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.licenses.model_licenses import license_of

TASKS = ("miniwob.click-dialog", "miniwob.click-option", "miniwob.click-button", "miniwob.click-test", "elsewhere.task")
RUNS = st.lists(st.tuples(st.sampled_from(TASKS), st.integers(0, 30), st.sampled_from(["", *"abcdefgh"])), max_size=80)
SETTINGS = st.builds(
    Settings,
    inter_share=st.sampled_from([0.0, 0.1, 0.5]),
    inter_seeds=st.sampled_from([(), ((20, 30),), ((0, 3), (7, 7))]),
    hold_out_tasks=st.sampled_from([(), ("miniwob.click-dialog",)]),
    validation_tasks=st.sampled_from([(), ("miniwob.click-test", "miniwob.click-option")]),
    benchmark_split=st.booleans(),
    seed=st.integers(0, 5),
)


@given(runs=RUNS, settings=SETTINGS)
def test_no_task_seed_or_goal_crosses(runs: list[tuple[str, int, str]], settings: Settings) -> None:
    split = assign(runs, settings)
    assert set(split) <= set(runs)
    for key in (lambda run: run[:2], lambda run: run[2]):
        sides: dict[object, set[str]] = {}
        for run, name in split.items():
            if key(run) != "":
                sides.setdefault(key(run), set()).add(name)
        assert all(len(names) == 1 for names in sides.values())
    for alone in ("cross_task", "validation"):
        tasks = {run[0] for run, name in split.items() if name == alone}
        assert not tasks & {run[0] for run, name in split.items() if name != alone}
    assert {run[0] for run, name in split.items() if name == "validation"} <= set(settings.validation_tasks)
    if settings.inter_seeds:
        reserved = [run for run, name in split.items() if name == "inter_task"]
        assert all(any(low <= seed <= high for low, high in settings.inter_seeds) for _, seed, _ in reserved)


@given(runs=RUNS, order=st.randoms())
def test_the_order_of_the_runs_does_not_matter(runs: list[tuple[str, int, str]], order) -> None:
    shuffled = list(runs)
    order.shuffle(shuffled)
    assert assign(runs, Settings()) == assign(shuffled, Settings())


def test_test_tasks_go_to_cross_task_and_reserved_seeds_to_inter_task() -> None:
    runs = [("miniwob.click-dialog", seed, f"goal {seed}") for seed in range(5)] + [
        ("miniwob.click-button", 0, "other")
    ]
    split = assign(runs, Settings(inter_seeds=((3, 4),)))
    assert [split[run] for run in runs] == ["train"] * 3 + ["inter_task"] * 2 + ["cross_task"]
    held_out = assign(runs, Settings(hold_out_categories=("original",), benchmark_split=False, inter_share=0))
    assert set(held_out.values()) == {"cross_task"}


def test_a_goal_of_many_seeds_stays_in_train() -> None:
    runs = [("miniwob.click-dialog", seed, "press it") for seed in range(100)]
    assert set(assign(runs, Settings(inter_share=0.5)).values()) == {"train"}
    reserved = assign(runs, Settings(inter_seeds=((50, 99),)))
    assert len(reserved) == 50 and set(reserved.values()) == {"train"}


def test_the_share_is_about_right_and_small_sets_get_one() -> None:
    runs = [("miniwob.click-dialog", seed, f"goal {seed}") for seed in range(2000)]
    drawn = sum(name == "inter_task" for name in assign(runs, Settings(inter_share=0.1)).values())
    assert 150 < drawn < 250
    assert sum(name == "inter_task" for name in assign(runs[:6], Settings(inter_share=0.01)).values()) == 1


@given(
    samples=st.lists(
        st.builds(
            SampleKey,
            st.uuids().map(str),
            st.sampled_from(["train", "inter_task"]),
            st.sampled_from("ab"),
            st.booleans(),
            st.tuples(st.sampled_from("ef"), st.integers(0, 9)),
            st.just(False),
        ),
        unique_by=lambda sample: sample.sample_id,
    ),
    seed=st.integers(0, 9),
)
def test_cot_and_no_cot_are_drawn_equal(samples: list[SampleKey], seed: int) -> None:
    chosen = balance(samples, seed)
    assert chosen == balance(samples[::-1], seed)
    for split in ("train", "inter_task"):
        for name in "ab":
            pool = [sample for sample in samples if (sample.split, sample.task) == (split, name)]
            taken = [sum(s.sample_id in chosen for s in pool if s.cot is cot) for cot in (True, False)]
            there = [sum(s.cot is cot for s in pool) for cot in (True, False)]
            assert taken[0] == taken[1] == min(there)


def test_draws_are_the_same_everywhere() -> None:
    assert draw("miniwob.click-dialog/3", 0) == pytest.approx(0.3343882822)
    assert draw("miniwob.click-dialog/3", 1) != draw("miniwob.click-dialog/3", 0)


def test_the_table_of_tasks_is_browsergyms() -> None:
    benchmark = pytest.importorskip("browsergym.experiments.benchmark")
    for name, column in (("miniwob", "miniwob_category"), ("workarena", "category")):
        path = Path(benchmark.__file__).parent / "metadata" / f"{name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                known = task(row["task_name"])
                assert (known.category, known.split) == (row[column], row["browsergym_split"])
                assert known.level == row.get("level", "")
    assert {"form", "list-filter", "original"} <= categories()


@pytest.mark.parametrize(
    ("teacher", "terms"),
    [
        ("meta-llama/Meta-Llama-3.1-70B-Instruct", "llama3.1"),
        ("meta-llama/llama-3.3-70b-instruct", "llama3.3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama3.1"),
        ("mistralai/Mistral-Large-Instruct-2407", "mistral-research-license"),
        ("mistralai/Mistral-Small-Instruct-2409", "mistral-research-license"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "apache-2.0"),
        ("mistralai/Mistral-Large-3-675B-Instruct-2512", "apache-2.0"),
        ("google/gemma-3-270m-it", "gemma"),
        ("google/gemma-4-12b-it", "apache-2.0"),
        ("Qwen/Qwen2.5-VL-72B-Instruct", "qwen"),
        ("Qwen/Qwen2.5-3B-Instruct", "qwen-research"),
        ("qwen-2.5-7b-instruct", "apache-2.0"),
        ("Qwen/Qwen-72B-Chat", "unknown"),
        ("gpt-4o-2024-08-06", "openai-terms-of-use"),
        ("openai/gpt-oss-120b", "apache-2.0"),
        ("claude-3-5-sonnet-20241022", "anthropic-commercial-terms"),
        ("scripted", "apache-2.0"),
        ("somebodys-model", "unknown"),
        ("", "unknown"),
    ],
)
def test_teachers_carry_their_terms(teacher: str, terms: str) -> None:
    assert license_of(teacher) == terms


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"inter_share": 2}, "--inter-share 2: "),
        ({"keep_duplicates": 0}, "--keep-duplicates 0: "),
        ({"min_reward": float("nan")}, "--min-reward nan: "),
        ({"window": 100, "answer": 100}, "--window and --answer: "),
        ({"flags": {"action_space": "tap"}}, "--flag NAME=VALUE: no action space 'tap'"),
        ({"flags": {"use_som": True}}, "--flag use_som: "),
        ({"hold_out_tasks": ("miniwob.no-such-task",)}, "--hold-out-task miniwob.no-such-task: BrowserGym has no such task"),
        ({"validation_tasks": ("miniwob.no-such-task",)}, "--validation-task miniwob.no-such-task: BrowserGym has no such"),
        ({"hold_out_categories": ("nothing",)}, "--hold-out-category nothing: "),
        ({"validation_tasks": ("miniwob.click-test",), "hold_out_tasks": ("miniwob.click-test",)}, "a task has one split"),
    ],
    ids=str,
)  # fmt: skip
def test_a_refused_setting_names_its_option(settings: dict, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        read_settings(**settings)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("hold_out_tasks", "task"), ("validation_tasks", "task"), ("agents", "agent"), ("licenses", "teacher")],
)
def test_a_name_that_neither_browsergym_nor_the_traces_know_is_refused(setting: str, kind: str) -> None:
    settings = read_settings(**{setting: {"mine-1": "mit"} if setting == "licenses" else ("mine-1",)})
    check_names(settings, {"mine-1"}, {"mine-1"}, {"mine-1"})
    with pytest.raises(UserError, match=f"^{option_of(setting)} mine-1: no episode .* their {kind}s are e.g. mine-2$"):
        check_names(settings, {"mine-2"}, {"mine-2"}, {"mine-2"})
    with pytest.raises(UserError, match=f"no episode of the traces is of this {kind}; they name no {kind}$"):
        check_names(settings, {""}, {""}, {""})
    check_names(read_settings(hold_out_tasks=("miniwob.click-test",)), {"mine-2"}, {"mine-2"}, set())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["train", "inter_task"]), st.sampled_from("ab"), st.integers(0, 20), st.sampled_from(["both", "cot", "no_cot", "recorded cot", "recorded no_cot"])
    ),
    unique_by=lambda step: step[2],
)  # fmt: skip


@given(steps=STEPS, seed=st.integers(0, 9))
def test_steps_with_both_versions_are_in_both_configs_and_the_rest_is_equally_large(
    steps: list[tuple], seed: int
) -> None:
    samples = [
        SampleKey(f"{number}{cot}", split, name, cot, ("e", number), not kind.startswith("recorded"))
        for split, name, number, kind in steps
        for cot in (True, False)
        if kind.removeprefix("recorded ") in ("both", "cot" if cot else "no_cot")
    ]
    chosen = [sample for sample in samples if sample.sample_id in balance(samples, seed)]
    sides = [{sample.step for sample in chosen if sample.rendered and sample.cot is cot} for cot in (True, False)]
    assert sides[0] == sides[1] == {("e", number) for _, _, number, kind in steps if kind == "both"}
    for place in {step[:2] for step in steps}:
        sizes = [
            sum(sample[1:3] == place and not sample.rendered and sample.cot is cot for sample in chosen)
            for cot in (True, False)
        ]
        kinds = [step[3] for step in steps if step[:2] == place]
        assert sizes[0] == sizes[1] == min(kinds.count("recorded cot"), kinds.count("recorded no_cot"))


def test_a_rendered_step_is_in_both_configs_or_in_neither() -> None:
    def key(episode: str, step: int, cot: bool) -> SampleKey:
        return SampleKey(f"{episode}{step}{cot}", "train", "a", cot, (episode, step), True)

    both = [key("e", 0, True), key("e", 0, False), key("f", 3, True), key("f", 3, False)]
    lost_one = [key("e", 1, False), key("e", 2, True)]
    assert balance(both + lost_one, 0) == {sample.sample_id for sample in both}
