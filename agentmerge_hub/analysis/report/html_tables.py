"""Tables of the report as text cells: rows of the result tables in, captions, heads and lines out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import rates_of, second_name
from agentmerge_hub.analysis.error_analysis import MEASURES
from agentmerge_hub.analysis.report.html import between, count, least_points, number, p_value, signed

PADDING, MEDIUM = 2, 90
"""Letters that the padding of a cell takes, and those that fit a screen of 768 px."""

NO_SPREAD = "no spread"
"""In place of an error or an interval: all values are equal, and no error can be estimated from them."""

Cell = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Line:
    """One row of a table, or a heading across it where `heading` is not empty."""

    cells: tuple[str, ...] = ()
    focus: bool = False
    heading: str = ""


@dataclass(frozen=True)
class HtmlTable:
    """A table whose every cell knows its column's title, so that a narrow screen can show rows as lists."""

    caption: str
    titles: tuple[str, ...]
    lines: list[Line] = field(default_factory=list)
    text_columns: int = 1
    """Columns from the left that hold text instead of numbers."""

    @property
    def wide(self) -> bool:
        """Whether its text is too wide for a screen of medium width: the longest cell, or word of the title, of each column."""
        rows = [line.cells for line in self.lines if line.cells]
        columns = zip(*[[max(title.split(), key=len, default="") for title in self.titles], *rows], strict=True)
        return sum(max(map(len, column)) + PADDING for column in columns) > MEDIUM


def build(
    caption: str,
    columns: Iterable[tuple[str, Cell] | None],
    rows: list[dict[str, Any]],
    *,
    focus: str = "",
    group: Cell | None = None,
    text_columns: int = 1,
) -> HtmlTable:
    """A table of the rows.

    Args:
        columns: title and text of each cell; None is left out.
        focus: the method whose rows are emphasized.
        group: heading of a row; a new one starts where it changes.
    """
    shown = [column for column in columns if column is not None]
    lines, heading = [], None
    for row in rows:
        if group is not None and group(row) != heading:
            lines.append(Line(heading=(heading := group(row))))
        mine = bool(focus) and row.get("method") == focus
        lines.append(Line(tuple(cell(row) for _, cell in shown), mine))
    return HtmlTable(caption, tuple(title for title, _ in shown), lines, text_columns)


def _has(rows: list[dict], name: str) -> bool:
    return any(row.get(name) not in (None, "") for row in rows)


def _settings(rows: list[dict]) -> list[tuple[str, Cell] | None]:
    """Columns of the settings that any row has."""
    return [
        ("agent", lambda row: row["agent"]) if len({row["agent"] for row in rows}) > 1 else None,
        ("lr", lambda row: labels.rate(row["learning_rate"])) if _has(rows, "learning_rate") else None,
        ("samples", lambda row: count(row["samples_seen"])) if _has(rows, "samples_seen") else None,
        ("λ", lambda row: labels.plain(row["merge_lambda"])) if _has(rows, "merge_lambda") else None,
    ]


def _all_equal(row: dict) -> bool:
    """Whether all rewards behind a row of Table 1 are equal, so that they have no spread to estimate an error from."""
    return bool(row["n"]) and not row.get("se") and row.get("se_binomial") == 0


