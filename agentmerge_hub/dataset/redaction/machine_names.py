"""Names of the machine that builds a dataset: its account, its home folder and its host. Traces made here hold them."""

import contextlib
import getpass
import hashlib
import json
import re
import socket
from functools import cache
from pathlib import Path

_GENERIC = frozenset(
    {"root", "user", "users", "admin", "administrator", "runner", "ubuntu", "debian", "centos", "fedora", "ec2-user", "azureuser",
     "jovyan", "vscode", "coder", "node", "docker", "build", "builder", "github", "gitlab", "jenkins", "nobody", "guest", "test",
     "demo", "student", "agent", "work", "worker", "data", "home", "web", "train", "research", "sagemaker-user", "localhost",
     "localdomain", "localhost.localdomain", "computer", "desktop", "laptop", "server", "local", "host", "main", "hub"}
)  # fmt: skip
"""Names that identify nobody and are ordinary words on pages."""

_SHORTEST = 4
"""Characters; a shorter name is a part of many words."""


@cache
def machine_names() -> dict[str, str]:
    """Name → kind of secret."""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError, KeyError, ImportError):  # an account without a name, as in some containers
        names[getpass.getuser()] = "account"
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
        if len(name) >= _SHORTEST and name.lower() not in _GENERIC and not re.fullmatch(r"[\d.]+", name)
    }


def machine_hash() -> str:
    """Changes with the names: what was redacted on one machine is not reused on another."""
    return hashlib.sha256(json.dumps(machine_names(), sort_keys=True).encode()).hexdigest()[:16]
