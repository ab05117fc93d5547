"""Replacements for the objects of a pickle: inert stand-ins, and plain values for the few types that carry them."""

import builtins
import datetime
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from agentmerge_hub.traces.files import Refused

CALLABLE_PACKAGES = ("agentlab", "browsergym", "bgym", "litellm", "openai", "anthropic", "pydantic", "pydantic_core")
"""Packages whose classes may also be made by a call: their stand-ins keep the arguments and do nothing."""


class Standin(dict):
    """Any object of a pickle: attributes and mapping items as items, list items in `rows`, call arguments in `args`."""

    kind = ""
    """Qualified name of the class it replaces."""
    callable = False

    def __init__(self, *args: Any) -> None:
        super().__init__()
        self.args = args
        self.rows: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                super().update(part)

    def append(self, row: Any) -> None:
        self.rows.append(row)

    def extend(self, rows: list[Any]) -> None:
        self.rows.extend(rows)


class _Dtype(Standin):
    """A numpy dtype; `args` begins with its code, e.g. ``i8``. Little-endian, as every machine that runs a browser."""


class Array(Standin):
    """A numpy array."""

    state: Any = ()
    """As numpy writes it: version, shape, dtype, order, bytes."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def values_read(self) -> list[Any]:
        """Its first few values if they are plain numbers; nothing here needs a whole array."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            return []
        dtype, raw = self.state[2], self.state[4]
        return _numbers(dtype, raw) if isinstance(dtype, _Dtype) and isinstance(raw, bytes) else []


def _scalar(dtype: Any, raw: Any) -> Any:
    if isinstance(dtype, _Dtype) and dtype.args and str(dtype.args[0]) not in _NUMBER_TYPES:
        return Array()  # a text or a date of numpy's own
    values = _numbers(dtype, raw) if isinstance(dtype, _Dtype) and isinstance(raw, bytes) else []
    if not values:
        raise Refused("holds a malformed number")
    return values[0]


def _numbers(dtype: _Dtype, raw: bytes) -> list[Any]:
    code = dtype.args[0] if dtype.args else None
    if not isinstance(code, str) or code not in _NUMBER_TYPES:
        return []
    count = min(len(raw) // np.dtype(code).itemsize, _MAX_VALUES)
    return np.frombuffer(raw, code, count).tolist() if count else []


def _from_buffer(raw: Any, dtype: Any, *_: Any) -> Array:
    """numpy's own reading of an array's bytes, as pickle protocol 5 calls it."""
    array = Array()
    array.__setstate__((1, (), dtype, False, raw))
    return array


def _encoded(text: Any, coding: Any = "") -> bytes:
    """Bytes as pickle protocols before 3 write them."""
    if not isinstance(text, str) or coding != "latin1":
        raise Refused("calls '_codecs.encode' for something other than bytes")
    return text.encode("latin1")


_MAX_VALUES = 64
_NUMBER_TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


def _datetime(*args: Any) -> datetime.datetime:
    """A date and time, without a time zone that became a stand-in."""
    return datetime.datetime(*(argument for argument in args if not isinstance(argument, Standin)))


def _rebuilt(cls: type, *_args: Any) -> Any:
    """copyreg._reconstructor: an object of an old-style or plain class, filled by the instruction that follows."""
    return cls() if isinstance(cls, type) and issubclass(cls, Standin) else None


def _members(rows: Any = ()) -> list[Any]:
    """Sets and deques become lists: membership is never needed, and hashing untrusted members can take exponential time."""
    return list(rows) if isinstance(rows, list | tuple) else []


def _member(cls: Any, name: Any = "") -> Standin | type[Standin]:
    """A named member of a class, as some versions of Python pickle enums: nothing is looked up."""
    if not (isinstance(cls, type) and issubclass(cls, Standin) and cls.kind and isinstance(name, str)):
        raise Refused(
            "calls 'builtins.getattr' for something other than a member of a class, which is not on the allow-list"
        )
    return cls if name == "_unpickle" else cls(name)  # the class method by which a time zone is made


class Maker:
    """A maker of a plain value."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")

KNOWN: dict[str, Any] = {
    "numpy.ndarray": Array,
    "numpy.dtype": Maker(_Dtype),
    **{f"{module}._reconstruct": Maker(lambda *_: Array()) for module in _NUMPY},
    **{f"{module}.scalar": Maker(_scalar) for module in _NUMPY},
    **{f"{module}._frombuffer": Maker(_from_buffer) for module in _NUMPY},
    "_codecs.encode": Maker(_encoded),
    "datetime.datetime": Maker(_datetime),
    "datetime.date": Maker(datetime.date),
    "datetime.timedelta": Maker(datetime.timedelta),
    "datetime.timezone": Maker(datetime.timezone),
    **{
        f"{module}.{name}": Maker(PurePosixPath)
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    },
    "copyreg._reconstructor": Maker(_rebuilt),
    "builtins.getattr": Maker(_member),
    "builtins.bytes": Maker(lambda *_: b""),
    "builtins.object": Standin,
    "builtins.dict": Standin,
    "builtins.set": Maker(_members),
    "builtins.frozenset": Maker(_members),
    "builtins.list": Maker(_members),
    "collections.deque": Maker(_members),
    "collections.OrderedDict": Maker(lambda *_: Standin()),
    "collections.defaultdict": Maker(lambda *_: Standin()),
}
"""Replacements for the names that carry values. Nothing outside this table is ever called."""

HARMLESS = {
    *(f"numpy.{name}" for name in (
        "bool", "bool_", "str_", "bytes_", "void", "generic", "number", "integer", "floating", "datetime64", "timedelta64",
        *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)), "complex64", "complex128",
    )),
    *(f"builtins.{name}" for name in (
        "bool", "int", "long", "float", "str", "unicode", "tuple", "bytearray", "complex", "range", "xrange", "slice", "Ellipsis",
        "NotImplemented", *(name for name, held in vars(builtins).items() if isinstance(held, type) and issubclass(held, BaseException)),
    )),
    *(f"collections.{name}" for name in ("Counter", "ChainMap", "UserDict", "UserList")),
    "datetime.time", "decimal.Decimal", "fractions.Fraction", "http.HTTPMethod", "http.HTTPStatus",
    *(f"ipaddress.IPv{version}{kind}" for version in (4, 6) for kind in ("Address", "Interface", "Network")),
    "re.RegexFlag", "re._compile", "signal.Signals", "socket.AddressFamily", "socket.SocketKind", "types.SimpleNamespace", "uuid.SafeUUID",
    "uuid.UUID", "zoneinfo.ZoneInfo", "zoneinfo.ZoneInfo._unpickle",
}  # fmt: skip
"""Names of numpy and the standard library that say what a value is: inert stand-ins, which may also be made by a call."""

_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "exceptions": "builtins"}
"""Names as pickle protocols before 3 write them."""


@lru_cache(maxsize=1024)
def resolve(module: str, name: str) -> Any:
    kind = f"{_RENAMED.get(module, module)}.{name}"
    if kind in KNOWN:
        return KNOWN[kind]
    package = kind.partition(".")[0]
    if kind in HARMLESS:
        return type("Standin", (Standin,), {"kind": kind, "callable": True})
    if package in sys.stdlib_module_names or package == "numpy":
        raise Refused(f"asks for {kind[:100]!r}, which is not on the allow-list: it may try to run code")
    return type("Standin", (Standin,), {"kind": kind, "callable": package in CALLABLE_PACKAGES})
