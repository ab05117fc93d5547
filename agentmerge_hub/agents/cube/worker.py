"""Runs in the CUBE environment (requirements-cube.lock), as a script: JSON commands on stdin → episodes of cube-harness.

One line is one message. Commands: ``reset`` (benchmark, task, seed, settings), ``step`` (code) and ``close``. A reply holds an
observation, or an error. The agent is in the parent process; this file imports nothing of the parent's package.
"""

import base64
import io
import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import browsergym.core.env
import numpy as np
from browsergym.core.env import BrowserEnv
from browsergym.core.task import AbstractBrowserTask
from cube.core import Action, AgentStop, Observation, StructuredContent
from cube.task import TaskConfig
from cube.tool import Toolbox, ToolConfig, tool_action
from cube.tools.browser import BrowserTool
from cube_browser_playwright import PlaywrightSessionConfig, Viewport
from cube_harness.agent import Agent, AgentConfig
from cube_harness.episode import Episode
from cube_harness.storage import InMemoryStorage
from PIL import Image

PROTOCOL = 1
PACKAGES = ("cube-standard", "cube-harness", "miniwob-cube", "workarena-cube")

MINIWOB_SCALE = 1.5
"""BrowserGym's zoom of MiniWoB's pages: it changes coordinates and visibility."""

MINIWOB_SEED = "Math.seedrandom(42);"
"""miniwob-cube 1.1.0 starts each page with this seed, whatever the seed of the task's config."""


class WorkerError(Exception):
    """What the parent reports to the user."""


class Channel:
    """JSON lines. Whatever a library prints goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, **message: Any) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def receive(self) -> dict[str, Any]:
        """The next command; ``close`` when the parent is gone."""
        line = sys.stdin.readline()
        return json.loads(line) if line else {"command": "close"}


class BlankTask(AbstractBrowserTask):
    """BrowserGym opens and observes the browser; goal, page and score are the CUBE task's."""

    def setup(self, page: Any) -> tuple[None, dict]:
        return None, {}

    def teardown(self) -> None:
        pass

    def validate(self, page: Any, chat_messages: list) -> tuple[float, bool, str, dict]:
        return 0.0, False, "", {}


class Chat:
    """BrowserGym's chat without its window."""

    recording_start_time = None

    def __init__(self, **settings: Any) -> None:
        self.messages: list[dict] = []

    def add_message(self, role: str, msg: str) -> None:
        if role != "info":
            self.messages.append({"role": role, "timestamp": time.time(), "message": msg})

    def close(self) -> None:
        pass


class BrowserGymToolConfig(ToolConfig):
    """Settings of the browser tool."""

    browser: PlaywrightSessionConfig
    wait_after_action: float = 0.5
    page_seed: int | None = None
    """Replaces MINIWOB_SEED."""
    scale: float = 1.0
    screenshot: bool = False
    chat: bool = False
    """Whether the task reads messages and infeasibility reports (WorkArena)."""

    def make(self, container: Any = None) -> Any:
        browser = BrowserGymTool(self)
        if not self.chat:
            return browser
        from cube_chat_tool import ChatToolConfig
        from workarena_cube.tools import WorkArenaInfeasibleTool

        browser.chat_tool, browser.infeasible_tool = ChatToolConfig().make(), WorkArenaInfeasibleTool()
        return Toolbox([browser, browser.chat_tool, browser.infeasible_tool])


class BrowserGymTool(BrowserTool):
    """CUBE's browser tool over a BrowserGym environment, so that pages, marks, tabs and errors are BrowserGym's.

    cube_browser_tool's own BgymTool marks the page before the task starts, which changes the element ids, runs one call at a
    time, and does not follow tabs.
    """

    def __init__(self, config: BrowserGymToolConfig) -> None:
        self.config = config
        self.env: Any = None
        self.chat_tool: Any = None
        self.infeasible_tool: Any = None

    def reset(self) -> None:
        self.close()
        browser = self.config.browser
        self.env = BrowserEnv(
            BlankTask,
            viewport=browser.viewport.model_dump(),
            slow_mo=browser.slow_mo,
            timeout=browser.timeout,
            locale=browser.locale,
            timezone_id=browser.timezone_id,
            action_mapping=None,
            pre_observation_delay=self.config.wait_after_action,
        )
        self.env.reset(seed=0)

    def close(self) -> None:
        if self.env is not None:
            self.env.close()
            self.env = None

    @property
    def session(self) -> Any:
        return self.env

    @property
    def page(self) -> Any:
        """The active page."""
        return self.env.page

    def goto(self, url: str) -> None:
        self.page.goto(url)
        self.page._bgym_scale_factor = self.config.scale

    def evaluate_js(self, js: str) -> Any:
        if self.config.page_seed is not None and "seedrandom" in js:
            if MINIWOB_SEED not in js:
                raise WorkerError(f"miniwob-cube {version('miniwob-cube')} sets no seed that can be replaced")
            js = js.replace(MINIWOB_SEED, f"Math.seedrandom({self.config.page_seed});")
        return self.page.evaluate(js)

    def noop(self) -> None:
        self.page.wait_for_load_state("domcontentloaded")

    def page_obs(self) -> Observation:
        return self._observation(self.env._get_obs(), {})

    @tool_action
    def execute(self, code: str) -> Observation:
        """Run the code of an action in the browser.

        Args:
            code: Python code that BrowserGym's action set made of the action.
        """
        seen = len(self.env.chat.messages)
        obs, _, infeasible, _, info = self.env.step(code)
        for message in self.env.chat.messages[seen:] if self.chat_tool else ():
            if message["role"] == "infeasible":
                self.infeasible_tool.report_infeasible(message["message"])
            else:
                self.chat_tool.add_message(message["role"], message["message"])
        observation = self._observation(obs, {key: value for key, value in info.items() if key != "task_info"})
        if infeasible:
            raise AgentStop(observation)
        return observation

    def execute_action(self, action: Action) -> Observation:
        if action.name != "execute":
            return super().execute_action(action)
        return self.execute(**action.arguments)

    def _observation(self, obs: dict[str, Any], info: dict[str, Any]) -> Observation:
        screenshot = obs.pop("screenshot")
        content = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in obs.items()}
        if self.config.screenshot:
            content["screenshot"] = _png(screenshot)
        return Observation(contents=[StructuredContent(data={"observation": content, "info": info})])


