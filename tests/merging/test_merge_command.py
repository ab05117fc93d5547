"""What `agentmerge merge` says of a finished merge, and whom it asks about the spec."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.safetensors_header import header_of
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.sizes import size_text

SPEC = str(data_folder("recipes") / "merge" / "agentmerge.yml")
ROLES = ("base", "agent", "instruct")
LOCAL = [part for role in ROLES for part in ("--set", f"{role}=./{role}")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(agentmerge, ["merge", *arguments, *LOCAL], catch_exceptions=True)


def silenced(folder: Path, token: int | None = None) -> None:
    """Let a model end its turn, or write one token, whatever it is asked: one state for every token, and a head that knows one
    answer."""
    weights = load_file(folder / "model.safetensors")
    eos = token or json.loads((folder / "config.json").read_text())["eos_token_id"]
    for name, tensor in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            tensor.zero_()
        elif name.endswith(("embed_tokens.weight", "norm.weight")):
            tensor.fill_(1)
    weights["lm_head.weight"][eos] = 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_an_answer_of_nothing_is_told(here: Path) -> None:
    for role in ("base", "agent", "instruct"):
        silenced(here / role)
    done = run(SPEC, "-o", "out")
    assert done.exit_code == 0, done.output
    assert done.stderr == (
        "Warning: out answers a greeting with nothing: it ends its turn at once. Try it before you use it.\n"
    )
    assert done.stdout == "Wrote out (agentmerge)\n"
    assert "answers" not in run(SPEC, "-o", "quick", "--quick").stderr


def test_an_answer_of_line_breaks_is_told_once(here: Path) -> None:
    line_break = AutoTokenizer.from_pretrained("instruct").encode("\n", add_special_tokens=False)[-1]
    for role in ROLES:
        silenced(here / role, line_break)
    warning = "Warning: out answers a greeting with line breaks only. Try it before you use it.\n"
    done = run(SPEC, "-o", "out")
    assert (done.stderr, done.stdout) == (warning, "Wrote out (agentmerge)\n"), done.output
    verified = CliRunner().invoke(agentmerge, ["verify", "out"])
    assert verified.stderr == warning and "answers" not in verified.stdout


def test_an_answer_of_special_tokens_is_shown(here: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained("instruct")
    for role in ROLES:
        silenced(here / role, tokenizer.pad_token_id)
    done = run(SPEC, "-o", "out")
    assert not done.stderr and f"answers a greeting with {tokenizer.pad_token * 16!r}" in done.stdout, done.output


def test_what_a_merge_replaces_is_said(here: Path) -> None:
    def wrote(*arguments: str, spec: str = SPEC) -> str:
        return run(spec, "-o", "out", "--quick", *arguments).stdout

    assert wrote("--set", "lambda=0.4") == "Wrote out (agentmerge)\n"
    assert "\nIt would be in place of the merge with lambda 0.4\n" in wrote("--dry-run")
    assert wrote() == "Wrote out (agentmerge), in place of the merge with lambda 0.4\n"
    assert wrote() == "Wrote out (agentmerge), in place of a merge with the same settings\n"
    Path("out/manifest.json").unlink()  # as mergekit-yaml leaves it
    assert CliRunner().invoke(agentmerge, ["verify", "out", "--no-reply"]).exit_code == 0
    ties = str(data_folder("recipes") / "merge" / "ties.yml")
    assert wrote(spec=ties) == "Wrote out (ties), in place of the agentmerge merge with lambda 0.5\n"


def test_what_a_sweep_replaces_is_said(here: Path) -> None:
    def wrote(*arguments: str, grid: str = "0.3,0.5") -> str:
        shared = ["sweep", SPEC, "-o", "grid", "--lambda", grid, "--quick", *LOCAL]
        return CliRunner().invoke(agentmerge, [*shared, *arguments]).stdout

    assert "in place of" not in wrote()
    shutil.copytree("agent", "other")
    other = ["--set", "agent=./other"]
    planned = wrote(*other, "--dry-run", grid="0.3")
    assert "\nIt would be in place of the merge with agent ./agent\n" in planned
    kept = "It would be in place of a merge with the same settings, which stays if spec and inputs have not changed"
    assert f"\n{kept}\n" in wrote("--dry-run", grid="0.3") and "in place of" not in wrote()
    Path("grid/lambda-0.5/more").write_text("of another hand")  # refused, so that it stays
    assert [line for line in wrote(*other).splitlines() if "in place of" in line] == [
        "grid/lambda-0.3 is in place of the merge with agent ./agent"
    ]


@pytest.mark.parametrize(("method", "told"), [("agentmerge", True), ("slerp", True), ("agentmerge_sum", False)])
def test_a_share_outside_of_0_to_1_is_told(here: Path, method: str, told: bool) -> None:
    spec = str(data_folder("recipes") / "merge" / f"{method}.yml")
    models = LOCAL if method != "slerp" else LOCAL[2:]
    sweep = ["sweep", spec, "-o", "grid", "--lambda", "0.5,7", "--dry-run", *models]
    single = ["merge", spec, "-o", "out", "--dry-run", "--set", "lambda=7", *models]
    warning = "Warning: lambda 7 is outside of 0 … 1: the merge extrapolates beyond its models\n"
    for arguments in (single, sweep):
        done = CliRunner().invoke(agentmerge, arguments)
        assert done.exit_code == 0 and done.stderr == (warning if told else ""), done.output


def test_weights_that_may_not_be_read_are_named_as_that(here: Path) -> None:
    user = os.geteuid()
    Path("base/model.safetensors").chmod(0)
    here.chmod(0o755)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"^base/model\.safetensors cannot be read: Permission denied$"):
            header_of(Path("base/model.safetensors"))
    finally:
        os.seteuid(user)


def test_mergekits_own_judgement_comes_before_the_first_byte(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mergekit.config import MergeConfiguration

    judged = []
    ask = MergeConfiguration.model_validate
    monkeypatch.setattr(MergeConfiguration, "model_validate", lambda config: judged.append(config) or ask(config))
    assert run(SPEC, "-o", "out", "--no-reply").exit_code == 0
    assert [config["merge_method"] for config in judged] == ["task_arithmetic"]
    Path("typo.yml").write_text(Path(SPEC).read_text().replace("  normalize: false", "  normalise: false"))
    failed = run("typo.yml", "-o", "other")
    assert isinstance(failed.exception, UserError) and "'normalise' is unknown" in str(failed.exception)
    assert not Path("other").exists()


def test_a_dry_run_says_what_a_merge_costs_and_writes_nothing(here: Path) -> None:
    before = set(here.iterdir())
    done = run(SPEC, "-o", "out", "--dry-run", "--disk-speed", "1")
    sizes = [sum(tensor.nbytes for tensor in load_file(f"{role}/model.safetensors").values()) for role in ROLES]
    read, written = sum(sizes), sizes[0]  # the base is stored in the output type
    assert f"reads {size_text(read)} and writes {size_text(written)} of weights" in done.stdout, done.output
    assert f"{(read + written) / 1e6:.1f} seconds" in done.stdout and set(here.iterdir()) == before
    Path("run").mkdir()
    Path("agent").rename("run/checkpoint-1")
    Path("run/checkpoint-2").mkdir()  # unfinished
    grid = ["sweep", SPEC, "-o", "grid", "--lambda", "0.5", "--dry-run", "--checkpoints", "run/checkpoint-*", *LOCAL]
    planned = CliRunner().invoke(agentmerge, grid)
    assert planned.exit_code == 1 and str(planned.exception) == "1 of 2 merges would fail, see above"
    lines = planned.stdout.splitlines()
    assert lines[0].startswith("grid/checkpoint-1-lambda-0.5 by one streaming pass: reads ")
    assert lines[1].startswith("grid/checkpoint-2-lambda-0.5 would fail: ") and not Path("grid").exists()
    assert lines[2].startswith(f"Together they write {size_text(written)} of weights")
