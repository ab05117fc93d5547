"""License texts for tests: the clauses that identify a license, laid out as a license file."""

from agentmerge_hub.licenses.license_texts import CLAUSES


def license_copy(license: str) -> str:
    """A text with every clause of the license, numbered and broken over lines."""
    lines = []
    for number, clause in enumerate(CLAUSES[license], 1):
        words = clause.upper().split()
        lines += [f"{number}. “{' '.join(words[:6])}”", f"   {', '.join(words[6:])}.", ""]
    return "\n".join(lines)
