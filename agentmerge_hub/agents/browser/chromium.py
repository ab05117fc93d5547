"""Find a Chromium for Playwright; `python -m agentmerge_hub.agents.browser.chromium` checks or installs one.

The Playwright version that BrowserGym pins looks for its browser in one folder and takes no other path. This module
creates a folder with the layout Playwright expects; the executable in it is a script that starts the browser found here.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from agentmerge_hub.agents.browser.environment import cache_folder
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
"""The headless shell comes first: Playwright itself uses it for headless runs, and it opens a page with a quarter of the CPU
time because it draws no windows."""

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
"""Disable first-run work, background network calls and the GPU process; pages do not notice."""

MISSING = (
    "no browser was found: install Chromium (Debian: `apt-get install chromium-headless-shell`; elsewhere: `playwright "
    f"install chromium`), or set {VARIABLE} to the path of one"
)


def find() -> Path | None:
    """The browser named by AGENTMERGE_CHROMIUM, else the system's; None means Playwright's own.

    Raises:
        UserError: if the variable names no program, or if no browser is installed.
    """
    if named := os.environ.get(VARIABLE):
        path = shutil.which(named)
        if path is None:
            raise UserError(f"{VARIABLE} is {named!r}, which is not a program: give the path of a Chromium or Chrome")
        return Path(path)
    for name in (*SYSTEM_NAMES, *SYSTEM_PATHS):
        if path := shutil.which(name):
            return Path(path)
    if _playwright_executable().is_file():
        return None
    raise UserError(MISSING)


def prepare() -> None:
    """Point Playwright to the browser, in this process and its children.

    Raises:
        UserError: if no browser is installed.
    """
    cache = cache_folder() / f"playwright-{version('playwright')}"
    if Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "/")).parent == cache:
        return
    browser = find()
    if browser is None:
        return
    script = f'#!/bin/sh\nexec {shlex.quote(str(browser))} {" ".join(SWITCHES)} "$@"\n'
    folder = cache / hashlib.sha256(script.encode()).hexdigest()[:12]
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(folder)
    if not any(folder.glob("*/INSTALLATION_COMPLETE")):
        executable = _playwright_executable()
        executable.parent.mkdir(parents=True, exist_ok=True)
        partial = executable.with_name(f".{executable.name}.{os.getpid()}")
        partial.write_text(script)
        partial.chmod(0o755)
        partial.replace(executable)
        (folder / executable.relative_to(folder).parts[0] / "INSTALLATION_COMPLETE").touch()


def _playwright_executable() -> Path:
    """Path of the executable that Playwright starts, read in a child process because Playwright's event loop stays in its
    process."""
    code = "from playwright.sync_api import sync_playwright\nwith sync_playwright() as p: print(p.chromium.executable_path)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return Path(child.stdout.strip())


def install() -> None:
    """Install Debian's Chromium with apt-get, as root.

    Raises:
        UserError: without root or apt-get, or if the installation fails.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise UserError(MISSING)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=environment)
    # Recommended packages are three times as many and unused; without a font pages are laid out with empty text.
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "fonts-liberation"]
    for package in ("chromium-headless-shell", "chromium"):
        if subprocess.run([*command, package], env=environment).returncode == 0:
            return
    raise UserError(f"apt-get could not install Chromium: install it by hand, or set {VARIABLE} to the path of one")


def _hint() -> str:
    browser = find()
    slower = browser is not None and "headless" not in browser.name
    return "; episodes run faster with Debian's chromium-headless-shell" if slower and shutil.which("apt-get") else ""


def main() -> None:
    """Find a browser, install one if none is found, start it once."""
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
