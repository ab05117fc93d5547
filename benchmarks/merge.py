"""How fast merging is: ratios to mergekit-yaml and to the bare read and write of the same bytes.

    python benchmarks/merge.py                    # about ten minutes on two quiet cores, 8 GB of disk
    python benchmarks/merge.py --only single      # or sweep, ties

Three random Llamas of half a billion parameters (bfloat16, differing by small noise) are written once to --work. Page cache
hot, whole processes, medians; the goals are printed beside the figures. Measure with nothing else running.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

RECIPES = Path(__file__).parents[1] / "recipes" / "merge"
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {
    "HF_HUB_OFFLINE": "1",
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "AGENTMERGE_HASH_CACHE": "0",  # every run hashes its inputs, as the first one of a user does
}
ROLES = ("base", "agent", "instruct")


def make_models(work: Path, hidden: int) -> None:
    """base, agent and instruct: one architecture, weights that differ by a little noise."""
    if all((work / role / "manifest.json").is_file() for role in ROLES):
        return
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from agentmerge_hub import manifest
    from agentmerge_hub.files import output_folder

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {token: index for index, token in enumerate(["<s>", "</s>", *alphabet])}
    words |= {f"w{index}": index for index in range(len(words), 32_000)}
    bpe = Tokenizer(models.BPE(vocab=words, merges=[]))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=16,
        num_attention_heads=16, num_key_value_heads=4, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("meta"):
        empty = LlamaForCausalLM(config)
    base = {name: 0.02 * torch.randn(tensor.shape) for name, tensor in empty.state_dict().items()}
    for role in ROLES:
        noise = 0.0 if role == "base" else 1e-3
        weights = {name: (tensor + noise * torch.randn(tensor.shape)).bfloat16() for name, tensor in base.items()}
        with output_folder.new_folder(work / role, "benchmark") as folder:
            config.architectures = ["LlamaForCausalLM"]
            empty.save_pretrained(folder, state_dict=weights)
            tokenizer.save_pretrained(folder)
            manifest.write(folder, "benchmark")


def specs(work: Path, method: str) -> Path:
    from agentmerge_hub.merging.specs import spec

    read = spec.read(RECIPES / f"{method}.yml")
    path = work / f"{method}.yml"
    path.write_text(spec.with_values(read, {role: f"./{role}" for role in ROLES}, method).text)
    return path


class Timing(NamedTuple):
    """Of a process, or the median of several."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of all its threads: steadier than wall time where other processes run too."""
    peak: float
    """GiB."""
    walls: tuple[float, ...] = ()
    """Wall time of each process."""


