"""Folders that travel with the package: in a clone they stand beside it, in an installed wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Path of ``recipes`` or ``dataset_card``."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
