"""Run BrowserGym episodes without the waits that buy nothing. What the page does and what the agent reads stay the same.

BrowserGym starts a browser for the task and one for a chat window at every reset, and takes a screenshot at every step.
Here one browser serves all episodes of a process, each in a fresh context of its own; the chat keeps its messages and
has no window; what no agent of the study looks at is not taken.
"""

import functools
import inspect
import sys
import time
import types
from typing import Any

from agentmerge_hub.agents import chromium
from agentmerge_hub.agents.lab import env, global_playwright, loop, playwright_connection, playwright_sync


@functools.cache
def speed_up(*, screenshots: bool = False) -> None:
    """Patch BrowserGym and AgentLab in this process, once. Call it before the first episode.

    Args:
        screenshots: whether anyone looks at them: an agent with vision, or AgentXray afterwards.
    """
    chromium.prepare()
    env._get_global_playwright = functools.cache(_KeptPlaywright)
    env.Chat = WindowlessChat
    if not screenshots:
        env.extract_screenshot = lambda page: None
    playwright_connection.inspect = playwright_sync.inspect = types.SimpleNamespace(**vars(inspect) | {"stack": _stack})
    # The list of installed packages cannot change within a process; reading it takes as long as an episode's step.
    loop.save_package_versions = _SavedVersions(loop.save_package_versions)


def _stack() -> list[inspect.FrameInfo]:
    """`inspect.stack` without the source lines around each frame: Playwright asks for the stack at every call and looks at
    names and files only. Finding the lines takes a third of an episode's Python time."""
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        frames.append(
            inspect.FrameInfo(frame, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, None, None)
        )
        frame = frame.f_back
    return frames


class WindowlessChat:
    """BrowserGym's chat without its window: the same messages, the same roles."""

    recording_start_time = None

    def __init__(self, headless: bool = True, chat_size: tuple = (), record_video_dir: Any = None) -> None:
        self.messages: list[dict] = []

    def add_message(self, role: str, msg: str) -> None:
        if role not in ("user", "user_image", "assistant", "info", "infeasible"):
            raise ValueError(f"Invalid role: {role}")
        if role != "info":
            self.messages.append({"role": role, "timestamp": time.time(), "message": msg})

    def close(self) -> None:
        pass


class _KeptPlaywright:
    """Playwright whose `chromium.launch` gives the same browser again while it lives and the arguments are the same."""

    def __init__(self) -> None:
        self._playwright = global_playwright()
        self.selectors = self._playwright.selectors
        self.chromium = self
        self._browsers: dict[str, Any] = {}

    def launch(self, **arguments: Any) -> "_KeptBrowser":
        key = repr(sorted(arguments.items()))
        browser = self._browsers.get(key)
        if browser is None or not browser.is_connected():
            browser = self._browsers[key] = self._playwright.chromium.launch(**arguments)
        return _KeptBrowser(browser)


class _KeptBrowser:
    """A browser that an episode may use and cannot close; its contexts are closed by the episode."""

    def __init__(self, browser: Any) -> None:
        self.new_context = browser.new_context

    def close(self) -> None:
        pass


class _SavedVersions:
    """AgentLab's package_versions.txt, gathered once."""

    def __init__(self, gather: Any) -> None:
        self._gather = gather
        self._text: str | None = None

    def __call__(self, exp_dir: Any) -> None:
        path = exp_dir / "package_versions.txt"
        if self._text is None:
            self._gather(exp_dir)
            self._text = path.read_text()
        else:
            path.write_text(self._text)
