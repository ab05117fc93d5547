"""Read a pickle as plain data. Nothing in it is imported or called: every class becomes an inert stand-in.

A pickle is a program for a small stack machine. This one knows only the instructions that build data, bounds how many it
runs and how much they copy, and resolves names by a table instead of importing them:

- the few types that carry values (numpy arrays and scalars, dates, paths, sets) become plain Python values;
- classes of AgentLab, BrowserGym and the chat clients, of whatever version, become `Standin` objects, however they are made;
- so do the types of numpy and the standard library that hold nothing but a value, such as an enum's member or a UUID;
- a class of another package (a user's own agent) becomes a `Standin` too, but may only be filled with data, not called;
- any other name of numpy and the standard library, and any other call, is refused.
"""

import gc
import hashlib
import io
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentmerge_hub.traces.files import Refused, read_file, unpack
from agentmerge_hub.traces.pickles.standins import Maker, Standin, resolve

MAX_INSTRUCTIONS = 3_000_000
"""Longest program: bounds memory at a few hundred MB where each instruction makes an object."""

INSTRUCTIONS_PER_BYTE, FREE_INSTRUCTIONS = 20, 50_000
"""Bound in proportion to the packed file, so that a small file cannot take much memory. Steps of real traces need less than
one instruction a packed byte: most of them is text."""

FREE_COPIES = 1_000_000
"""Items and characters that calls may copy beside one for each byte of the program."""

MAX_NAMES = 1000
"""Most classes a file may name; a step names about ten."""


_LONG_NUMBERS = re.compile(rb"(?:K.|M..|J.{4}|G.{8}){32,}+e", re.DOTALL)
"""What follows the mark of a list of many numbers, as a snapshot of a page's DOM holds them by the thousand."""

_UINT4, _DOUBLE = struct.Struct("<I").unpack_from, struct.Struct(">d").unpack_from

(
    _MARK, _NONE, _TRUE, _FALSE, _INT1, _INT2, _FLOAT, _LIST, _DICT, _GET, _LONG_GET, _MEMOIZE, _TEXT, _APPENDS, _SETITEMS,
) = b"(N\x88\x89KMG]}hj\x94\x8ceu"  # fmt: skip

_KEYS = (str, int, float, bytes, type(None))


