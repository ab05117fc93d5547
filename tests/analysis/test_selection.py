"""λ and checkpoint are chosen on validation tasks or not at all, and comparisons pair what belongs together."""

from pathlib import Path

import pytest
import simulated_results as simulated

from agentmerge_hub.analysis import comparison_table, episodes, labels, selection
from agentmerge_hub.analysis.report import verdicts
from agentmerge_hub.errors import UserError


def read(folder: Path, rows: list[dict], **options) -> episodes.Results:
    return episodes.read([simulated.write(folder / "results", rows)], **options)


def fixed(method: str, wins: dict[str, float], tasks: int = 4, seeds: int = 4, **values) -> list[dict]:
    """Episodes whose mean reward is given by split."""
    return [
        simulated.episode(
            method=method, split=split, task=f"miniwob.{split}-{t}", seed=s, reward=float(t * seeds + s < share * tasks * seeds), **values
        )
        for split, share in wins.items()
        for t in range(tasks)
        for s in range(seeds)
    ]  # fmt: skip


def test_the_best_on_validation_is_shown_though_another_is_better_on_the_test(tmp_path: Path) -> None:
    rows = fixed("agentmerge", {"validation": 0.25, "cross_task": 1.0}, merge_lambda=0.3)
    rows += fixed("agentmerge", {"validation": 0.75, "cross_task": 0.5}, merge_lambda=0.7)
    chosen = selection.choose(read(tmp_path, rows))
    assert [c.merge_lambda for c in chosen.candidates] == [0.7]
    assert [(row["merge_lambda"], row["chosen"]) for row in chosen.table] == [(0.3, False), (0.7, True)]


def test_settings_without_validation_take_no_part_in_the_choice(tmp_path: Path) -> None:
    rows = fixed("agentmerge", {"validation": 0.25, "cross_task": 0.5}, merge_lambda=0.3, samples_seen=80)
    rows += fixed("agentmerge", {"validation": 0.75, "cross_task": 0.5}, merge_lambda=0.7, samples_seen=80)
    rows += fixed("agentmerge", {"cross_task": 1.0}, merge_lambda=0.7, samples_seen=40)
    chosen = selection.choose(read(tmp_path, rows))
    assert [(c.merge_lambda, c.samples_seen) for c in chosen.candidates] == [(0.7, 80)]
    assert [row["merge_lambda"] for row in chosen.table] == [0.3, 0.7]
    assert "at the edge of the values tried (0.3, 0.7)" in chosen.notes[0]
    note = chosen.notes[1]
    assert "Without validation episodes" in note and "λ 0.7, 40 samples" in note
    rows = fixed("agent", {"validation": 0.25, "cross_task": 0.5}, samples_seen=40)
    rows += fixed("agent", {"cross_task": 0.5}, samples_seen=80)
    assert [c.samples_seen for c in selection.choose(read(tmp_path / "two", rows)).candidates] == [40]


def test_tasks_can_be_set_aside_to_choose_on(tmp_path: Path) -> None:
    rows = fixed("agentmerge", {"cross_task": 0.25}, merge_lambda=0.3) + fixed(
        "agentmerge", {"cross_task": 0.75}, merge_lambda=0.7
    )
    results = read(tmp_path, rows, validation_tasks=("miniwob.cross_task-2",))
    assert {row["task"] for row in results.rows if row["split"] == "cross_task"} == {
        f"miniwob.cross_task-{t}" for t in (0, 1, 3)
    }
    assert [c.merge_lambda for c in selection.choose(results).candidates] == [0.7]


def test_without_validation_every_lambda_of_the_last_checkpoint_stays(tmp_path: Path) -> None:
    rows = [
        row
        for weight in (0.3, 0.7)
        for seen in (5120, 10240)
        for row in fixed("agentmerge", {"cross_task": weight}, merge_lambda=weight, samples_seen=seen)
    ]
    chosen = selection.choose(read(tmp_path, rows))
    assert [(c.merge_lambda, c.samples_seen) for c in chosen.candidates] == [(0.3, 10240), (0.7, 10240)]
    assert "without validation episodes" in chosen.notes[0]
    with pytest.raises(UserError, match="the results hold cross_task"):
        selection.choose(read(tmp_path, rows), on="inter_task")
    chosen = selection.choose(read(tmp_path, rows), on="cross_task")
    assert [c.merge_lambda for c in chosen.candidates] == [0.7]
    assert "was a tie" in chosen.notes[0] and "biased upwards" in chosen.notes[-1]


def test_spellings_of_a_method_are_one_method(tmp_path: Path) -> None:
    rows = fixed("instruct-fine-tuned", {"cross_task": 0.4}) + fixed("base-fine-tuned", {"cross_task": 0.4})
    assert {row["method"] for row in read(tmp_path, rows + fixed("my-own", {"cross_task": 0.1})).rows} == {
        labels.BASELINE,
        "agent",
        "my-own",
    }


