"""The header of a safetensors file as a table of tensors: where each one's bytes are. Weights are never read here.

safetensors itself opens each file first, with all its checks. The layout (8 bytes: the header's length; a JSON header; then
the tensors' bytes) is then read directly, so that a pass can read any chunk of a tensor by position, without mapped memory.
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import strict_json

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

FLOATS = ("BF16", "F16", "F32", "F64")
"""Types that can be merged."""

_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint."""

    name: str
    dtype: str
    """As safetensors writes it, e.g. ``BF16``."""
    shape: tuple[int, ...]
    file: Path
    begin: int
    """Its first byte in the file."""

    @property
    def count(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * DTYPE_BYTES[self.dtype]


def header_of(path: Path) -> dict[str, Tensor]:
    """Every tensor of one safetensors file, in the order of their bytes.

    Raises:
        UserError: if safetensors does not open the file, a name is there twice, or a type cannot be read here.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as file, safe_open(path, framework="np"):  # Python's error says why a file cannot be read
            (length,) = struct.unpack("<Q", file.read(8))
            header = strict_json.loads(file.read(length))
        found = {
            name: Tensor(name, entry["dtype"], tuple(entry["shape"]), path, 8 + length + entry["data_offsets"][0])
            for name, entry in header.items()
            if name != "__metadata__"
        }
        if extra := next((name for name in found if header[name].keys() != _FIELDS), None):
            raise ValueError(f"{extra} is described by other than {', '.join(sorted(_FIELDS))}")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is cut short or damaged: {' '.join(str(error).split())[:200]}") from error
    for tensor in found.values():
        if tensor.dtype not in DTYPE_BYTES:
            raise UserError(f"{tensor.name} in {path} is stored as {tensor.dtype}: merging needs plain floating point")
    return dict(sorted(found.items(), key=lambda item: item[1].begin))
