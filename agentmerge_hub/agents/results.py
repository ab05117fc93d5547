"""Traces → results.parquet: one row for each episode of the recipe, whatever its status."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.agents import run_status
from agentmerge_hub.agents.plan import Episode as Planned
from agentmerge_hub.agents.plan import Plan
from agentmerge_hub.agents.weights import read_provenance
from agentmerge_hub.prompt import EXAMPLE_BID, html_bids, tree_bids
from agentmerge_hub.records import RESULT_SCHEMA, Episode, Step
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found

NAME = "results.parquet"


def write(planned: Plan, out: Path) -> dict[str, int]:
    """Write results.parquet, whole or not at all, from the traces under `out`. Returns counts by status."""
    runs = run_status.list_runs(out / "traces")
    categories = _categories(planned)
    provenance = {c.path: read_provenance(Path(c.path)) for c in planned.recipe.candidates if c.path}
    rows = []
    for episode in planned.episodes:
        run = runs.get(episode.run.exp_id)
        row = _planned_columns(episode, provenance.get(episode.candidate.path, {}), categories)
        rows.append(row | (_outcome_columns(run.folder, out) if run else {"status": "missing"}))
    table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
    partial = out / f".{NAME}.partial"
    pq.write_table(table, partial)
    partial.replace(out / NAME)
    return {status: sum(row["status"] == status for row in rows) for status in ("done", "crashed", "missing")}


def _categories(planned: Plan) -> dict[str, str]:
    metadata = planned.benchmark.task_metadata
    column = next((name for name in metadata.columns if "category" in name), None)
    return dict(zip(metadata["task_name"], metadata[column].astype(str))) if column else {}


def _planned_columns(episode: Planned, source: dict[str, Any], categories: dict[str, str]) -> dict[str, Any]:
    """The columns that are known before the episode runs."""
    candidate, env_args, flags = episode.candidate, episode.run.env_args, episode.run.agent_args.flags
    return {
        "benchmark": env_args.task_name.split(".")[0],
        "task": env_args.task_name,
        "category": categories.get(env_args.task_name, ""),
        "seed": env_args.task_seed,
        "split": episode.group.split,
        "method": candidate.method or source.get("method") or candidate.name,
        "model": candidate.name,
        "weights_hash": episode.weights_hash or candidate.revision,
        "learning_rate": source.get("learning_rate"),
        "samples_seen": source.get("samples_seen"),
        "merge_lambda": source.get("lambda"),
        "run_seed": source.get("seed"),
        "agent": episode.agent_name,
        "flags": json.dumps(flags if isinstance(flags, dict) else asdict(flags), sort_keys=True, default=str),
    }


def _outcome_columns(folder: Path, out: Path) -> dict[str, Any]:
    """The columns read from the trace."""
    trace = folder.relative_to(out).as_posix()
    try:
        episode = read_episode(Found(trace, folder))
    except Unreadable as error:
        return {"status": "crashed", "error_class": f"unreadable trace: {error}", "trace": trace}
    crashed = bool(episode.error)
    answered = [step for step in episode.steps if step.answer]
    copied = [step for step in answered if EXAMPLE_BID in _bids(step)]
    done = episode.complete and not crashed
    return {
        "status": "done" if done else "crashed" if crashed else "missing",
        "reward": episode.reward if done else None,
        "success": episode.reward > 0 if done else None,
        "steps": len(episode.steps),
        "error_class": _error_class(episode),
        "truncated": episode.truncated,
        "answers": len(answered),
        "think_answers": sum(step.thought is not None for step in answered),
        "parse_retries": sum(step.parse_retries for step in episode.steps),
        "copied_example_actions": len(copied),
        "copied_example_off_page": sum(EXAMPLE_BID not in _page_bids(step) for step in copied),
        "copied_example_first_step": any(step.index == 0 for step in copied),
        "invalid_bid_actions": sum(bool(_bids(step) - _page_bids(step)) for step in answered),
        "prompt_tokens": sum(step.prompt_tokens for step in episode.steps),
        "completion_tokens": sum(step.completion_tokens for step in episode.steps),
        "seconds": _seconds(folder),
        "trace": trace,
    }


def _error_class(episode: Episode) -> str:
    """Name of the exception of a crash; ``parse`` where no answer could be parsed; else empty."""
    if episode.error:
        names = re.findall(
            r"\b\w*(?:Error|Exception|Interrupt)\b", episode.error.partition("in task")[2] or episode.error
        )
        return names[0] if names else "Error"
    return "parse" if episode.steps and episode.steps[-1].action is None else ""


def _bids(step: Step) -> set[str]:
    try:
        return {bid for call in parse_calls(step.action or "") for bid in call.bids}
    except ValueError:
        return set()


def _page_bids(step: Step) -> set[str]:
    return tree_bids(step.observation.axtree) | html_bids(step.observation.html)


def _seconds(folder: Path) -> float | None:
    """Time from the arguments file, written before the episode, to its summary."""
    first, last = folder / "exp_args.pkl", folder / "summary_info.json"
    return last.stat().st_mtime - first.stat().st_mtime if last.is_file() else None
