"""Runs mergekit's command in forks of a process that has imported it: the import takes seconds, a fork none.

mergekit keeps what it read of folders as long as its process lasts, so that each merge has a fork of its own. The process is
started at the first merge, and ends with the process that started it.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""The order of sets, and so of random numbers, is the same each time."""

LORA_CACHE = "--lora-merge-cache"

PLAN_ONLY = "--plan-only"
"""As an argument: nothing is computed, `mergekit_plan` says whether every tensor would be merged."""

NOT_WHOLE = 3
"""Exit status where mergekit would not merge every tensor (`mergekit_plan`); nothing was computed."""

_LONGEST = 20_000
"""Characters of output that are kept, from its end."""


@dataclass
class _Server:
    """The process that has imported mergekit."""

    process: subprocess.Popen[str]
    errors: IO[str]
    owner: int
    """Id of the process that started it; a fork of that starts its own."""


_lock = threading.Lock()
_server: _Server | None = None


def run_command(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run ``mergekit-yaml`` with arguments in a folder; its exit status, and what it printed."""
    if sys.platform != "linux":  # a fork of a process with torch is not safe everywhere
        if PLAN_ONLY in arguments:
            return 0, ""
        command = [sys.executable, "-P", "-m", "mergekit.scripts.run_yaml", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | _ENVIRONMENT, cwd=folder)
        return done.returncode, done.stderr or done.stdout
    with _lock:
        server = _started()
        assert server.process.stdin is not None and server.process.stdout is not None
        try:
            print(json.dumps([str(folder.absolute()), *arguments]), file=server.process.stdin, flush=True)
            reply = server.process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        except BaseException:
            _stop()
            raise
        if reply:
            code, output = json.loads(reply)
            return code, output
        server.process.wait()
        server.errors.seek(0)
        output = server.errors.read()[-_LONGEST:]
        _stop()
        return 1, output or "mergekit was stopped"


def _started() -> _Server:
    global _server
    if _server is None or _server.owner != os.getpid() or _server.process.poll() is not None:
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (as long as the process)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | _ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        _server = _Server(process, errors, os.getpid())
        atexit.register(_stop)
    return _server


def _stop() -> None:
    """End the process and the fork that works, where this process started it."""
    global _server
    if _server is not None and _server.owner == os.getpid():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(_server.process.pid, signal.SIGKILL)
        _server.process.communicate()
        _server.errors.close()
    _server = None


def _wait(child: int) -> int:
    """Status of a fork when it ends; where the process that asked for it has ended, the fork ends too."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if select.select([0], [], [], 0.05)[0]:  # a request comes only after the reply to the last one: this is the end
            os.kill(child, signal.SIGKILL)
            os._exit(1)


def _serve() -> None:
    """Read a folder and arguments a line, as JSON; write exit status and output of each run."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an import prints is no reply
    from mergekit.scripts.run_yaml import main

    from agentmerge_hub.merging.engine.mergekit_plan import problem

    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        with tempfile.TemporaryFile() as log:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for descriptor in (1, 2):
                        os.dup2(log.fileno(), descriptor)
                    os.chdir(folder)
                    lora_cache = arguments[arguments.index(LORA_CACHE) + 1] if LORA_CACHE in arguments else None
                    if lora_cache and (sentence := problem(Path(arguments[0]), lora_cache)):
                        print(sentence)
                        raise SystemExit(NOT_WHOLE)
                    if PLAN_ONLY in arguments:
                        raise SystemExit
                    main(arguments)
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
                except BaseException:  # reported as the process's own end would be
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            status = _wait(child)
            log.seek(0)
            output = log.read().decode("utf-8", errors="replace")[-_LONGEST:]
        print(json.dumps([os.waitstatus_to_exitcode(status), output]), file=replies, flush=True)


if __name__ == "__main__":
    _serve()
