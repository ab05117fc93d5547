"""`agentmerge push dataset`: the files of a build, its card with the repository's id, checks, publication."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.dataset.card.croissant import croissant
from agentmerge_hub.errors import UserError
from agentmerge_hub.licenses.model_licenses import UNKNOWN
from agentmerge_hub.publishing.hub.release_text import CROISSANT, published_croissant
from agentmerge_hub.publishing.hub.releases import next_tag
from agentmerge_hub.publishing.hub.repository import Repository, check_id
from agentmerge_hub.publishing.hub.state import CARD, Publication
from agentmerge_hub.publishing.overlay import apply_overlay, check_license, read_overlay
from agentmerge_hub.publishing.publish_checks.dataset_folder import (
    check_dataset,
    dataset_name,
    rebuilt_card,
    splits_of,
    terms_of_rows,
    written_splits,
)
from agentmerge_hub.publishing.publish_checks.file_types import DATASET_FILES
from agentmerge_hub.publishing.publish_checks.files import check_files, check_folder
from agentmerge_hub.publishing.publish_checks.parquet_texts import count_pictures
from agentmerge_hub.publishing.publish_checks.text_extraction import Content
from agentmerge_hub.publishing.published_manifest import published_manifest
from agentmerge_hub.publishing.review.summary import review_findings, review_line
from agentmerge_hub.publishing.session_traces import FOLDER as SESSIONS
from agentmerge_hub.publishing.session_traces import session_files, with_sessions
from agentmerge_hub.publishing.show import show_and_publish
from agentmerge_hub.records import SCHEMA_VERSION


def push_dataset(
    folder: Path,
    repo_id: str,
    private: bool,
    collection: str,
    overlay: Path | None,
    session_traces: int,
    replace_edits: bool,
    yes: bool,
    screenshots_reviewed: bool = False,
) -> None:
    """Show, and with `yes` publish, a folder of `agentmerge build`; in its card, the example names the repository.

    Args:
        screenshots_reviewed: whether a person has looked at the dataset's pictures, which no check can read.
        overlay: hand-written metadata and text for the card.
        session_traces: number of episodes to publish as session traces.
        replace_edits: whether files that others edited on the Hub are overwritten.

    Raises:
        UserError: if a check fails, or the Hub refuses.
    """
    repository = Repository("dataset", check_id(repo_id))
    added = read_overlay(overlay)
    findings = check_folder(folder, ["build"])
    content = manifest.read(folder)
    if broken := [key for key in ("allow", "licenses") if not isinstance(content["config"].get(key, {}), dict)]:
        raise UserError(f"{folder / manifest.NAME} has {broken[0]!r} that is not an object: build again.")
    files = _files(folder, content)
    written = written_splits(folder)
    major = int(SCHEMA_VERSION.split(".")[0])
    first = next_tag((), major)
    if (folder / CARD).is_file():
        try:
            card = rebuilt_card(folder, content, written, repo_id, first)
        except UserError as error:
            findings.append(str(error))
            card = (folder / CARD).read_text(encoding="utf-8", errors="replace")
        if session_traces:
            files |= session_files(folder, session_traces)
            card = with_sessions(card)
        derived = {license for _, license in terms_of_rows(splits_of(folder))} - {"", UNKNOWN}
        findings += check_license(added, derived, files)
        files[CARD] = apply_overlay(card, added, repository, derived).encode()
        if CROISSANT in files and not findings:
            today = time.strftime("%Y-%m-%d", time.gmtime())
            files[CROISSANT] = published_croissant(
                croissant(dataset_name(folder), written), repository, first, today, added.license
            ).encode()
        files[manifest.NAME] = published_manifest(content, files)
    allowed = {**content["config"].get("allow", {}), **added.allowed}
    findings += check_files(files, DATASET_FILES, allowed)
    if not findings:
        findings = [*check_dataset(folder, content, written), *review_findings(folder)]
    pictures = count_pictures(
        path for name, path in files.items() if isinstance(path, Path) and name.endswith(".parquet")
    )
    if pictures and not screenshots_reviewed:
        findings.append(
            f"the dataset holds {pictures:,} screenshots, which no rule can redact: look at them "
            f"(agentmerge inspect {folder} --save-images FOLDER), then push with --screenshots-reviewed"
        )
    publication = Publication(repository, files, "build", major, private, collection or None, replace_edits)
    show_and_publish(publication, findings, yes, notes=[review_line(folder, content)])


def _files(folder: Path, content: Mapping[str, Any]) -> dict[str, Content]:
    """The files of the manifest without session traces, and the manifest."""
    names = [name for name in sorted(content["outputs"]) if not name.startswith(f"{SESSIONS}/")]
    return {name: folder / name for name in [*names, manifest.NAME] if (folder / name).is_file()}
