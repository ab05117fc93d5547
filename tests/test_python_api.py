"""The Python API is one import deep, cheap to import, and the notebook that shows it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import agentmerge_hub

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", agentmerge_hub.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(agentmerge_hub, name) is not None


def test_every_public_name_is_documented() -> None:
    page = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    named = {
        name for name in agentmerge_hub.__all__ if f"heading: {name}," in page or f"agentmerge_hub.{name}`" in page
    }
    assert set(agentmerge_hub.__all__) - named == {"__version__"}


def test_import_loads_no_heavy_package() -> None:
    code = "import sys, agentmerge_hub; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for package in ("torch", "transformers", "datasets", "pyarrow", "pydantic", "numpy", "scipy", "matplotlib"):
        assert f"'{package}'" not in loaded


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'brew'"):
        agentmerge_hub.brew  # noqa: B018


def test_the_notebook_runs(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    script = tmp_path / "tutorial.py"
    script.write_text(
        "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code") + "\nprint(points)\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("state='made'") == 3


def test_paths_are_strings_or_paths_and_mistakes_sentences(tmp_path: Path) -> None:
    out, config = str(tmp_path / "out"), agentmerge_hub.BuildConfig(agentmerge_hub.BuildSettings(), "nothing")
    for call in (
        lambda place: agentmerge_hub.build([place], out, config),
        lambda place: agentmerge_hub.collect(place, out),
        lambda place: agentmerge_hub.evaluate(place, out),
        lambda place: agentmerge_hub.merge(place, out),
        lambda place: agentmerge_hub.sweep(place, out, [0.5]),
        lambda place: agentmerge_hub.tune(place, "data", f"{out}.yml"),
        agentmerge_hub.verify,
        lambda place: agentmerge_hub.analyse([place], out),
    ):
        for place in ("no such place", Path("no such place")):
            with pytest.raises(agentmerge_hub.UserError, match="no such place"):
                call(place)
    assert "merge" in dir(agentmerge_hub) and not Path(out).exists()
