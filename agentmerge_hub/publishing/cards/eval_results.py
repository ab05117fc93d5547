"""Scores → `.eval_results/*.yaml`, which the Hub shows beside a model and in the leaderboard of a benchmark.

Format: https://huggingface.co/docs/hub/eval-results. The values are those of the card's model-index.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml, parse_eval_result_entries

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.cards.scores import Score
from agentmerge_hub.publishing.hub.repository import Repository, check_id

FOLDER = ".eval_results"


def parse_benchmarks(named: Sequence[str], datasets: Sequence[str], scores: Sequence[Score]) -> dict[str, str]:
    """Benchmark → Hub id of the dataset that has its tasks; a benchmark without one is left out.

    Args:
        named: ``BENCHMARK=ORG/NAME``, as a user gives them.
        datasets: published training datasets; the only one of them has the tasks of benchmarks that are not named.

    Raises:
        UserError: if a value is of another form, or names a benchmark without scores.
    """
    known = dict.fromkeys((score.benchmark for score in scores), datasets[0]) if len(datasets) == 1 else {}
    for text in named:
        benchmark, separator, dataset = text.partition("=")
        if not separator:
            raise UserError(f"--benchmark {text}: write BENCHMARK=ORG/NAME")
        if benchmark not in {score.benchmark for score in scores}:
            measured = ", ".join(sorted({score.benchmark for score in scores})) or "none"
            raise UserError(f"--benchmark {text}: the results have no scores of {benchmark}, only of {measured}")
        known[benchmark] = check_id(dataset)
    return known


def eval_results(
    repository: Repository, scores: Sequence[Score], benchmarks: Mapping[str, str], finished: str
) -> dict[str, bytes]:
    """Path in the repository → content, one file for each score of a known benchmark.

    Args:
        benchmarks: of `parse_benchmarks`; the split is the task of that dataset.
        finished: when the evaluation ended, as an ISO-8601 date and time.

    Raises:
        ValueError: if `finished` is no such date.
    """
    files: dict[str, bytes] = {}
    for score in scores:
        if score.benchmark in benchmarks and not math.isnan(score.success):
            entry = EvalResultEntry(
                dataset_id=benchmarks[score.benchmark],
                task_id=score.split,
                value=score.rounded_success,
                date=datetime.fromisoformat(finished).isoformat(),
                source_url=repository.url,
                source_name="agentmerge evaluate",
                notes=_notes(score),
            )
            name = re.sub(r"[^A-Za-z0-9_-]+", "-", "_".join(filter(None, (score.benchmark, score.split, score.agent))))
            path = f"{FOLDER}/{name}.yaml"
            while path in files:
                path = path.replace(".yaml", "-2.yaml")
            files[path] = _yaml(entry)
    return files


def _yaml(entry: EvalResultEntry) -> bytes:
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=1000)
    if parse_eval_result_entries(yaml.safe_load(text)) != [entry]:
        raise ValueError(f"{text!r} does not hold {entry}")
    return text.encode()


def _notes(score: Score) -> str:
    facts = score.facts
    error = (
        f"standard error {facts['standard_error']} over {score.error_is_over}, " if "standard_error" in facts else ""
    )
    agent = f"agent {score.agent}, " if score.agent else ""
    served = (
        f"served by {score.engine}{f' in {score.number_format}' if score.number_format else ''}, "
        if score.engine
        else ""
    )
    return f"success rate, {agent}{served}{error}n = {score.n} episodes of {score.tasks} tasks, {score.crashed} crashed, {score.missing} missing"