def _png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class ParentAgentConfig(AgentConfig):
    """The agent is in the parent process."""

    def make(self, action_set: list | None = None, **settings: Any) -> "ParentAgent":
        return ParentAgent(self)


class ParentAgent(Agent):
    """Sends observations to the parent and runs the actions that it answers with."""

    channel: Channel
    storage: "GoalStorage"
    final: dict[str, Any] | None
    """The last observation of an episode that the task has ended."""

    def step(self, obs: Observation) -> Any:
        raise NotImplementedError("`run` has the loop")

    def run(self, initial_obs: Observation, env_tool: Any) -> None:
        ParentAgent.final = None
        self.channel.send(goal=self.storage.goal, **_content(initial_obs))
        while (message := self.channel.receive())["command"] == "step":
            if self._recorder is not None:
                self._recorder.on_step()
            try:
                obs = env_tool.execute_action(Action(name="execute", arguments={"code": message["code"]}))
            except AgentStop as stop:
                ParentAgent.final = _content(stop.observation)
                raise
            self.channel.send(reward=0.0, terminated=False, **_content(obs))


def _content(observation: Observation) -> dict[str, Any]:
    """Observation and info of the tool's last content."""
    return observation.contents[-1].data


class GoalStorage(InMemoryStorage):
    """Keeps the goal, and no events: the parent writes the trace."""

    goal: Any = ""

    def save_metadata(self, meta: Any, allow_overwrite: bool = False) -> None:
        super().save_metadata(meta, allow_overwrite)
        self.goal = meta.metadata["goal"]

    def save_event(self, event: Any, trajectory_id: str) -> int:
        return 0


def task_config(benchmark: str, task: str, seed: int, settings: dict[str, Any]) -> TaskConfig:
    """The CUBE task of a BrowserGym task name.

    Raises:
        WorkerError: if the CUBE package has no such task.
    """
    slow_mo, wait = settings.get("slow_mo"), settings["wait_after_action"]
    tool = {"wait_after_action": wait, "screenshot": settings["screenshot"]}
    if benchmark == "miniwob":
        from miniwob_cube.benchmark import MiniWobBenchmarkConfig as Config
        from miniwob_cube.task import MiniWobTaskConfig

        name, package = task.removeprefix("miniwob."), "miniwob-cube"
        # BrowserGym's values for MiniWoB.
        browser = PlaywrightSessionConfig(
            viewport=Viewport(width=332, height=214), slow_mo=100 if slow_mo is None else slow_mo, timeout=5000
        )
        page_seed = int(np.random.RandomState(seed).randint(0, 1000000))
        tool_config = BrowserGymToolConfig(browser=browser, page_seed=page_seed, scale=MINIWOB_SCALE, **tool)
        more = {"base_url": settings["miniwob_url"].rstrip("/")}
        make: Any = MiniWobTaskConfig
    else:
        try:
            from workarena_cube.benchmark import WorkArenaBenchmarkConfig as Config
            from workarena_cube.task import WorkArenaTaskConfig
        except ImportError:
            raise WorkerError("workarena-cube is not installed: it needs Python 3.12 exactly") from None
        name, package, more, make = task, "workarena-cube", {}, WorkArenaTaskConfig
        browser = PlaywrightSessionConfig() if slow_mo is None else PlaywrightSessionConfig(slow_mo=slow_mo)
        tool_config = BrowserGymToolConfig(browser=browser, chat=True, **tool)
    metadata = Config.task_metadata.get(name)
    if metadata is None:
        raise WorkerError(f"{package} {version(package)} has no task {name!r}")
    return make(metadata=metadata, seed=seed, tool_config=tool_config, **more)


def run_episode(channel: Channel, message: dict[str, Any]) -> None:
    """One episode of cube-harness, from ``reset`` to ``close`` or the task's end."""
    config = task_config(message["benchmark"], message["task"], message["seed"], message["settings"])
    with tempfile.TemporaryDirectory() as folder:
        storage = GoalStorage(folder)
        ParentAgent.channel, ParentAgent.storage = channel, storage
        episode = Episode(
            id=0,
            output_dir=Path(folder),
            agent_config=ParentAgentConfig(),
            task_config=config,
            exp_name="agentmerge",
            max_steps=message["max_steps"] + 1,
            storage=storage,
            runtime_context=None,
            write_eval_log=False,
        )
        ended = episode.run()
    score = {"reward": float(ended.reward_info["reward"])}
    channel.send(**(ParentAgent.final | {"terminated": True} if ParentAgent.final else {}), **score)


def main() -> None:
    """Answer commands until ``close`` arrives between two episodes."""
    channel = Channel()
    browsergym.core.env.Chat = Chat
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except ImportError:
            versions[name] = ""
    channel.send(protocol=PROTOCOL, versions=versions)
    while (message := channel.receive())["command"] == "reset":
        try:
            run_episode(channel, message)
        except Exception as error:  # the parent records the episode as crashed
            channel.send(error=str(error).strip().split("\n")[0][:500], error_class=type(error).__name__)


if __name__ == "__main__":
    main()
