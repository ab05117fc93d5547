"""Read a pickle as plain data. Nothing in it is imported or called: every class becomes an inert stand-in.

A pickle is a program for a small stack machine. This one knows only the instructions that build data, bounds how many
it runs and how far a file may decompress, and resolves names by a table instead of importing them:

- the few types that carry values (numpy arrays and scalars, dates, paths, sets) become plain Python values;
- classes of AgentLab, BrowserGym and the chat clients become `Standin` objects, however they are made;
- a class of another package (a user's own agent) becomes a `Standin` too, but may only be filled with data, not called;
- any other name of the standard library, and any other call, is refused.
"""

import gzip
import hashlib
import io
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentmerge_hub.traces.standins import Maker, Refused, Standin, resolve

MAX_BYTES = 128 * 2**20
"""Largest file after decompression. A step of a long page without its screenshot takes some 0.3 MB, with it 3 MB."""

MAX_INSTRUCTIONS = 3_000_000
"""Longest program: bounds memory at a few hundred MB where each instruction makes an object."""

MAX_NAMES = 1000
"""Most classes a file may name; a step names about ten."""


class _Unpickler(pickle._Unpickler):
    """The stack machine with the instructions of `_ALLOWED` only, and without calls.

    It is the one of the standard library that is written in Python: its table of instructions can be replaced; the one
    in C has none, and a large index makes it allocate any amount of memory.
    """

    def load(self) -> Any:
        self._unframer = pickle._Unframer(self._file_read, self._file_readline)
        self.read, self.readline = self._unframer.read, self._unframer.readline
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.proto = 0
        self.names_left = MAX_NAMES
        try:
            for _ in range(MAX_INSTRUCTIONS):
                code = self.read(1)
                if not code:
                    raise Refused("ends in the middle")
                if code[0] not in _ALLOWED:
                    raise Refused(f"holds the pickle instruction {code!r}, which saved traces do not need")
                _ALLOWED[code[0]](self)
        except pickle._Stop as stop:
            return stop.value
        raise Refused(f"holds more than {MAX_INSTRUCTIONS:,} pickle instructions")

    def find_class(self, module: str, name: str) -> Any:
        self.names_left -= 1
        if self.names_left < 0:
            raise Refused(f"names more than {MAX_NAMES:,} classes")
        return resolve(module, name)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        made = self.stack[-1]
        if not (isinstance(made, type) and issubclass(made, Standin)):
            raise Refused("makes an object of something that is not a class")
        self.stack[-1] = made(*args)

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def _call(self, function: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise Refused("calls something without arguments")
        if isinstance(function, Maker):
            return function.make(*args)
        if isinstance(function, type) and issubclass(function, Standin) and (function.callable or not function.kind):
            return function(*args)
        raise Refused(
            f"calls {getattr(function, 'kind', '') or type(function).__name__!r}, which is not on the allow-list"
        )

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Standin):
            made.__setstate__(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(self.stack[-1], items)

    def _set(self, mapping: Any, items: list[Any]) -> None:
        if not isinstance(mapping, dict) or len(items) % 2:
            raise Refused("sets an item of something that is not a mapping")
        for key, value in zip(items[::2], items[1::2]):
            # A nested tuple as a key would take exponential time to hash.
            if isinstance(key, str | int | float | bytes | None):
                mapping[key] = value

    # Half of a surrogate pair can be pickled, but not written or tokenized: it becomes a replacement mark.

    def load_unicode(self) -> None:
        text = str(self.readline()[:-1], "raw-unicode-escape")
        self.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    def load_short_binunicode(self) -> None:
        self._text(1)

    def load_binunicode(self) -> None:
        self._text(4)

    def load_binunicode8(self) -> None:
        self._text(8)

    def _text(self, size: int) -> None:
        self.append(str(self.read(int.from_bytes(self.read(size), "little")), "utf-8", "replace"))

    def load_bytearray8(self) -> None:
        self.append(self.read(int.from_bytes(self.read(8), "little")))  # what is there, not room for what is claimed

    def load_empty_set(self) -> None:
        self.append([])

    def load_frozenset(self) -> None:
        self.append(list(self.pop_mark()))

    def load_additems(self) -> None:
        items = self.pop_mark()
        self._grow(items)

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._grow(items)

    def load_append(self) -> None:
        item = self.stack.pop()
        self._grow([item])

    def _grow(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list | Standin):
            raise Refused("appends to something that is not a list")
        self.stack[-1].extend(items)


def _table() -> dict[int, Callable[[_Unpickler], None]]:
    data = (
        "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
        "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
        "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE "
        "GLOBAL STACK_GLOBAL"
    )
    table = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in data.split()}
    ours = "UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BYTEARRAY8 REDUCE NEWOBJ NEWOBJ_EX BUILD SETITEM SETITEMS DICT EMPTY_SET FROZENSET ADDITEMS APPENDS APPEND"
    return table | {getattr(pickle, name)[0]: getattr(_Unpickler, f"load_{name.lower()}") for name in ours.split()}


_ALLOWED = _table()


def loads(data: bytes) -> Any:
    """The value of a pickle.

    Raises:
        Refused: if it is damaged, tries to call anything, or is out of bounds.
    """
    try:
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Refused:
        raise
    except MemoryError:
        raise Refused("needs more memory than there is") from None
    except Exception as error:  # a damaged program can fail anywhere in the machine
        raise Refused(f"is not a whole pickle ({type(error).__name__}: {str(error)[:80]})") from None


def unpack(data: bytes) -> bytes:
    """Decompress what is gzipped, up to MAX_BYTES; anything else is returned as it is.

    Raises:
        Refused: if it is damaged or too large.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(f"cannot be decompressed ({str(error)[:100] or type(error).__name__})") from None
    if len(data) > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES // 2**20} MB unpacked")
    return data


def load(path: Path) -> tuple[Any, str]:
    """The value of a ``.pkl`` or ``.pkl.gz`` file, and the sha256 of the file as it lies there.

    Raises:
        Refused: as `loads` and `unpack`, and if the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"is larger than {MAX_BYTES // 2**20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror or error})") from None
    return loads(unpack(data)), hashlib.sha256(data).hexdigest()
