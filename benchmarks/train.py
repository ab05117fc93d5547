"""How fast training on a CPU is: tokens of real rows a second, against TRL's SFTTrainer as it comes.

    python benchmarks/train.py                                  # about ten minutes on two quiet cores
    python benchmarks/train.py --set per_device_train_batch_size=8 --set gradient_accumulation_steps=1

Both sides fine-tune one Llama of 33 million parameters, made in the run, on the same tokenized rows, 8 samples a step, in
turns, each in a process of its own; padding is not counted. TRL's side changes three of its defaults: it runs on the CPU,
cuts nothing (1,024 tokens would lose most completions) and saves nothing. Ours are the settings of
recipes/sft/smollm2-135m/instruct-all-cpu.yaml. Measure with nothing else running.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RECIPE = Path(__file__).parents[1] / "recipes/sft/smollm2-135m/instruct-all-cpu.yaml"
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
VOCABULARY = 49_152
GOAL = 2.0


def make_model(folder: Path) -> None:
    """33 million parameters in the shape of SmolLM2: 19 of them the tied embedding; and a tokenizer that only pads."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w3")),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>",
    )  # fmt: skip
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=8192, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def rows(count: int, mean: int):
    """Tokenized rows with labels: prompts spread as pages are (log-normal around `mean`, at most 4 × it), answers of 20 to
    120 tokens; random tokens, as speed does not depend on which."""
    from datasets import Dataset

    rng = np.random.default_rng(0)
    prompts = np.minimum(rng.lognormal(np.log(mean) - 0.125, 0.5, count), 4 * mean).astype(int)
    answers = rng.integers(20, 121, count)
    made = []
    for prompt, answer in zip(prompts, answers):
        ids = rng.integers(3, VOCABULARY, prompt + answer)
        made.append({"input_ids": ids, "labels": np.concatenate([np.full(prompt, -100), ids[prompt:]])})
    return Dataset.from_list(made)


def one_run(side: str, given: argparse.Namespace) -> dict[str, float]:
    """Train one epoch; seconds of the loop alone, without imports and loading."""
    from transformers import AutoTokenizer

    dataset, model, out = rows(given.rows, given.mean), str(given.work / "model"), str(given.work / side)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if side == "trl":
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(out, use_cpu=True, max_length=None, save_strategy="no", num_train_epochs=1, report_to="none")
        trainer = SFTTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer)
    else:
        from agentmerge_hub.training import arguments
        from agentmerge_hub.training import trainer as ours

        options = {"model_name_or_path": model, "output_dir": out, "num_train_epochs": "1", "logging_steps": "10"}
        options |= dict(each.split("=", 1) for each in given.set)
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        trainer = ours.new_trainer(arguments.read(["--config", str(RECIPE), *words]), tokenizer, dataset, [])
    begin, used = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    return {
        "tokens": sum(map(len, dataset["input_ids"])), "seconds": seconds, "cpu": used,
        "loss": trainer.state.log_history[-1]["train_loss"], "steps": trainer.state.global_step,
    }  # fmt: skip


def apart(side: str, given: argparse.Namespace) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--side",
        side,
        "--work",
        given.work,
        "--rows",
        given.rows,
        "--mean",
        given.mean,
    ]
    command += [word for each in given.set for word in ("--set", each)]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/tmp/agentmerge-benchmark-train"))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--mean", type=int, default=1100, help="mean tokens of a prompt; WorkArena's are about 4,400")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting on our side")
    parser.add_argument("--side", choices=["trl", "ours"], help="run one side once and print its figures")
    given = parser.parse_args()
    if given.side:
        return print("\n" + json.dumps(one_run(given.side, given)))
    make_model(given.work / "model")
    found: dict[str, list[dict[str, float]]] = {"trl": [], "ours": []}
    for turn in range(given.times):
        for side, runs in found.items():
            run = apart(side, given)
            runs.append(run)
            print(
                f"{turn + 1}/{given.times} {side:4} {run['tokens'] / run['seconds']:7.0f} tokens/s, {run['cpu']:6.1f} s of CPU "
                f"time, {run['steps']:.0f} steps, loss {run['loss']:.3f}",
                flush=True,
            )
    speeds = {side: [run["tokens"] / run["seconds"] for run in runs] for side, runs in found.items()}
    for side, each in speeds.items():
        print(f"{side:4} median {statistics.median(each):7.0f} tokens/s, {min(each):.0f} to {max(each):.0f}")
    ratio = statistics.median(speeds["ours"]) / statistics.median(speeds["trl"])
    pairs = [ours / trl for ours, trl in zip(speeds["ours"], speeds["trl"])]
    mark = "" if ratio >= GOAL else "  (missed)"
    print(f"ratio {ratio:.2f}, of each turn {min(pairs):.2f} to {max(pairs):.2f}   goal ≥ {GOAL}{mark}")


if __name__ == "__main__":
    main()
