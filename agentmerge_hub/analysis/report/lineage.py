"""Where the results came from: the manifests' inputs, followed to the first stage, as a tree and as stages."""

from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.files import content_hash


def tree(folders: list[Path]) -> list[dict[str, Any]]:
    """A node for each folder: role, name, stage, seconds, sha256, and its inputs as nodes; none without a manifest."""
    nodes = [_root(Path(folder)) for folder in folders]
    seen: set[str] = set()
    for node in nodes:
        _mark(node, seen)
    return nodes


def _mark(node: dict[str, Any], seen: set[str]) -> None:
    """Mark a node whose inputs are already shown higher up, so that a page shows them once."""
    node["again"] = bool(node["inputs"]) and node["sha256"] in seen
    seen.add(node["sha256"])
    for inner in node["inputs"]:
        _mark(inner, seen)


def _root(folder: Path) -> dict[str, Any]:
    name = folder.resolve().name
    if not (folder / manifest.NAME).is_file():
        return _node("results", {"name": name})
    content = manifest.read(folder)
    seconds = (content.get("run") or {}).get("seconds")
    return _node("results", {**content, "name": name, "sha256": content_hash.folder_hash(folder), "seconds": seconds})


def _node(role: str, entry: dict[str, Any]) -> dict[str, Any]:
    inputs = entry.get("inputs") or {}
    return {
        "role": role,
        "name": entry.get("name", role),
        "stage": entry.get("stage") or "",
        "seconds": entry.get("seconds"),
        "sha256": entry.get("sha256") or "",
        "inputs": [_node(key, value) for key, value in inputs.items()],
    }


def stages(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each folder once, inputs before what was made of them."""
    seen: dict[tuple[str, str], dict[str, Any]] = {}

    def visit(node: dict[str, Any]) -> None:
        for inner in node["inputs"]:
            visit(inner)
        key = (node["name"], node["sha256"])
        if key not in seen:
            made_from = ", ".join(inner["name"] for inner in node["inputs"])
            seen[key] = {key: node[key] for key in ("stage", "name", "seconds", "sha256")} | {"made_from": made_from}

    for node in nodes:
        visit(node)
    return list(seen.values())
