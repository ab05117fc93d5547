"""Make the tiny pair: a base model trained from scratch on synthetic pages, and an instruct model tuned from it.

Both are written in float32 with one tokenizer and chat template. The same seed gives the same models on the same machine
with the same number of threads.
"""

import random
import time
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agentmerge_hub import manifest
from agentmerge_hub.files import locks, output_folder
from agentmerge_hub.training.tiny import batches
from agentmerge_hub.training.tiny.model import new_model
from agentmerge_hub.training.tiny.tokenizer import new_tokenizer
from agentmerge_hub.training.tiny.train import train

BASE_STEPS = 350
INSTRUCT_STEPS = 100
BASE_LEARNING_RATE = 6e-4
INSTRUCT_LEARNING_RATE = 3e-4


def make(out: Path, seed: int, base_steps: int = BASE_STEPS, instruct_steps: int = INSTRUCT_STEPS) -> None:
    """Write ``out/base`` and ``out/instruct``, each with its manifest."""
    with locks.lock_folder(out, "tiny-pair"):
        _make(out, seed, base_steps, instruct_steps)


def _make(out: Path, seed: int, base_steps: int, instruct_steps: int) -> None:
    started = time.time()
    torch.manual_seed(seed)
    tokenizer = new_tokenizer(seed)
    model = new_model(tokenizer)
    rng = random.Random(seed)
    loss = train(model, batches.pages(tokenizer, rng, base_steps), base_steps, BASE_LEARNING_RATE, "base")
    _save(model, tokenizer, out / "base", seed, BASE_LEARNING_RATE, base_steps, loss, started)
    started = time.time()
    loss = train(model, batches.chats(tokenizer, rng), instruct_steps, INSTRUCT_LEARNING_RATE, "instruct")
    _save(
        model,
        tokenizer,
        out / "instruct",
        seed,
        INSTRUCT_LEARNING_RATE,
        instruct_steps,
        loss,
        started,
        base=out / "base",
    )
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"base and instruct, {size / 1e6:.2f}M parameters each, written to {out}")


def _save(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, seed: int, learning_rate: float, steps: int,
    loss: float, started: float, base: Path | None = None,
) -> None:  # fmt: skip
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model.generation_config = GenerationConfig(**ids, do_sample=False)
    with output_folder.new_folder(out, "tiny-pair") as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        manifest.write(
            folder,
            "tiny-pair",
            inputs={"base": base} if base else {},
            config={"seed": seed, "learning_rate": learning_rate, "steps": steps},
            counts={"loss": round(loss, 4)},
            started=started,
        )