class _Unpickler(pickle._Unpickler):
    """The stack machine with the instructions of `_ALLOWED` only, and without calls.

    It is the one of the standard library that is written in Python: its table of instructions can be replaced; the one
    in C has none, and a large index makes it allocate any amount of memory. What a step is mostly made of is done within
    the loop: AgentLab saves every page's whole DOM, which nothing here reads and which is most of a file.
    """

    memo: dict[int, Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes, packed: int) -> None:
        super().__init__(io.BytesIO(), encoding="bytes")
        self.data, self.at = data, 0
        self.max_instructions = min(MAX_INSTRUCTIONS, FREE_INSTRUCTIONS + INSTRUCTIONS_PER_BYTE * packed)
        self.copies_left = FREE_COPIES + len(data)

    def read(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def readline(self) -> bytes:
        begin, self.at = self.at, self.data.index(b"\n", self.at) + 1
        return self.data[begin : self.at]

    def load(self) -> Any:
        """The value of the program. A list of many numbers stays empty.

        Raises:
            IndexError: if the data end before the program does; anything else that a damaged program can cause.
        """
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.proto = 0
        self.names_left = MAX_NAMES
        data, at, stack, memo, metastack = self.data, 0, self.stack, self.memo, self.metastack
        for _ in range(self.max_instructions):
            code = data[at]
            at += 1
            if code == _GET:
                stack.append(memo[data[at]])
                at += 1
            elif code == _MEMOIZE:
                memo[len(memo)] = stack[-1]
            elif code == _INT1:
                stack.append(data[at])
                at += 1
            elif code == _INT2:
                stack.append(data[at] | data[at + 1] << 8)
                at += 2
            elif code == _MARK:
                if numbers := _LONG_NUMBERS.match(data, at):
                    self._grow(stack[-1], [])
                    at = numbers.end()
                else:
                    metastack.append(stack)
                    stack = []
            elif code == _LONG_GET:
                stack.append(memo[_UINT4(data, at)[0]])
                at += 4
            elif code == _TEXT:
                begin, at = at + 1, at + 1 + data[at]
                stack.append(str(data[begin:at], "utf-8", "replace"))
                if data[at] == _MEMOIZE:
                    memo[len(memo)] = stack[-1]
                    at += 1
            elif code == _DICT:
                stack.append({})
                if data[at] == _MEMOIZE:
                    memo[len(memo)] = stack[-1]
                    at += 1
            elif code == _LIST:
                stack.append([])
                if data[at] == _MEMOIZE:
                    memo[len(memo)] = stack[-1]
                    at += 1
            elif code == _FLOAT:
                stack.append(_DOUBLE(data, at)[0])
                at += 8
            elif code == _APPENDS:
                items, stack = stack, metastack.pop()
                self._grow(stack[-1], items)
            elif code == _SETITEMS:
                items, stack = stack, metastack.pop()
                self._set(stack[-1], items)
            elif code == _NONE:
                stack.append(None)
            elif code in (_TRUE, _FALSE):
                stack.append(code == _TRUE)
            elif code in _ALLOWED:
                self.at, self.stack, self.append = at, stack, stack.append
                try:
                    _ALLOWED[code](self)
                except pickle._Stop as stop:  # type: ignore[attr-defined]  # of the interpreter written in Python
                    return stop.value
                at, stack = self.at, self.stack
            else:
                raise Refused(f"holds the pickle instruction {bytes([code])!r}, which saved traces do not need")
        raise Refused(f"holds more than {self.max_instructions:,} pickle instructions")

    def load_frame(self) -> None:
        self.read(8)  # frames only say how much could be read at once

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
        self._charge(*args)
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
            self._charge(*(state if isinstance(state, tuple) else (state,)))
            made.__setstate__(state)

    def _charge(self, *values: Any) -> None:
        """Count what a call or a state may copy: the same value can be named again and again at no cost in the file."""
        self.copies_left -= sum(len(value) for value in values if isinstance(value, str | bytes | list | tuple | dict))
        if self.copies_left < 0:
            raise Refused("copies the same values again and again")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(self.stack[-1], items)

    def _set(self, mapping: Any, items: list[Any]) -> None:
        if not isinstance(mapping, dict) or len(items) % 2:
            raise Refused("sets an item of something that is not a mapping")
        pairs = iter(items)
        for key, value in zip(pairs, pairs):
            # A nested tuple as a key would take exponential time to hash.
            if isinstance(key, _KEYS):
                mapping[key] = value

    # Half of a surrogate pair can be pickled, but not written or tokenized: it becomes a replacement mark.

    def load_unicode(self) -> None:
        text = str(self.readline()[:-1], "raw-unicode-escape")
        self.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

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
        items = self.pop_mark()  # replaces self.append
        self.append(items)

    def load_additems(self) -> None:
        items = self.pop_mark()
        self._grow(self.stack[-1], items)

    def load_append(self) -> None:
        item = self.stack.pop()
        self._grow(self.stack[-1], [item])

    def _grow(self, grown: Any, items: list[Any]) -> None:
        if not isinstance(grown, (list, Standin)):
            raise Refused("appends to something that is not a list")
        grown.extend(items)


def _table() -> dict[int, Callable[[Any], None]]:
    data = (
        "PROTO STOP POP POP_MARK DUP INT BININT LONG LONG1 LONG4 FLOAT "
        "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
        "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 LIST GET PUT BINPUT LONG_BINPUT GLOBAL STACK_GLOBAL"
    )
    table = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in data.split()}
    ours = (
        "FRAME UNICODE BINUNICODE BINUNICODE8 BYTEARRAY8 REDUCE NEWOBJ NEWOBJ_EX BUILD SETITEM DICT EMPTY_SET FROZENSET "
        "ADDITEMS APPEND"
    )
    return table | {getattr(pickle, name)[0]: getattr(_Unpickler, f"load_{name.lower()}") for name in ours.split()}


_ALLOWED = _table()


def loads(data: bytes, packed: int | None = None) -> Any:
    """The value of a pickle.

    Args:
        data: the program.
        packed: bytes of its file before decompression; as many as `data` if None.

    Raises:
        Refused: if it is damaged, tries to call anything, or is out of bounds.
        MemoryError: if memory runs out.
    """
    collecting = gc.isenabled()
    gc.disable()  # nothing that is built is freed before the end; looking for it takes a third of the time
    try:
        return _Unpickler(data, len(data) if packed is None else packed).load()
    except (Refused, MemoryError):
        raise
    except IndexError:
        raise Refused("ends in the middle, or takes what is not there") from None
    except Exception as error:  # a damaged program can fail anywhere in the machine
        raise Refused(f"is not a whole pickle ({type(error).__name__}: {str(error)[:80]})") from None
    finally:
        if collecting:
            gc.enable()


def load(path: Path, within: Path | None = None) -> tuple[Any, str]:
    """The value of a ``.pkl`` or ``.pkl.gz`` file, and the sha256 of the file.

    Args:
        path: the file.
        within: a folder that links must not leave; the file's own if None.

    Raises:
        Refused: as `loads`, `read_file` and `unpack`.
    """
    data = read_file(path, within=within)
    return loads(unpack(data), len(data)), hashlib.sha256(data).hexdigest()
