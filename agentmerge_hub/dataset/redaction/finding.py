"""A secret that was found in a text or a file, and the list of what the user allows."""

from dataclasses import dataclass

from agentmerge_hub.dataset.redaction.rules.rule import KINDS
from agentmerge_hub.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One secret in a text."""

    kind: str
    """A key of rules.KINDS."""
    start: int
    end: int
    value: str
    everywhere: bool = True
    """Whether the value is replaced wherever the episode holds it, or only in this context."""


@dataclass(frozen=True)
class FileFinding:
    """One secret in a file. The value itself is left out, because messages end up in logs."""

    location: str
    kind: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.location}: {KINDS[self.kind]} (sha256 {self.sha256[:8]}…)"


class Allowlist(dict[str, str]):
    """What may be published: a kind or a literal value → the reason, which the card shows."""

    def permits(self, finding: Finding) -> bool:
        return finding.kind in self or finding.value in self


def parse_allow_options(pairs: tuple[str, ...]) -> Allowlist:
    """The allowlist from ``WHAT=REASON`` options.

    Raises:
        UserError: without a reason.
    """
    allowlist = Allowlist()
    for pair in pairs:
        what, _, reason = pair.partition("=")
        if not what or not reason.strip():
            raise UserError(
                f"--allow {pair}: write WHAT=REASON, where WHAT is {', '.join(KINDS)} or the text itself; the card shows the reason"
            )
        allowlist[what] = reason.strip()
    return allowlist
