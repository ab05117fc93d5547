"""The exception that a user sees as one sentence, and the sentences for missing packages and operating system errors."""

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from agentmerge_hub.files.atomic_write import final_path

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class UserError(Exception):
    """A mistake the user can mend: one sentence naming what is wrong, where, and what to do."""


def schema_problem(error: "ValidationError", whole: str, model: "type[BaseModel] | None" = None) -> str:
    """Place and message of pydantic's first error.

    Args:
        whole: the place of an error that concerns everything.
        model: the class that was validated; its keys are suggested in place of an unknown one.
    """
    errors = error.errors()
    first = errors[0]
    if first["type"] == "missing":  # perhaps it is there and misspelt
        *parent, key = first["loc"]
        extra = (each for each in errors if each["type"] == "extra_forbidden" and list(each["loc"][:-1]) == parent)
        first = next((each for each in extra if difflib.get_close_matches(str(each["loc"][-1]), [str(key)], 1)), first)
    place = ".".join(map(str, first["loc"])) or whole
    if first["type"] == "missing":
        return f"{place}: this key is missing"
    if first["type"] == "extra_forbidden":
        known = _keys(model, first["loc"][:-1]) if model else []
        near = difflib.get_close_matches(str(first["loc"][-1]), known, 1)
        return f"{place}: there is no such key" + (
            f": did you mean {near[0]}?" if near else f": use one of {', '.join(known)}" if known else ""
        )
    given = repr(first["input"])
    given = given if len(given) <= 60 else f"{given[:60]} …"
    expected = _EXPECTED.get(first["type"].partition("_")[0])
    if expected and first["type"].endswith(("_type", "_parsing", "_from_float")):
        return f"{place}: {given} should be {expected}"
    if first["type"] == "too_short":
        return f"{place}: at least {first['ctx']['min_length']} is needed"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message.replace('Input should', f'{given} should')}"


_EXPECTED = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text", "list": "a list",
    "dict": "keys with values", "model": "keys with values",
}  # fmt: skip
"""First word of pydantic's error types → what they expect."""


def _keys(model: "type[BaseModel]", place: Sequence[int | str]) -> list[str]:
    """The keys of the model that a place (``agents``, 0, ``flags``) inside another one leads to; empty if there is none."""
    for part in place:
        if part in model.model_fields:
            inner = _model_in(model.model_fields[str(part)].annotation)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> "type[BaseModel] | None":
    """The pydantic model in an annotation such as ``list[Model] | None``."""
    if hasattr(annotation, "model_fields"):
        return cast("type[BaseModel]", annotation)
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def require(extra: str, *packages: str) -> None:
    """Raise UserError unless every package of an optional extra is installed.

    Args:
        extra: the extra of this package that installs them, e.g. ``"train"``.
        packages: importable top-level names, e.g. ``"torch"``.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} is not installed: run `pip install 'agentmerge-hub[{extra}]'`, "
            "or `make setup` in a clone for the complete locked environment."
        )


_ADVICE = {
    errno.ENOSPC: "no space is left on the disk: free some or choose another disk",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another disk",
    errno.EFBIG: "the file would exceed the file size limit: raise it (`ulimit -f`) or choose another disk",
    errno.EMFILE: "too many files are open in this process: raise the limit (`ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine: close other programs",
    errno.EACCES: "permission denied: choose another path or change its permissions",
    errno.EPERM: "the operation is not permitted: choose another path or change its owner",
    errno.EROFS: "the disk is read-only: choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EEXIST: "it already exists: choose another path or move it away",
    errno.EISDIR: "it is a folder, and a file is needed",
    errno.ENOENT: "no such file or folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "its symbolic links form a loop: choose another path",
    errno.EBUSY: "it is in use, or a disk is mounted there: choose a folder inside it",
    errno.EXDEV: "it is on another disk than its parent folder: choose a folder inside it",
    errno.ENOTEMPTY: "another program writes there: wait for it or choose another path",
    errno.EIO: "the disk reports an input/output error: check the disk",
    errno.ESTALE: "the network disk no longer has this file: run the command again",
    errno.ENOLCK: "the disk has no file locks left: choose another disk",
    errno.ENOSYS: "the disk does not support file locks: choose another disk",
    errno.EOPNOTSUPP: "the disk does not support this operation: choose another disk",
}
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and an exceeded quota."""

