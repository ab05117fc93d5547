"""Redaction and the gate use different engines: each finds secrets that the other misses."""

from pathlib import Path

import stage_outputs

from agentmerge_hub.dataset.redaction.detector import detect
from agentmerge_hub.dataset.redaction.scanner import redact_text
from agentmerge_hub.publishing.publish_checks.file_types import DATASET_FILES
from agentmerge_hub.publishing.publish_checks.files import check_files
from agentmerge_hub.publishing.publish_checks.secret_engine import SecretEngine
from agentmerge_hub.publishing.publish_checks.secret_scan import scan
from agentmerge_hub.publishing.publish_checks.text_extraction import Text

READ_TOKEN = "packagist" + "_ort_" + "74bf20e19a3c58d6" * 4 + "0b7e"
"""A token of a registry of PHP packages: no rule of ours or of Betterleaks knows it, Kingfisher's rules do."""


def test_the_gates_engine_finds_a_token_that_redaction_leaves(tmp_path: Path) -> None:
    line = f"StaticText 'Read with {READ_TOKEN}'"
    assert redact_text(line) == line and list(detect(line)) == [] and list(scan([Text("page", line)], {})) == []
    row = stage_outputs.sample(0)
    folder = stage_outputs.dataset(tmp_path / "traces", [row | {"task": line}])
    files = {"all.parquet": next((folder / "data/all").glob("*.parquet"))}
    findings = check_files(files, DATASET_FILES)  # in the column, and in the statistics of the file's footer
    assert any("column task holds a secret of the kind secrets/packagist" in finding for finding in findings)
    assert not any(READ_TOKEN in finding for finding in findings)


def test_redaction_replaces_what_the_gates_engine_does_not_know() -> None:
    lines = ["[3] button 'Orla Quistwick: available'", "call 030/901820", "kept in /mnt/jroe/runs"]
    assert all(redact_text(line) != line for line in lines)
    with SecretEngine() as engine:
        engine.add(Text("page", "\n".join(lines)))
        assert list(engine.findings({})) == []
