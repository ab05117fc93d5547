"""Traces → results.parquet: one row for each episode of the recipe, whatever its status."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.agents.provenance import provenance_columns, served_columns
from agentmerge_hub.agents.status.run_status import RunStatus, list_runs
from agentmerge_hub.agents.status.study_info import read_info
from agentmerge_hub.agents.study.plan import Episode as Planned
from agentmerge_hub.agents.study.plan import Plan
from agentmerge_hub.prompt import EXAMPLE_BID, html_bids, tree_bids
from agentmerge_hub.records import ENDPOINT, RESULT_SCHEMA, Episode, Step
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found

NAME = "results.parquet"


def write(planned: Plan, out: Path) -> dict[str, int]:
    """Write results.parquet, whole or not at all, from the traces under `out`. Returns counts by status."""
    runs = list_runs(out / "traces")
    categories = _categories(planned)
    served = read_info(out)
    provenance = {
        candidate.name: provenance_columns(candidate) | served_columns(candidate, served)
        for candidate in planned.recipe.candidates
    }
    rows = []
    for episode in planned.episodes:
        run = runs.get(episode.run.exp_id)
        row = _planned_columns(episode, provenance[episode.candidate.name], categories)
        if run and row["engine"] == ENDPOINT:
            row["answered_as"] = ", ".join(run.answered_as) or None
        rows.append(row | (_outcome_columns(run, out) if run else {"status": "missing"}))
    table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
    partial = out / f".{NAME}.partial"
    pq.write_table(table, partial)
    partial.replace(out / NAME)
    return {status: sum(row["status"] == status for row in rows) for status in ("done", "crashed", "missing")}


def _categories(planned: Plan) -> dict[str, str]:
    metadata = planned.benchmark.task_metadata
    column = next((name for name in metadata.columns if "category" in name), None)
    return dict(zip(metadata["task_name"], metadata[column].astype(str))) if column else {}


def _planned_columns(episode: Planned, provenance: dict[str, Any], categories: dict[str, str]) -> dict[str, Any]:
    """The columns that are known before the episode runs."""
    candidate, env_args, flags = episode.candidate, episode.run.env_args, episode.run.agent_args.flags
    is_served_here = provenance["engine"] is None or ENDPOINT not in provenance["engine"].split(", ")
    return {
        "benchmark": env_args.task_name.split(".")[0],
        "task": env_args.task_name,
        "category": categories.get(env_args.task_name, ""),
        "seed": env_args.task_seed,
        "split": episode.group.split,
        "model": candidate.name,
        "weights_hash": (episode.weights_hash if is_served_here else None) or candidate.revision,
        "endpoint_model": candidate.model,
        "agent": episode.agent_name,
        "flags": json.dumps(flags if isinstance(flags, dict) else asdict(flags), sort_keys=True, default=str),
    } | provenance


def _outcome_columns(run: RunStatus, out: Path) -> dict[str, Any]:
    """The columns read from the trace."""
    trace = run.folder.relative_to(out).as_posix()
    try:
        episode = read_episode(Found(trace, run.folder))
    except Unreadable as error:
        return {"status": "crashed", "error_class": f"unreadable trace: {error}", "trace": trace}
    answered = [step for step in episode.steps if step.answer]
    done = run.status == "done"
    return {
        "status": run.status,
        "reward": run.reward if done else None,
        "success": run.reward > 0 if done else None,
        "steps": len(episode.steps),
        "error_class": run.error_class or _unparsed(episode),
        "truncated": episode.truncated,
        "answers": len(answered),
        "think_answers": sum(step.thought is not None for step in answered),
        "parse_retries": sum(step.parse_retries for step in episode.steps),
        **_bid_columns(answered),
        "prompt_tokens": sum(step.prompt_tokens for step in episode.steps),
        "completion_tokens": sum(step.completion_tokens for step in episode.steps),
        "seconds": _seconds(run.folder),
        "trace": trace,
    }


def _bid_columns(answered: list[Step]) -> dict[str, Any]:
    """What the answers' bids say; null where it takes the page's and an agent with screenshots alone recorded none."""
    copied = [step for step in answered if EXAMPLE_BID in _bids(step)]
    has_pages = all(step.observation.axtree or step.observation.html for step in answered)
    return {
        "copied_example_actions": len(copied),
        "copied_example_off_page": sum(EXAMPLE_BID not in _page_bids(step) for step in copied) if has_pages else None,
        "copied_example_first_step": any(step.index == 0 for step in copied),
        "invalid_bid_actions": sum(bool(_bids(step) - _page_bids(step)) for step in answered) if has_pages else None,
    }


def _unparsed(episode: Episode) -> str:
    """``parse`` where an episode ended because no answer could be parsed."""
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
