"""Training speed on a CPU: tokens of real rows a second, against TRL's SFTTrainer at its defaults.

    python benchmarks/train.py                                  # about ten minutes on two idle cores
    python benchmarks/train.py --set per_device_train_batch_size=8 --set gradient_accumulation_steps=1
    python benchmarks/train.py --toy --times 1                  # a minute, to see that it runs; its ratio means nothing

Both sides fine-tune one Llama of 33 million parameters, made in the run, on the same tokenized rows for one epoch, 8
samples a step, in turns, each in a process of its own. Tokens are those that the trainer itself counted, without padding; a
side that trained more or less than the rows once is an error. TRL's side changes three of its defaults: it runs on the
CPU, cuts nothing (1,024 tokens would lose most completions) and saves nothing. Ours are the settings of
recipes/sft/smollm2-135m/instruct-all-cpu.yaml, which uses bfloat16 if the CPU has it: the ratio holds for processors of
the printed kind only. Measure with nothing else running.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RECIPE = Path(__file__).parents[1] / "recipes/sft/smollm2-135m/instruct-all-cpu.yaml"
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
VOCABULARY = 49_152
GOAL = 2.0


TOY_VOCABULARY = 512


def make_model(folder: Path, toy: bool) -> None:
    """33 million parameters in the shape of SmolLM2, 19 of them the tied embedding; and a tokenizer that only pads."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = TOY_VOCABULARY if toy else VOCABULARY
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, vocabulary)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w3")),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>",
    )  # fmt: skip
    torch.manual_seed(0)
    sizes = (32, 64, 2, 2, 1) if toy else (384, 1024, 8, 6, 2)
    hidden, inner, layers, heads, key_value_heads = sizes
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_value_heads, max_position_embeddings=8192, tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def rows(count: int, mean: int, vocabulary: int):
    """Tokenized rows with labels: prompts spread as pages are (log-normal around `mean`, at most 4 × it), answers of 20 to
    120 tokens; random tokens, as speed does not depend on which."""
    from datasets import Dataset

    rng = np.random.default_rng(0)
    prompts = np.minimum(rng.lognormal(np.log(mean) - 0.125, 0.5, count), 4 * mean).astype(int)
    answers = rng.integers(20, 121, count)
    made = []
    for prompt, answer in zip(prompts, answers):
        ids = rng.integers(3, vocabulary, prompt + answer)
        made.append({"input_ids": ids, "labels": np.concatenate([np.full(prompt, -100), ids[prompt:]])})
    return Dataset.from_list(made)


def one_run(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train one epoch; seconds of the training loop, without imports and loading."""
    from transformers import AutoTokenizer

    dataset = rows(args.rows, args.mean, TOY_VOCABULARY if args.toy else VOCABULARY)
    model, out = str(args.work / "model"), str(args.work / side)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if side == "trl":
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(out, use_cpu=True, max_length=None, save_strategy="no", num_train_epochs=1, report_to="none")
        trainer = SFTTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer)
    else:
        from agentmerge_hub.training.arguments import parse_args
        from agentmerge_hub.training.trainer import new_trainer

        options = {"model_name_or_path": model, "output_dir": out, "num_train_epochs": "1", "max_steps": "-1"}
        options |= dict(each.split("=", 1) for each in args.set)
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        trainer = new_trainer(parse_args(["--config", str(RECIPE), *words]), tokenizer, dataset, [])
    started, cpu_started = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    log = trainer.state.log_history
    trained = int(max(entry.get("num_tokens", 0) for entry in log))
    expected = sum(map(len, dataset["input_ids"]))
    if trained != expected:
        raise SystemExit(f"{side} trained {trained} tokens, and one epoch has {expected}: the ratio would be false")
    return {
        "tokens": trained, "seconds": seconds, "cpu": cpu, "loss": log[-1]["train_loss"],
        "steps": trainer.state.global_step, "bf16": bool(trainer.args.bf16),
    }  # fmt: skip


def processor() -> str:
    """The features that decide how fast bfloat16 is: what a ratio holds for."""
    import torch

    features = {"AVX-512-BF16": torch.cpu._is_avx512_bf16_supported(), "AMX": torch.cpu._is_amx_tile_supported()}
    names = [name for name, supported in features.items() if supported]
    return f"{torch.backends.cpu.get_cpu_capability()}{''.join(f' + {name}' for name in names)}, {os.cpu_count()} cores"


def run_apart(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own."""
    options = ["--side", side, "--work", args.work, "--rows", args.rows, "--mean", args.mean]
    options += ["--toy"] if args.toy else []
    options += [word for each in args.set for word in ("--set", each)]
    command = [sys.executable, __file__, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "agentmerge-benchmark-train")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--mean", type=int, default=1100, help="mean tokens of a prompt; WorkArena's are about 4,400")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting on our side")
    parser.add_argument("--toy", action="store_true", help="a model and rows of toy size")
    parser.add_argument("--side", choices=["trl", "ours"], help="run one side once and print its figures")
    args = parser.parse_args()
    if args.toy:
        args.rows, args.mean = 12, 60
    if args.side:
        return print("\n" + json.dumps(one_run(args.side, args)))
    make_model(args.work / "model", args.toy)
    runs: dict[str, list[dict[str, Any]]] = {"trl": [], "ours": []}
    print(f"processor: {processor()}")
    for turn in range(args.times):
        for side, results in runs.items():
            run = run_apart(side, args)
            results.append(run)
            print(
                f"{turn + 1}/{args.times} {side:4} {run['tokens'] / run['seconds']:7.0f} tokens/s, {run['cpu']:6.1f} s of CPU "
                f"time, {run['tokens']} tokens in {run['steps']} steps, bf16 {run['bf16']}, loss {run['loss']:.3f}",
                flush=True,
            )
    speeds = {side: [run["tokens"] / run["seconds"] for run in results] for side, results in runs.items()}
    for side, each in speeds.items():
        print(f"{side:4} median {statistics.median(each):7.0f} tokens/s, {min(each):.0f} to {max(each):.0f}")
    ratio = statistics.median(speeds["ours"]) / statistics.median(speeds["trl"])
    pairs = [ours / trl for ours, trl in zip(speeds["ours"], speeds["trl"])]
    missed = "" if ratio >= GOAL else "  (missed)"
    print(f"ratio {ratio:.2f}, of each turn {min(pairs):.2f} to {max(pairs):.2f}   goal ≥ {GOAL}{missed}")


if __name__ == "__main__":
    main()