def table1(rows: list[dict], focus: str) -> HtmlTable:
    """Methods and learning rates, split by split."""
    partial = any(row["n"] and row["success"] != row["reward"] for row in rows)
    lost = any(row["missing"] or row["crashed"] for row in rows)

    def runs(row: dict) -> str:
        if row["runs"] < 2:
            return str(row["runs"])
        return f"{row['runs']} ({number(row['reward_lowest_run'], 2)}–{number(row['reward_highest_run'], 2)})"

    equal = any(map(_all_equal, rows))
    unit = "Mean reward" if partial else "Mean reward (the success rate: every reward is 0 or 1)"
    return build(
        f"{unit} ± its standard error: over new tasks for cross-task, over new seeds of the same tasks elsewhere; from three "
        "independent training runs on it includes the variation between runs. In brackets the lowest and highest run."
        + (f" {NO_SPREAD.capitalize()}: all rewards are equal, so that no error can be estimated." if equal else ""),
        [
            ("method", lambda row: labels.method(row["method"])),
            *_settings(rows),
            ("reward", lambda row: number(row.get("reward"))),
            ("±", lambda row: NO_SPREAD if _all_equal(row) else number(row.get("se") or None)),
            ("runs", runs),
            ("success", lambda row: number(row.get("success"))) if partial else None,
            ("n", lambda row: str(row["n"])),
            ("tasks", lambda row: str(row["tasks"])),
            ("missing", lambda row: str(row["missing"])) if lost else None,
            ("crashed", lambda row: str(row["crashed"])) if lost else None,
            ("if lost failed", lambda row: number(row.get("reward_if_unfinished_failed"))) if lost else None,
        ],
        rows,
        focus=focus,
        group=lambda row: labels.split(row["split"]),
    )


def comparisons(rows: list[dict], focus: str) -> HtmlTable:
    """The method in focus against the others."""

    def interval(row: dict) -> str:
        if row.get("difference") is not None and row.get("low") is None:
            return "one task" if row["tasks"] == 1 else NO_SPREAD
        return between(row.get("low"), row.get("high"))

    def smallest(row: dict) -> str:
        if not row.get("about_methods"):
            return "–"
        return interval(row) if row.get("low") is None else least_points(row["smallest_difference"])

    several = len({row["merge_lambda_a"] for row in rows}) > 1
    return build(
        f"{labels.method(focus)} minus the other, in points of 100. Intervals and p are over new tasks for cross-task and over "
        "new seeds of the same tasks elsewhere; p Holm is corrected over all comparisons of this report. The last column is the "
        "difference that this test, with these runs and tasks, would find in 80 % of such studies.",
        [
            ("against", second_name),
            ("agent", lambda row: row["agent"]) if len({row["agent"] for row in rows}) > 1 else None,
            ("lr", lambda row: rates_of(row, " : ")) if _has(rows, "learning_rate_a") else None,
            ("λ", lambda row: labels.plain(row["merge_lambda_a"])) if several else None,
            ("runs", lambda row: f"{row['runs_a']} : {row['runs_b']}" if row["pairs"] else "–"),
            ("tasks", lambda row: str(row["tasks"]) if row["pairs"] else "0"),
            ("(task, seed)", lambda row: str(row["pairs"])),
            ("difference", lambda row: signed(row.get("difference"))),
            ("95 %", interval),
            ("p", lambda row: p_value(row.get("p"))),
            ("p Holm", lambda row: p_value(row.get("p_holm"))),
            ("would show", smallest),
            ("verdict", lambda row: row["verdict"]),
        ],
        rows,
        group=lambda row: labels.split(row["split"]),
    )


def extremes(rows: list[dict]) -> HtmlTable | None:
    """What the lost episodes could change; None where none is lost."""
    rows = [row for row in rows if row.get("difference_if_failed") is not None]
    if not rows:
        return None

    def filled(name: str) -> Cell:
        return lambda row: f"{signed(row[f'difference_{name}'])} (p {p_value(row[f'p_{name}'])})"

    return build(
        "The same differences with the lost episodes filled in. A verdict holds only if all columns agree after Holm's "
        "correction. Worst case: the first method's failed, the other's succeeded; best case: the reverse.",
        [
            ("against", second_name),
            ("agent", lambda row: row["agent"]) if len({row["agent"] for row in rows}) > 1 else None,
            ("lr", lambda row: rates_of(row, " : ")) if _has(rows, "learning_rate_a") else None,
            ("λ", lambda row: labels.plain(row["merge_lambda_a"]))
            if len({row["merge_lambda_a"] for row in rows}) > 1
            else None,
            ("lost", lambda row: f"{row['lost_a']} : {row['lost_b']}"),
            ("finished only", lambda row: f"{signed(row['difference'])} (p {p_value(row['p'])})"),
            ("all failed", filled("if_failed")),
            ("all succeeded", filled("if_succeeded")),
            ("worst case", filled("lowest")),
            ("best case", filled("highest")),
        ],
        rows,
        group=lambda row: labels.split(row["split"]),
    )


