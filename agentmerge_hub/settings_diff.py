"""Which settings of two runs differ: a run is only continued with the settings it was started with."""

from collections.abc import Collection, Mapping
from typing import Any


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any], may_differ: Collection[str] = ()) -> list[str]:
    """Settings that differ, e.g. ``weight_decay is 0.1, was 0.0``, in the order of their names; empty if the runs are one.

    Args:
        earlier: the settings that the run was started with; values are JSON values, objects are compared key by key.
        now: the settings that it would go on with.
        may_differ: names (``logging_steps``, or ``model.revision`` inside an object) that do not change the result.
    """
    before, after = _flat(earlier), _flat(now)
    return [
        f"{name} is {_shown(after, name)}, was {_shown(before, name)}"
        for name in sorted(before.keys() | after.keys())
        if not _allowed(name, may_differ) and (name not in before or name not in after or before[name] != after[name])
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _allowed(name: str, may_differ: Collection[str]) -> bool:
    return any(name == key or name.startswith(f"{key}.") for key in may_differ)


def _shown(flat: Mapping[str, Any], name: str) -> str:
    return repr(flat[name]) if name in flat else "not set"
