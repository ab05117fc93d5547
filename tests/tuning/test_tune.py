"""λ is learned on validation tasks alone, and the tuned spec is the merge that was scored, in mergekit too."""

import calendar
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from agentmerge_hub import MergeSettings, TuneSettings, UserError, merge, tune, verify
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.training.likelihood.scoring import score
from agentmerge_hub.tuning.fit_state import FitState, FitStateFile, Point
from agentmerge_hub.tuning.generated_instructions import generate
from agentmerge_hub.tuning.lambda_groups import By
from agentmerge_hub.tuning.objective import Score
from agentmerge_hub.tuning.validation_rows import hold_out, load_validation

RECIPES = data_folder("recipes") / "merge"
SETTINGS = TuneSettings(instructions="general.json", rows=16, steps=6, batch=4, grid=(0.0, 0.5, 1.0))
SMALL = TuneSettings(rows=8, steps=1, batch=2, grid=(0.5,), by="layer")


@pytest.fixture
def here(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(study)
    return study


def spec(here: Path, recipe: str = "agentmerge") -> Path:
    """A recipe on the models of the study, in float32; absolute, because mergekit caches folders by path."""
    text = (RECIPES / f"{recipe}.yml").read_text()
    for old, role in (("meta-llama/Llama-3.1-8B-Instruct", "instruct"), ("meta-llama/Llama-3.1-8B", "base"),
                      ("./runs/llama-3.1-8b-base-all", "agent")):  # fmt: skip
        text = text.replace(old, str(here / role))
    path = here / f"{recipe}.yml"
    path.write_text(text.replace("out_dtype: bfloat16", "out_dtype: float32"))
    return path


def by_mergekit(file: Path, out: str) -> dict[str, torch.Tensor]:
    config = MergeConfiguration.model_validate(yaml.safe_load(file.read_text()))
    run_merge(config, out, MergeOptions(write_model_card=False, quiet=True))
    return load_file(Path(out) / "model.safetensors")


def held_out_nll(folder: str, data: str) -> float:
    """As `agentmerge likelihood` scores a merged model on all held-out rows."""
    rows = load_validation(data, "all", "validation")
    _, held, _ = hold_out(rows, SETTINGS.held_out, SETTINGS.seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    table = score(model, tokenizer, ChatTemplate(tokenizer), rows.select(held), "validation")
    return -sum(table["mean_logprob"].to_pylist()) / table.num_rows


def test_the_tuned_spec_is_the_merge_that_was_scored(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    tuned = tune(spec(here), "workarena-traces", Path("tuned.yml"), settings=SETTINGS, report=said.append)
    first, last = tuned.fit.curve[0], tuned.fit.curve[-1]
    assert last.fit.objective < first.fit.objective and first.fit.kl > 0
    assert tuned.groups.names[-6:] == tuple(f"{kind} {layer}" for kind in ("mlp", "attention") for layer in range(3))
    assert any("12 expert answers of 3 tasks are fitted, 4 of 1 other task are held out" in line for line in said)
    assert tuned.fit.grid[0].held_out.kl == pytest.approx(0, abs=1e-6)  # λ = 0 is the instruct model

    merge(Path("tuned.yml"), Path("ours"), settings=MergeSettings(reply=False))
    ours, theirs = load_file("ours/model.safetensors"), by_mergekit(Path("tuned.yml"), "theirs")
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)

    assert last.held_out.nll == pytest.approx(held_out_nll("ours", "workarena-traces"), abs=1e-4)

    text = Path("tuned.yml").read_text()
    assert text.startswith("# agentmerge_tuned: base + λ·(agent − base)") and "learned, step 6" in text
    record = json.loads(Path("tuned.manifest.json").read_text())
    assert record["stage"] == "tune" and set(record["inputs"]) == {"base", "agent", "instruct", "dataset"}
    assert record["counts"]["lambda"] == dict(zip(tuned.groups.names, tuned.fit.values))
    assert "constant of the grid" in tuned.verdict[0]

    stop_after(monkeypatch, writes=6)  # three constants and three of six steps
    with pytest.raises(KeyboardInterrupt):
        tune(spec(here), "workarena-traces", Path("again.yml"), settings=SETTINGS)
    assert Path(".again.yml.state.json").is_file() and not Path("again.yml").exists()
    said.clear()
    tune(spec(here), "workarena-traces", Path("again.yml"), settings=SETTINGS, report=said.append)
    assert any("3 of 3 constants and 3 of 6 steps are done" in line for line in said)
    assert Path("again.yml").read_text() == text and not Path(".again.yml.state.json").exists()


def stop_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let a run be interrupted once, after so many writes of its state."""
    write, left = FitStateFile.write, [writes]

    def counted(file: FitStateFile, state: FitState) -> None:
        write(file, state)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(FitStateFile, "write", counted)


def test_the_state_of_another_run_is_not_used(tmp_path: Path) -> None:
    score = Score(1.5, 0.1, 1.6)
    state = FitState("one", [Point(score, score, constant=0.3)], [Point(score, score, step=0)], 2, [0.1], [1e-9], [0.3])
    FitStateFile(tmp_path / "state", "one").write(state)
    assert FitStateFile(tmp_path / "state", "one").read() == state
    assert FitStateFile(tmp_path / "state", "other").read() == FitState("other")
    (tmp_path / "state").write_text('{"identity": "one", "grid": [')
    assert FitStateFile(tmp_path / "state", "one").read() == FitState("one")


def test_generated_instructions_have_exact_answers() -> None:
    rows = generate(120, 0)
    assert rows.num_rows == 120 and generate(120, 0)[:] == rows[:] != generate(120, 1)[:]
    answers = {row["prompt"][0]["content"]: row["completion"][0]["content"] for row in rows}
    assert len(answers) == 120 and all(answers.values())
    for question, answer in answers.items():
        if found := re.fullmatch(r"What is (\d+) plus (\d+)\?.*", question):
            assert answer.endswith(f"= {int(found[1]) + int(found[2])}")
        elif found := re.fullmatch(r"Sort these words alphabetically, separated by commas: (.*)\.", question):
            assert answer.split(", ") == sorted(found[1].split(", "))
        elif found := re.fullmatch(r"Today is (\w+)\. Which day is it in (\d) days\?.*", question):
            day = (list(calendar.day_name).index(found[1]) + int(found[2])) % 7
            assert answer == f"In {found[2]} days it is {calendar.day_name[day]}."


def test_fixed_filters_stay_and_one_constant_keeps_its_name(here: Path) -> None:
    tuned = tune(spec(here, "agentmerge_keep_embeddings"), "workarena-traces", Path("kept.yml"), settings=SMALL)
    assert set(tuned.groups.names) == {"norm", "layer 0", "layer 1", "layer 2"}
    merge(Path("kept.yml"), Path("kept"), settings=MergeSettings(reply=False))
    ours, instruct = load_file("kept/model.safetensors"), load_file("instruct/model.safetensors")
    assert ours["lm_head.weight"].equal(instruct["lm_head.weight"])
    theirs = by_mergekit(Path("kept.yml"), "kept-by-mergekit")
    assert all(ours[name].equal(theirs[name]) for name in ours)
    tune(spec(here, "task_arithmetic"), "workarena-traces", Path("whole.yml"), settings=SMALL)
    merge(Path("whole.yml"), Path("whole"), settings=MergeSettings(reply=False))
    ours, theirs = load_file("whole/model.safetensors"), by_mergekit(Path("whole.yml"), "whole-by-mergekit")
    assert all(ours[name].equal(theirs[name]) for name in ours)
    command = ["tune", str(spec(here)), "--data", "workarena-traces", "--split", "validation-tasks", "-o", "one.yml",
               "--keep-weight", "0", "--by", "constant", "--rows", "8", "--steps", "1", "--batch", "2", "--grid", "0.4"]  # fmt: skip
    done = CliRunner().invoke(agentmerge, command, catch_exceptions=False)
    assert "nothing keeps the merge near the instruct model" in done.output and "Wrote one.yml" in done.output
    assert "# lambda" in Path("one.yml").read_text() and "# 1 - lambda" in Path("one.yml").read_text()


@pytest.mark.parametrize("by", ["layer", "layer-and-block"])
def test_a_tied_head_has_the_lambda_of_the_embeddings(
    here: Path, by: By, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("base", "agent", "instruct"):
        model = AutoModelForCausalLM.from_pretrained(here / role)
        model.config.tie_word_embeddings, model.lm_head.weight = True, model.model.embed_tokens.weight
        model.save_pretrained(tmp_path / role)
        AutoTokenizer.from_pretrained(here / role).save_pretrained(tmp_path / role)
    data = str(here / "workarena-traces")
    monkeypatch.chdir(tmp_path)
    tune(spec(tmp_path), data, Path("tuned.yml"), settings=replace(SMALL, by=by))
    merge(Path("tuned.yml"), Path("ours"), settings=MergeSettings(reply=False))
    ours, theirs = load_file("ours/model.safetensors"), by_mergekit(Path("tuned.yml"), "theirs")
    assert "lm_head.weight" not in ours and all(ours[name].equal(theirs[name]) for name in ours)


EXPERTS = {
    "mixtral": (MixtralForCausalLM, MixtralConfig, {"num_local_experts": 2}),
    "qwen3_moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig, {"num_experts": 2, "moe_intermediate_size": 16, "head_dim": 8}),
    "olmoe": (OlmoeForCausalLM, OlmoeConfig, {"num_experts": 2}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "by"), [("mixtral", "layer-and-block"), ("qwen3_moe", "layer"), ("olmoe", "constant")]
)
def test_experts_that_are_stored_one_by_one(
    here: Path, kind: str, by: By, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_class, config_class, sizes = EXPERTS[kind]
    tokenizer = AutoTokenizer.from_pretrained(here / "base")
    torch.manual_seed(0)
    config = config_class(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, num_experts_per_tok=1, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **sizes,
    )  # fmt: skip
    model = model_class(config)
    first = {name: weight.clone() for name, weight in model.state_dict().items()}
    for role, size in (("base", 0.0), ("agent", 0.1), ("instruct", 0.1)):
        model.load_state_dict({key: weight + size * torch.randn_like(weight) for key, weight in first.items()})
        model.save_pretrained(tmp_path / role)
        tokenizer.save_pretrained(tmp_path / role)
    data = str(here / "workarena-traces")
    monkeypatch.chdir(tmp_path)
    file = spec(tmp_path)
    settings = TuneSettings(keep_weight=0, rows=16, steps=2, batch=4, grid=(0.5,), learning_rate=0.5, by=by)
    tuned = tune(file, data, Path("tuned.yml"), settings=settings)
    values = set(tuned.fit.values)  # of four places, so that some may agree
    assert 0.5 not in values and len(values) > len(tuned.groups.names) / 2
    merge(Path("tuned.yml"), Path("ours"), settings=MergeSettings(reply=False))
    verify(Path("ours"), reply=False)
    if by == "constant":
        with pytest.raises(UserError, match=r"mergekit has no definition of it .*: use --by constant"):
            tune(file, data, Path("other.yml"), settings=replace(settings, by="layer"))
    else:
        ours, theirs = load_file("ours/model.safetensors"), by_mergekit(Path("tuned.yml"), "theirs")
        assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)
    assert tuned.fit.curve[-1].held_out.nll == pytest.approx(held_out_nll("ours", data), abs=1e-4)


def test_a_disk_that_takes_one_file_keeps_neither(here: Path, small_disk: Callable[..., Path]) -> None:
    disk = small_disk(1 << 20, files=4)  # the disk's folder, the state, and two more
    with pytest.raises(UserError, match="no space is left on the disk"):
        tune(spec(here), "workarena-traces", disk / "tuned.yml", settings=SMALL)
    assert [path.name for path in disk.iterdir()] == [".tuned.yml.state.json"]


def test_a_model_that_cannot_answer_is_refused(here: Path, tmp_path: Path) -> None:
    shutil.copytree("agent", tmp_path / "agent")
    weights = load_file("agent/model.safetensors")
    weights["model.norm.weight"] *= 1e38
    save_file(weights, tmp_path / "agent/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"^the objective at λ = 0\.5 is not finite \(nll (nan|inf), kl"):
        tune(spec(here), "workarena-traces", tmp_path / "t.yml", {"agent": str(tmp_path / "agent")}, SMALL)
    assert not (tmp_path / "t.yml").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": "cross_task"}, "validation tasks only"),
        ({"split": "train"}, "validation tasks only"),
        ({"split": "dev"}, "it has train, validation, cross_task"),
        ({"keep_weight": 0.0, "instructions": "general.json"}, "exclude each other"),
        ({"keep_weight": float("nan")}, "takes a number, 0 or more"),
        ({"learning_rate": float("inf")}, "takes a number above 0"),
        ({"seed": 2**70}, "--seed .*takes a whole number from 0 to 4294967295"),
        ({"batch": 0}, "--batch 0: it takes a whole number from 1"),
        ({"instructions": "workarena-traces/README.json"}, "cannot be read as JSON"),
        ({"recipe": "ties"}, "linear in the weights"),
        ({"recipe": "lines"}, "no number marked `# lambda`"),
        ({"out": "base"}, "is a YAML file"),
        ({"out": "agentmerge.yml"}, "`tune` did not make it"),
    ],
)
def test_a_mistake_is_one_sentence(here: Path, changes: dict, said: str) -> None:
    file = spec(here, changes.pop("recipe", "agentmerge"))
    out = Path(changes.pop("out", "wrong.yml"))
    with pytest.raises(UserError, match=said):
        tune(file, "workarena-traces", out, settings=TuneSettings(**changes))
    assert not Path("wrong.yml").exists() and not Path("wrong.manifest.json").exists()
