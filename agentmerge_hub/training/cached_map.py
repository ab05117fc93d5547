"""`Dataset.map` whose cache knows this package's code: datasets names a function of a module, whatever the function does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datasets import Dataset

from agentmerge_hub.files import content_hash


def cached_map(rows: Dataset, function: Callable[..., dict], **options: Any) -> Dataset:
    """`rows.map(function, **options)`, never with rows that another version of the program made."""
    return rows.map(_OfProgram(function, _program_hash()), **options)


@dataclass(frozen=True)
class _OfProgram:
    """A function with what datasets hashes beside its name."""

    function: Callable[..., dict]
    program: str

    def __call__(self, *args: Any, **kwargs: Any) -> dict:
        return self.function(*args, **kwargs)


@lru_cache(maxsize=1)
def _program_hash() -> str:
    return content_hash.program_hash()
