"""The CUBE environment: a second Python environment, because CUBE needs Python 3.12 and packages that this one cannot hold."""

import os
import shutil
import subprocess
from pathlib import Path

from agentmerge_hub.errors import UserError

VARIABLE = "AGENTMERGE_CUBE_PYTHON"

FOLDER = ".venv-cube"
"""What `make setup-cube` creates in a checkout."""

PYTHONS = ("python3.12", "python3.13")

PACKAGES = {"miniwob": "miniwob-cube", "workarena": "workarena-cube"}
"""CUBE's packages by the first word of a BrowserGym benchmark."""


def find_python() -> Path:
    """The Python of the CUBE environment.

    Raises:
        UserError: if there is none; the sentence says whether Python 3.12 is missing too.
    """
    if named := os.environ.get(VARIABLE):
        path = shutil.which(named)
        if path is None:
            raise UserError(f"{VARIABLE} is {named!r}, which is not a program: name the Python of the CUBE environment")
        return Path(path)
    folder = Path(__file__).parents[3] / FOLDER
    if (folder / ".ready").is_file():  # written last: the installation is complete
        return folder / "bin" / "python"
    if not any(map(_runs, PYTHONS)):
        raise UserError(
            "backend cube needs Python 3.12 or 3.13, which is not on this machine: install it and run `make setup-cube`, or "
            f"set {VARIABLE} to the Python of a CUBE environment"
        )
    raise UserError(
        "backend cube needs the CUBE environment: run `make setup-cube` in a checkout of the repository, or install "
        f"requirements-cube.lock with pip --no-deps in an environment of Python 3.12 and set {VARIABLE} to its Python"
    )


def _runs(program: str) -> bool:
    """Whether a program runs. A version manager puts launchers on the path for versions that are not installed."""
    try:
        return subprocess.run([program, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False
