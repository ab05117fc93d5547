"""`agentmerge push`: gather the files, check them at the door, show them, and only if asked, send them."""

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
from agentmerge_hub.publishing import gate, model
from agentmerge_hub.publishing.dataset_gate import check_dataset
from agentmerge_hub.publishing.evaluation import scores_of
from agentmerge_hub.publishing.hub import Repository, check_id
from agentmerge_hub.publishing.model_card import Merged, model_card
from agentmerge_hub.publishing.upload import Content, Publication, publish
from agentmerge_hub.records import SCHEMA_VERSION

CARD = "README.md"


def push_dataset(folder: Path, repo_id: str, private: bool, collection: str, yes: bool) -> None:
    """Show, and with `yes` publish, a folder of `agentmerge build` as it is.

    Raises:
        UserError: if anything is wrong with it, or with the way to the Hub.
    """
    repository = Repository("dataset", check_id(repo_id))
    findings = gate.check_folder(folder, "build")
    content = manifest.read(folder)
    files = _files(folder, content)
    findings += gate.check_files(files, gate.DATASET_KINDS, content["config"].get("allow"))
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
    license_file: Path | None,
    private: bool,
    collection: str,
    yes: bool,
) -> None:
    """Show, and with `yes` publish, a merged model with a card made from its manifest, its spec and its scores.

    Raises:
        UserError: if anything is wrong with it, or with the way to the Hub.
    """
    repository = Repository("model", check_id(repo_id))
    findings = gate.check_folder(folder, "merge") + model.check_weights(folder)
    content = manifest.read(folder)
    inputs = model.inputs_of(folder, content)
    base_models = tuple(dict.fromkeys([*(i.model for i in inputs if i.revision), *map(check_id, base_models)]))
    if not base_models:
        findings.append("none of the merged models is known by a name on the Hub: name them with --base-model ORG/NAME")
    terms, open_terms = model.terms_of(base_models, inputs, content, traces, license)
    files = {name: path for name, path in _files(folder, content).items() if name != CARD}
    if license_file is not None:
        files["LICENSE"] = license_file
    if notice := model.notice(terms):
        files["NOTICE"] = notice
    findings += open_terms + model.check_terms(repository.name, terms, files)
    if not findings:
        weights = weights_hash(folder)
        merged = Merged(
            manifest=content,
            spec=(folder / model.SPEC).read_text(encoding="utf-8") if (folder / model.SPEC).is_file() else "",
            inputs=inputs,
            base_models=base_models,
            datasets=tuple(map(check_id, datasets)),
            terms=terms,
            weights_hash=weights,
            scores=scores_of(results, weights) if results else (),
        )
        files[CARD] = model_card(repository, merged).encode()
    files[manifest.NAME] = _manifest_of(content, files)
    findings += gate.check_files(files, gate.MODEL_KINDS)
    publication = Publication(repository, files, "merge", f"v{SCHEMA_VERSION}", private, collection or None)
    _show_and_send(publication, findings, yes)


def _files(folder: Path, content: Mapping) -> dict[str, Content]:
    """The files of the manifest and itself, as they lie there."""
    return {name: folder / name for name in [*sorted(content["outputs"]), manifest.NAME] if (folder / name).is_file()}


def _manifest_of(content: Mapping, files: Mapping[str, Content]) -> bytes:
    """The folder's manifest with the files that are added or replaced at publishing, so that a download can be checked."""
    made = {name: data for name, data in files.items() if name != manifest.NAME and name not in content["outputs"]}
    made |= {name: data for name, data in files.items() if isinstance(data, bytes)}
    outputs = dict(content["outputs"])
    for name, data in made.items():
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
            f"This would stand at {repository.url} ({visible}), tagged {tag}{joins}. Add --yes to publish it."
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
