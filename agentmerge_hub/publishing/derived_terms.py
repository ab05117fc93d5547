"""License terms of a derived model: those of its base models and of the teachers whose answers it was trained on, and unmet terms."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.files import content_hash
from agentmerge_hub.licenses.license_terms import LICENSES, License, is_license_id, ordered
from agentmerge_hub.licenses.license_texts import differences, identify
from agentmerge_hub.licenses.model_licenses import UNKNOWN, license_of
from agentmerge_hub.publishing.cards.model_card import Input
from agentmerge_hub.publishing.publish_checks.dataset_folder import splits_of, terms_of_rows
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, read_bytes

Terms = dict[str, list[str]]
"""License id → sources under it: ids of models, and ``answers of TEACHER``."""

_ANSWERS = "answers of "
_UNNAMED = "a model that was not recorded"


def terms_of(
    base_models: Sequence[str],
    inputs: Sequence[Input],
    content: Mapping[str, Any],
    traces: Path | None,
    declared: str | None,
    replayed_under: str | None = None,
) -> tuple[Terms, list[str]]:
    """The terms of the models it was made of and the teachers it learned from; and what stays open.

    Args:
        base_models: ids on the Hub.
        inputs: what the model was made of.
        content: the folder's manifest.json.
        traces: the dataset it was trained on, which has to be the one of its lineage.
        declared: the license of base models that this package does not know.
        replayed_under: the license of the instructions that were replayed in training.
    """
    terms: Terms = {}
    findings = [
        f"{option} {value!r} is no license as the Hub writes it: use its identifier, e.g. cc-by-4.0"
        for option, value in (("--license", declared), ("--replay-license", replayed_under))
        if value and not is_license_id(value)
    ]
    for model in base_models:
        known = license_of(model)
        known = declared if known == UNKNOWN and declared else known
        if known == UNKNOWN:
            findings.append(f"the license of {model} is not known here: name it with --license, as the Hub writes it")
        else:
            terms.setdefault(known, []).append(model)
    if declared and base_models and declared not in terms and not findings:
        known = ", ".join(f"{model}: {license_of(model)}" for model in base_models)
        findings.append(f"--license {declared} contradicts the licenses that are known here ({known}): leave it out")
    trained_on = {entry["sha256"]: entry["name"] for entry in _lineage(content) if entry.get("stage") == "build"}
    if traces is None and (unread := sorted(set(trained_on.values())) or _unknown_data(content, inputs)):
        findings.append(
            f"it learned from {', '.join(unread)}: pass --traces with that dataset's folder, for its teachers' terms"
        )
    if traces is not None:
        if trained_on and content_hash.folder_hash(traces) not in trained_on:
            findings.append(f"{traces} is not the dataset it was trained on, by their hashes: pass the one that is")
        for (teacher, known), _ in sorted(terms_of_rows(splits_of(traces)).items()):
            if known in ("", UNKNOWN):
                findings.append(f"rows of {traces} by {teacher or _UNNAMED} have no license: build it with --license")
            terms.setdefault(known, []).append(f"{_ANSWERS}{teacher or _UNNAMED}")
    if replayed_under and not _replayed(content):
        findings.append("--replay-license is given, and it was trained without replayed instructions: leave it out")
    for name in _replayed(content):
        if replayed_under:
            terms.setdefault(replayed_under, []).append(f"{_ANSWERS}{name}")
        else:
            findings.append(f"it also learned from {name}, replayed: name that dataset's license with --replay-license")
    return terms, findings


def _replayed(content: Mapping[str, Any]) -> list[str]:
    """Datasets of instructions that were mixed into the traces, here or in a run that was merged."""
    found = [str(content["config"]["replay_dataset"])] if content.get("config", {}).get("replay_dataset") else []
    found += [
        entry["inputs"]["replay"]["name"] for entry in _lineage(content) if "replay" in (entry.get("inputs") or {})
    ]
    return list(dict.fromkeys(found))


def _lineage(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in content.get("inputs", {}).values():
        yield entry
        yield from _lineage(entry)


def _unknown_data(content: Mapping[str, Any], inputs: Sequence[Input]) -> list[str]:
    """What it learned from where no folder of `build` is named for it."""
    if content["stage"] in manifest.TRAINED:
        return [i.name for i in inputs if i.role == "dataset"] or ["data that its manifest does not name"]
    local = [i.name for i in inputs if not i.on_hub and not i.made_by]
    # A run on a dataset of the Hub has no folder of it among its inputs.
    local += [entry["name"] for entry in _lineage(content) if entry.get("stage") in manifest.TRAINED]
    return [f"data that the lineage of {', '.join(local)} does not name"] if local else []


def check_terms(name: str, terms: Mapping[str, Sequence[str]], texts: Mapping[str, Content]) -> list[str]:
    """Unmet terms of the licenses: the model's name and the license texts that its repository must hold.

    Args:
        name: of the repository, without its owner.
        texts: files of the publication whose name starts with LICENSE.
    """
    findings = []
    for entry in ordered(terms):
        whose, copy = ", ".join(terms[entry.id]), _derived_from(entry, terms)
        if not name.replace("-", " ").startswith(entry.model_prefix):
            findings.append(
                f"the {entry.name} ({whose}) requires a model name that starts with {entry.model_prefix!r}, not {name!r}: "
                "choose such a --repo-id"
            )
        if entry.copy_of_text and copy and (lacks := _lacks(entry, texts)) is not None:
            findings.append(
                f"the {entry.name} requires a copy of its complete text in the repository: pass it with --license-file "
                f"(it is in the repository of {copy[0]}, or at {entry.link}){lacks}"
            )
        others = [of for id, those in terms.items() if id != entry.id for of in those if not of.startswith(_ANSWERS)]
        if entry.answers_improve_only and len(copy) < len(terms[entry.id]) and others:
            findings.append(
                f"the {entry.name} lets its models' answers improve only models under the same license, and this one was made "
                f"of {', '.join(others)}: train without the {whose}"
            )
    return findings


def check_license_files(named: Collection[str], texts: Mapping[str, Content], own: str = "") -> list[str]:
    """Findings on license files that are not the exact text of a license that the card names.

    Args:
        named: ids of those licenses.
        texts: as for `check_terms`.
        own: name of the publisher's own license, whose text is not known here.
    """
    findings, unknown = [], []
    names = ", ".join(_name(id) for id in sorted(named))
    for name, content in sorted(texts.items()):
        text = read_bytes(content).decode("utf-8", "replace")
        found = identify(text)
        if found is None:
            unknown.append(name)
        elif not found[1]:
            findings.append(f"{name} is an altered copy of the {_name(found[0])}: {differences(found[0], text)[0]}")
        elif found[0] not in named:
            findings.append(f"{name} is the text of the {_name(found[0])}, and the card names {names}: leave it out")
    if own and len(unknown) == 1:
        return findings
    return findings + [f"{name} is not a text that is known here of {names}: leave it out" for name in unknown]


def _name(license: str) -> str:
    return LICENSES[license].name if license in LICENSES else license


def notice(terms: Mapping[str, Sequence[str]]) -> bytes:
    """The NOTICE file: the attributions that the licenses require, and a statement that the weights were modified."""
    lines = [entry.attribution for entry in ordered(terms) if entry.attribution and _derived_from(entry, terms)]
    models = sorted(of for whose in terms.values() for of in whose if not of.startswith(_ANSWERS))
    if models:
        lines.append(f"These weights were modified from those of {', '.join(models)}: see README.md.")
    return "".join(f"{line}\n" for line in lines).encode()


def _derived_from(entry: License, terms: Mapping[str, Sequence[str]]) -> list[str]:
    """Sources under a license that the model counts as derived from."""
    return [of for of in terms[entry.id] if entry.answers_derive or not of.startswith(_ANSWERS)]


def _lacks(entry: License, texts: Mapping[str, Content]) -> str | None:
    """None if a file holds the complete text of this license; else what the file closest to it lacks."""
    read = {name: read_bytes(content).decode("utf-8", "replace") for name, content in texts.items()}
    lacking = {name: differences(entry.id, text) for name, text in read.items()}
    if not lacking:
        return ""
    closest = min(lacking, key=lambda name: len(lacking[name]))
    return f"; {closest} is no copy: {lacking[closest][0]}" if lacking[closest] else None
