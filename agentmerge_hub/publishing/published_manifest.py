"""The manifest and spec as they are published: of a local path its role, never its place."""

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from agentmerge_hub import content_hash, manifest
from agentmerge_hub.publishing.hub.withdrawn import manifest_bytes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content

_COMMIT = re.compile(r"[0-9a-f]{40}")


def published_manifest(
    content: Mapping[str, Any], files: Mapping[str, Content], hub_ids: Collection[str] | None = None
) -> bytes:
    """The folder's manifest with the published files as outputs, to check a download.

    Args:
        content: the folder's manifest.
        files: what is published.
        hub_ids: models and datasets that are on the Hub; every other name of an input, and every setting that names a
            place, is replaced by its role. None for a dataset, whose build records no places.
    """
    outputs = {}
    for name, data in sorted(files.items()):
        if name == manifest.NAME:
            continue
        if name in content["outputs"] and not isinstance(data, bytes):
            outputs[name] = content["outputs"][name]
        elif isinstance(data, bytes):
            outputs[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        else:
            outputs[name] = {"sha256": content_hash.file_hash(data), "bytes": data.stat().st_size}
    public = {"inputs": _inputs(content["inputs"], hub_ids or ())}
    if hub_ids is not None:
        public["config"] = _settings(content["config"], hub_ids)
    return manifest_bytes({**content, **public, "outputs": outputs})


def _inputs(inputs: Mapping[str, Any], hub_ids: Collection[str]) -> dict[str, Any]:
    public = {}
    for role, entry in inputs.items():
        name = str(entry.get("name", ""))
        shown = name if name in hub_ids or _COMMIT.fullmatch(name) else role
        public[role] = {**entry, "name": shown}
        if entry.get("inputs"):
            public[role]["inputs"] = _inputs(entry["inputs"], hub_ids)
    return public


def _settings(value: Any, hub_ids: Collection[str], key: str = "") -> Any:
    """Settings with every place replaced by the name of its setting."""
    if isinstance(value, Mapping):
        return {inner: _settings(item, hub_ids, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [_settings(item, hub_ids, key) for item in value]
    if isinstance(value, str) and value not in hub_ids and is_place(value):
        return key
    return value


def is_place(value: str) -> bool:
    """Whether a setting names a file or folder: a text with a slash or backslash that is no web address."""
    return bool(re.search(r"[/\\]|^[~.]", value)) and "://" not in value and " " not in value.strip()


def published_spec(text: str, names: Mapping[str, Any], hub_ids: Collection[str]) -> str:
    """A merge spec with the local paths of its models replaced by their roles.

    Args:
        names: role → model, as the spec gives it.
    """
    for role, model in sorted(names.items(), key=lambda item: -len(str(item[1]))):
        if str(model).partition("@")[0] not in hub_ids and is_place(str(model)):
            text = re.sub(rf"(?<![\w./~-]){re.escape(str(model))}(?![\w./-])", role, text)
    return text
