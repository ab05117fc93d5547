"""Limits of what a chat template may take: it is a program that comes with a model, from anyone.

Jinja's sandbox keeps a template from files and Python's internals, but not from loops in loops or ``'x' * 10**9``, which would
hang the program that renders it or fill its memory. So a template is compiled and renders conversations, of the lengths of
prompts and with many turns, in a process of its own with limits of memory and processor time, before any other process
compiles it. What this cannot show is what a template does with another text, e.g. one that waits for a certain word:
`rendering_limits` stops that where it renders, in the main thread; in other threads nothing does.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_SECONDS = 5
"""For all conversations, of which a common template renders one in a millisecond."""

MEMORY_BYTES = 2**30
"""Address space. Python with Jinja and the conversations take 0.1 GiB."""

_WALL_SECONDS = 300
"""Where the machine is busy."""

_TOO_LARGE = 3
"""Exit status."""

_LONG, _TURNS = 200_000, 40
"""Characters of a long prompt, 50,000 tokens, and turns of a long conversation."""

_UNREADABLE = "is not text: it holds half of a surrogate pair"
_SPECIAL = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk")}


@lru_cache(maxsize=64)
def excess(source: str) -> str | None:
    """What a chat template takes too much of, as the end of a sentence; None if it is within the limits, right or not."""
    try:
        text = source.encode()
    except UnicodeEncodeError:
        return _UNREADABLE
    command = [sys.executable, "-P", "-m", __name__]
    try:
        ended = subprocess.run(command, input=text, capture_output=True, timeout=_WALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"does not render a conversation in {_WALL_SECONDS} s"
    if ended.returncode == 0:
        return None
    if ended.returncode == _TOO_LARGE:
        return f"takes more than {MEMORY_BYTES >> 30} GiB of memory to render a conversation"
    if -ended.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return f"takes more than {CPU_SECONDS} s of processor time to render a conversation"
    reason = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit status {ended.returncode}"
    return f"ends the process that renders it ({reason[:200]})"


class _Generation(Extension):
    """The ``generation`` tags of transformers, which render what is between them."""

    tags = {"generation"}  # noqa: RUF012 (as the base class declares it)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller: Any) -> str:
        return str(caller())


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers has it (`_compile_jinja_template`)."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = _tojson
    made.globals |= {"raise_exception": _raise, "strftime_now": lambda text: datetime.now().strftime(text)}
    return made


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise TemplateError(message)


class _NoConstant(nodes.Impossible):
    """Raised by the compiler where it fails to compute a constant. It goes on then; a process without limits would not."""

    def __init__(self, *reasons: object) -> None:
        super().__init__(*reasons)
        if isinstance(sys.exc_info()[1], MemoryError):
            os._exit(_TOO_LARGE)


def _conversations() -> list[list[dict[str, str]]]:
    """Conversations of the kinds that stages render: with and without a system turn, short, long, of many turns, answered or not."""
    system, user, answer = (
        {"role": role, "content": f"Text of the {role}, turn\n[7] button"} for role in ("system", "user", "assistant")
    )
    page = {"role": "user", "content": "[7] button 'A line of a page'\n" * (_LONG // 30)}
    turns = [user, answer] * (_TURNS // 2)
    asked = [[user], [page], [*turns, user], [*turns, page]]
    found = [[*before, *turns] for before in ([], [system]) for turns in asked]
    return found + [[*messages, answer] for messages in found]


def _render(source: str) -> None:
    nodes.Impossible = _NoConstant  # type: ignore[misc]
    template = environment().from_string(source)
    for messages in _conversations():
        answered = messages[-1]["role"] == "assistant"
        try:
            template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=not answered, **_SPECIAL
            )
        except MemoryError:
            raise
        except Exception:  # templates raise what they like, e.g. at turns that do not alternate
            continue


def _main() -> None:
    import resource

    source = sys.stdin.buffer.read().decode()
    for kind, limit in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES)):
        with contextlib.suppress(ValueError):  # the limit that is set here already is lower
            resource.setrlimit(kind, (limit, limit + 1))
    try:
        _render(source)
    except MemoryError:
        os._exit(_TOO_LARGE)
    except Exception:  # it does not compile: who renders it says so
        pass


if __name__ == "__main__":
    _main()
