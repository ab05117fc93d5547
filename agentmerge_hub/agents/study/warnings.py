"""A plan → a sentence for each thing that lets a study run and its results mislead. Nothing is started."""

import difflib
from collections.abc import Iterator

from agentmerge_hub.agents.action_sets import default_action_space, lacking_calls
from agentmerge_hub.agents.study.plan import Plan
from agentmerge_hub.agents.study.trained_prompts import list_differences

SPLITS = ("train", "inter_task", "cross_task", "validation")
"""The splits that the reports of `analyse` and the dataset know."""

FIRST_EVALUATION_SEED = 1000
"""Recipes collect on smaller seeds and evaluate from this one on, so that no model is scored on an episode of its data."""


def list_warnings(planned: Plan, verb: str = "evaluate") -> list[str]:
    """Warnings about agent configs whose action space lacks calls that tasks of the benchmark need, unknown splits; in a study
    of `collect`, seeds that are reserved for evaluation; in one of `evaluate`, seeds that are for collecting, and prompts that a
    model was not trained on."""
    return [
        *_lacking_calls(planned),
        *_unknown_splits(planned),
        *(_reserved_seeds(planned) if verb == "collect" else [*_collected_seeds(planned), *list_differences(planned)]),
    ]


def _lacking_calls(planned: Plan) -> list[str]:
    flags = {e.agent_name: e.run.agent_args.flags for e in planned.episodes if not e.candidate.scripted}
    return [
        f"agent {name!r} cannot answer every task of {planned.recipe.benchmark}: its action space {chosen['action_space']!r} "
        f"lacks {_describe(lacking, planned)}; remove action_space from its flags, or set it to "
        f"{default_action_space(planned.benchmark)!r}"
        for name, chosen in flags.items()
        if isinstance(chosen, dict) and (lacking := lacking_calls(planned.benchmark, chosen["action_space"]))
    ]


def _unknown_splits(planned: Plan) -> Iterator[str]:
    for split in dict.fromkeys(group.split for group in planned.recipe.episodes):
        if split not in SPLITS:
            near = difflib.get_close_matches(split, SPLITS, 1)
            advice = f"did you mean {near[0]}?" if near else "`analyse` reports it beside them"
            yield f"the split {split!r} is none of {', '.join(SPLITS)}: {advice}"


def _reserved_seeds(planned: Plan) -> Iterator[str]:
    given = [seed for group in planned.recipe.episodes if group.seeds != "default" for seed in group.seeds]
    if reserved := [seed for seed in given if seed >= FIRST_EVALUATION_SEED]:
        yield (
            f"seeds from {FIRST_EVALUATION_SEED} on are reserved for evaluation, and the recipe collects on seed {reserved[0]}: "
            "use smaller seeds, or evaluate on others"
        )


def _collected_seeds(planned: Plan) -> Iterator[str]:
    for episode in planned.episodes:
        task, seed = episode.run.env_args.task_name, episode.run.env_args.task_seed
        if episode.group.split == "inter_task" and seed < FIRST_EVALUATION_SEED:
            yield (
                f"seeds below {FIRST_EVALUATION_SEED} are for collecting, and inter_task has seed {seed} of {task}: a model may have been "
                f"trained on that episode; use seeds from {FIRST_EVALUATION_SEED} on"
            )
            return


def _describe(lacking: list[str], planned: Plan) -> str:
    """The lacking calls, with the number of tasks that need an infeasibility report."""
    tasks = {episode.run.env_args.task_name for episode in planned.episodes}
    infeasible = sum("infeasible" in task for task in tasks)
    notes = {"report_infeasible": f" ({infeasible} of {len(tasks)} tasks are infeasible)" if infeasible else ""}
    notes["tab_focus"] = " (tabs)"
    return ", ".join(call + notes.get(call, "") for call in lacking)
