"""Compares the claims of a merged model's manifest with its files, its spec and its inputs, and names those it cannot compare."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.files.strict_json import is_same
from agentmerge_hub.merging.inputs.input_hashes import input_file_hashes
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_configs import plain
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.outputs.config_comparison import different_keys
from agentmerge_hub.merging.outputs.file_comparison import compared_files
from agentmerge_hub.merging.specs.spec import SPEC_FILE, Spec

_KEYS = {"stage", "agentmerge_hub", "inputs", "config", "counts", "outputs", "versions", "run"}
_NOT_CHECKED = ("agentmerge_hub", "run", "versions")
"""When, how long and with which programs a merge was made: nothing here can show it."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass
class ManifestReport:
    """What the comparison found."""

    wrong: list[str] = field(default_factory=list)
    """One sentence each."""
    unchecked: list[str] = field(default_factory=list)
    """Claims that were compared with nothing."""


def compare(folder: Path, written: Spec, spec: Spec, inputs: MergeInputs) -> ManifestReport:
    """Compare a manifest's claims.

    Args:
        written: the folder's spec.
        spec: the same, with the places where its models are now.
        inputs: the opened models.
    """
    content = manifest.read(folder)
    report = ManifestReport(unchecked=list(_NOT_CHECKED))
    versions = content.get("versions", {})
    if content["stage"] != provenance.STAGE:
        report.wrong.append(f"its manifest says stage {content['stage']}, and not {provenance.STAGE}")
    counts = provenance.counts_of(folder)
    for where, found, known in (
        ("its manifest", content, _KEYS),
        ("`run` of its manifest", content["run"], {"finished", "seconds"}),
        ("`versions` of its manifest", versions, {"python", *manifest.PACKAGES}),
        ("`counts` of its manifest", content["counts"], {*counts, "reply"}),
    ):
        report.wrong += [f"{where} has {key}, which no merge writes" for key in sorted(found.keys() - known)]
    if "reply" not in content["counts"]:
        report.wrong.append("its manifest has no reply in `counts`, not even null")
    report.wrong += _wrong_types(content, versions)
    _compare_inputs(content["inputs"], written, spec, inputs, report)
    _compare_config(content["config"], spec, inputs, report)
    claimed = content["config"].get("mergekit")
    if claimed != versions.get("mergekit"):
        report.wrong.append(
            f"its manifest says mergekit {claimed} in `config` and {versions.get('mergekit')} in `versions`"
        )
    elif claimed != version("mergekit"):
        report.unchecked.append(f"mergekit {claimed} (here is {version('mergekit')})")
    for key, count in counts.items():
        if not is_same(content["counts"].get(key), count):
            report.wrong.append(f"its manifest says {content['counts'].get(key)} {key}, and its weights have {count}")
    for name, entry in content["outputs"].items():
        size = (folder / name).stat().st_size if (folder / name).is_file() else None
        if name != "README.md" and different_keys(entry, {"sha256": entry["sha256"], "bytes": size}):
            report.wrong.append(f"its manifest says {name} has {entry.get('bytes')} bytes, and it has {size}")
    listed = content["outputs"].keys()
    report.wrong += [f"its manifest does not list {name}" for name in sorted(compared_files(folder, inputs) - listed)]
    return report


def _wrong_types(content: Mapping[str, Any], versions: Mapping[str, Any]) -> Iterator[str]:
    """What is said, without being checked, in another type than a merge writes."""
    texts = {"agentmerge_hub": content.get("agentmerge_hub"), "run.finished": content["run"].get("finished")}
    texts |= {f"versions.{package}": value for package, value in versions.items()}
    if content["counts"].get("reply") is not None:
        texts["counts.reply"] = content["counts"]["reply"]
    for key, value in texts.items():
        if not isinstance(value, str):
            yield f"its manifest says {key} = {plain(value)}, which is no text"
    seconds = content["run"].get("seconds")
    if seconds is not None and (type(seconds) not in (int, float) or not 0 <= seconds < math.inf):
        yield f"its manifest says run.seconds = {plain(seconds)}, which is no duration"


def compare_reply(folder: Path, reply: str | None) -> list[str]:
    """The recorded reply, as a claim that is not checked, unless the model gives it again."""
    recorded = manifest.read(folder)["counts"].get("reply")
    if recorded is None or recorded == reply:
        return []
    return ["counts.reply" if reply is None else "counts.reply, which is another here"]


def _compare_config(found: Mapping[str, Any], spec: Spec, inputs: MergeInputs, report: ManifestReport) -> None:
    settings = json.loads(json.dumps(provenance.settings_of(spec)))
    training = provenance.training_of(spec, inputs)
    for source, values in ((SPEC_FILE, settings), ("the manifest of what was merged", training)):
        for key, value in values.items():
            if key not in found:
                report.wrong.append(f"its manifest does not say {key}, and {source} says {plain(value)}")
            elif not is_same(found[key], value):
                report.wrong.append(f"its manifest says {key} = {plain(found[key])}, and {source} {plain(value)}")
    for key in sorted(found.keys() - {*settings, *training, "mergekit"}):
        report.wrong.append(
            f"its manifest says {key} = {plain(found[key])}, which neither {SPEC_FILE} nor an input's manifest does"
        )


def _compare_inputs(
    recorded: Mapping[str, Any], written: Spec, spec: Spec, inputs: MergeInputs, report: ManifestReport
) -> None:
    """Compare which models were merged, and what their own manifests say of them."""
    folders = provenance.input_folders(spec, inputs)
    names = provenance.input_names(written, spec, inputs)
    for role, path in folders.items():
        if role not in recorded:
            report.wrong.append(f"its manifest does not name the {role} model")
            continue
        entry = manifest.input_entry(path, input_file_hashes(path))
        if recorded[role]["sha256"] != entry["sha256"]:
            report.wrong.append(f"the {role} model at {path} is not the one that was merged")
            continue
        name, known = recorded[role].get("name"), names[role]
        if name not in (role, entry["name"], known):
            if known in ("", "..") or _COMMIT.fullmatch(str(name)):  # the Hub's copy of a model has a commit's name
                report.unchecked.append(f"inputs.{role}.name")
            else:
                report.wrong.append(f"its manifest names the {role} model {plain(name)}, and {SPEC_FILE} {known}")
        report.wrong += _different_lineage(role, path, recorded[role], entry)
    report.wrong += [
        f"its manifest names the input {role}, which {SPEC_FILE} does not"
        for role in sorted(recorded.keys() - folders.keys())
    ]


def _different_lineage(role: str, path: Path, recorded: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    """What is said of an input's own inputs; nothing where the input got its manifest after the merge."""
    claimed, right = _without_names(recorded), _without_names(entry)
    if claimed.keys() == {"sha256"}:
        return
    for key in different_keys(claimed, right):
        there = f"that of {path} {plain(right.get(key))}" if len(right) > 1 else f"{path} has no {manifest.NAME}"
        yield f"its manifest says {key} = {plain(claimed.get(key))} of the {role} model, and {there}"


def _without_names(entry: Any) -> Any:
    """An entry without names of folders, which differ from place to place, at every level."""
    if not isinstance(entry, Mapping):
        return entry
    found = {key: value for key, value in entry.items() if key != "name"}
    if isinstance(found.get("inputs"), Mapping):
        found["inputs"] = {role: _without_names(inner) for role, inner in found["inputs"].items()}
    return found