_NUMBER = re.compile(r"\b(?:os error|errno:?) (\d+)", re.IGNORECASE)
"""How Rust libraries (safetensors, tokenizers) and pyarrow write the number of an operating system error."""

_SHORT_WRITE = re.compile(
    r"inline_container\.cc.*unexpected pos|PytorchStreamWriter|file write failed|iostream error|requested and \d+ written"
)
"""How torch and numpy report a write that stopped early; they do not say why."""


def os_error_sentence(error: BaseException) -> str | None:
    """One sentence for an error of the operating system, also inside another library's exception; else None."""
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        word = re.split(r"\s", error.object[: error.start])[-1] + re.split(r"\s", error.object[error.start :])[0]
        return f"the name `{_text(word[-200:])}` is not UTF-8: rename the file"
    text = _short(str(error))
    number = _number_of(error)
    if number in _ADVICE:
        paths = list(dict.fromkeys(_text(path) for path in _paths(error)))
        return f"{' → '.join(paths)}: {_ADVICE[number]}" if paths else _ADVICE[number]
    if _SHORT_WRITE.search(text):
        return "a file could not be written whole: the disk is full, or the file size limit (`ulimit -f`) is reached"
    if isinstance(error, FileNotFoundError) and "no such" not in text.lower():
        return f"{text}: {_ADVICE[errno.ENOENT]}"
    return text or type(error).__name__ if isinstance(error, OSError) else None


def is_failure(error: BaseException) -> bool:
    """Whether code of a library failed. Panics of Rust are no `Exception`."""
    return isinstance(error, Exception) or is_panic(error)


def is_panic(error: BaseException) -> bool:
    """Whether code in Rust failed where it has no error, as that of a tokenizer whose pattern takes too long."""
    return type(error).__name__ == "PanicException"


def is_no_space(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is that of a full disk or an exceeded quota."""
    cause = error.__cause__
    return _number_of(error) in NO_SPACE or (cause is not None and is_no_space(cause))


def _number_of(error: BaseException) -> int | None:
    """The number of an operating system error, also inside another library's exception."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(_short(str(error)))
    return int(found[1]) if found else None


@contextlib.contextmanager
def os_errors_as_sentences(out: Path | None = None) -> Iterator[None]:
    """Turn operating system errors of the block into UserErrors.

    Args:
        out: what the block writes; named where the error names no path.

    Raises:
        UserError: instead of an OSError, or of another library's exception that wraps one.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (sentence := os_error_sentence(error)) is None:
            raise
        named = out is None or (isinstance(error, OSError) and _paths(error))
        raise UserError(sentence if named else f"{out}: {sentence}") from error


@contextlib.contextmanager
def os_errors_name(path: Path) -> Iterator[None]:
    """Let operating system errors of the block name `path`, in place of a file that the user does not know of."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


_PYARROWS_PATH = re.compile(r"local file '(.+?)'\. Detail")
"""Where pyarrow, whose errors have no `filename`, writes it."""


def _paths(error: BaseException) -> list[str | bytes]:
    if not isinstance(error, OSError):
        return []
    found = [path for path in (error.filename, error.filename2) if isinstance(path, str | bytes)]
    return found or _PYARROWS_PATH.findall(str(error))


def _text(path: str | bytes) -> str:
    """A path to show: the one that is being written, and bytes that are not UTF-8 as ``\\xff``."""
    return final_path(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _short(text: str) -> str:
    return " ".join(text.split())[:500]
