"""The command line: it reads like the pipeline, starts light, and turns mistakes into sentences."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentmerge_hub.cli import PACKAGE_OF, agentmerge
from agentmerge_hub.errors import UserError


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "agentmerge_hub.cli", *arguments], capture_output=True, text=True)


def test_help_lists_every_verb_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from agentmerge_hub.cli import agentmerge\n"
        "print(CliRunner().invoke(agentmerge, ['--help']).output)\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow', 'agentlab', 'scipy') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.rstrip().endswith("[]")
    places = [said.index(f"\n  {verb} ") for verb in PACKAGE_OF]
    assert places == sorted(places)


@pytest.mark.parametrize("verb", PACKAGE_OF)
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(agentmerge, [verb, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage: agentmerge" in result.output


def test_a_mistake_is_one_sentence_and_a_non_zero_exit(tmp_path) -> None:
    build = run("build", str(tmp_path), "-o", str(tmp_path / "out"), "--tokenizer", "nobody/nothing")
    assert build.returncode != 0
    assert build.stderr.startswith("Error: ") and "Traceback" not in build.stderr
    assert not (tmp_path / "out").exists()
    bild = run("bild")
    assert bild.returncode != 0 and "No such command 'bild': did you mean build?" in bild.stderr


def test_an_operating_system_error_is_one_sentence_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = run("tiny-pair", "-o", str(tmp_path / "file/pair"))
    assert made.returncode == 1 and made.stderr.count("\n") == 1
    assert made.stderr.startswith("Error: ") and "is a file, not a folder: choose another path" in made.stderr


@pytest.mark.parametrize("module", ["click", "agentmerge_hub.dataset.command", "pyarrow"])
@pytest.mark.parametrize("place", ["import", "callback"])
def test_ctrl_c_while_modules_are_imported_is_one_sentence(tmp_path: Path, module: str, place: str) -> None:
    code = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
class Callback:
    def __del__(self):
        raise KeyboardInterrupt  # Python prints and ignores exceptions here
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r} and {place!r} == "callback":
            Callback()
            time.sleep(60)  # until it arrives
        elif name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from agentmerge_hub.__main__ import main
main()
"""
    verb = "sweep" if module == "click" else "build"
    done = subprocess.run(
        [sys.executable, "-c", code, verb, str(tmp_path), "-o", str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 130
    kept = " Finished parts are kept: run the same command again to continue." if verb == "sweep" else ""
    assert done.stderr.strip() == f"Interrupted.{kept}"


FIRST = {
    "collect": ["-o", "out"], "evaluate": ["-o", "out"], "build": ["-o", "out"], "inspect": [], "export": ["--format", "atif", "-o", "out"],
    "likelihood": ["--dataset", "empty", "-o", "out.parquet"], "merge": ["-o", "out"], "sweep": ["-o", "out"], "graft": ["--onto", "empty", "-o", "out"],
    "verify": [], "tune": ["--data", "empty", "-o", "out.yml"], "serve": [], "watch": [], "xray": [], "check-pairs": [], "analyse": ["-o", "out"],
    "review": [], "demo-page": ["-o", "out"], "gguf": [], "push model": ["--repo-id", "org/name"], "push dataset": ["--repo-id", "org/name"],
    "recipes expand": [],
}  # fmt: skip
"""Verbs that read a file or folder, with the options that they need."""


@pytest.mark.parametrize("verb", FIRST)
def test_a_wrong_path_is_a_sentence_and_leaves_nothing(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("some text")
    for path in ("missing", "empty", "file"):
        result = CliRunner().invoke(agentmerge, [*verb.split(), path, *FIRST[verb]])
        assert result.exit_code in (1, 2), (path, result.output)
        mistake = result.exception if isinstance(result.exception, UserError) else result.output
        assert isinstance(result.exception, UserError | SystemExit), (path, result.exception)
        assert str(mistake).strip() and "Traceback" not in str(mistake) and "[Errno" not in str(mistake), (
            path,
            mistake,
        )
        assert path != "missing" or re.search(
            "(?i)there is no|does not exist|no such|no folder|no recipe", str(mistake)
        ), mistake
        assert not isinstance(mistake, UserError) or "\n" not in str(mistake), (path, mistake)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "file"]


@pytest.mark.parametrize("option", ["--run-sd", "--between", "--training-cost", "--difference"])
def test_plan_takes_finite_numbers(option: str) -> None:
    for value in ("nan", "inf"):
        result = CliRunner().invoke(agentmerge, ["plan", "--runs", "3", "--tasks", "6", "--seeds", "5", option, value])
        assert f"{option} is {value}: give a finite number" in str(result.exception)


def test_what_is_no_output_of_the_verb_is_not_overwritten(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("my notes\n")
    for verb in (["likelihood", "model", "--dataset", "d"], ["check-pairs", str(tmp_path)]):
        result = CliRunner().invoke(agentmerge, [*verb, "-o", str(notes)])
        assert "choose another path with -o" in str(result.exception)
    assert notes.read_text() == "my notes\n"


def test_expand_takes_a_sweep() -> None:
    result = CliRunner().invoke(agentmerge, ["recipes", "expand", "sft/tiny/base-all.yaml"])
    assert (
        "is not a sweep of launch, recipes and grid, such as sft/tiny/sweep.yaml: launch: this key is missing"
        in str(result.exception)
    )
