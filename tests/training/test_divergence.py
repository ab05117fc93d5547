"""A run whose loss or weights are no numbers any more ends with a sentence, and keeps the checkpoints before."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import LORA, run_config, save_model
from safetensors.torch import load_file, save_file

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune

DIVERGING = {
    "learning_rate": 1e38, "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2, "checkpoint_samples": 4,
}  # fmt: skip
"""The first step of the warmup has the learning rate 0, the second one makes large numbers of the weights, the third one none."""


def run_until_it_diverges(model: Path, traces: Path, out: Path, **options: object) -> str:
    """The sentence; checkpoints whose weights are numbers are left, and nothing that looks finished."""
    with pytest.raises(UserError) as error:
        finetune.run(run_config(model, traces, out, **DIVERGING | options))
    assert {path.parent.name for path in out.glob("**/manifest.json")} == {"checkpoint-1", "checkpoint-2"}
    assert {path.parent.name for path in out.glob("**/*model.safetensors")} == {"checkpoint-1", "checkpoint-2"}
    return str(error.value)


@pytest.mark.parametrize("options", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("logged", [True, False], ids=["by the log", "by the weights"])
def test_a_run_that_diverges(tiny_model: Path, traces: Path, tmp_path: Path, options: dict, logged: bool) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    log = {} if logged else {"logging_strategy": "no", "logging_steps": None}
    said = run_until_it_diverges(model, traces, tmp_path / "run", **options, **log)
    assert said.startswith("the training diverged: after step 3 ")
    assert (" loss is nan: " if logged else ".weight holds a NaN or an infinity: ") in said
    assert ": lower learning_rate (1e+38) or raise warmup_steps, and choose another output_dir; " in said


def change_weights(model: Path, name: str, value: float) -> None:
    """Set the first row of a tensor."""
    weights = load_file(model / "model.safetensors")
    weights[name][0] = value
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def test_what_a_base_is_to_blame_for(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """DoRA divides by the norm of each row of the weights."""
    model, query = save_model(tmp_path / "model", tiny_model), "model.layers.0.self_attn.q_proj.weight"
    change_weights(model, query, 0.0)
    with pytest.raises(
        UserError, match=r"after step 1 .* nan.* or set use_dora to false \(DoRA divides by the norms of"
    ):
        finetune.run(run_config(model, traces, tmp_path / "dora", **LORA, use_dora=True))
    assert not list((tmp_path / "dora").glob("checkpoint-*"))
    change_weights(model, query, float("inf"))
    with pytest.raises(UserError, match=rf"model hold a NaN or an infinity, in {query}: use another model"):
        finetune.run(run_config(model, traces, tmp_path / "run"))


def run_in_float16(
    model: Path, traces: Path, out: Path, patch: pytest.MonkeyPatch, scale: float, **options: object
) -> None:
    """A run on the CPU with the float16 autocast and the gradient scaler of one on a GPU, which accelerate makes there only.

    Args:
        scale: the first one of the loss; the scaler halves it after each step whose gradients overflow.
    """

    def new_trainer(*args: Any, **kwargs: Any) -> Any:
        trainer = finetune.SFT.new_trainer(*args, **kwargs)
        trainer.accelerator.native_amp = True
        trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        return trainer

    patch.setattr(finetune.trl_options, "check_options", lambda config: None)  # it refuses float16 on a CPU
    config = run_config(model, traces, out, fp16=True, bf16=False, **options)
    finetune.run(config, dataclasses.replace(finetune.SFT, new_trainer=new_trainer))


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch"])
@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, "2 steps up to step 2"), ({"checkpoint_samples": 400}, "4 steps up to step 4"),
     ({"checkpoint_samples": 400, "max_steps": 60}, "40 steps up to step 40")],
    ids=["a checkpoint", "the end", "many steps"],
)  # fmt: skip
def test_a_run_whose_steps_are_all_skipped_saves_nothing(
    tiny_model: Path,
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict,
    steps: str,
    optim: str,
) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    said = rf"^the gradients of the {steps} overflowed float16, so that they changed no weight: set fp16 to false"
    with pytest.raises(UserError, match=said):
        run_in_float16(model, traces, tmp_path / "run", monkeypatch, 2.0**100, optim=optim, **options)
    assert not list((tmp_path / "run").glob("**/*model.safetensors"))
    assert not (tmp_path / "run/manifest.json").exists()


def log_of(checkpoint: Path) -> list[dict]:
    return json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch"])
def test_a_run_goes_on_after_a_few_skipped_steps(
    tiny_model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optim: str
) -> None:
    model, out = save_model(tmp_path / "model", tiny_model), tmp_path / "run"
    run_in_float16(model, traces, out, monkeypatch, 2.0**24, max_steps=16, checkpoint_samples=32, optim=optim)
    norms = [each["grad_norm"] for each in log_of(out / "checkpoint-16") if "grad_norm" in each]
    assert not any(map(math.isfinite, norms[:3])) and math.isfinite(norms[-1])
    assert manifest.read(out)["counts"]["steps"] == 16