def timed(command: Sequence[str | Path], work: Path, out: str) -> Timing:
    """A process that makes `out` anew."""
    shutil.rmtree(work / out, ignore_errors=True)
    os.sync()
    begin = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], cwd=work, env=ENVIRONMENT, stdout=-3, stderr=-3)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return Timing(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def inner(job: str, args: argparse.Namespace) -> str:
    """What a job of this file prints, run in a process of its own: a child's peak memory is never below its parent's."""
    command = [sys.executable, __file__, "--job", job, "--work", str(args.work), "--hidden", str(args.hidden)]
    command += ["--times", str(args.times)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT).stdout


def repeated(measure: Callable[[], Timing], times: int) -> Timing:
    found = [measure() for _ in range(times)]
    return Timing(
        statistics.median(run.wall for run in found),
        statistics.median(run.cpu for run in found),
        max(run.peak for run in found),
        tuple(run.wall for run in found),
    )


def in_process(work: Path, times: int) -> tuple[float, float]:
    """Seconds of the pass itself, and of reading the same inputs and writing as many bytes, imports left out."""
    from agentmerge_hub.merging.engine import streaming
    from agentmerge_hub.merging.engine.shard_writer import ShardWriter
    from agentmerge_hub.merging.inputs.merge_inputs import open_inputs
    from agentmerge_hub.merging.specs import spec
    from agentmerge_hub.merging.specs.formula import formula_of

    os.chdir(work)
    read = spec.read(work / "agentmerge.yml")
    inputs, formula = open_inputs(read, work), formula_of(read)
    passes, floors = [], []
    for _ in range(times):
        shutil.rmtree("pass", ignore_errors=True)
        Path("pass").mkdir()
        os.sync()
        begin = time.perf_counter()
        writer = ShardWriter(Path("pass"), inputs.shapes, formula.out_dtype)
        merge = streaming.StreamedMerge(formula, "spec", writer.write)
        streaming.run([merge], inputs.tensors, inputs.shapes, inputs.architecture.depth)
        writer.close()
        passes.append(time.perf_counter() - begin)
        os.sync()
        begin = time.perf_counter()
        buffer = bytearray(1 << 20)
        for role in ROLES:
            with Path(role, "model.safetensors").open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
        size = Path("base/model.safetensors").stat().st_size
        with Path("pass", "floor").open("wb", buffering=0) as file:
            for _ in range(size // len(buffer)):
                file.write(buffer)
        floors.append(time.perf_counter() - begin)
    shutil.rmtree("pass")
    return statistics.median(passes), statistics.median(floors)


def show(what: str, ours: float, theirs: float, goal: float) -> None:
    mark = "" if ours / theirs <= goal else "  (missed)"
    print(f"{what:52} {ours:7.2f} s ÷ {theirs:7.2f} s = {ours / theirs:5.2f}   goal ≤ {goal}{mark}", flush=True)


def compare(what: str, ours: Timing, theirs: Timing, goal: float, times: int = 1) -> None:
    """Wall, CPU and memory of two processes; `theirs` is run `times` times for one of ours."""
    show(what, ours.wall, times * theirs.wall, goal)
    each = (" ".join(f"{wall:.2f}" for wall in run.walls) for run in (ours, theirs))
    print(f"{'  each run':52} {' ÷ '.join(each)}")
    print(f"{'  CPU time':52} {ours.cpu:7.2f} s ÷ {times * theirs.cpu:7.2f} s = {ours.cpu / (times * theirs.cpu):5.2f}")
    print(f"{'  peak memory':52} {ours.peak:7.2f} GiB, mergekit {theirs.peak:.2f}   goal < 1", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/tmp/agentmerge-benchmark"))
    parser.add_argument("--hidden", type=int, default=1536, help="1536: 0.5 billion parameters; 2048: 0.8")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", choices=["single", "sweep", "ties"])
    parser.add_argument("--job", choices=["models", "pass"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.job == "models":
        return make_models(args.work, args.hidden)
    if args.job == "pass":
        return print(*in_process(args.work, args.times))
    inner("models", args)
    spec, ties = specs(args.work, "agentmerge"), specs(args.work, "ties")
    for role in ROLES:
        subprocess.run(["cat", args.work / role / "model.safetensors"], stdout=subprocess.DEVNULL, check=True)

    def run(*command: str | Path, out: str, times: int = args.times) -> Timing:
        return repeated(lambda: timed([BIN / command[0], *command[1:]], args.work, out), times)

    kit_options = ("kit", "--no-write-model-card")
    if args.only in (None, "single", "sweep"):
        kit = run("mergekit-yaml", spec, *kit_options, out="kit")
    if args.only in (None, "single"):
        one = run("agentmerge", "merge", spec, "-o", "one", "--quick", out="one")
        compare("agentmerge merge --quick ÷ mergekit-yaml", one, kit, 0.25)
        show("the pass ÷ bare read and write", *map(float, inner("pass", args).split()), 1.3)
        full = run("agentmerge", "merge", spec, "-o", "one", out="one", times=1)
        print(f"{'agentmerge merge: judged by mergekit too, a reply':52} {full.wall:7.2f} s")
    if args.only in (None, "sweep"):
        command = ("agentmerge", "sweep", spec, "-o", "five", "--lambda", "0.1:0.9:0.2", "--quick")
        compare("agentmerge sweep --quick of 5 ÷ five mergekit-yaml", run(*command, out="five"), kit, 0.2, times=5)
    if args.only in (None, "ties"):
        kit = run("mergekit-yaml", ties, *kit_options, out="kit", times=min(2, args.times))
        one = run("agentmerge", "merge", ties, "-o", "one", "--quick", out="one")
        compare("ties: agentmerge merge --quick ÷ mergekit-yaml", one, kit, 0.2)


if __name__ == "__main__":
    main()
