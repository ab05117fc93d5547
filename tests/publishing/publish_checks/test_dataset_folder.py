"""A dataset's card and counts agree with its rows, and every row has a license."""

from pathlib import Path

import pytest
import stage_outputs

from agentmerge_hub import manifest
from agentmerge_hub.publishing.publish_checks.dataset_folder import check_dataset


def changed_card(folder: Path, old: str, new: str) -> list[str]:
    text = (folder / "README.md").read_text()
    assert old in text
    (folder / "README.md").write_text(text.replace(old, new, 1))
    return check_dataset(folder, manifest.read(folder))


def test_figures_that_the_data_do_not_give_are_named(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    assert changed_card(folder, "12 samples", "32,000 samples") == [
        finding for finding in check_dataset(folder, manifest.read(folder)) if "32,000 samples" in finding
    ]
    assert changed_card(stage_outputs.dataset(tmp_path / "b"), "num_examples: 4", "num_examples: 5")
    assert changed_card(stage_outputs.dataset(tmp_path / "c"), "Apache License 2.0", "MIT License")


def test_counts_of_the_manifest_are_recomputed(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    content = manifest.read(folder)
    content["counts"] |= {"episodes": 99, "dropped": {"crashed": 7}}
    findings = check_dataset(folder, content)
    assert "manifest.json has episodes 99, the data have 4" in findings
    assert "manifest.json has dropped {'crashed': 7}, the data have {}" in findings


@pytest.mark.parametrize(
    "changed", [{"config": {"inter_seeds": "x"}}, {"config": {"inter_share": "x"}}, {"counts": {"splits": {"all": []}}}, {"counts": {"samples": "x"}}]
)  # fmt: skip
def test_a_manifest_that_the_card_cannot_show_is_a_finding(tmp_path: Path, changed: dict) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    content = manifest.read(folder)
    content |= {key: content[key] | value for key, value in changed.items()}
    assert any("manifest.json lacks what the card shows" in finding for finding in check_dataset(folder, content))


def test_rows_without_terms_stay_here(tmp_path: Path) -> None:
    teachers = ["acme/agent-1", ""]
    unknown = stage_outputs.dataset(
        tmp_path / "a",
        [stage_outputs.sample(n, teacher=name, license="unknown") for n, name in enumerate(teachers)],
    )
    found = " ".join(check_dataset(unknown, manifest.read(unknown)))
    assert "rows of acme/agent-1 have no license: build again with --license 'acme/agent-1=LICENSE'" in found
    assert "rows that name no teacher have no license: build again with --license '=LICENSE'" in found
    wrong = stage_outputs.dataset(
        tmp_path / "b", [stage_outputs.sample(0, teacher="meta-llama/Llama-3.1-70B-Instruct"), stage_outputs.sample(1)]
    )
    assert "have the license apache-2.0, its license is llama3.1" in " ".join(
        check_dataset(wrong, manifest.read(wrong))
    )
    several = [stage_outputs.sample(0, teacher="meta-llama/Llama-3.1-70B-Instruct", license="llama3.1"),
               stage_outputs.sample(1, teacher="mistralai/Mistral-Large-Instruct-2407", license="mistral-research-license")]  # fmt: skip
    right = stage_outputs.dataset(tmp_path / "c", several)
    assert check_dataset(right, manifest.read(right)) == []


@pytest.mark.parametrize("name", ["dataset_infos.json", "traces.yaml", "extra.parquet", "data/new/train.parquet"])
def test_files_that_no_build_writes_stay_here(tmp_path: Path, name: str) -> None:
    content = manifest.read(stage_outputs.dataset(tmp_path / "traces", episodes=True))
    assert check_dataset(tmp_path / "traces", content) == []
    content["outputs"][name] = {"sha256": "0" * 64}
    (finding,) = check_dataset(tmp_path / "traces", content)
    assert finding.startswith(f"{name} is not a file that `build` writes")
