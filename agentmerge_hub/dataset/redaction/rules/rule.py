"""One redaction rule: a pattern, and the literals that select the lines on which it runs."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

KINDS = {
    "email": "e-mail addresses",
    "host": "hosts of instances, private and labeled addresses",
    "credentials": "user names and passwords",
    "session": "cookies and session keys",
    "token": "API tokens and private keys",
    "account": "names of accounts",
    "person": "names of persons in fields, salutations and sign-offs",
    "home": "user names in paths",
    "phone": "phone numbers",
    "number": "card, bank, tax, identity and vehicle numbers, hardware addresses, dates of birth",
}
"""Kind → description, for messages and the card."""


@dataclass(frozen=True, eq=False)
class Rule:
    """One class of secrets. The pattern's group ``value`` (otherwise the whole match) is replaced.

    A pattern runs on single lines, never across a line break, and takes time linear in the length of the line.
    """

    kind: str
    literals: tuple[str, ...]
    """The pattern runs only on lines that hold one of these, in any letter case. Without literals it runs only on lines that
    may hold a token: those with a word of at least 16 characters that has a digit or a capital letter."""
    pattern: re.Pattern[str]
    everywhere: bool = True
    """Whether the value is replaced wherever the episode holds it, or only in this context."""
    check: Callable[[str], bool] | None = None
    """A condition on the value."""
    after_label: bool = False
    """Whether the literals are labels, and the pattern is matched right behind each one instead of being searched in the line.
    A label with capitals counts in that letter case only; a short Latin one is no end of another word."""
    values: Callable[[re.Match[str]], Iterable[tuple[int, int]]] | None = None
    """Start and end of each value in a match, in place of the group ``value``."""
    hint: re.Pattern[str] | None = None
    """A quicker pattern that is in every line in which `pattern` is: the others are passed over."""
    digits: bool = False
    """Whether a ``0`` in the literals stands for any digit."""

    @cached_property
    def group(self) -> str | int:
        return "value" if "value" in self.pattern.groupindex else 0


def rule_after_label(
    kind: str, labels: tuple[str, ...], pattern: str, check: Callable[[str], bool] | None = None
) -> Rule:
    """A rule for the value right behind a label, in any letter case."""
    return Rule(kind, labels, re.compile(pattern, re.IGNORECASE), check=check, after_label=True)
