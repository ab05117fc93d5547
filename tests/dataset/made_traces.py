"""Trace folders for the tests: what AgentLab saves of a small button page, as plain pickles."""

import gzip
import json
import pickle
from pathlib import Path

from agentmerge_hub.prompt import ADVANCED, BASIC, Flags, Turn, answer, render
from agentmerge_hub.records import Observation

BUTTONS = ("OK", "Cancel", "Next", "Back", "Save", "Close", "Open", "Send")


def page_of(task: str, seed: int, goal: str | None = None, extra_lines: int = 20) -> Observation:
    """A page with a row of buttons; the goal asks for one of them."""
    lines = [f"RootWebArea '{task}', focused"]
    lines += [f"\t[{10 + n}] button '{name} {seed}', clickable, visible" for n, name in enumerate(BUTTONS)]
    lines += [f"\t[{100 + n}] StaticText 'line {n} of {task} at {seed}'" for n in range(extra_lines)]
    return Observation(goal or f"Click {BUTTONS[seed % 8]} {seed} in {task}.", "\n".join(lines))


def write_episode(
    root: Path,
    task: str,
    seed: int,
    *,
    flags: Flags | None = ADVANCED,
    goal: str | None = None,
    reward: float = 1.0,
    action: str | None = None,
    summary: dict | None = None,
    extra_lines: int = 20,
    obs: dict | None = None,
    name: str = "",
    model: str = "scripted",
    executed: str = "",
    refused: str = "",
) -> Path:
    """One episode of one click. Without flags no chat is recorded: the action is prose with a fenced call."""
    page = page_of(task, seed, goal, extra_lines)
    action = action or f"click('{10 + seed % 8}')"
    thought = f"The goal names {BUTTONS[seed % 8]}. I click it."
    obs = {
        "goal": page.goal,
        "goal_object": [{"type": "text", "text": page.goal}],
        "axtree_txt": page.axtree,
        "last_action_error": "",
        "url": "miniwob/page.html",
        "open_pages_urls": ["miniwob/page.html"],
    } | (obs or {})
    if flags is None:
        first = {
            "obs": obs,
            "action": f"{thought}\n\n```{action}```",
            "agent_info": {"model_info": {"model_name": "gpt-4o"}},
        }
    else:
        thinking = thought if flags.use_thinking else None
        seen = Observation(obs["goal"], obs["axtree_txt"], html=obs.get("pruned_html", ""))
        chat = [*render(seen, [Turn("noop()", None)][:0], flags).messages()]
        if refused:
            chat += [{"role": "assistant", "content": refused}, {"role": "user", "content": "Answer with one action."}]
        chat.append({"role": "assistant", "content": answer(action, thinking)})
        first = {
            "obs": obs,
            "action": executed or action,
            "agent_info": {
                "think": thinking,
                "chat_messages": {"messages": chat},
                "stats": {"n_retry": 1 if refused else 0},
            },
        }
    last = {"obs": obs, "action": None, "agent_info": {}, "reward": reward, "terminated": True}
    kind = "prose" if flags is None else "advanced" if flags.use_thinking else "basic"
    folder = root / (name or f"2025-01-01_00-00-00_{kind}_on_{task}_{seed}")
    folder.mkdir(parents=True)
    for number, step in enumerate((first, last)):
        (folder / f"step_{number}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step), mtime=0))
    args = {
        "agent_args": {"agent_name": f"expert-{kind}", "model": model},
        "env_args": {"task_name": task, "task_seed": seed},
    }
    (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    done = {"cum_reward": reward, "terminated": True, "truncated": False, "err_msg": None}
    (folder / "summary_info.json").write_text(json.dumps(done | (summary or {})))
    return folder


def write_study(root: Path, seeds: range = range(12)) -> Path:
    """Two training tasks and one test task, each with and without thought."""
    for task in ("miniwob.click-dialog", "miniwob.click-option", "miniwob.click-button"):
        for seed in seeds:
            for flags in (ADVANCED, BASIC):
                write_episode(root / "study one", task, seed, flags=flags)
    return root
