"""Text from traces and models for a terminal: what would steer it is shown, not carried out."""

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """The text with an escape such as ``\\x1b`` in place of each control character but line breaks and tabs."""
    return text.translate(_CONTROL)
