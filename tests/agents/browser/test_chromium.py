"""Finding a browser: the environment variable first, then the system's; Playwright starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.errors import UserError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "my-chromium"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_variable_wins(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chromium.VARIABLE, str(program))
    assert chromium.find() == program


def test_a_wrong_variable_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chromium.VARIABLE, "/no/such")
    with pytest.raises(UserError, match="AGENTMERGE_CHROMIUM is '/no/such', which is not a program"):
        chromium.find()


def test_no_browser_anywhere_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    monkeypatch.setattr(chromium, "SYSTEM_PATHS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(UserError, match="no browser was found: install Chromium"):
        chromium.find()


def test_playwright_starts_the_browser_that_was_found(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a child process, because Playwright caches what it read from the environment."""
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit 1\n')
    monkeypatch.setenv(chromium.VARIABLE, str(program))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    for _ in range(2):  # the second time the folder exists already
        check = subprocess.run(
            [sys.executable, "-m", "agentmerge_hub.agents.browser.chromium"], capture_output=True, text=True
        )
        assert check.returncode == 1 and "the browser does not start" in check.stderr
        assert "Traceback" not in check.stderr
        assert "--disable-background-networking" in (tmp_path / "arguments").read_text()
