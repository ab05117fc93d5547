"""The scanner whose rules redaction uses in addition to ours: Betterleaks, in this process and without a network.

Each line is scanned alone, so that a finding does not depend on which lines happen to be scanned together.
"""

from collections.abc import Iterator


def detect(line: str) -> Iterator[tuple[int, int]]:
    """Start and end of each token or credential that Betterleaks finds in a line."""
    import betterleaks

    # A page must not switch the scanner off by a comment such as "gitleaks:allow", nor end the text by a NUL.
    content = line.replace(":allow", ":_llow").replace("\0", " ").encode("utf-8", "replace").decode()
    for finding in betterleaks.scan_string(content):
        value = finding.match.value or finding.match.full
        start = content.find(value)
        if start < 0:  # the scanner decoded it: take the whole match
            value = finding.match.full
            start = content.find(value)
        if start < 0:
            start, value = 0, content
        while start >= 0:
            yield start, start + len(value)
            start = content.find(value, start + len(value))
