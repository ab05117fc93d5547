"""Counts in sentences: a number and its noun, in the singular for one."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 episode``, ``2 episodes``; ``plural`` for nouns that do not add an s. Thousands have commas."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
