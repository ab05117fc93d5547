"""A run whose loss or weights are no numbers any more ends with a sentence, and keeps the checkpoints before."""

from pathlib import Path

import pytest
from runs import LORA, run_config, save_model
from safetensors.torch import load_file, save_file

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
