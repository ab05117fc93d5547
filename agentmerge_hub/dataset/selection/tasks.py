"""Facts about tasks: category and BrowserGym's own split, from a table kept equal to BrowserGym's metadata by a test.

The table makes a build independent of BrowserGym being installed. It covers MiniWoB and WorkArena.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("tasks.csv")


@dataclass(frozen=True)
class Task:
    """One task. Empty strings where the table does not know it."""

    name: str
    level: str = ""
    """WorkArena's: l1, l2 or l3."""
    category: str = ""
    split: str = ""
    """``train`` or ``test``."""


@cache
def _table() -> dict[str, Task]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {
            row["task"]: Task(row["task"], row["level"], row["category"], row["split"]) for row in csv.DictReader(file)
        }


def task(name: str) -> Task:
    """What is known of a task, e.g. ``workarena.servicenow.order-ipad-pro``."""
    return _table().get(name, Task(name))


def categories() -> set[str]:
    """Every category of the table."""
    return {known.category for known in _table().values()}
