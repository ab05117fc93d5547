"""`agentmerge push model`: the files of a model, its generated card, its licenses, checks, publication."""

from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.dataset.card.example import example
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing import derived_terms, model_facts, model_folder
from agentmerge_hub.publishing.cards.eval_results import eval_results, parse_benchmarks
from agentmerge_hub.publishing.cards.model_card import Model, model_card
from agentmerge_hub.publishing.cards.scores import evaluated_at, scores_of
from agentmerge_hub.publishing.hub.repository import Repository, check_id
from agentmerge_hub.publishing.hub.state import CARD, Publication
from agentmerge_hub.publishing.overlay import apply_overlay, check_license, read_overlay
from agentmerge_hub.publishing.publish_checks.dataset_folder import benchmarks_of, splits_of
from agentmerge_hub.publishing.publish_checks.file_types import MODEL_FILES
from agentmerge_hub.publishing.publish_checks.files import check_files
from agentmerge_hub.publishing.publish_checks.text_extraction import Content
from agentmerge_hub.publishing.published_manifest import published_manifest, published_spec
from agentmerge_hub.publishing.review.summary import review_findings
from agentmerge_hub.publishing.show import show_and_publish

_MAJOR = 1
"""Major version of models: the layout of their folder."""


def push_model(
    folder: Path,
    repo_id: str,
    base_models: tuple[str, ...],
    datasets: tuple[str, ...],
    traces: Path | None,
    results: Path | None,
    benchmarks: tuple[str, ...],
    license: str | None,
    license_files: tuple[Path, ...],
    replay_license: str | None,
    private: bool,
    collection: str,
    overlay: Path | None,
    replace_edits: bool,
    yes: bool,
) -> None:
    """Show, and with `yes` publish, a model with a card made from its files, its manifest, its spec and its scores.

    Args:
        benchmarks: ``BENCHMARK=ORG/NAME``, the datasets on the Hub that have the tasks of the scores.
        folder: what `merge`, `sweep`, `graft` or a fine-tuning run wrote, one of its checkpoints, or its adapter.

    Raises:
        UserError: if a check fails, or the Hub refuses.
    """
    repository = Repository("model", check_id(repo_id))
    added = read_overlay(overlay)
    if traces and (stage := manifest.read(traces)["stage"]) != "build":
        raise UserError(
            f"--traces {traces} was written by `{stage}`: give the dataset of `build` that it was trained on."
        )
    content = model_folder.read_model_manifest(folder)
    names = model_folder.files_to_publish(content)
    findings = model_folder.check_unchanged(folder, content, names) + model_folder.check_weights(folder, names)
    inputs = model_folder.inputs_of(folder, content)
    recorded = model_folder.recorded_bases(folder, content)
    bases, base_findings = model_folder.base_models_of(inputs, list(map(check_id, base_models)), content, recorded)
    trained_on = [entry.name for entry in inputs if entry.on_hub and entry.role in model_folder.DATA_ROLES]
    published_data = list(dict.fromkeys([*trained_on, *map(check_id, datasets)]))
    licenses, license_findings = derived_terms.terms_of(bases, inputs, content, traces, license, replay_license)

    if repository.id in bases:
        findings.append(f"{repository.id} is the model itself, not one that it was made of: correct --base-model")
    files: dict[str, Content] = {name: folder / name for name in names if name != CARD and (folder / name).is_file()}
    files |= {f"LICENSE{f'-{number}' if number else ''}": path for number, path in enumerate(license_files)}
    hub_ids = {*bases, *published_data}
    spec = ""
    if model_folder.SPEC in files:
        text = (folder / model_folder.SPEC).read_text(encoding="utf-8")
        spec = published_spec(text, model_folder.model_names(folder), hub_ids)
        files[model_folder.SPEC] = spec.encode()
    loaded_on = model_folder.base_of_adapter(inputs, bases, content) if bases else ""
    if bases:
        files |= model_folder.renamed_base(folder, loaded_on)
    if notice := derived_terms.notice(licenses):
        files["NOTICE"] = notice
    copies = {name: text for name, text in files.items() if name.startswith("LICENSE")}
    findings += [*base_findings, *license_findings, *derived_terms.check_terms(repository.name, licenses, copies)]
    named = {*licenses, *([added.license.id] if added.license else [])}
    own = added.license.id if added.license and added.license.hub == "other" else ""
    findings += derived_terms.check_license_files(named, copies, own)
    findings += check_license(added, licenses, files)
    if benchmarks and not results:
        raise UserError("--benchmark names the dataset of scores: pass their folder with --results.")
    struck = review_findings(traces) if traces else []
    findings += check_files(files, MODEL_FILES, added.allowed)
    written: dict[str, Content] = {}
    if not findings:
        weights = weights_hash(folder)
        scores = scores_of(results, model_facts.evaluated_as(folder, files)) if results else []
        facts = Model(
            relation=model_folder.relation_of(folder, content["stage"]),
            manifest=content,
            spec=spec,
            inputs=inputs,
            base_models=bases,
            loaded_on=loaded_on,
            datasets=published_data,
            terms=licenses,
            weights_hash=weights,
            scores=scores,
            parameters=model_facts.parameters_of(files),
            loading=model_facts.loading_of(files),
            benchmarks=benchmarks_of(splits_of(traces)) if traces else (),
            sees_screenshots=traces is not None and model_facts.has_screenshots(traces),
            tokenizer=model_facts.tokenizer_facts(files),
            gguf=model_facts.gguf_files(files),
            example=example(splits_of(traces)) if traces and not struck else (),
        )
        if results:
            boards = parse_benchmarks(benchmarks, published_data, scores)
            written |= eval_results(repository, scores, boards, evaluated_at(results))
        written[CARD] = apply_overlay(model_card(repository, facts), added, repository, licenses).encode()
    written[manifest.NAME] = published_manifest(content, files | written, hub_ids)
    findings += check_files(written, MODEL_FILES, added.allowed)
    files |= written
    publication = Publication(repository, files, content["stage"], _MAJOR, private, collection or None, replace_edits)
    show_and_publish(publication, findings, yes, notes=[f"The card shows no row of {traces}: {row}." for row in struck])
