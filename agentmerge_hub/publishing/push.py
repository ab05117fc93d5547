"""`agentmerge push`: collects the files, checks and shows them, and with --yes sends them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing import derived_terms, model_folder
from agentmerge_hub.publishing.cards.model_card import Model, model_card
from agentmerge_hub.publishing.cards.scores import scores_of
from agentmerge_hub.publishing.hub.repository import Repository, check_id
from agentmerge_hub.publishing.hub.upload import Content, Publication, publish
from agentmerge_hub.publishing.publish_checks import files as file_checks
from agentmerge_hub.publishing.publish_checks.dataset_folder import check_dataset, loaded_as
from agentmerge_hub.publishing.publish_checks.file_types import DATASET_FILES, MODEL_FILES
from agentmerge_hub.records import SCHEMA_VERSION

CARD = "README.md"


def push_dataset(folder: Path, repo_id: str, private: bool, collection: str, yes: bool) -> None:
    """Show, and with `yes` publish, a folder of `agentmerge build`; in its card, the example names the repository.

    Raises:
        UserError: if a check fails, or the Hub refuses.
    """
    repository = Repository("dataset", check_id(repo_id))
    findings = file_checks.check_folder(folder, ["build"])
    content = manifest.read(folder)
    files = _files(folder, content)
    if (folder / CARD).is_file():
        files[CARD] = _with_example((folder / CARD).read_text(encoding="utf-8"), repo_id).encode()
        files[manifest.NAME] = _manifest_of(content, files)
    findings += file_checks.check_files(files, DATASET_FILES, content["config"].get("allow"))
    if not findings:
        findings = check_dataset(folder, content)
    publication = Publication(repository, files, "build", f"v{SCHEMA_VERSION}", private, collection or None)
    _show_and_send(publication, findings, yes)


def push_model(
    folder: Path,
    repo_id: str,
    base_models: tuple[str, ...],
    datasets: tuple[str, ...],
    traces: Path | None,
    results: Path | None,
    license: str | None,
    license_files: tuple[Path, ...],
    replay_license: str | None,
    private: bool,
    collection: str,
    yes: bool,
) -> None:
    """Show, and with `yes` publish, a model with a card made from its manifest, its spec and its scores.

    Args:
        folder: what `merge`, `sweep`, `graft` or a fine-tuning run wrote, or one of its checkpoints.

    Raises:
        UserError: if a check fails, or the Hub refuses.
    """
    repository = Repository("model", check_id(repo_id))
    content = manifest.read(folder)
    names = model_folder.files_to_publish(folder, content)
    findings = file_checks.check_folder(folder, model_folder.STAGES, names) + model_folder.check_weights(folder, names)
    inputs = model_folder.inputs_of(folder, content)
    known = [i.name for i in inputs if i.on_hub and i.role not in ("dataset", "replay")]
    base_models = tuple(dict.fromkeys(map(check_id, [*known, *base_models])))
    if not base_models:
        findings.append("no base model has a known Hub id: name it with --base-model ORG/NAME")
    licenses, license_findings = derived_terms.terms_of(base_models, inputs, content, traces, license, replay_license)
    files: dict[str, Content] = {name: folder / name for name in names if name != CARD}
    files |= {f"LICENSE{f'-{number}' if number else ''}": path for number, path in enumerate(license_files)}
    if base_models:
        files |= model_folder.renamed_base(folder, base_models[-1])
    if notice := derived_terms.notice(licenses):
        files["NOTICE"] = notice
    copies = {name: text for name, text in files.items() if name.startswith("LICENSE")}
    findings += license_findings + derived_terms.check_terms(repository.name, licenses, copies)
    if not findings:
        weights = weights_hash(folder)
        trained_on = [i.name for i in inputs if i.on_hub and i.role in ("dataset", "replay")]
        facts = Model(
            relation=model_folder.relation_of(folder, content["stage"]),
            manifest=content,
            spec=(folder / model_folder.SPEC).read_text(encoding="utf-8")
            if (folder / model_folder.SPEC).is_file()
            else "",
            inputs=inputs,
            base_models=base_models,
            datasets=tuple(dict.fromkeys(map(check_id, [*trained_on, *datasets]))),
            terms=licenses,
            weights_hash=weights,
            scores=scores_of(results, weights) if results else (),
        )
        files[CARD] = model_card(repository, facts).encode()
    files[manifest.NAME] = _manifest_of(content, files)
    findings += file_checks.check_files(files, MODEL_FILES)
    publication = Publication(repository, files, content["stage"], f"v{SCHEMA_VERSION}", private, collection or None)
    _show_and_send(publication, findings, yes)


def _with_example(card: str, repo_id: str) -> str:
    """The card with the repository's id in its example."""
    return card.replace(f'load_dataset("{loaded_as(card)}"', f'load_dataset("{repo_id}"')


def _files(folder: Path, content: Mapping) -> dict[str, Content]:
    """The files of the manifest, and the manifest."""
    return {name: folder / name for name in [*sorted(content["outputs"]), manifest.NAME] if (folder / name).is_file()}


def _manifest_of(content: Mapping, files: Mapping[str, Content]) -> bytes:
    """The folder's manifest with the published files as outputs, to check a download."""
    outputs = {}
    for name, data in files.items():
        if name in content["outputs"] and not isinstance(data, bytes):
            outputs[name] = content["outputs"][name]
        elif name != manifest.NAME:
            content_bytes = data if isinstance(data, bytes) else data.read_bytes()
            outputs[name] = {"sha256": hashlib.sha256(content_bytes).hexdigest(), "bytes": len(content_bytes)}
    text = json.dumps({**content, "outputs": outputs}, indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def _show_and_send(publication: Publication, findings: list[str], yes: bool) -> None:
    console = Console(soft_wrap=True, highlight=False)
    _show(console, publication)
    if findings:
        for finding in findings:
            console.print(f"[red]✗[/red] {escape(finding)}")
        raise UserError(f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'} above: nothing was sent.")
    console.print("[green]✓[/green] no finding")
    repository, tag = publication.repository, publication.tag
    if not yes:
        joins = f", in the collection {publication.collection!r}" if publication.collection else ""
        visible = "private" if publication.private else "public"
        console.print(
            f"This would be published at {repository.url} ({visible}), tagged {tag}{joins}. Add --yes to publish it."
        )
        return
    done = publish(publication)
    if done.sent or done.removed:
        console.print(
            f"{done.url}: {len(done.sent)} files sent, {len(done.removed)} removed, tagged {tag}, commit {done.commit}"
        )
    else:
        console.print(f"{done.url}: nothing new, tagged {tag}, commit {done.commit}")
    if done.collection:
        console.print(f"In the collection {done.collection}")


def _show(console: Console, publication: Publication) -> None:
    card = publication.files.get(CARD)
    if card is not None:
        console.print(escape(card.decode() if isinstance(card, bytes) else card.read_text(encoding="utf-8")))
    table = Table("file", "bytes", title=f"What would go to {publication.repository}", title_justify="left")
    table.columns[1].justify = "right"
    for name, size in sorted(publication.sizes.items()):
        table.add_row(escape(name), f"{size:,}")
    table.add_row("in all", f"{sum(publication.sizes.values()):,}", style="bold")
    console.print(table)
