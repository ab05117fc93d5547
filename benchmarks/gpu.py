"""One GPU in eight minutes: training is right there, how fast it is, what it takes of memory; one JSON line a part.

    python benchmarks/gpu.py --out gpu.jsonl                # one H100 or H200
    python benchmarks/gpu.py --out toy.jsonl --toy          # the same parts at toy size on a CPU, to see that they run
    python benchmarks/gpu.py --out gpu.jsonl --part full-1b --part full-3b

Parts: `correct` (loss on the GPU = on the CPU, packed = apart, killed and resumed = uninterrupted), `full-1b`, `full-3b` and
`lora-8b` (rows of 8,192 tokens, this package's settings against TRL's defaults: tokens/s, MFU, peak memory against
preflight's estimate), `likelihood`, `merge` (1B). Every part runs in processes of its own and is written when it ends, so that
a limit on time loses one part at most. TRL's side keeps its defaults but for one row a device, as 8 rows of 8,192 tokens fit
nowhere, and no truncation. Needs this package's [train] and [merge] extras; no network: models have random weights. Tested
on a CPU at toy size; not yet run on a GPU.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from gpu_inputs import write_model, write_rows

ROOT = Path(__file__).parents[1]
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12}
"""bfloat16, dense, by NVIDIA's data sheets."""
PARTS = ("correct", "full-1b", "full-3b", "lora-8b", "likelihood", "merge")
GOALS = {"mfu": 0.40, "ratio": 1.3, "estimate_error": 0.15}


def sft_command(model: Path, data: Path, out: Path, **options: Any) -> list[str]:
    settings = {
        "model_name_or_path": model, "dataset_name": data, "dataset_config": "all", "output_dir": out, "per_device_train_batch_size": 1,
        "learning_rate": 1e-3, "lr_scheduler_type": "constant", "seed": 0, "logging_steps": 1, "report_to": "none",
        "max_length": "null",
    } | options  # fmt: skip
    recipe = out.with_suffix(".yaml")
    recipe.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    return [sys.executable, str(ROOT / "recipes/sft.py"), "--config", str(recipe)]


