"""Without --yes a push shows what it would send and checks token, name and rights; it changes nothing."""

import io
from pathlib import Path

import pytest
import stage_outputs
from hub_server import Hub
from hub_store import File
from PIL import Image, PngImagePlugin

from agentmerge_hub import manifest
from agentmerge_hub.traces.observation.png import read_png

PUSH = ("push", "dataset", "traces", "--repo-id", "acme/workarena-traces")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return stage_outputs.dataset(tmp_path / "traces")


def test_without_yes_everything_is_shown_and_the_hub_is_only_read(hub: Hub, run, traces: Path) -> None:
    shown = run(*PUSH).stdout
    assert "data/cot/train-00000-of-00001.parquet" in shown and "# traces" in shown and "no finding" in shown
    assert "(public), tagged v1.0.0" in shown and "Add --yes to publish" in shown
    assert {method for method, _, _ in hub.requests} == {"GET"} and hub.store.repos == {}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HF_TOKEN": "hf_wrong"}, "The Hub does not accept the token"),
        ({"HF_TOKEN": "hf_read"}, "The token of alice can only read"),
        ({"HF_TOKEN": "hf_bob"}, "bob cannot publish under 'acme'"),
    ],
)
def test_without_yes_token_and_rights_are_checked(run, traces: Path, environment, sentence: str) -> None:
    failed = run(*PUSH, ok=False, **environment)
    assert failed.returncode == 1 and sentence in failed.stdout and "nothing was sent" in failed.stderr


@pytest.mark.parametrize(
    "environment", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}, {"HF_TOKEN": ""}]
)
def test_without_yes_a_hub_that_cannot_be_asked_is_a_note(run, traces: Path, environment) -> None:
    assert "token, rights and visibility were not checked" in run(*PUSH, **environment).stdout


def test_without_yes_the_state_of_the_repository_is_shown(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--private", "--yes")
    assert "(private), tagged v1.0.0" in run(*PUSH).stdout
    repo = hub.store.repos["dataset", "acme/workarena-traces"]
    repo.commit("by hand", repo.resolve("main").files | {"train.csv": File(b"a,b\n", False)})
    assert "files that this package did not publish (train.csv)" in run(*PUSH, ok=False).stdout


def test_screenshots_are_published_only_after_a_person_looked_at_them(hub: Hub, run, tmp_path: Path) -> None:
    buffer, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    texts.add_text("Comment", "token ghp_" + "a1B2c3D4" * 4 + "e5F6")
    Image.new("RGB", (3, 2)).save(buffer, "PNG", pnginfo=texts)
    stage_outputs.dataset(tmp_path / "traces", png=read_png(buffer.getvalue()).data)
    refused = run(*PUSH, ok=False).stdout
    assert "the dataset holds 24 screenshots, which no rule can redact" in refused
    assert "no finding" in run(*PUSH, "--screenshots-reviewed").stdout
    stage_outputs.dataset(tmp_path / "traces", png=buffer.getvalue())
    found = run(*PUSH, "--screenshots-reviewed", ok=False).stdout
    assert "column image.bytes holds" in found and hub.store.repos == {}


def test_a_damaged_parquet_file_is_one_sentence(run, traces: Path) -> None:
    (traces / "ledger.parquet").write_bytes(b"PAR1")
    manifest.update_output(traces, "ledger.parquet")
    assert "ledger.parquet is not readable Parquet" in (failed := run(*PUSH, ok=False)).stderr
    assert failed.stderr.count("\n") == 1
