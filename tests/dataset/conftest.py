"""Every build in the tests uses a cache folder of its own; one built dataset is shared by tests that only read it."""

from pathlib import Path

import pytest
from dataset_files import run
from made_traces import write_study


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A dataset of 72 samples: two training tasks and one test task."""
    root = tmp_path_factory.mktemp("built")
    write_study(root / "traces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTMERGE_CACHE", str(root / "cache"))
        run("build", root / "traces", "-o", root / "workarena-traces", "--tokenizer", tokenizer_folder)
    return root / "workarena-traces"
