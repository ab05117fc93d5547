"""What a run records of how its prompts were made."""

import json
import shutil
from pathlib import Path

import pytest
from runs import run_config

from agentmerge_hub import manifest
from agentmerge_hub.training import finetune, model_loading
from agentmerge_hub.training.prompt_settings import prompt_settings

BUILD = {"window": 2048, "answer": 128, "screenshots": "shown", "image_tokens": 256, "versions": "both", "rebuild_prompts": True}  # fmt: skip
FLAGS = {
    "all": {"shared": {"use_html": True, "use_screenshot": True}, "different": ["use_som", "use_thinking"]},
    "cot": {"shared": {"use_html": True, "use_screenshot": True, "use_thinking": True}, "different": ["use_som"]},
}


@pytest.fixture
def built(traces: Path, tmp_path: Path) -> Path:
    """The rows with a manifest of `build`."""
    folder = Path(shutil.copytree(traces, tmp_path / "built"))
    manifest.write(folder, "build", config=BUILD | {"prompt_flags": FLAGS, "seed": 7})
    return folder


def test_a_run_and_its_checkpoints_record_them(tiny_model: Path, built: Path, tmp_path: Path) -> None:
    finetune.run(run_config(tiny_model, built, tmp_path / "run", max_steps=2))
    recorded = manifest.read(tmp_path / "run")["config"]["prompts"]
    packages = recorded.pop("packages")
    known = manifest.read(built)["versions"]
    assert packages == {name: known[name] for name in known if name.startswith(("agentlab", "browsergym"))}
    assert recorded == BUILD | {
        "flags": FLAGS["all"]["shared"], "different_flags": FLAGS["all"]["different"], "chat_template_kwargs": {},
    }  # fmt: skip
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    assert manifest.read(checkpoint)["config"]["prompts"] == recorded | {"packages": packages}


def test_they_are_of_the_config_that_is_trained(tiny_model: Path, built: Path, tmp_path: Path) -> None:
    def of_run(dataset: Path, **options: object) -> dict:
        config = run_config(tiny_model, dataset, tmp_path / "run", **options)
        return prompt_settings(config, model_loading.load_tokenizer(config)[1])

    assert of_run(built, dataset_config="cot")["flags"] == FLAGS["cot"]["shared"]
    assert of_run(built, dataset_config=None)["different_flags"] == FLAGS["all"]["different"]
    texts = of_run(built, dataset_config="cot", text_only=True)
    without = {"use_screenshot": False, "use_som": False}
    assert (texts["flags"], texts["different_flags"]) == (FLAGS["cot"]["shared"] | without, [])
    assert "flags" not in of_run(built, dataset_config="other")

    content = json.loads((built / manifest.NAME).read_text())
    del content["config"]["prompt_flags"]  # of an earlier version
    (built / manifest.NAME).write_text(json.dumps(content))
    assert of_run(built)["window"] == 2048 and "flags" not in of_run(built)
