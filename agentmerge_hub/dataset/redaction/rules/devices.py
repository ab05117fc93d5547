"""Hardware addresses and vehicle identification numbers, by their form and what can be checked of it."""

import re
from itertools import product

from agentmerge_hub.dataset.redaction.rules.rule import Rule

_HEX, _LETTERS = "0123456789abcdef", "abcdef"
_DOCUMENTATION = "00005e0053"
"""The first bytes of addresses for documentation (RFC 7042)."""


def _is_of_one_device(text: str) -> bool:
    """Whether six bytes are the address of one device: not of a group, and not digits alone, as in ``20-11-12-10-30-15``."""
    digits = re.sub("[:-]", "", text).lower()
    is_of_group = int(digits[:2], 16) % 2 == 1
    return bool(re.search("[a-f]", digits)) and not is_of_group and not digits.startswith(_DOCUMENTATION)


_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", (*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10))))
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def is_vehicle_number(text: str) -> bool:
    """Whether a word of 17 letters and digits has the check digit of a vehicle identification number (49 CFR 565.15)."""
    remainder = sum(_VALUES[character] * weight for character, weight in zip(text, _WEIGHTS)) % 11
    return not text.isdigit() and len(set(text)) > 3 and text[8] == ("X" if remainder == 10 else str(remainder))


_GROUPS_BEFORE = "(?<!::)" + "".join(rf"(?<!\b[0-9a-f]{{{length}}}:)" for length in range(1, 5))
"""None: a longer row of bytes is a key's fingerprint, and groups of other lengths are an IPv6 address."""
_HARDWARE_ADDRESS = re.compile(
    rf"(?<![\w.-]){_GROUPS_BEFORE}(?P<value>[0-9a-f]{{2}}([:-])(?:[0-9a-f]{{2}}\2){{4}}[0-9a-f]{{2}})(?!\w|[:.-]\w)",
    re.IGNORECASE,
)
_PAIRS_WITH_A_LETTER = ["".join(pair) for pair in product(_HEX, _HEX) if not set(_LETTERS).isdisjoint(pair)]

DEVICE_RULES = (
    Rule(
        "number",
        tuple(f"{sign}{pair}{sign}" for sign in ":-" for pair in _PAIRS_WITH_A_LETTER),
        _HARDWARE_ADDRESS,
        check=_is_of_one_device,
    ),
    Rule(  # with a letter in the first or last byte only
        "number", (":00:00:00:00:", "-00-00-00-00-"), _HARDWARE_ADDRESS, check=_is_of_one_device, digits=True
    ),
    Rule(  # it ends in a serial number of four digits
        "number",
        (),
        re.compile(r"(?P<value>[A-HJ-NPR-Z0-9](?<![\w-].)[A-HJ-NPR-Z0-9]{7}[0-9X][A-HJ-NPR-TV-Y1-9][A-HJ-NPR-Z0-9]{3}[0-9]{4})(?![\w-])"),
        check=is_vehicle_number,
    ),
)  # fmt: skip
