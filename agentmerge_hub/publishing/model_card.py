"""A merged model's card: what it was made of, how, under which terms, how well it does, and how to run it.

Every figure comes from the folder's manifest, the spec that was run, or measured results; nothing is written by hand.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, constants
from jinja2 import Environment, PackageLoader, StrictUndefined

from agentmerge_hub.publishing import licences
from agentmerge_hub.publishing.evaluation import Score
from agentmerge_hub.publishing.hub import Repository

TEMPLATE = "model_card.md.jinja"
TAGS = ["mergekit", "merge", "agentmerge", "web-agents", "browsergym", "agentlab"]


@dataclass(frozen=True)
class Input:
    """One model that went into a merge."""

    role: str
    model: str
    """Its Hub id, else the name of its folder."""
    revision: str
    """Commit on the Hub, empty for a folder."""
    sha256: str
    made_by: str
    """The stage that wrote it and what that read, empty for a downloaded model."""


@dataclass(frozen=True)
class Merged:
    """What is known of a merged model."""

    manifest: Mapping[str, Any]
    spec: str
    inputs: Sequence[Input]
    base_models: Sequence[str]
    datasets: Sequence[str]
    terms: Mapping[str, Sequence[str]]
    """Licence id → whose it is."""
    weights_hash: str
    scores: Sequence[Score]


def model_card(repository: Repository, merged: Merged) -> str:
    """README.md as text, accepted by huggingface_hub's own reading of it.

    Raises:
        ValueError: if huggingface_hub does not accept the metadata.
    """
    environment = Environment(
        loader=PackageLoader("agentmerge_hub.publishing", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    config, counts = merged.manifest["config"], merged.manifest["counts"]
    known = licences.ordered(merged.terms)
    parameters = counts.get("parameters")
    text = environment.get_template(TEMPLATE).render(
        name=repository.name,
        repo_id=repository.id,
        hub=constants.ENDPOINT,
        metadata=_metadata(repository, merged).to_yaml(),
        notices=[licence.notice for licence in known if licence.notice],
        formula=_head(merged.spec),
        method=config.get("method", "unknown"),
        seed=config.get("merge_seed"),
        mergekit=config.get("mergekit", merged.manifest["versions"].get("mergekit", "")),
        spec=merged.spec.strip(),
        inputs=merged.inputs,
        parameters=f"{parameters:,} parameters; " if parameters else "",
        weights_hash=merged.weights_hash,
        scores=merged.scores,
        number=lambda value: "unknown" if math.isnan(value) else f"{value:.3f}",
        datasets=merged.datasets,
        versions=merged.manifest["versions"],
        licences=[{"name": licence.name, "link": licence.link, "of": _of(merged, licence.id)} for licence in known],
        **{"lambda": config.get("lambda")},
    )
    ModelCard(text)
    return text


def _of(merged: Merged, licence: str) -> str:
    return ", ".join(merged.terms[licence])


def _head(spec: str) -> list[str]:
    """The comment lines that open a spec: its formula, when to use it, what it reads."""
    lines = []
    for line in spec.splitlines():
        if not line.startswith("#"):
            break
        lines.append(f"- {line.lstrip('# ')}")
    return lines


def _metadata(repository: Repository, merged: Merged) -> ModelCardData:
    results = [_eval_result(score) for score in merged.scores if score.n]
    return ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=list(merged.base_models) or None,
        base_model_relation="merge",
        datasets=list(merged.datasets) or None,
        tags=TAGS,
        **({"model_name": repository.name, "eval_results": results} if results else {}),
        **licences.metadata(merged.terms),
    )


def _eval_result(score: Score) -> EvalResult:
    known = not math.isnan(score.standard_error)
    error = {"standard_error": round(score.standard_error, 4), "standard_error_over": score.error_is_over}
    counts = {"n": score.n, "tasks": score.tasks, "crashed": score.crashed, "missing": score.missing}
    return EvalResult(
        task_type="text-generation",
        task_name="Web tasks in a browser",
        dataset_type=score.benchmark,
        dataset_name=f"BrowserGym {score.benchmark} as {score.agent}"
        if score.agent
        else f"BrowserGym {score.benchmark}",
        dataset_config=score.agent or None,
        dataset_split=score.split,
        metric_type="success_rate",
        metric_name=f"Success rate ± {score.standard_error:.3f} (n = {score.n})"
        if known
        else f"Success rate (n = {score.n})",
        metric_value=round(score.success, 4),
        metric_args=counts | (error if known else {}),
    )
