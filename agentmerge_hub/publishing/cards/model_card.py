"""Generates a model card: inputs, method, licenses, scores, and how to run the model.

Every figure comes from the manifest, the merge spec or measured results.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, constants
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from agentmerge_hub.dataset.card.example import Turn
from agentmerge_hub.dataset.card.figures import BENCHMARKS, language_of
from agentmerge_hub.licenses import license_terms
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.publishing.cards.scores import Score
from agentmerge_hub.publishing.hub.repository import Repository

TEMPLATE = "model.md.jinja"
FIRST_RELEASE = "v1.0.0"
"""A push writes the tag of its release in place of it."""
_TAGS = ("agentmerge", "web-agents", "browsergym")
_STAGE_TAGS = {"merge": ("mergekit", "merge"), "graft": ("merge",), "sft": ("trl", "sft"), "preference": ("trl",)}
_ROLES = {
    "base": "the base model",
    "instruct": "the instruct model that was made of the base model",
    "agent": "the base model after training on traces",
    "adapter": "an adapter that was trained on traces",
    "model": "the model that training started from",
    "reference": "the model whose log-probabilities preference training compares with",
    "replay": "instructions that were mixed into the traces",
}
"""Meaning of the roles of inputs for readers."""
_COMMENT_LINES = 3
"""Leading comment lines of a spec: formula, use, inputs."""


@dataclass(frozen=True)
class Input:
    """One input of a model: a model or a dataset."""

    role: str
    name: str
    """Its Hub id, else the name of its folder."""
    revision: str
    """Commit on the Hub, empty if unknown."""
    sha256: str
    """Over its files; empty where it was read from the Hub and not hashed."""
    made_by: str
    """The stage that wrote it and that stage's inputs, empty for a downloaded model."""
    on_hub: bool = False


@dataclass(frozen=True)
class GgufFile:
    """A published GGUF file."""

    name: str
    comment: str
    """Its number format and size."""


@dataclass(frozen=True)
class Loading:
    """How transformers loads a model."""

    architecture: str
    """Class in its configuration; empty if that names none."""
    model_class: str
    """Auto class of the model."""
    tokenizer_class: str
    """Auto class that renders the chat template: tokenizer, or processor of text and images."""
    pipeline: str
    """The Hub's pipeline tag; empty if unknown."""

    @property
    def takes_images(self) -> bool:
        return self.pipeline == "image-text-to-text"


@dataclass(frozen=True)
class Model:
    """The facts about a model to be published."""

    relation: str
    """Relation to its base models in the Hub's terms: ``merge``, ``finetune`` or ``adapter``."""
    manifest: Mapping[str, Any]
    spec: str
    """Of the merge; empty for a run."""
    inputs: Sequence[Input]
    base_models: Sequence[str]
    loaded_on: str
    """The base model that an adapter is loaded on."""
    datasets: Sequence[str]
    terms: Mapping[str, Sequence[str]]
    """License id → sources under it."""
    weights_hash: str
    scores: Sequence[Score]
    parameters: int
    """In the published weights."""
    loading: Loading
    benchmarks: Sequence[str]
    """Of the rows it was trained on, where they are known."""
    tokenizer: str
    """A sentence on the published tokenizer."""
    sees_screenshots: bool = False
    """Whether the rows it was trained on have screenshots."""
    example: Sequence[Turn] = ()
    """Turns of a row it was trained on."""
    gguf: Sequence[GgufFile] = ()
    """GGUF files with the same weights."""