def test_ties_and_edges_of_the_grid_are_reported(tmp_path: Path) -> None:
    def notes(name: str, scores: dict[float, float]) -> str:
        rows = [
            row
            for weight, share in scores.items()
            for row in fixed("agentmerge", {"validation": share, "cross_task": 0.5}, merge_lambda=weight)
        ]
        return " ".join(selection.choose(read(tmp_path / name, rows)).notes)

    assert "was a tie: AgentMerge, λ 0.3 and AgentMerge, λ 0.7" in notes("tie", {0.3: 0.75, 0.5: 0.25, 0.7: 0.75})
    assert "λ 0.3 was taken by rule (fewer samples, then λ nearer ½, then the smaller λ)" in notes(
        "equally near", {0.3: 0.5, 0.7: 0.5}
    )
    assert "λ 0.4 was taken by rule" in notes("zero is not ½", {0.0: 0.5, 0.4: 0.5})
    assert "λ 0.9 of AgentMerge, λ 0.9 is at the edge" in notes("edge", {0.1: 0.25, 0.5: 0.5, 0.9: 0.75})
    assert notes("middle", {0.1: 0.25, 0.5: 0.75, 0.9: 0.5}) == ""


def test_candidates_that_were_only_validated_show_ties_and_edges_but_are_not_chosen(tmp_path: Path) -> None:
    rows = fixed("agentmerge", {"validation": 0.5, "cross_task": 0.5}, merge_lambda=0.7)
    for weight, share in ((0.3, 0.75), (0.5, 0.5)):
        rows += fixed("agentmerge", {"validation": share}, merge_lambda=weight)
    chosen = selection.choose(read(tmp_path, rows))
    assert [c.merge_lambda for c in chosen.candidates] == [0.7]
    notes = " ".join(chosen.notes)
    assert "λ 0.3 scored higher (0.750 to 0.500)" in notes and "was a tie" in notes and "at the edge" in notes


def test_settings_that_finished_no_validation_episode_in_common_choose_nothing(tmp_path: Path) -> None:
    rows = fixed("agentmerge", {"validation": 0.5, "cross_task": 0.5}, merge_lambda=0.3)
    rows += [
        row | {"seed": row["seed"] + 10 * (row["split"] == "validation")}
        for row in fixed("agentmerge", {"validation": 1.0, "cross_task": 0.5}, merge_lambda=0.7)
    ]
    chosen = selection.choose(read(tmp_path, rows))
    assert ([c.merge_lambda for c in chosen.candidates], chosen.table) == ([0.3, 0.7], [])
    assert "2 settings without validation episodes in common to choose on: every λ is shown" in chosen.notes[0]


def test_lost_validation_episodes_do_not_choose(tmp_path: Path) -> None:
    """λ 0.3 solves 12 of 16 in both runs, λ 0.7 four more; one run of λ 0.3 lost those that it failed."""
    rows = []
    for weight, share in ((0.3, 0.75), (0.7, 0.8125)):
        for run in range(2):
            rows += fixed("agentmerge", {"validation": share, "cross_task": 0.5}, merge_lambda=weight, run_seed=run)
    for row in rows:
        if (row["split"], row["merge_lambda"], row["run_seed"], row["reward"]) == ("validation", 0.3, 1, 0.0):
            row |= {"status": "missing", "reward": None, "success": None}
    chosen = selection.choose(read(tmp_path, rows))
    assert [c.merge_lambda for c in chosen.candidates] == [0.7]
    assert [row["validation_reward"] for row in chosen.table] == [0.75, 0.8125]
    rows = [row for row in rows if (row["split"], row["merge_lambda"], row["seed"]) != ("validation", 0.3, 3)]
    assert "rests on the 12 validation (task, seed) of 16 that all of its 2 settings finished" in " ".join(
        selection.choose(read(tmp_path / "fewer", rows)).notes
    )


def test_episodes_that_chose_give_no_verdict(tmp_path: Path) -> None:
    rows = []
    for run in range(4):
        for weight in (0.3, 0.7):
            rows += fixed("agentmerge", {"inter_task": 0.8, "cross_task": 0.8}, 8, merge_lambda=weight, run_seed=run)
        rows += fixed("instruct_finetuned", {"inter_task": 0.1, "cross_task": 0.1}, 8, run_seed=run)
    results = read(tmp_path, rows)
    for on, expected in (("inter_task", ["not settled", "better"]), ("cross_task", ["better", "not settled"])):
        chosen = selection.choose(results, on)
        found = comparison_table.table(results, chosen.candidates, "agentmerge", None, chosen.chosen, on, draws=100)
        assert [row["verdict"] for row in found] == expected
        biased = found[expected.index("not settled")]
        assert "is not settled by episodes that chose λ or checkpoint" in verdicts.answer(
            [biased], "agentmerge", results
        )
        assert (
            "their score is biased upwards and there is no verdict."
            in verdicts.verdicts([biased], "agentmerge")[0].sentence
        )
