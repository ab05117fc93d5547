"""Folders that are installed with the package: in a clone they are beside it, in a wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def data_folder(name: str) -> Path:
    """Path of ``recipes`` or ``dataset_card``."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
