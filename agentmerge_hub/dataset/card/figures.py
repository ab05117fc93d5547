"""Figures of the card, computed from the written rows, and the plot of their lengths."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.files.parquet_reading import read_table

_COLUMNS = ["benchmark", "category", "task", "episode_id", "teacher", "license", "cot", "n_prompt_tokens", "n_completion_tokens", "axtree_lines_cut", "html_lines_cut"]  # fmt: skip


BENCHMARKS = {
    "workarena": "WorkArena", "miniwob": "MiniWoB", "webarena": "WebArena", "visualwebarena": "VisualWebArena",
    "assistantbench": "AssistantBench", "weblinx": "WebLINX",
}  # fmt: skip
"""Names of benchmarks for readers."""

_ENGLISH = frozenset({"workarena", "miniwob", "webarena", "visualwebarena", "assistantbench", "weblinx"})
"""Benchmarks whose goals and pages are in English."""


def language_of(benchmarks: Collection[str]) -> str | None:
    """The language of the rows, as an ISO 639-1 code; None if it is not known for each of their benchmarks."""
    return "en" if benchmarks and set(benchmarks) <= _ENGLISH else None


@dataclass(frozen=True)
class Lengths:
    """One row of the table of lengths, in tokens."""

    name: str
    mean: float
    median: float
    p95: float
    largest: int
    budget: int


def figures(written: list[WrittenSplit], config: dict[str, Any]) -> dict[str, Any]:
    """Values that the card's template shows of the config `all`."""
    tables = [_read(split) for split in written if split.config == "all" and split.files]
    table = pa.concat_tables(tables)
    rows = table.to_pylist()
    prompt, answer = (table[name].to_numpy() for name in ("n_prompt_tokens", "n_completion_tokens"))
    screenshots = config.get("screenshots", "off").replace("off", "")
    cut = table["axtree_lines_cut"].to_numpy() + table["html_lines_cut"].to_numpy()
    return {
        "benchmarks": [BENCHMARKS.get(name, name) for name in benchmarks_of(written)],
        "tokens": {"prompt": int(prompt.sum()), "answer": int(answer.sum())},
        "lengths": [
            _lengths(
                "prompt", prompt, config["window"] - config["answer"] - (config["image_tokens"] if screenshots else 0)
            ),
            _lengths("answer", answer, config["answer"]),
        ],
        "screenshots": screenshots,
        "share_cut": float((cut > 0).mean()),
        "categories": _grouped(rows, ("benchmark", "category")),
        "tasks": _grouped(rows, ("task", "split")),
        "teachers": _grouped(rows, ("teacher", "license")),
    }


def benchmarks_of(written: list[WrittenSplit]) -> list[str]:
    """The benchmarks whose rows are in the config `all`, in order."""
    tables = (
        read_table(path, columns=["benchmark"]) for split in written if split.config == "all" for path in split.files
    )
    return sorted({name for table in tables for name in table["benchmark"].unique().to_pylist() if name})


def _read(split: WrittenSplit) -> pa.Table:
    table = pa.concat_tables(read_table(path, columns=_COLUMNS) for path in split.files)
    return table.append_column("split", pa.array([split.split] * table.num_rows))


def _lengths(name: str, tokens: np.ndarray, budget: int) -> Lengths:
    median, p95 = np.percentile(tokens, [50, 95])
    return Lengths(name, float(tokens.mean()), float(median), float(p95), int(tokens.max()), budget)


def _grouped(rows: list[dict[str, Any]], by: tuple[str, ...]) -> list[dict[str, Any]]:
    groups: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in by)].append(row)
    return [
        dict(zip(by, key))
        | {
            "tasks": len({row["task"] for row in group}),
            "episodes": len({row["episode_id"] for row in group}),
            "samples": len(group),
            "cot": sum(row["cot"] for row in group),
        }
        for key, group in sorted(groups.items())
    ]


def draw_lengths(written: list[WrittenSplit], path: Path) -> None:
    """Histograms of prompt and answer tokens, with and without a think step, as a PNG."""
    from matplotlib.figure import Figure

    table = pa.concat_tables(_read(split) for split in written if split.config == "all" and split.files)
    cot = table["cot"].to_numpy(zero_copy_only=False)
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    for axes, column, label in zip(
        figure.subplots(1, 2),
        ("n_prompt_tokens", "n_completion_tokens"),
        ("tokens of the prompt", "tokens of the answer"),
    ):
        tokens = table[column].to_numpy()
        edges = np.histogram_bin_edges(tokens, bins=40)
        shown = [(tokens[cot], "with thought", "#4269d0"), (tokens[~cot], "without", "#efb118")]
        axes.hist(
            [t for t, _, _ in shown],
            bins=edges,
            stacked=True,
            label=[n for _, n, _ in shown],
            color=[c for _, _, c in shown],
        )
        axes.set_xlabel(label)
        axes.set_ylabel("samples")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[1].legend(frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
