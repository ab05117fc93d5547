"""Seconds a call that engines take to answer an agent's prompts on this machine: llama.cpp against `transformers serve`.

    python benchmarks/serve.py FOLDER DATASET [--at-once 6] [--calls 18] [--turns 3] [--answer 16]

FOLDER is a model folder with its GGUF file in it, DATASET what `agentmerge build` wrote: its prompts are asked. The engines
take turns, each in a server of its own; the start is left out. Prints the median of each, its range, and the ratios.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentmerge_hub.agents import endpoint, serve

SIDES = {
    "llama.cpp": ("llama.cpp", "auto", ["--parallel", "8", "--ctx-size", "4096", "--threads", "2"]),
    "transformers, batches": ("transformers", "float32", ["--continuous-batching"]),
    "transformers": ("transformers", "float32", []),
}


def main() -> None:
    """Ask every engine in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--at-once", type=int, default=6)
    parser.add_argument("--calls", type=int, default=18, help="different prompts, asked once a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--answer", type=int, default=16, help="most tokens of an answer")
    asked = parser.parse_args()

    from datasets import load_dataset

    # Rows of all tasks: they share the system message, as the calls of episodes at once do.
    rows = load_dataset(str(asked.dataset), "no_cot", split="train").shuffle(seed=0).select(range(asked.calls))
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(asked.turns):
        for side in SIDES:
            seconds[side].append(_turn(side, str(asked.folder), rows["prompt"], asked.at_once, asked.answer))
            print(f"{side:22} {seconds[side][-1]:.2f} s a call", flush=True)
    fastest = statistics.median(seconds["llama.cpp"])
    for side, seen in seconds.items():
        median = statistics.median(seen)
        print(
            f"{side:22} {median:.2f} s a call ({min(seen):.2f} to {max(seen):.2f}), {median / fastest:.2f} of llama.cpp's"
        )


def _turn(side: str, folder: str, prompts: list, at_once: int, answer: int) -> float:
    engine, dtype, arguments = SIDES[side]
    with serve.serving(folder, engine, dtype=dtype, arguments=arguments) as address:
        endpoint.use(address)
        endpoint.complete(folder, [{"role": "user", "content": "Hello."}], 1, 0.0)  # what is loaded at the first call
        with ThreadPoolExecutor(at_once) as pool:
            start = time.monotonic()
            replies = list(pool.map(lambda prompt: endpoint.complete(folder, prompt, answer, 0.0), prompts))
            taken = time.monotonic() - start
    read = sum(reply.prompt_tokens for reply in replies) / len(replies)
    said = sum(reply.completion_tokens for reply in replies) / len(replies)
    print(f"{'':22} {read:.0f} + {said:.0f} tokens", flush=True)
    return taken / len(prompts)


if __name__ == "__main__":
    main()
