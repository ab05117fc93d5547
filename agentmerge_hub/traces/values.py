"""Values of untrusted files as the types that records hold: of the right type, within range, or absent."""

import datetime
import math
import re
from typing import Any

MAX_REWARD = 1e6
MAX_COUNT = 2**31 - 1
"""Counts are written as 32-bit integers."""

_MAX_DEPTH, _MAX_ITEMS, _MAX_TEXT = 4, 40, 2000


class OutOfRange(ValueError):
    """A value that must not be guessed; the message is the second half of a sentence."""


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """The value if it is a text, else an empty one. Half of a surrogate pair becomes a replacement character."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def as_texts(value: Any) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(as_text(item) for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def as_bool(value: Any) -> bool:
    """True only for the boolean true: a text such as "false" is no boolean."""
    return value is True


def as_count(value: Any) -> int:
    """A number of things, 0 where it is none or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return 0  # also for NaN
    return int(value)


def as_seconds(value: Any) -> float:
    """A duration, 0 where it is none or out of range."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1e9 else 0.0


def as_reward(value: Any) -> float:
    """A reward, 0 where none was recorded.

    Raises:
        OutOfRange: if it is no finite number within ±`MAX_REWARD`; a boolean is none.
    """
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_REWARD <= value <= MAX_REWARD:
        raise OutOfRange(f"has a reward that is no number between {-MAX_REWARD:g} and {MAX_REWARD:g}")
    return float(value)


def as_seed(value: Any) -> int:
    """A seed, also as a text or as the whole float that a table makes of it; -1 where none was recorded.

    Raises:
        OutOfRange: if it does not fit into 64 bits.
    """
    if (isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return -1
    if not -(2**63) <= value < 2**63:
        raise OutOfRange("has a seed of more than 64 bits")
    return value


_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,30}")


def as_date(value: Any) -> str:
    """A date in ISO 8601, to the second; empty where none was recorded."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="seconds")
    return value.isoformat() if isinstance(value, datetime.date) else ""


def as_json(value: Any, depth: int = 0) -> Any:
    """The value as JSON: nested as recorded up to a depth, long collections shortened, anything else by its type's name."""
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        pairs = list(value.items())[:_MAX_ITEMS]
        return {as_text(key): as_json(inner, depth + 1) for key, inner in pairs if isinstance(key, str)}
    if isinstance(value, list | tuple) and depth < _MAX_DEPTH:
        return [as_json(inner, depth + 1) for inner in value[:_MAX_ITEMS]]
    if isinstance(value, str):
        return as_text(value)[:_MAX_TEXT]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    return type(value).__name__


def first_line(value: Any) -> str:
    """A message on one line of at most 300 characters."""
    return " ".join(as_text(value)[:4000].split())[:300]
