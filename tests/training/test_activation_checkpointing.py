"""The activations of no, some or all layers computed again: the same run, with as many forward passes as were asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import LORA, run_config, save_model
from safetensors.torch import load_file

from agentmerge_hub.training import finetune


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("layers") / "model", tiny_model, num_hidden_layers=3)


@pytest.mark.parametrize("options", [{}, LORA], ids=["full", "lora"])
def test_a_run_is_the_same_however_many_layers_are_computed_again(
    options: dict[str, Any], model: Path, traces: Path, tmp_path: Path, passes: dict[int, int],
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    settings = {
        "none": {"activation_checkpointing": False},
        "some": {"activation_checkpointing": True, "recomputed_layers": 2},
        "all": {"activation_checkpointing": True},
    }
    counts, said, written = {}, {}, {}
    for name, setting in settings.items():
        passes.clear()
        finetune.run(run_config(model, traces, tmp_path / name, max_steps=2, **setting, **options))
        counts[name], said[name] = list(passes.values()), capsys.readouterr().out
        log = json.loads((tmp_path / name / "checkpoint-2/trainer_state.json").read_text())["log_history"]
        weights = load_file(tmp_path / name / "model.safetensors")
        written[name] = [entry.get(key) for entry in log for key in ("loss", "grad_norm")], weights
    assert counts == {"none": [2, 2, 2], "some": [4, 4, 2], "all": [4, 4, 4]}
    phrase = "the activations of 2 of 3 layers computed again"
    assert [phrase in said[name] for name in settings] == [False, True, False]
    assert json.loads((tmp_path / "some/manifest.json").read_text())["config"]["recomputed_layers"] == 2
    torch.testing.assert_close(written["some"], written["none"], rtol=0, atol=0)
    torch.testing.assert_close(written["all"], written["none"], rtol=0, atol=0)
    finetune.run(run_config(model, traces, tmp_path / "all", max_steps=2, **settings["some"], **options))
    assert "finished already" in capsys.readouterr().out  # the setting does not make it another run
