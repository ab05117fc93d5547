"""Find a Chromium and show it to Playwright; `python -m agentmerge_hub.agents.chromium` checks or installs one.

BrowserGym pins a Playwright that looks for its browser in one place only and takes no path to another. A folder laid
out as Playwright expects, holding a small script that starts the browser that was found, works in every process.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from agentmerge_hub.agents.environment import cache_folder
from agentmerge_hub.errors import UserError

VARIABLE = "AGENTMERGE_CHROMIUM"

SYSTEM_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "microsoft-edge",
)
"""The headless shell first: it is what Playwright itself runs headless, and it opens a page with a quarter of the work, as it
has no windows to draw."""

SYSTEM_PATHS = (
    "/usr/lib/chromium/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

SWITCHES = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
)
"""Nothing a page can see: no first-run work, no calls home, no GPU process."""

MISSING = (
    "no browser was found: install Chromium (Debian: `apt-get install chromium-headless-shell`; elsewhere: `playwright "
    f"install chromium`), or set {VARIABLE} to the path of one"
)


def find() -> Path | None:
    """The browser to use: the environment variable's, else the system's; None leaves Playwright its own.

    Raises:
        UserError: if the variable names no program, or if there is no browser at all.
    """
    if named := os.environ.get(VARIABLE):
        path = shutil.which(named)
        if path is None:
            raise UserError(f"{VARIABLE} is {named!r}, which is not a program: give the path of a Chromium or Chrome")
        return Path(path)
    for name in (*SYSTEM_NAMES, *SYSTEM_PATHS):
        if path := shutil.which(name):
            return Path(path)
    if _playwrights_path().is_file():
        return None
    raise UserError(MISSING)


def prepare() -> None:
    """Let every Playwright of this process and its children find the browser.

    Raises:
        UserError: if there is none.
    """
    ours = cache_folder() / f"playwright-{version('playwright')}"
    if Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "/")).parent == ours:
        return
    found = find()
    if found is None:
        return
    script = f'#!/bin/sh\nexec {shlex.quote(str(found))} {" ".join(SWITCHES)} "$@"\n'
    folder = ours / hashlib.sha256(script.encode()).hexdigest()[:12]
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(folder)
    if not any(folder.glob("*/INSTALLATION_COMPLETE")):
        executable = _playwrights_path()
        executable.parent.mkdir(parents=True, exist_ok=True)
        beside = executable.with_name(f".{executable.name}.{os.getpid()}")
        beside.write_text(script)
        beside.chmod(0o755)
        beside.replace(executable)
        (folder / executable.relative_to(folder).parts[0] / "INSTALLATION_COMPLETE").touch()


def _playwrights_path() -> Path:
    """Where Playwright looks for its browser; asked in a process of its own, as its event loop would stay in this one."""
    ask = "from playwright.sync_api import sync_playwright\nwith sync_playwright() as p: print(p.chromium.executable_path)"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


def install() -> None:
    """Install Debian's Chromium where that can be done without asking: as root, with apt-get.

    Raises:
        UserError: if it cannot be done here, or fails.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise UserError(MISSING)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=environment)
    for package in ("chromium-headless-shell", "chromium"):
        if subprocess.run(["apt-get", "install", "-y", "-q", package], env=environment).returncode == 0:
            return
    raise UserError(f"apt-get could not install Chromium: install it by hand, or set {VARIABLE} to the path of one")


def _hint() -> str:
    slow = find() is not None and "headless" not in find().name
    return "; episodes run faster with Debian's chromium-headless-shell" if slow and shutil.which("apt-get") else ""


def main() -> None:
    """Find a browser, install one if there is none, start it once."""
    from playwright.sync_api import Error, sync_playwright

    try:
        try:
            prepare()
        except UserError:
            if os.environ.get(VARIABLE):
                raise
            install()
            prepare()
        with sync_playwright() as playwright:
            try:
                browser = playwright.chromium.launch()
                print(f"Browser: Chromium {browser.version}{_hint()}")
                browser.close()
            except Error as error:
                raise UserError(f"the browser does not start: {str(error).strip().splitlines()[0]}") from error
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
