"""Short runs for the tests: a tiny Llama without layers to speak of, its tokenizer, and the settings of a run on the CPU."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PretrainedConfig

from agentmerge_hub.training import arguments

RECIPE = Path(__file__).parents[2] / "recipes/sft/tiny/base-all.yaml"
SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}  # fmt: skip
LORA = {"use_peft": True, "lora_r": 2, "lora_target_modules": "all-linear"}


def save_model(folder: Path, tokenizer_from: Path, config: PretrainedConfig | None = None, **settings: Any) -> Path:
    """A model with random weights and the tokenizer of `tokenizer_from`; `settings` are of the model's configuration."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
    torch.manual_seed(0)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = config or LlamaConfig(**{"vocab_size": len(tokenizer), **ids, **SIZES, **settings})
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_config(model: Path, traces: Path, out: Path, **options: Any) -> arguments.RunConfig:
    """Four steps of four rows, with a checkpoint every two, unless `options` say otherwise; None removes an option."""
    settings: dict[str, Any] = {
        "model_name_or_path": model, "tokenizer_name_or_path": model, "dataset_name": traces, "output_dir": out, "max_steps": 4,
        "per_device_train_batch_size": 4, "checkpoint_samples": 8, "learning_rate": 1e-3, "logging_steps": 1,
        "train_sampling_strategy": "random", "disable_tqdm": True,
    } | options  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    recipe = out.parent / f"{out.name}.yaml"
    lines = [line for line in RECIPE.read_text().splitlines() if line.partition(":")[0] not in settings]
    recipe.write_text("\n".join(line for line in lines if not line.startswith("checkpoint_samples")) + "\n")
    given = {key: value if isinstance(value, list) else [value] for key, value in settings.items() if value is not None}
    words = [word for key, values in given.items() for word in (f"--{key}", *map(str, values))]
    return arguments.parse_args(["--config", str(recipe), *words])
