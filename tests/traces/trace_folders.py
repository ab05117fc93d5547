"""Trace folders for the tests: files as AgentLab names them, of any content."""

import gzip
import json
import pickle
from pathlib import Path

from agentmerge_hub.traces.find import Found

PAGE = {"goal": "Press OK.", "axtree_txt": "[1] button 'OK'", "last_action_error": ""}


def write(folder: Path, steps: list[dict], *, summary: dict | None = None, args: dict | None = None) -> Found:
    folder.mkdir(parents=True)
    for number, step in enumerate(steps):
        (folder / f"step_{number}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step)))
    if summary is not None:
        (folder / "summary_info.json").write_text(json.dumps(summary))
    if args is not None:
        (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    return Found(folder.name, folder)


ARGS = {
    "agent_args": {"agent_name": "Expert", "chat_model_args": {"model_name": "some-model"}},
    "env_args": {"task_name": "miniwob.click-button", "task_seed": 4},
}
DONE = {"cum_reward": 1.0, "terminated": True, "truncated": False}
LAST = {"obs": PAGE, "action": None, "agent_info": {}}
STEP = {"obs": PAGE, "action": "click('1')", "agent_info": {}}
