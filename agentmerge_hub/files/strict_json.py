"""JSON of unknown origin: a key that is given twice is an error, because readers differ in which of its values they take."""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is not JSON, or an object has a key twice.
    """
    return json.loads(text, object_pairs_hook=_object)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are written alike in JSON: ``true`` is not 1, and 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found
