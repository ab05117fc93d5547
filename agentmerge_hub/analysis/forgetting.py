"""General ability before and after fine-tuning: scores of lm-evaluation-harness for several models.

`lm_eval --model hf --model_args pretrained=MODEL --tasks … --output_path DIR` writes results_*.json; its `results` hold,
task by task, ``metric,filter`` and ``metric_stderr,filter``.
"""

import json
from math import hypot, isfinite
from pathlib import Path

from agentmerge_hub.errors import UserError


def table(scored: dict[str, Path]) -> list[dict]:
    """One row for each task, metric and model, with the change from the first model named.

    Args:
        scored: name of a model → its results file, or a folder that holds one (the newest counts).

    The error of a change takes the two scores as independent, which is wide: both models saw the same questions.
    """
    rows: list[dict] = []
    before: dict[tuple, dict] = {}
    conditions: dict[str, dict[str, object]] = {}
    for number, (name, path) in enumerate(scored.items()):
        content = _read(path)
        for task, found in _conditions(content).items():
            earlier = conditions.setdefault(task, found)
            if unlike := [key for key in found if key in earlier and found[key] != earlier[key]]:
                raise UserError(
                    f"{path}: {task} has {unlike[0]} {found[unlike[0]]}, and {earlier[unlike[0]]} for a model named before: score all "
                    "models alike, since their change would be that of the test"
                )
        for task, metric, value, error in _scores(content, path):
            row = {"task": task, "metric": metric, "model": name, "score": value, "se": error}
            if number == 0:
                before[task, metric] = row
            elif (first := before.get((task, metric))) is not None:
                row["change"] = value - first["score"]
                known = None not in (error, first["se"])
                row["change_se"] = hypot(error or 0.0, first["se"] or 0.0) if known else None
            rows.append(row)
    return sorted(rows, key=lambda row: (row["task"], row["metric"]))


CONDITIONS = ("n-shot", "versions", "n-samples")
"""What lm-evaluation-harness writes of each task beside its scores; n-samples as {original, effective}."""


def _conditions(content: dict) -> dict[str, dict[str, object]]:
    """Task → what decides whether its scores can be compared; empty where the file does not hold it."""
    found: dict[str, dict[str, object]] = {}
    for key in CONDITIONS:
        values = content.get(key)
        for task, value in values.items() if isinstance(values, dict) else ():
            found.setdefault(task, {})[key] = value.get("effective") if isinstance(value, dict) else value
    return found


def _read(path: Path) -> dict:
    if not path.exists():
        raise UserError(f"there is no file or folder {path}: give what lm_eval wrote with --output_path")
    files = sorted(path.rglob("results*.json"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not files or not files[-1].is_file():
        raise UserError(f"{path} has no results_*.json of lm-evaluation-harness: run lm_eval with --output_path")
    try:
        content = json.loads(files[-1].read_text(encoding="utf-8"))
        _scores(content, files[-1])
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise UserError(
            f"{files[-1]} is not what lm-evaluation-harness writes: it has no readable `results`"
        ) from error
    return content


def _scores(content: dict, path: Path) -> list[tuple[str, str, float, float | None]]:
    """Task, metric, value and standard error of each score."""
    found = [
        (task, metric.removesuffix(",none"), float(value), _error(entries, metric))
        for task, entries in content["results"].items()
        for metric, value in entries.items()
        if _is_score(metric, value)
    ]
    if not found:
        raise UserError(f"{path} holds no score")
    return found


def _is_score(metric: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return number and "," in metric and "_stderr" not in metric


def _error(entries: dict, metric: str) -> float | None:
    name, _, kind = metric.partition(",")
    value = entries.get(f"{name}_stderr,{kind}")
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def parse(words: tuple[str, ...]) -> dict[str, Path]:
    """``NAME=PATH`` words as a mapping, in their order.

    Raises:
        UserError: if a word has no ``=``, or a name is given twice.
    """
    scored = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise UserError(f"--lm-eval takes NAME=PATH, e.g. instruct=lm-eval/instruct; {word!r} is not that")
        if name in scored:
            raise UserError(f"--lm-eval names {name!r} twice: give each model a name of its own")
        scored[name] = Path(path)
    return scored
