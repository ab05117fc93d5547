"""Seconds per request of engines on an agent's prompts on this machine: llama.cpp against `transformers serve`.

    python benchmarks/serve.py FOLDER DATASET [--at-once 6] [--calls 18] [--turns 3] [--answer 16]

FOLDER is a model folder with its GGUF file, DATASET the output of `agentmerge build`, whose prompts are sent. The engines
take turns, each in its own server; the start is not measured. Prints the median of each, its range, and the ratios.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.agents.serving.server import serve_model

SIDES = {
    "llama.cpp": ("llama.cpp", "auto", ["--parallel", "8", "--ctx-size", "4096", "--threads", "2"]),
    "transformers, batches": ("transformers", "float32", ["--continuous-batching"]),
    "transformers": ("transformers", "float32", []),
}


def main() -> None:
    """Measure every engine in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--at-once", type=int, default=6)
    parser.add_argument("--calls", type=int, default=18, help="different prompts, sent once a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--answer", type=int, default=16, help="most tokens of an answer")
    options = parser.parse_args()

    from datasets import load_dataset

    # Rows of all tasks share the system message, as the requests of parallel episodes do.
    rows = load_dataset(str(options.dataset), "no_cot", split="train").shuffle(seed=0).select(range(options.calls))
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(options.turns):
        for side in SIDES:
            seconds[side].append(_measure(side, str(options.folder), rows["prompt"], options.at_once, options.answer))
            print(f"{side:22} {seconds[side][-1]:.2f} s/request", flush=True)
    fastest = statistics.median(seconds["llama.cpp"])
    for side, seen in seconds.items():
        median = statistics.median(seen)
        print(
            f"{side:22} {median:.2f} s/request ({min(seen):.2f} to {max(seen):.2f}), {median / fastest:.2f} of llama.cpp's"
        )


def _measure(side: str, folder: str, prompts: list, at_once: int, answer: int) -> float:
    engine, dtype, arguments = SIDES[side]
    with serve_model(folder, engine, dtype=dtype, arguments=arguments) as address:
        endpoint.configure(address)
        endpoint.complete(folder, [{"role": "user", "content": "Hello."}], 1, 0.0)  # loads the model
        with ThreadPoolExecutor(at_once) as pool:
            start = time.monotonic()
            replies = list(pool.map(lambda prompt: endpoint.complete(folder, prompt, answer, 0.0), prompts))
            taken = time.monotonic() - start
    prompt_tokens = sum(reply.prompt_tokens or 0 for reply in replies) / len(replies)
    completion_tokens = sum(reply.completion_tokens or 0 for reply in replies) / len(replies)
    print(f"{'':22} {prompt_tokens:.0f} + {completion_tokens:.0f} tokens", flush=True)
    return taken / len(prompts)


if __name__ == "__main__":
    main()
