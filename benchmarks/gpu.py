"""One GPU in eight minutes: training is right there, how fast it is, what it takes of memory; one JSON line a part.

    python benchmarks/gpu.py --out gpu.jsonl                # one H100 or H200
    python benchmarks/gpu.py --out toy.jsonl --toy          # the same parts at toy size on a CPU, to see that they run
    python benchmarks/gpu.py --out gpu.jsonl --part full-1b --part full-3b

Parts: `correct` (loss on the GPU = on the CPU, packed = apart, killed and resumed = uninterrupted), `lora-exact` (LoRA's losses
and gradient norms with frozen weights in float32, in bfloat16, and with a layer computed again), `full-1b`, `full-3b` and
`lora-8b` (rows of 8,192 tokens, the `--sides` TRL's defaults, this package's settings, these with Liger, which needs
liger-kernel, or with torch_compile; all but TRL's compute as few layers again as the preflight says that the GPU needs:
tokens/s, MFU, peak memory against the preflight's estimate), `packs` (short rows packed to 8,192 tokens, by attention),
`attention` (kernels), `lengths` (rows of different lengths: with cuDNN's attention, without it, and with it on rows padded to
multiples of 512), `likelihood`, `merge` (1B). Every part runs in processes of its own and is written when it ends, so that a
limit on time loses one part at most; a side takes 30 to 60 seconds. TRL's side keeps its defaults but for one row a device, as
8 rows of 8,192 tokens fit nowhere, and no truncation. No network: models have random weights. Without `pip install`, put this
repository on PYTHONPATH, and beside torch, transformers, accelerate, peft, pandas and pyarrow the wheels of trl, datasets,
dill, multiprocess, xxhash, filelock, pydantic, pydantic_core, annotated_types, typing_inspection, rich, click, psutil and
mergekit (12 MB; of mergekit only the version is read). About 40 GB of disk. benchmarks/README.md has what was measured.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gpu_inputs import SIDES, write_model, write_rows

ROOT = Path(__file__).parents[1]
PARTS = (
    "correct",
    "lora-exact",
    "full-1b",
    "full-3b",
    "lora-8b",
    "packs",
    "attention",
    "lengths",
    "likelihood",
    "merge",
)


def sft_command(model: Path, data: Path, out: Path, **options: Any) -> list[str]:
    settings = {
        "model_name_or_path": model, "dataset_name": data, "dataset_config": "all", "output_dir": out, "per_device_train_batch_size": 1,
        "learning_rate": 1e-3, "lr_scheduler_type": "constant", "seed": 0, "logging_steps": 1, "report_to": "none",
        "max_length": "null",
    } | options  # fmt: skip
    recipe = out.with_suffix(".yaml")
    recipe.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    return [sys.executable, str(ROOT / "recipes/sft.py"), "--config", str(recipe)]


def run_part(name: str, work: Path, toy: bool, names: list[str]) -> dict[str, Any]:
    shape = "toy" if toy else name.rpartition("-")[2]
    match name:
        case "correct":
            return correct(work, toy)
        case "lora-exact":
            from gpu_training import lora_exact

            write_model(work / "model", "toy")
            write_rows(work, 200, 40, 8, spread=True)
            return lora_exact(work, toy)
        case "full-1b" | "full-3b" | "lora-8b":
            return speed(work, shape, toy, lora=name.startswith("lora"), names=names)
        case "packs":
            return packs(work, "toy" if toy else "1b", toy)
        case "attention":
            from gpu_training import attention

            return attention(toy)
        case "lengths":
            from gpu_training import lengths

            write_model(work / "model", "toy" if toy else "1b")
            write_rows(work, 200 if toy else 7900, 40 if toy else 280, 24, spread=False, shorter=3)
            return lengths(work, toy)
        case "likelihood":
            return likelihood(work, "toy" if toy else "1b", toy)
        case _:
            return merge(work, "toy" if toy else "1b")


def in_a_process(words: list[str], toy: bool, seconds: float | None = None) -> dict[str, Any]:
    """Run this file with other arguments; what it prints last is its result. Memory on the GPU is free again afterwards."""
    command = [sys.executable, __file__, *words, *(["--toy"] if toy else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=seconds is not None)
    try:
        lines = process.communicate(timeout=seconds)[0].splitlines()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that it has started
        process.wait()
        return {"failed": f"not finished after {seconds:.0f} s"}
    if process.returncode or not lines:
        return {"failed": lines[-3:], "exit_code": process.returncode}
    return json.loads(lines[-1])


def correct(work: Path, toy: bool) -> dict[str, Any]:
    """Loss and weights of a tiny model: between devices, packed or not, resumed or not."""
    import torch
    from safetensors.torch import load_file

    model, data = write_model(work / "model", "toy"), write_rows(work, 96, 24, 16, spread=True)  # one batch, one pack
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
    long = {"max_steps": 40 if cuda else 12, "checkpoint_samples": 4, "save_total_limit": 2}
    runs: dict[str, dict[str, Any]] = {
        "cpu": {"use_cpu": True} | together, "device": together, "packed": {"packing": True, "max_length": 4096} | first,
        "whole": long,
    }  # fmt: skip
    with ThreadPoolExecutor(len(runs) if cuda else 1) as pool:
        folders = dict(zip(runs, pool.map(lambda name: train(name, **runs[name]), runs), strict=True))
    on_cpu, on_device, packed = (loss(folders[name]) for name in ("cpu", "device", "packed"))
    whole = load_file(folders["whole"] / "model.safetensors")
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


def speed(work: Path, shape: str, toy: bool, lora: bool, names: list[str]) -> dict[str, Any]:
    """Both sides in processes of their own, so that each has the whole memory."""
    prompt, answer = (200, 40) if toy else (7900, 280)  # with the turns' own tokens about 8,192
    write_model(work / "model", shape)
    write_rows(work, prompt, answer, 4 if toy else 16, spread=False)
    lora_word = ["--lora"] if lora else []
    sides: dict[str, Any] = {
        side: in_a_process(["--side", side, "--work", str(work), *lora_word], toy) for side in names
    }
    speeds = {side: result["tokens_per_s"] for side, result in sides.items() if "tokens_per_s" in result}
    return sides | {"ratio": {side: speed / speeds["trl"] for side, speed in speeds.items() if "trl" in speeds}}


def packs(work: Path, shape: str, toy: bool) -> dict[str, Any]:
    """Tokens/s of packed short rows: on sdpa packs need a dense mask, and flex_attention skips what it masks."""
    write_model(work / "model", shape)
    write_rows(work, 40 if toy else 900, 20 if toy else 60, 16 if toy else 96, spread=True)
    kinds = ("eager", "sdpa") if toy else ("sdpa", "flex_attention")
    return {kind: in_a_process(["--packs", kind, "--work", str(work)], toy) for kind in kinds}


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
    from agentmerge_hub.merging.merge import merge_one
    from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
    from agentmerge_hub.merging.specs import spec as specs

    for seed, name in enumerate(("base", "agent", "instruct")):
        write_model(work / name, shape, "bfloat16", seed)
    recipe = ROOT / "recipes/merge/agentmerge.yml"
    values = {name: str(work / name) for name in ("base", "agent", "instruct")}
    spec = specs.with_values(specs.read(recipe), values, str(recipe))
    started = time.perf_counter()
    merge_one(MergeJob(spec, work / "merged", str(recipe)), MergeSettings(reply=False, quick=True))
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in (work / "merged").glob("*.safetensors"))
    return {"seconds": seconds, "gb_written": size / 1e9}


def device() -> str:
    """Asked in a process of its own, as this one must not hold memory on the GPU."""
    code = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() "
        "else f'CPU ({torch.backends.cpu.get_cpu_capability()})')"
    )
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.jsonl"), help="one JSON line a part, appended as each ends"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="run these only")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["trl", "ours"], help="of the parts that compare")
    parser.add_argument("--seconds", type=float, default=480, help="no part is started after this time")
    parser.add_argument("--toy", action="store_true", help="toy sizes, on a CPU too")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run-part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--packs", help=argparse.SUPPRESS)
    parser.add_argument("--lora", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.path.insert(0, str(ROOT))
    if args.side:
        from gpu_training import one_side

        return print("\n" + json.dumps(one_side(args.side, args.work, args.toy, args.lora)))
    if args.packs:
        from gpu_training import packed

        return print("\n" + json.dumps(packed(args.packs, args.work, args.toy)))
    if args.run_part:
        return print("\n" + json.dumps(run_part(args.run_part, args.work, args.toy, args.sides)))
    started = time.monotonic()
    card = device()
    for name in args.part or PARTS:
        left = args.seconds - (time.monotonic() - started)
        if left < 0:
            entry: dict[str, Any] = {"skipped": "no time left"}
        else:
            work, began = Path(tempfile.mkdtemp(prefix="agentmerge-gpu-")), time.monotonic()
            entry = in_a_process(["--run-part", name, "--work", str(work), "--sides", *args.sides], args.toy, left + 60)
            entry["seconds_of_part"] = round(time.monotonic() - began, 1)
            shutil.rmtree(work, ignore_errors=True)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": name, "device": card, "toy": args.toy} | entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(name, json.dumps(entry), flush=True)


if __name__ == "__main__":
    main()
