"""Sizes in sentences: bytes with the unit in which they are a number from 1 on."""


def size_text(count: float) -> str:
    """``812 bytes``, ``8.1 kB``, ``50.0 MB``, ``1.3 GB``, ``240.0 TB``: powers of 1000, as disks are sold."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:.0f} bytes"
