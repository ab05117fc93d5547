"""How fast traces become a dataset: against a bare tokenizer pass over the same text, and against AgentLab's fit_tokens.

    python benchmarks/build.py --tokenizer FOLDER [--samples 1000 4000 16000 32000] [--window 8192] [--work FOLDER] [--fit]

Episodes are made from the real observations in $AGENTMERGE_REAL_TRACES (or ../shared/real-traces), with other words and
numbers in each, else from made pages of the same lengths (some 3,300 tokens an AXTree). Prints, for the largest size:

- build: `agentmerge build` from the pickles, in a process of its own, with the peak memory of all its processes;
- bare: `encode_batch_fast` over the texts of every row, on both cores;
- rows: redact, render, fit, check and write, from episodes in memory, on both cores;
- lines: the share of the rows' lines that no earlier row holds: only new words of those are tokenized;
- fit: trimming the same prompts, against AgentLab's fit_tokens, both on one core and without anything tokenized before;
- read: one step with the whole DOM of its page, as AgentLab saves it;
and how the time of the build grows with the number of samples.

benchmarks/README.md has what was measured.
"""

import argparse
import math
import multiprocessing
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from workarena_traces import WORDS, made_pages, real_pages, varied, write_traces

from agentmerge_hub.dataset.parallel.partial_tables import make_partial_tables
from agentmerge_hub.dataset.parallel.workers import prepare_process
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.fit import fit
from agentmerge_hub.prompt import ADVANCED, render
from agentmerge_hub.records import Observation
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes
from agentmerge_hub.traces.pickles.unpickle import loads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 4000, 16000, 32000])
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--work", type=Path, help="keep the made traces here, to run again sooner")
    parser.add_argument("--fit", action="store_true", help="measure the fit alone")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp())
    pages = real_pages() or made_pages()
    print(f"{len(pages)} {'real' if real_pages() else 'made'} pages, {os.cpu_count()} cores, window {arguments.window}")
    if arguments.fit:
        against_fit_tokens(pages, arguments)
        return
    started = time.perf_counter()
    sizes = sorted(arguments.samples)
    traces = write_traces(work, pages, sizes)
    print(f"made      {sizes[-1]:6} samples  {time.perf_counter() - started:7.1f} s", flush=True)
    seconds = {}
    for place, size in enumerate(sizes):
        seconds[size], peak = build(traces[: place + 1], work / "out", arguments)
        print(
            f"build     {size:6} samples  {seconds[size]:7.1f} s  peak {peak / 2**30:.2f} GiB (goal below 2)",
            flush=True,
        )
    n_tokens, bare = bare_pass(work / "out", arguments.tokenizer)
    report("bare", n_tokens, bare)
    report("build", n_tokens, seconds[size], bare, 0.3)
    n_rows, in_memory = rows_alone(traces, arguments)
    report("rows", n_rows, in_memory, bare * n_rows / n_tokens, 0.6)
    print(f"lines     {new_lines(work / 'out'):7.1%} of the rows' characters are in lines that no earlier row holds")
    against_fit_tokens(pages, arguments)
    reading_a_whole_dom()
    if len(seconds) > 1:
        small, large = min(seconds), max(seconds)
        growth = math.log(seconds[large] / seconds[small]) / math.log(large / small)
        print(f"growth    time ∝ samples^{growth:.2f} from {small} to {large} (goal: 1 or less)")
    if not arguments.work:
        shutil.rmtree(work)


def report(name: str, n_tokens: int, seconds: float, bare: float | None = None, goal: float = 0) -> None:
    ratio = f"  {bare / seconds:.2f}x of bare (goal {goal})" if bare else ""
    print(f"{name:9} {n_tokens / 1e6:7.1f}M tokens  {seconds:7.1f} s  {n_tokens / seconds / 1e6:6.2f}M tokens/s{ratio}")


