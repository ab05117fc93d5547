"""Patches that make BrowserGym episodes faster. Pages behave the same and agents get the same observations.

BrowserGym starts a task browser and a chat browser at every reset and takes a screenshot at every step. With the patches
one browser serves all episodes of a process, each in a new context; the chat keeps its messages without a window;
screenshots are taken only if the study needs them; and an observation is complete as soon as the page has been marked.
"""

import functools
import inspect
import pkgutil
import sys
import time
import traceback
import types
from typing import Any

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.agents.browser.agentlab_api import (
    env,
    global_playwright,
    loop,
    observation,
    playwright_connection,
    playwright_sync,
)

_screenshots = True


def apply(*, screenshots: bool = False) -> None:
    """Patch BrowserGym and AgentLab in this process, once. Call it before each episode.

    Args:
        screenshots: whether the study needs them, for an agent with vision or for AgentXray.
    """
    _patch(screenshots)
    # Importing AgentLab's chat models takes seconds; an episode that needs them has imported them with its arguments.
    if chat_api := sys.modules.get("agentlab.llm.chat_api"):
        _report_requests(chat_api)


@functools.cache
def _report_requests(chat_api: Any) -> None:
    chat_api.ChatModel.__call__ = _reporting(chat_api.ChatModel.__call__, activity.REQUEST)


@functools.cache
def _patch(screenshots: bool) -> None:
    chromium.prepare()
    env._get_global_playwright = functools.cache(_ReusedPlaywright)
    env.Chat = HeadlessChat
    env.execute_python_code = _reporting(env.execute_python_code, activity.ACTION)
    global _screenshots
    _screenshots = screenshots
    if not screenshots:
        env.extract_screenshot = lambda page: None
    fast_inspect: Any = types.SimpleNamespace(**vars(inspect) | {"stack": _stack})
    playwright_connection.inspect = playwright_sync.inspect = fast_inspect
    fast_traceback: Any = types.SimpleNamespace(**vars(traceback) | {"extract_stack": _extract_stack})
    playwright_connection.traceback = playwright_sync.traceback = fast_traceback
    fast_files: Any = types.SimpleNamespace(**vars(pkgutil) | {"get_data": _get_script})
    observation.pkgutil = fast_files
    env.extract_focused_element_bid = _focused_bid
    for name in ("extract_dom_snapshot", "extract_merged_axtree"):
        setattr(env, name, _with_one_session(getattr(observation, name)))
    # Listing the installed packages takes as long as a step, and the list cannot change within a process.
    loop.save_package_versions = _CachedPackageVersions(loop.save_package_versions)


def screenshots_taken() -> bool:
    """Whether observations of this process hold screenshots."""
    return _screenshots


def _reporting(function: Any, what: str) -> Any:
    """The function with a report before and after it, for the time limits."""

    @functools.wraps(function)
    def reported(*args: Any, **kwargs: Any) -> Any:
        activity.report(what)
        try:
            return function(*args, **kwargs)
        finally:
            activity.report(activity.PAGE)

    return reported


def _stack() -> list[inspect.FrameInfo]:
    """`inspect.stack` without source lines. Playwright reads the stack at every call but uses only names and files; looking up
    the lines takes a third of an episode's Python time."""
    frames: list[inspect.FrameInfo] = []
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(
            inspect.FrameInfo(frame, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, None, None)
        )
        frame = frame.f_back
    return frames


def _extract_stack(frame: types.FrameType | None = None, limit: int | None = None) -> traceback.StackSummary:
    """`traceback.extract_stack` that looks up source lines only when they are printed. Playwright calls it for every message."""
    frame = frame or sys._getframe(1)
    frames: list[traceback.FrameSummary] = []
    while frame is not None and (limit is None or len(frames) < limit):
        code = frame.f_code
        frames.append(traceback.FrameSummary(code.co_filename, frame.f_lineno, code.co_name, lookup_line=False))
        frame = frame.f_back
    return traceback.StackSummary(reversed(frames))


@functools.cache
def _get_script(package: str, name: str) -> bytes | None:
    """BrowserGym's script of this name. The one that marks the page waits until every element's visibility is known, and checks
    that every 40 ms; browsers report it with the next frame, within 17 ms."""
    script = pkgutil.get_data(package, name)
    return script and script.replace(b"timeout, interval=40)", b"timeout, interval=4)")


def _focused_bid(page: Any) -> str:
    """`observation.extract_focused_element_bid` with one call of the browser in place of three where no frame has the focus."""
    focused = page.evaluate(_FOCUSED_SCRIPT, env.BROWSERGYM_ID_ATTRIBUTE)
    return focused if focused is not None else observation.extract_focused_element_bid(page)


_FOCUSED_SCRIPT = """attribute => {
    let element = document.activeElement;
    while (element && element.shadowRoot) element = element.shadowRoot.activeElement;
    if (!element) return "";
    return ["IFRAME", "FRAME", "OBJECT", "EMBED"].includes(element.tagName) ? null : element.getAttribute(attribute) || "";
}"""


def _with_one_session(extract: Any) -> Any:
    """The function with one session of the DevTools protocol for all observations of a page. BrowserGym opens three for each, and
    a session takes as long to open and to close as a small tree takes to read."""

    @functools.wraps(extract)
    def extracted(page: Any) -> Any:
        if not hasattr(page, "_agentmerge_session"):
            page._agentmerge_session = page.context.new_cdp_session(page)
        send = page._agentmerge_session.send
        session = types.SimpleNamespace(send=send, detach=lambda: None)
        return extract(types.SimpleNamespace(context=types.SimpleNamespace(new_cdp_session=lambda page: session)))

    return extracted


class HeadlessChat:
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


class _ReusedPlaywright:
    """Playwright whose `chromium.launch` returns the running browser when called again with the same arguments."""

    def __init__(self) -> None:
        self._playwright = global_playwright()
        self.selectors = self._playwright.selectors
        self.chromium = self
        self._browsers: dict[str, Any] = {}

    def launch(self, **arguments: Any) -> "_ReusedBrowser":
        key = repr(sorted(arguments.items()))
        browser = self._browsers.get(key)
        if browser is None or not browser.is_connected():
            browser = self._browsers[key] = self._playwright.chromium.launch(**arguments)
        return _ReusedBrowser(browser)


class _ReusedBrowser:
    """A browser that ignores `close`. The episode closes its own contexts."""

    def __init__(self, browser: Any) -> None:
        self.new_context = browser.new_context

    def close(self) -> None:
        pass


class _CachedPackageVersions:
    """Writes AgentLab's package_versions.txt, listing the packages once per process."""

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
