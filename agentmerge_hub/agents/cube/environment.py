"""A CUBE task as the environment of AgentLab's loop: agents, prompts, traces and results are those of other backends."""

import base64
import io
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.browser import browsergym_patches
from agentmerge_hub.agents.browser.agentlab_api import EnvArgs
from agentmerge_hub.agents.cube import client

WAIT_AFTER_ACTION = 0.5
"""BrowserGym's default, in seconds."""


@dataclass
class CubeEnvArgs(EnvArgs):
    """Arguments of the environment; AgentLab pickles them with the episode."""

    backend: str = "cube"

    def make_env(self, action_mapping: Any, exp_dir: Any, *args: Any, **kwargs: Any) -> "CubeEnv":
        return CubeEnv(self, action_mapping)


class CubeEnv:
    """The part of gymnasium's interface that AgentLab's loop uses; observations have BrowserGym's keys."""

    def __init__(self, args: CubeEnvArgs, action_mapping: Any) -> None:
        self._args, self._action_mapping = args, action_mapping
        self._worker = client.shared_worker()
        self._goal: str = ""
        self._steps = 0
        self._running = False

    @property
    def unwrapped(self) -> "CubeEnv":
        return self

    def reset(self, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the task.

        Raises:
            client.CubeError: if the worker cannot.
        """
        args = self._args
        wait = args.pre_observation_delay
        reply = self._worker.request(
            "reset",
            benchmark=args.task_name.split(".")[0],
            task=args.task_name,
            seed=seed,
            max_steps=args.max_steps,
            settings={
                "slow_mo": args.slow_mo,
                "wait_after_action": WAIT_AFTER_ACTION if wait is None else wait,
                "screenshot": browsergym_patches.screenshots_taken(),
                "miniwob_url": os.environ["MINIWOB_URL"],
            },
        )
        self._running = True
        self._goal, self._steps = reply["goal"], 0
        return self._observation(reply, ""), {}

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute an action. An action that BrowserGym cannot read is an error of the step, as in BrowserGym."""
        start = time.time()
        try:
            code, unreadable = self._action_mapping(action), ""
        except Exception as error:  # what BrowserGym's environment catches
            code, unreadable = "", f"{type(error).__name__}: {error}"
        activity.report(activity.ACTION)
        try:
            reply = self._worker.request("step", code=code)
        except client.CubeError:
            self._running = False
            raise
        finally:
            activity.report(activity.PAGE)
        self._steps += 1
        self._running = not reply["terminated"]
        obs = self._observation(reply, action)
        obs["last_action_error"] = unreadable or obs["last_action_error"]
        info = {"action_exec_start": start, "action_exec_stop": time.time(), "action_exec_timeout": 0} | reply["info"]
        truncated = self._running and self._args.max_steps is not None and self._steps >= self._args.max_steps
        return obs, reply["reward"], reply["terminated"], truncated, info

    def close(self) -> None:
        """End the episode; the worker stays for the next one."""
        if self._running:
            self._running = False
            self._worker.request("close")

    def _observation(self, reply: dict[str, Any], action: str) -> dict[str, Any]:
        """BrowserGym's observation, with the goal of the CUBE task where BrowserGym has its own."""
        obs = reply["observation"]
        first, *rest = obs["chat_messages"]
        goal_message = {"role": "user", "timestamp": first["timestamp"], "message": self._goal}
        obs |= {
            "chat_messages": (first, goal_message, *rest),
            "goal": self._goal,
            "goal_object": ({"type": "text", "text": self._goal},),
            "last_action": action,
            "screenshot": _pixels(obs.get("screenshot")),
        }
        for name in ("open_pages_urls", "open_pages_titles"):
            obs[name] = tuple(obs[name])
        for name in ("active_page_index", "elapsed_time"):
            obs[name] = np.asarray(obs[name])
        return obs


def _pixels(png: str | None) -> np.ndarray | None:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")) if png else None
