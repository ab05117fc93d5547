"""Every build in the tests uses a cache folder of its own; one built dataset is shared by tests that only read it."""

from pathlib import Path

import pytest
from dataset_files import run
from made_traces import write_study

from agentmerge_hub import manifest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A dataset of 72 samples from a collected study beside it, `traces`: two training tasks and one test task."""
    root = tmp_path_factory.mktemp("built")
    manifest.write(write_study(root / "traces"), "collect", config={"recipe": "demo"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTMERGE_CACHE", str(root / "cache"))
        run("build", root / "traces", "-o", root / "workarena-traces", "--tokenizer", tokenizer_folder)
    return root / "workarena-traces"
