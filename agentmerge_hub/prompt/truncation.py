"""The line at the end of a truncated page that says how many lines are missing."""

import re


def truncation_marker(n: int) -> str:
    """The line that replaces `n` lines at the end of a page."""
    return f"... ({n} more {'line' if n == 1 else 'lines'} cut)"


def truncated_lines(line: str) -> int:
    """The number of lines that a truncation marker replaces, ours or AgentLab's; 0 if the line is no marker."""
    found = _MARKER.fullmatch(line)
    return int(found[1] or found[2]) if found else 0


_MARKER = re.compile(r"\.\.\. (?:\(([0-9]{1,9}) more lines? cut\)|Deleted ([0-9]{1,9}) lines to reduce prompt size\.)")
