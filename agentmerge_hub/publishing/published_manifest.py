"""The manifest and spec as they are published: of a local path its role, never its place."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from agentmerge_hub import manifest
from agentmerge_hub.files import content_hash
from agentmerge_hub.publishing.hub.withdrawn import manifest_bytes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_ROOTED = re.compile(r"[\w+.-]+:[/\\]|[/\\~]|\.{1,2}(?:[/\\]|$)")
"""Start of a place: a drive, a scheme such as ``file:`` or ``s3:``, a root, a home folder, or a relative path."""
_SLASH = re.compile(r"[^\s\\/][/\\]+[^\s\\/]|[/\\]$")
_NO_PLACE = re.compile(r"[\n{}|*()^$]|\\(?:[dwsDWS](?![A-Za-z])|\.)")
"""Characters of templates and regular expressions."""
_COMMENT = re.compile(r"(?<!\S)#.*")
_IN_COMMENT = re.compile(
    r"(?<![\w./:~%-])(?:(?:~|\.{1,2})(?:/[\w.@+~-]+)+|(?:/[\w.@+~-]+){2,}|[A-Za-z]:[\\/][^\s'\"`,;<>|()]+)/?"
)
"""A place in prose: an absolute path of two folders or more, or one that starts at home or at a folder in use."""
_NAMES_A_FOLDER = ("model", "dataset", "replay_dataset", "adapter_base", "tokenizer", "tokenizer_name_or_path")
"""Settings whose value is a folder unless it is a name on the Hub."""


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
    """Settings with every place replaced by the name of its setting; a place that is a name itself by a number."""
    if isinstance(value, Mapping):
        names = [
            f"{key}-{number}" if is_place(name) and name not in hub_ids else name
            for number, name in enumerate(map(str, value))
        ]
        return {name: _settings(item, hub_ids, name) for name, item in zip(names, value.values())}
    if isinstance(value, list):
        return [_settings(item, hub_ids, key) for item in value]
    if isinstance(value, str) and value not in hub_ids and is_place(value, key):
        return key
    return value


def is_place(value: str, key: str = "") -> bool:
    """Whether a setting names a file, a folder or a bucket.

    Args:
        key: the setting's name; of settings that name a model or a dataset, a name without a slash is a folder too.
    """
    if _WEB.match(value):
        return False
    if _ROOTED.match(value) or (key in _NAMES_A_FOLDER and value and not re.search(r"\s\w+\s", value)):
        return True
    return bool(_SLASH.search(value)) and not _NO_PLACE.search(value)


def published_spec(text: str, names: Mapping[str, Any], hub_ids: Collection[str]) -> str:
    """A merge spec with the local paths of its models replaced by their roles, any other place by the key it is under, and one in a
    comment by ``local-path``.

    Args:
        names: role → model, as the spec gives it.
    """
    places = {str(model): role for role, model in names.items() if str(model).partition("@")[0] not in hub_ids}
    for key, value in _leaves(yaml.safe_load(text)):
        if value.partition("@")[0] not in hub_ids:
            places.setdefault(value, key)
    for place in sorted(filter(is_place, places), key=len, reverse=True):
        text = re.sub(rf"(?<![\w./~-]){re.escape(place)}(?![\w./-])", places[place], text)
    return _COMMENT.sub(lambda comment: _IN_COMMENT.sub("local-path", comment[0]), text)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Pairs of key and text of a YAML value."""
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _leaves(item, str(inner))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, key)
    elif isinstance(value, str):
        yield key, value