def build(traces: list[Path], out: Path, arguments: argparse.Namespace) -> tuple[float, int]:
    """Seconds and peak bytes of `agentmerge build` with nothing kept from earlier builds."""
    import psutil

    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "agentmerge_hub.cli", "build", *traces, "-o", out]
        command += ["--tokenizer", arguments.tokenizer, "--window", str(arguments.window)]
        started, peak = time.perf_counter(), 0
        child = psutil.Popen(command, env=os.environ | {"AGENTMERGE_CACHE": cache}, stdout=subprocess.DEVNULL)
        while child.poll() is None:
            peak = max(peak, sum(_resident(process) for process in [child, *_children(child)]))
            time.sleep(0.2)
        if child.returncode:
            sys.exit("the build failed")
        return time.perf_counter() - started, peak


def _children(child) -> list:
    import psutil

    try:
        return child.children(recursive=True)
    except psutil.Error:
        return []


def _resident(process) -> int:
    """Proportional set size: pages that processes share are counted once."""
    import psutil

    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def bare_pass(out: Path, name: str) -> tuple[int, float]:
    """Tokens and seconds of one batch pass over the rendered rows, the rendering left out."""
    from transformers import AutoTokenizer

    tokenizer, bare = ChatTokenizer(name), AutoTokenizer.from_pretrained(name).backend_tokenizer
    n_tokens, seconds = 0, 0.0
    for texts in _texts(out, tokenizer):
        started = time.perf_counter()
        n_tokens += sum(len(encoding) for encoding in bare.encode_batch_fast(texts, add_special_tokens=False))
        seconds += time.perf_counter() - started
    return n_tokens, seconds


def _texts(out: Path, tokenizer: ChatTokenizer) -> Iterator[list[str]]:
    for rows in _rows(out):
        yield [
            tokenizer.render(row["prompt"]) + tokenizer.template.completion_text(row["completion"][0]["content"])
            for row in rows
        ]


