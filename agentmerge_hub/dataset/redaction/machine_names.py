"""Names of the machine that builds or publishes: its account, its home folder and its host. Traces made here hold them."""

import contextlib
import getpass
import hashlib
import json
import os
import pwd
import re
import socket
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_GENERIC = frozenset(
    {"root", "user", "users", "admin", "administrator", "runner", "ubuntu", "debian", "centos", "fedora", "ec2-user", "azureuser",
     "jovyan", "vscode", "coder", "node", "docker", "build", "builder", "github", "gitlab", "jenkins", "nobody", "guest", "test",
     "demo", "student", "agent", "work", "worker", "data", "home", "web", "train", "research", "sagemaker-user", "localhost",
     "localdomain", "localhost.localdomain", "computer", "desktop", "laptop", "server", "local", "host", "main", "hub"}
)  # fmt: skip
"""Names that identify nobody and are ordinary words on pages."""

_WORDS = frozenset(
    {"will", "mark", "grace", "rose", "drew", "chase", "jack", "bill", "dean", "earl", "faith", "frank", "grant", "hope", "june",
     "april", "august", "miles", "norm", "penny", "rich", "rusty", "summer", "violet", "lily", "daisy", "amber", "crystal", "dawn",
     "holly", "iris", "jade", "olive", "pearl", "ruby", "star", "case", "page", "price", "reed", "wade", "carter", "mason", "taylor",
     "cooper", "hunter", "parker", "sandy", "apple", "mars", "atlas", "titan", "login", "compute", "gateway", "master", "head"}
)  # fmt: skip
"""Names of people and machines that are also ordinary words: they are looked for beside ``/``, ``@``, ``user=`` and the like."""

_SHORTEST = 4
"""Characters; a shorter name is a part of many words."""
_UNMISTAKABLE = 7
"""Letters from which on a name without a digit or sign counts as one wherever a document holds it."""

_CONTAINER = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}|[\d.]+")
"""Host names of containers, which are drawn at random, and addresses."""

_BEFORE = (
    r"(?:[/\\~]|://|\b(?:user|users|username|user[_ ]name|account|login|logname|owner|author|uid|host|hostname|machine|node|server)"
    r"[\"']?\s?[:=]\s?[\"']?)"
)


@cache
def _names() -> dict[str, str]:
    """Name → kind of secret."""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError, KeyError, ImportError):  # an account without a name, as in some containers
        names[getpass.getuser()] = "account"
    with contextlib.suppress(KeyError):
        full = pwd.getpwuid(os.getuid()).pw_gecos.split(",")[0].strip()
        if " " in full and not {word.lower() for word in full.split()} <= _GENERIC | {
            "default",
            "live",
            "system",
            "session",
        }:
            names[full] = "account"
    names[os.environ.get("SUDO_USER", "")] = "account"
    with contextlib.suppress(RuntimeError):
        home = Path.home()
        names[home.name] = "account"
        if len(home.parts) > 2:
            names[str(home)] = "home"
    host = socket.gethostname()
    for name in (host, host.split(".")[0]):
        names[name] = "host"
    return {
        name: kind
        for name, kind in names.items()
        if len(name) >= _SHORTEST and name.lower() not in _GENERIC and not _CONTAINER.fullmatch(name)
    }


def machine_names() -> dict[str, str]:
    """Name → kind of secret, of those that are replaced wherever a page holds them as a word."""
    return {name: kind for name, kind in _names().items() if name.lower() not in _WORDS}


def find_machine_names(text: str, names: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Pairs of kind and name of this machine for every name in a text that is to be published, each once.

    A name of few letters, which could also be a word, counts only beside ``/``, ``@``, ``user=`` and the like.
    """
    names = _names() if names is None else names
    lowered = text.lower()
    for name, kind in names.items():
        if name.lower() in lowered and _pattern(name).search(text):
            yield kind, name


@cache
def _pattern(name: str) -> re.Pattern[str]:
    exact = re.escape(name)
    whole = rf"(?<![^\W_]){exact}(?![^\W_])"
    if name.isalpha() and (len(name) < _UNMISTAKABLE or name.lower() in _WORDS):
        whole = rf"{_BEFORE}{exact}(?![^\W_])|(?<![^\W_]){exact}@(?=\w)"
    return re.compile(whole, re.IGNORECASE)


def machine_hash() -> str:
    """Changes with the names: what was redacted on one machine is not reused on another."""
    return hashlib.sha256(json.dumps(machine_names(), sort_keys=True).encode()).hexdigest()[:16]
