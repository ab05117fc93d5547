"""Conditions on a value that a rule found: whether it is generated, a password, or only a word."""

import re
from math import log2


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    counts = [text.count(character) for character in set(text)]
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)


def looks_random(value: str) -> bool:
    """Whether a value looks like a generated token: digits and letters, many different ones."""
    return (
        any(character.isdigit() for character in value)
        and any(character.isalpha() for character in value)
        and entropy(value) >= 3.0
    )


_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z\d])|(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Za-z])|(?<=[A-Z]{2})(?=[a-z])")


def changes_often(value: str) -> bool:
    """Whether letters of both cases and digits take turns as they do in a generated token, not as in words that are joined."""
    return len(_CHANGE.findall(value)) >= len(value) / 5


_PLAIN_VALUES = frozenset(
    {"true", "false", "null", "none", "undefined", "string", "required", "password", "admin", "user", "username", "test",
     "changeme", "example", "secret", "token", "value", "text", "hidden", "empty", "redacted", "placeholder"}
)  # fmt: skip


def is_password(value: str) -> bool:
    """Whether a value after a password key is one: no plain word, no placeholder such as ``${PASSWORD}`` or ``***``."""
    return (
        value.lower() not in _PLAIN_VALUES
        and not re.fullmatch(r"[*•.xX_-]+|\$?\{.*|<.*|%\w+%|\$\w+|\d{1,3}(?:[-–]\d{1,3})?", value)
        and len(set(value)) > 2
    )


def is_password_in_prose(value: str) -> bool:
    """As is_password, where plain words often follow the key, as in ``Password: enter it here``."""
    return is_password(value) and bool(re.search(r"[\d\W_]|[a-z][A-Z]", value.rstrip(".,;:!?)")))


def is_password_by_label(value: str) -> bool:
    """As is_password, where words of any language may follow the label: no web address, no date, no range of numbers."""
    value = value.rstrip(".,;:!?)。")
    return (
        len(value) >= 4
        and is_password_in_prose(value)
        and not re.match(r"https?:|www\.|[\w-]+(?:/[\w-]+)+$|\d+[-./–]\d+(?:[-./–]\d+)?$", value)
        and bool(re.search(r"\d|[^\w\s]\w|[a-z][A-Z]", value))
    )


def mixes_letters_and_digits(value: str) -> bool:
    """Whether a value is no word of a language: a digit, a letter, and a second letter case or a sign."""
    value = value.rstrip(".,;:!?)")
    return (
        is_password(value)
        and len(value) >= 6
        and all(re.search(kind, value) for kind in (r"\d", r"[^\W\d_]"))
        and bool(re.search(r"[a-z].*[A-Z]|[A-Z].*[a-z]|[^\w]", value))
    )
