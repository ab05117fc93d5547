"""The card, the manifest and the lineage of a built dataset."""

from pathlib import Path

import pytest
from dataset_files import rows, run
from made_traces import write_episode

from agentmerge_hub.errors import UserError


def test_the_card_shows_every_column_rule_and_figure(built: Path) -> None:
    from agentmerge_hub.dataset.selection.drop_rules import EPISODE_RULES, SAMPLE_RULES
    from agentmerge_hub.records import SAMPLE_SCHEMA

    card = (built / "README.md").read_text()
    for name in SAMPLE_SCHEMA.names:
        assert f"`{name}`" in card
    samples = rows(built, "all")
    tokens = sum(row["n_prompt_tokens"] + row["n_completion_tokens"] for row in samples)
    assert f"72 samples, {tokens:,} tokens" in card
    assert "| scripted | [Apache License 2.0]" in card and "license: apache-2.0" in card
    assert (built / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert not EPISODE_RULES.keys() & SAMPLE_RULES.keys()
    assert str(built.parent) not in card + (built / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("model", "known"), [("our-own-model", r"their teachers are e\.g\. our-own-model"), ("", "they name no teacher")]
)
def test_license_option_sets_the_license_of_an_unknown_teacher(
    tmp_path: Path, tokenizer_folder: Path, model: str, known: str
) -> None:
    write_episode(tmp_path / "t", "a|b`<script>\nc.d", 0, model=model, name="odd")
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    run(*build)
    assert rows(tmp_path / "out", "all")[0]["license"] == "unknown"
    run(*build, "--license", f"{model}=mit")
    assert rows(tmp_path / "out", "all")[0]["license"] == "mit"
    card = (tmp_path / "out/README.md").read_text()
    assert "license: mit" in card
    assert "| `a\\|b'&lt;script&gt; c.d` | train | 1 | 1 | 1 |" in card
    with pytest.raises(UserError, match=f"^--license our-model: no episode .*; {known}$"):
        run(*build, "--license", "our-model=mit")
    assert rows(tmp_path / "out", "all")[0]["license"] == "mit"


def test_the_manifest_lists_every_file(built: Path) -> None:
    from agentmerge_hub.manifest import verify

    assert verify(built) == []


def test_the_lineage_starts_with_the_collected_study(built: Path) -> None:
    from agentmerge_hub import manifest
    from agentmerge_hub.files import content_hash

    (study,) = manifest.read(built)["inputs"].values()
    assert study["stage"] == "collect" and study["sha256"] == content_hash.folder_hash(built.parent / "traces")
