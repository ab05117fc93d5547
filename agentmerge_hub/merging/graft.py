"""Puts an agentic adapter on the instruct model, with PEFT alone: a few megabytes that load as agent and instruct at once.

instruct + s·B·A is base + (agent − base) + (instruct − base): agentmerge_sum with λ = μ = 1. No full weights are written.
"""

import json
import shutil
import time
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.merging.engine.streaming import is_finite
from agentmerge_hub.merging.inputs.adapter import (
    CONFIG,
    WEIGHTS,
    check_fits,
    check_one_kind,
    config_of_adapter,
    is_adapter,
)
from agentmerge_hub.merging.inputs.checkpoint import locate, tensors_of
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader

STAGE = "graft"


def graft(adapter: Path, onto: str, out: Path) -> None:
    """Write an adapter folder that names another base.

    Args:
        adapter: a LoRA run on the base model.
        onto: the instruct model, a folder or Hub id.
        out: the new adapter's folder, with the instruct model's tokenizer.

    Raises:
        UserError: if it is no plain LoRA adapter, it is not finite, or the instruct model lacks a tensor it adapts.
    """
    started = time.time()
    check_one_kind(adapter)
    if not is_adapter(adapter):
        raise UserError(f"{adapter} is no adapter (no {CONFIG}): merge full models with `agentmerge merge`")
    output_folder.check_not_input(out, [adapter])
    instruct = locate(onto)
    config = config_of_adapter(adapter)
    factors = check_fits(adapter, tensors_of(instruct), onto)
    with TensorReader() as reader:
        for one in (one for pair in factors.values() for one in pair):
            if not is_finite(values := reader.values(one, 0, one.count).float(), values.dtype):
                raise UserError(f"{one.name} of {adapter} holds values that are not finite (NaN or infinity)")
    name, _, revision = (onto, "", "") if Path(onto).is_dir() else onto.partition("@")
    with output_folder.new_folder(out, STAGE, [adapter, instruct]) as folder:
        base = {"base_model_name_or_path": name, "revision": revision or None}
        text = json.dumps(config | base, indent=2, sort_keys=True)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
        for pattern in ("tokenizer*", "special_tokens_map.json", "chat_template.jinja"):
            for path in instruct.glob(pattern):
                shutil.copyfile(path, folder / path.name)
        run = manifest.of_run(adapter)
        settings = {"method": "agentmerge_sum", "lambda": 1.0, "mu": 1.0, "adapter_base": _hub_base(run, config)}
        if run and "prompts" in run["config"]:
            settings["prompts"] = run["config"]["prompts"]
        manifest.write(
            folder, STAGE, inputs={"adapter": adapter, "instruct": instruct}, config=settings, started=started
        )


def _hub_base(run: dict | None, config: dict) -> str | None:
    """Hub id of the model that the adapter was trained on; None if that was a local folder."""
    if run:
        return None if "model" in run["inputs"] else run["config"].get("model")
    base = config.get("base_model_name_or_path")
    return None if base is None or Path(base).exists() else str(base)