def model_card(repository: Repository, model: Model) -> str:
    """README.md as text that huggingface_hub parses.

    Raises:
        ValueError: if huggingface_hub does not accept the metadata.
    """
    shared = FileSystemLoader(data_folder("dataset_card"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("agentmerge_hub.publishing.cards", "templates"), shared]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    config = model.manifest["config"]
    known = license_terms.ordered(model.terms)
    text = environment.get_template(TEMPLATE).render(
        name=repository.name,
        repo_id=repository.id,
        hub=constants.ENDPOINT,
        relation=model.relation,
        stage=model.manifest["stage"],
        metadata=_metadata(repository, model).to_yaml().strip(),
        notices=[license.notice for license in known if license.notice],
        formula=_spec_comments(model.spec),
        spec=model.spec.strip(),
        config=config,
        pin=FIRST_RELEASE,
        roles={role: _ROLES[role] for role in (entry.role for entry in model.inputs) if role in _ROLES},
        code=_code(model.manifest["stage"]),
        example=model.example,
        gguf=model.gguf,
        benchmarks=[BENCHMARKS.get(name, name) for name in _benchmarks(model)],
        settings=_settings(model.manifest),
        mergekit=config.get("mergekit", model.manifest.get("versions", {}).get("mergekit", "")),
        inputs=model.inputs,
        base_models=model.base_models,
        loaded_on=model.loaded_on,
        trained_on=[name for name in model.base_models if name != model.loaded_on],
        parameters=f"{model.parameters:,}",
        loading=model.loading,
        sees_screenshots=model.sees_screenshots,
        tokenizer=model.tokenizer,
        weights_hash=model.weights_hash,
        scores=model.scores,
        number=lambda value: "unknown" if math.isnan(value) else f"{value:.3f}",
        datasets=model.datasets,
        data_is_hashed=_has_dataset(model.manifest),
        versions={
            "agentmerge-hub": model.manifest.get("agentmerge_hub", "unknown"),
            **model.manifest.get("versions", {}),
        },
        licenses=[{"license": license, "of": ", ".join(model.terms[license.id])} for license in known],
    )
    ModelCard(text)
    return text


def _has_dataset(entry: Mapping[str, Any]) -> bool:
    """Whether a lineage has the hash of a dataset."""
    return any(role == "dataset" or _has_dataset(inner) for role, inner in (entry.get("inputs") or {}).items())


def _code(stage: str) -> dict[str, str]:
    """Name → address of the code that made the model, and that runs it in a browser."""
    github = "https://github.com/"
    made_by = {"merge": {"mergekit": f"{github}arcee-ai/mergekit"}, "graft": {"PEFT": f"{github}huggingface/peft"}}
    runs_it = {"BrowserGym": f"{github}ServiceNow/BrowserGym", "AgentLab": f"{github}ServiceNow/AgentLab"}
    return made_by.get(stage, {"TRL": f"{github}huggingface/trl"}) | runs_it


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """What shaped a run's weights, from its manifest: its settings, and what it really read."""
    config, counts = content["config"], content["counts"]
    names = {
        "learning_rate": "learning rate",
        "lr_scheduler_type": "schedule",
        "batch": "samples per step",
        "replay_ratio": "replayed rows per row",
        "trained_parameters": "trained parameters",
        "freeze": "frozen",
        "dataset_config": "config of the dataset",
        "lora_r": "rank of the adapter",
        "beta": "β of the loss",
        "loss_type": "loss",
        "reference_model": "reference model",
        "seed": "seed",
    }
    measured = {"steps": "steps", "samples_seen": "samples seen", "rows": "rows in the dataset"}
    found = {"samples_seen": config.get("samples_seen")} | counts
    facts = {name: config[key] for key, name in names.items() if config.get(key) not in (None, [])}
    facts |= {name: found[key] for key, name in measured.items() if found.get(key) is not None}
    if not config.get("replay_dataset"):
        facts.pop("replayed rows per row", None)
    return {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in facts.items()}


def _spec_comments(spec: str) -> list[str]:
    """The leading comment lines of a spec."""
    lines = []
    for line in spec.splitlines():
        if not line.startswith("#"):
            break
        lines.append(f"- {line.lstrip('# ')}")
    return lines[:_COMMENT_LINES]


def _metadata(repository: Repository, model: Model) -> ModelCardData:
    results = [_eval_result(score, model.loading.pipeline) for score in model.scores if score.n]
    licenses: dict[str, Any] = dict(license_terms.metadata(model.terms))
    return ModelCardData(
        language=language_of(_benchmarks(model)),
        library_name="peft" if model.relation == "adapter" else "transformers",
        pipeline_tag=model.loading.pipeline or None,
        base_model=list(model.base_models) or None,
        base_model_relation=model.relation,
        datasets=list(model.datasets) or None,
        tags=_tags(model),
        model_name=repository.name if results else None,
        eval_results=results or None,
        **licenses,
    )


def _tags(model: Model) -> list[str]:
    """Tags of what was done: the stage, the kind of weights, the benchmarks whose rows it learned from or was scored on."""
    adapter = ("peft", "lora") if model.relation == "adapter" else ()
    stage = model.manifest["stage"]
    method = (model.manifest["config"].get("method", "dpo"),) if stage == "preference" else ()
    return list(dict.fromkeys([*_STAGE_TAGS[stage], *method, *adapter, *_TAGS, *_benchmarks(model)]))


def _benchmarks(model: Model) -> list[str]:
    """Benchmarks of the rows it was trained on and of its scores."""
    return sorted({*model.benchmarks, *(score.benchmark for score in model.scores)})


def _eval_result(score: Score, pipeline: str) -> EvalResult:
    known = not math.isnan(score.standard_error)
    return EvalResult(
        task_type=pipeline or "text-generation",
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
        metric_value=score.rounded_success,
        metric_args=score.facts,
    )