def chosen(rows: list[dict], on: str) -> HtmlTable:
    """How λ and checkpoints were chosen."""
    return build(
        f"Mean reward on the {labels.split(on)} episodes, which chose the rows marked ✓ for every other table.",
        [
            ("method", lambda row: labels.method(row["method"])),
            *_settings(rows),
            ("validation reward", lambda row: number(row["validation_reward"])),
            ("n", lambda row: str(row["episodes"])),
            ("chosen", lambda row: "✓" if row["chosen"] else ""),
        ],
        rows,
    )


def error_rates(rows: list[dict], focus: str) -> HtmlTable:
    """What the models did, in percent."""

    def rate(name: str) -> Cell:
        def cell(row: dict) -> str:
            if row[name] is None:
                return "–"
            error = row[f"{name}_se"]
            return f"{100 * row[name]:.0f}" + ("" if error is None else f" ± {100 * error:.0f}")

        return cell

    return build(
        "",
        [
            ("method", lambda row: labels.method(row["method"])),
            *_settings(rows),
            ("episodes", lambda row: str(row["episodes"])),
            *((measure.title, rate(measure.name)) for measure in MEASURES),
        ],
        rows,
        focus=focus,
    )


def forgetting(rows: list[dict]) -> HtmlTable:
    """Scores of lm-evaluation-harness."""
    return build(
        "General ability by lm-evaluation-harness; the change is from the first model named, and its error takes the two scores "
        "as independent.",
        [
            ("task", lambda row: row["task"]),
            ("metric", lambda row: row["metric"]),
            ("model", lambda row: row["model"]),
            ("score", lambda row: number(row["score"])),
            ("±", lambda row: number(row["se"])),
            ("change", lambda row: number(row.get("change"))),
            ("± change", lambda row: number(row.get("change_se"))),
        ],
        rows,
        text_columns=3,
    )


def published(rows: list[dict]) -> HtmlTable:
    """The paper's own Table 1."""
    return build(
        "80 % power at p < .05; the last column holds where 10 to 20 % of the pairs end differently.",
        [
            ("against", lambda row: labels.method(row["against"])),
            ("lr", lambda row: labels.rate(row["learning_rate"])),
            ("AgentMerge", lambda row: f"{number(row['agentmerge'])} ± {number(row['agentmerge_se'], 2)}"),
            ("other", lambda row: f"{number(row['other'])} ± {number(row['other_se'], 2)}"),
            ("difference", lambda row: signed(row["difference"])),
            ("95 % interval", lambda row: between(row["low"], row["high"])),
            (
                "p (range)",
                lambda row: f"{p_value(row['p'])} ({p_value(row['p_smallest'])}–{p_value(row['p_largest'])})",
            ),
            ("p Holm", lambda row: p_value(row["p_holm"])),
            ("n that fits the error", lambda row: str(row["episodes_behind"])),
            ("n an arm, unpaired", lambda row: count(row["needed_unpaired"])),
            ("pairs", lambda row: f"{count(row['needed_paired_low'])}–{count(row['needed_paired_high'])}"),
        ],
        rows,
    )


def stages(rows: list[dict], time: Callable[[float | None], str]) -> HtmlTable:
    """The folders behind the results."""
    return build(
        "Every folder once, in the order it was made.",
        [
            ("stage", lambda row: row["stage"] or "given"),
            ("folder", lambda row: row["name"]),
            ("made from", lambda row: row["made_from"]),
            ("time", lambda row: time(row["seconds"])),
        ],
        rows,
        text_columns=3,
    )