def _rows(out: Path) -> Iterator[list[dict]]:
    for path in sorted(out.glob("data/all/*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(512, columns=["prompt", "completion"]):
            yield batch.to_pylist()


def new_lines(out: Path) -> float:
    """Share of the rows' characters in lines that no earlier row holds."""
    seen: set[int] = set()
    new = total = 0
    for rows in _rows(out):
        for row in rows:
            for message in (*row["prompt"], *row["completion"]):
                lines = message["content"].split("\n")
                total += len(message["content"])
                new += sum(len(line) for line in lines if hash(line) not in seen)
                seen.update(map(hash, lines))
    return new / total


def rows_alone(traces: list[Path], arguments: argparse.Namespace, most: int = 700) -> tuple[int, float]:
    """Tokens and seconds of everything between reading and the finished Parquet file, on two processes."""
    found = find_episodes(traces)[:most]
    done = on_both_cores(_rows_of, [(found[half::2], arguments.tokenizer, arguments.window) for half in range(2)])
    return sum(tokens for tokens, _ in done), max(seconds for _, seconds in done)


def on_both_cores(function: Callable, jobs: list[tuple]) -> list:
    """Two processes; each gets a barrier as its last argument, to begin its timing together with the other."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(2) as pool:
        ready = manager.Barrier(2)
        return pool.starmap(function, [(*job, ready) for job in jobs])


def _rows_of(found: list, name: str, window: int, ready) -> tuple[int, float]:
    prepare_process(is_copy=False)
    tokenizer, scanner, settings = ChatTokenizer(name), LineScanner(), Settings(window=window)
    tokenizer.count("warm"), scanner.scan(["warm"])
    episodes = {one.source: read_episode(one) for one in found}
    ready.wait()
    started, n_tokens = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, len(found), 32):
            part = make_partial_tables(
                found[begin : begin + 32], settings, tokenizer, scanner, read=lambda one, *_: episodes[one.source]
            )
            pq.write_table(part.samples, Path(folder) / f"{begin}.parquet", compression="zstd")
            n_tokens += pa.compute.sum(part.samples["n_prompt_tokens"]).as_py()
            n_tokens += pa.compute.sum(part.samples["n_completion_tokens"]).as_py()
    return n_tokens, time.perf_counter() - started


def against_fit_tokens(pages: list[str], arguments: argparse.Namespace, n: int = 1000) -> None:
    """Trim the same prompts to the same budgets, one by one on one core: ours with a tokenizer that has seen nothing, and
    AgentLab's fit_tokens with its own shrinking of the tree inside them."""
    from agentmerge_hub.agents.browser import environment

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    environment.prepare()
    from agentlab.agents.dynamic_prompting import Trunkater, fit_tokens
    from agentlab.llm.llm_utils import count_tokens

    class Same(Trunkater):
        """Our prompt with its tree shrunk as AgentLab's AXTree element is."""

        def __init__(self, prompt) -> None:
            super().__init__(visible=True)
            self._around = prompt.with_block("axtree", "\0").messages()[-1]["content"]
            self._prompt = prompt.block("axtree")

        @property
        def prompt(self) -> str:
            return self._around.replace("\0", self._prompt)

    draw = random.Random(1)
    prompts = [render(Observation("Order it.", varied(draw.choice(pages), draw)), [], ADVANCED) for _ in range(n)]
    count_tokens("warm", arguments.tokenizer)
    for budget in (arguments.window - 1024, 4096, 3072):
        tokenizer = ChatTokenizer(arguments.tokenizer)
        started = time.process_time()
        fitted = [fit(prompt, tokenizer, budget) for prompt in prompts]
        ours = time.process_time() - started
        started = time.process_time()
        theirs = [fit_tokens(Same(prompt), budget, model_name=arguments.tokenizer) for prompt in prompts]
        other = time.process_time() - started
        cut = sum(bool(one.truncated_lines) for one in fitted)
        over = sum(count_tokens(text, arguments.tokenizer) > budget for text in theirs)
        print(
            f"fit       {cut:4} of {n} prompts cut to {budget}: {ours / n * 1e3:.2f} ms a prompt, fit_tokens "
            f"{other / n * 1e3:.1f} ms: {other / ours:.1f}x (goal 8); {over} of theirs are still over it",
            flush=True,
        )


def reading_a_whole_dom(n_nodes: int = 3000) -> None:
    """Read a step whose page's DOM snapshot, full accessibility tree and element properties were saved with it."""
    draw = random.Random(2)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 4))) + str(place) for place in range(n_nodes)]
    numbers = [draw.randint(0, n_nodes) for _ in range(n_nodes)]
    node = {
        "attributes": [draw.sample(numbers, draw.choice((0, 2, 4, 8))) for _ in range(n_nodes)],
        "parentIndex": numbers,
    }
    layout = {"bounds": [[draw.random() * 1000 for _ in range(4)] for _ in range(n_nodes)], "text": numbers}
    tree = [
        {"nodeId": str(place), "ignored": False, "role": {"type": "role", "value": "button"}, "childIds": [str(place + 1)],
         "name": {"type": "computedString", "value": texts[place]}, "backendDOMNodeId": place, "browsergym_id": f"a{place}",
         "properties": [{"name": "focusable", "value": {"type": "booleanOrUndefined", "value": True}}]}
        for place in range(n_nodes // 2)
    ]  # fmt: skip
    properties = {
        f"a{place}": {"visibility": 1.0, "bbox": layout["bounds"][place], "clickable": True}
        for place in range(n_nodes // 2)
    }
    dom = {"documents": [{"nodes": node, "layout": layout}], "strings": texts}
    data = pickle.dumps({"dom_object": dom, "axtree_object": {"nodes": tree}, "extra_element_properties": properties})
    started = time.process_time()
    for _ in range(20):
        loads(data)
    print(
        f"read      a step of {len(data) / 2**20:.2f} MiB with a DOM of {n_nodes} nodes: {(time.process_time() - started) * 50:.0f} ms"
    )


if __name__ == "__main__":
    main()
