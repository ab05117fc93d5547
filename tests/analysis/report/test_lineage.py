"""The way from the results back to the traces, each folder once."""

from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.analysis.report import lineage


def made(root: Path, name: str, stage: str, **inputs: Path) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "file").write_text(name)
    manifest.write(folder, stage, inputs=inputs, started=1.0)
    return folder


def test_stages_stand_in_the_order_they_were_made_and_once(tmp_path: Path) -> None:
    traces = made(tmp_path, "traces", "collect")
    dataset = made(tmp_path, "workarena-traces", "build", traces=traces)
    given = tmp_path / "instruct"
    given.mkdir()
    (given / "weights").write_text("downloaded")
    agent = made(tmp_path, "base-all", "train", dataset=dataset)
    tuned = made(tmp_path, "instruct-all", "train", dataset=dataset, model=given)
    merged = made(tmp_path, "agentmerge", "merge", agent=agent, instruct=given)
    results = made(tmp_path, "results", "evaluate", agentmerge=merged, tuned=tuned)
    (tree,) = nodes = lineage.tree([results])
    stages = [(row["stage"], row["name"]) for row in lineage.stages(nodes)]
    assert stages == [
        ("collect", "traces"),
        ("build", "workarena-traces"),
        ("train", "base-all"),
        ("", "instruct"),
        ("merge", "agentmerge"),
        ("train", "instruct-all"),
        ("evaluate", "results"),
    ]
    agentmerge, tuned_node = tree["inputs"]
    assert agentmerge["inputs"][0]["inputs"][0]["again"] is False
    assert tuned_node["inputs"][0]["again"] is True
    assert all(row["seconds"] for row in lineage.stages(nodes) if row["stage"])


def test_a_folder_without_a_manifest_is_named_alone(tmp_path: Path) -> None:
    (node,) = lineage.tree([tmp_path])
    assert (node["name"], node["stage"], node["inputs"]) == (tmp_path.name, "", [])