def run_part(name: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    shape = "toy" if args.toy else name.rpartition("-")[2]
    match name:
        case "correct":
            return correct(work, args.toy)
        case "full-1b" | "full-3b" | "lora-8b":
            return speed(work, shape, args.toy, lora=name.startswith("lora"))
        case "likelihood":
            return likelihood(work, "toy" if args.toy else "1b", args.toy)
        case _:
            return merge(work, "toy" if args.toy else "1b")


def correct(work: Path, toy: bool) -> dict[str, Any]:
    """Loss and weights of a tiny model: between devices, packed or not, resumed or not."""
    import torch
    from safetensors.torch import load_file

    model, data = write_model(work / "model", "toy"), write_rows(work, 96, 24, 16, spread=True)
    cuda = torch.cuda.is_available()

    def train(name: str, **options: Any) -> Path:
        command = sft_command(model, data, work / name, **{"use_cpu": not cuda, "bf16": False} | options)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return work / name

    def loss(run: Path) -> float:
        state = json.loads((run / "checkpoint-1/trainer_state.json").read_text())
        return next(entry["loss"] for entry in state["log_history"] if "loss" in entry)

    first = {"max_steps": 1, "checkpoint_samples": 1}
    together = {"per_device_train_batch_size": 16} | first
    on_cpu = loss(train("cpu", use_cpu=True, **together))
    on_device = loss(train("device", **together))
    packed = loss(train("packed", packing=True, max_length=4096, **first))
    long = {"max_steps": 40 if cuda else 12, "checkpoint_samples": 4, "save_total_limit": 2}
    whole = load_file(train("whole", **long) / "model.safetensors")
    killed = work / "killed"
    command = sft_command(model, data, killed, use_cpu=not cuda, bf16=False, **long)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not any(killed.glob("checkpoint-*/manifest.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    interrupted = not (killed / "manifest.json").exists()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    resumed = load_file(killed / "model.safetensors")
    return {
        "loss_cpu": on_cpu, "loss_device": on_device, "loss_packed": packed, "interrupted": interrupted,
        "device_equal": abs(on_device - on_cpu) < 1e-3, "packed_equal": abs(packed - on_device) < 1e-3,
        "resumed_equal": all(whole[key].equal(resumed[key]) for key in whole),
    }  # fmt: skip


def speed(work: Path, shape: str, toy: bool, lora: bool) -> dict[str, Any]:
    """Both sides in processes of their own, so that each has the whole memory."""
    prompt, answer = (200, 40) if toy else (7900, 280)  # with the turns' own tokens about 8,192
    write_model(work / "model", shape)
    write_rows(work, prompt, answer, 4 if toy else 16, spread=False)
    sides: dict[str, Any] = {}
    for side in ("ours", "trl"):
        words = [sys.executable, __file__, "--side", side, "--work", str(work), *(["--lora"] if lora else [])]
        done = subprocess.run([*words, *(["--toy"] if toy else [])], stdout=subprocess.PIPE, text=True, check=False)
        lines = done.stdout.splitlines()
        sides[side] = json.loads(lines[-1]) if done.returncode == 0 else {"failed": lines[-3:]}
    ours, trl = sides["ours"], sides["trl"]
    if "tokens_per_s" in ours and "tokens_per_s" in trl:
        sides["ratio"] = ours["tokens_per_s"] / trl["tokens_per_s"]
    return sides


def one_side(side: str, work: Path, toy: bool, lora: bool) -> dict[str, Any]:
    """Train some steps; the first ones are not measured."""
    import torch
    from transformers import AutoConfig, TrainerCallback

    from agentmerge_hub.training import model_loading, rows
    from agentmerge_hub.training.arguments import parse_args
    from agentmerge_hub.training.preflight.run_plan import make_plan
    from agentmerge_hub.training.trainer import new_trainer

    warm, measured = (1, 2) if toy else (3, 8)
    options: dict[str, Any] = {
        "model_name_or_path": work / "model", "dataset_name": next(work.glob("rows-*")), "output_dir": work / side, "max_length": 16_384,
        "max_steps": warm + measured, "per_device_train_batch_size": 1, "seed": 0, "report_to": "none", "bf16": True,
        "use_cpu": toy,
    }  # fmt: skip
    if lora:
        options |= {"use_peft": True, "lora_r": 16, "lora_target_modules": "all-linear"}
    config = parse_args([word for key, value in options.items() for word in (f"--{key}", str(value))])
    tokenizer, template = model_loading.load_tokenizer(config)
    split = rows.load_split(config.dataset_name, "all", "train")
    dataset = rows.tokenize(split, tokenizer, template, None)
    plan = make_plan(dataset, config)
    if side == "ours":
        # Activations are computed again only where the estimate says that they do not fit.
        available = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else float("inf")
        config.sft.gradient_checkpointing = False
        plan = make_plan(dataset, config)
        if plan.needs.memory > 0.9 * available:
            config.sft.gradient_checkpointing = True
            plan = make_plan(dataset, config)
        trainer = new_trainer(config, tokenizer, dataset, [])
    else:
        from trl import SFTConfig, SFTTrainer

        sft = SFTConfig(
            str(work / side), per_device_train_batch_size=1, max_length=None, max_steps=warm + measured, save_strategy="no",
            use_cpu=toy, report_to="none",
        )  # fmt: skip
        trainer = SFTTrainer(
            str(work / "model"), args=sft, train_dataset=dataset, processing_class=tokenizer, peft_config=config.peft
        )

    class Clock(TrainerCallback):
        started = ended = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if state.global_step == warm:
                self.started = time.perf_counter()
            self.ended = time.perf_counter()

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    length = len(dataset[0]["input_ids"])
    speed = measured * length / (clock.ended - clock.started)
    model = AutoConfig.from_pretrained(work / "model")
    # 6 operations a parameter and token (4 where only an adapter is trained), and causal attention; recomputation not counted.
    attention = 6 * model.num_hidden_layers * model.hidden_size * length
    flops = (4 if lora else 6) * plan.parameters + (attention * 2 // 3 if lora else attention)
    result: dict[str, Any] = {
        "tokens_per_s": speed, "row": length, "checkpointing": bool(trainer.args.gradient_checkpointing),
        "estimate_gb": plan.needs.memory / 1e9,
    }  # fmt: skip
    if torch.cuda.is_available():
        name, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 1e9
        result |= {"peak_gb": peak, "estimate_error": plan.needs.memory / 1e9 / peak - 1}
        if limit := next((value for card, value in PEAK_FLOPS.items() if card in name), None):
            result["mfu"] = flops * speed / limit
    return result


def likelihood(work: Path, shape: str, toy: bool) -> dict[str, Any]:
    import torch

    from agentmerge_hub.training.likelihood.score_likelihood import LikelihoodArgs, score_likelihood

    model = write_model(work / "model", shape)
    data = write_rows(work, 200 if toy else 6000, 40 if toy else 150, 8 if toy else 64, spread=True)
    started = time.perf_counter()
    args = LikelihoodArgs(str(model), str(data), config="all", splits=("inter_task",), bf16=not toy)
    table = score_likelihood(args, work / "likelihood.parquet")
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return {"rows": table.num_rows, "seconds": seconds, "rows_per_s": table.num_rows / seconds, "peak_gb": peak}


def merge(work: Path, shape: str) -> dict[str, Any]:
    for seed, name in enumerate(("base", "agent", "instruct")):
        write_model(work / name, shape, "bfloat16", seed)
    spec = (ROOT / "recipes/merge/agentmerge.yml").read_text()
    (work / "spec.yml").write_text(spec)
    command = [
        sys.executable,
        "-m",
        "agentmerge_hub.cli",
        "merge",
        str(work / "spec.yml"),
        "-o",
        str(work / "merged"),
        "--quick",
    ]
    for name in ("base", "agent", "instruct"):
        command += ["--set", f"{name}={work / name}"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    size = sum(path.stat().st_size for path in (work / "merged").glob("*.safetensors"))
    return {"seconds": seconds, "gb_written": size / 1e9}


def device() -> str:
    import torch

    return (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU ({torch.backends.cpu.get_cpu_capability()})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.jsonl"), help="one JSON line a part, appended as each ends"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="run these only")
    parser.add_argument("--seconds", type=float, default=480, help="no part is started after this time")
    parser.add_argument("--toy", action="store_true", help="toy sizes, on a CPU too")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--lora", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if args.side:
        return print(json.dumps(one_side(args.side, args.work, args.toy, args.lora)))
    started = time.monotonic()
    for name in args.part or PARTS:
        if time.monotonic() - started > args.seconds:
            entry: dict[str, Any] = {"skipped": "no time left"}
        else:
            work, began = Path(tempfile.mkdtemp(prefix="agentmerge-gpu-")), time.monotonic()
            try:
                entry = run_part(name, args, work)
            except Exception as error:  # a part that fails must not lose the others
                traceback.print_exc()
                entry = {"failed": f"{type(error).__name__}: {error}"}
            entry["seconds_of_part"] = round(time.monotonic() - began, 1)
            shutil.rmtree(work, ignore_errors=True)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": name, "device": device(), "toy": args.toy} | entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(name, json.dumps(entry), flush=True)


if __name__ == "__main__":
    main()
