"""Trace folders of WorkArena's size for the benchmarks: real pages with other words, or made pages of the same lengths."""

import gzip
import json
import math
import multiprocessing
import os
import pickle
import random
import re
from pathlib import Path

from agentmerge_hub.prompt import ADVANCED, BASIC, Turn, answer, render
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes

REAL = Path(os.environ.get("AGENTMERGE_REAL_TRACES", Path(__file__).parents[2] / "shared" / "real-traces"))
STEPS = 6
"""An episode's, as the real ones have."""
TASK = "workarena.servicenow.order-ipad-pro"
WORDS = [
    "catalog",
    "laptop",
    "request",
    "approve",
    "hardware",
    "order",
    "sales",
    "item",
    "color",
    "storage",
    "quantity",
    "delivery",
    "user",
    "group",
    "state",
]


def real_pages() -> list[str]:
    """AXTrees of the real WorkArena episodes, empty without them."""
    if not (REAL / "workarena").is_dir():
        return []
    episodes = [read_episode(found) for found in find_episodes([REAL / "workarena"])]
    trees = [step.observation.axtree for episode in episodes for step in episode.steps]
    return [tree for tree in trees if 2_000 < len(tree) < 25_000]


def made_pages(n: int = 100) -> list[str]:
    """Pages as long as WorkArena's: 80 to 420 lines of some 16 Llama-3.1 tokens."""
    draw = random.Random(0)
    return [
        "\n".join(
            f"{chr(9) * draw.randint(1, 8)}[a{100 + line}] {draw.choice(('link', 'button', 'gridcell'))} "
            f"'{' '.join(draw.choices(WORDS, k=3))}', clickable, visible"
            for line in range(draw.randint(80, 330))
        )
        for _ in range(n)
    ]


def varied(page: str, draw: random.Random) -> str:
    """The page with other words: some lines of every page are new, most are those of the site, as in real traces."""

    def change(match: re.Match[str]) -> str:
        return f"'{' '.join(draw.choices(WORDS, k=2))} {draw.randint(0, 10**6)}'" if draw.random() < 0.3 else match[0]

    return re.sub(r"'[^'\n]{4,60}'", change, page)


def write_traces(work: Path, pages: list[str], sizes: list[int]) -> list[Path]:
    """Folders whose first N hold the samples of the Nth size, made by all cores at once."""
    folders, jobs, begin = [], [], 0
    for size in sizes:
        end = math.ceil(size / STEPS)
        folder = work / f"traces-{begin}-{end}"
        folders.append(folder)
        if not folder.is_dir():
            jobs += [(folder, pages, chunk, min(chunk + 200, end)) for chunk in range(begin, end, 200)]
        begin = end
    with multiprocessing.get_context("spawn").Pool() as pool:
        pool.starmap(_write_episodes, jobs, chunksize=1)
    return folders


def _write_episodes(folder: Path, pages: list[str], begin: int, end: int) -> None:
    """Episodes with recorded chats, half of them with chain of thought, as AgentLab saves them without the DOM."""
    draw = random.Random(begin)
    for number in range(begin, end):
        flags = (ADVANCED, BASIC)[number % 2]
        place = folder / f"2025-01-01_00-00-00_agent_on_{TASK}_{number}"
        place.mkdir(parents=True)
        goal, turns = f"Order {number} {draw.choice(WORDS)} with {' and '.join(draw.choices(WORDS, k=3))}", []
        for index in range(STEPS + 1):
            page = varied(draw.choice(pages), draw)
            bid = draw.choice(re.findall(r"\[(\w+)\] ", page[: len(page) // 2]))
            thought = " ".join(draw.choices(WORDS, k=60)) if flags.use_thinking else None
            chat = [*render(Observation(goal, page), turns, flags).messages()]
            chat.append({"role": "assistant", "content": answer(f"click('{bid}')", thought)})
            obs = {
                "goal": goal,
                "axtree_txt": page,
                "last_action_error": "",
                "open_pages_urls": ["https://dev1.service-now.com/x"],
            }
            info = {"think": thought, "chat_messages": {"messages": chat}} if index < STEPS else {}
            step = {"obs": obs, "action": f"click('{bid}')" if info else None, "agent_info": info, "reward": 0}
            (place / f"step_{index}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step), compresslevel=1))
            turns.append(Turn(f"click('{bid}')", thought))
        env_args = {"task_name": TASK, "task_seed": number}
        (place / "exp_args.pkl").write_bytes(pickle.dumps({"agent_args": {"model": "scripted"}, "env_args": env_args}))
        (place / "summary_info.json").write_text(json.dumps({"cum_reward": 1.0, "terminated": True}))
