"""Card numbers, bank accounts and personal numbers of many countries, by their form and checksum."""

import re
from functools import partial
from importlib import import_module
from itertools import cycle

from agentmerge_hub.dataset.redaction.rules.rule import Rule


def is_card_number(text: str) -> bool:
    """Whether a text is a card number: known first digits, and the checksum of Luhn (ISO/IEC 7812)."""
    digits = "".join(character for character in text if character.isdigit())
    if not 13 <= len(digits) <= 19 or not re.match(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|4|5)|62", digits):
        return False
    doubled = (int(digit) * factor for digit, factor in zip(reversed(digits), cycle((1, 2))))
    return len(set(digits)) > 1 and sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is a bank account number with a valid checksum (ISO 13616)."""
    letters = text.replace(" ", "").replace("-", "")
    return 15 <= len(letters) <= 34 and int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1


def _is_valid(format_name: str, text: str) -> bool:
    """Whether a number has the dates and the checksum of a format of python-stdnum."""
    return len(set(text)) > 3 and bool(import_module(f"stdnum.{format_name}").is_valid(text))


_LONG = ("0" * 10,)

_PERSONAL_NUMBERS = (
    ("br.cpf", ("000.000.000-00",), r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    ("cl.rut", ("000.000-",), r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]"),
    ("ar.cuit", ("00-00000000-0",), r"2[0347]-\d{8}-\d"),
    ("be.nn", ("00.00-000.00",), r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"),
    ("ch.ssn", ("000.0000.0000.00",), r"756\.\d{4}\.\d{4}\.\d\d"),
    ("fr.nir", ("0" * 15,), r"[12]\d{14}"),
    ("cn.ric", ("0" * 17,), r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]"),
    ("fr.nir", ("00 000 000",), r"[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"),
    ("se.personnummer", ("000000-0000", "000000+0000"), r"(?:19|20)?\d{6}[-+]\d{4}"),
    ("is_.kennitala", ("000000-0000",), r"\d{6}-\d{4}"),
    ("fi.hetu", ("000000-000", "000000A000"), r"\d{6}[-A]\d{3}[A-Z0-9]"),
    ("no.fodselsnummer", ("000000 00000",), r"\d{6} \d{5}"),
    ("cz.rc", ("000000/0000",), r"\d{6}/\d{4}"),
    ("kr.rrn", ("000000-0000000",), r"\d{6}-[1-8]\d{6}"),
    ("my.nric", ("000000-00-0000",), r"\d{6}-\d\d-\d{4}"),
    ("th.pin", ("0-0000-00000-00-0",), r"\d-\d{4}-\d{5}-\d\d-\d"),
    ("in_.aadhaar", ("0000 0000 0000", "0000-0000-0000"), r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}"),
    ("gb.nhs", ("000 000 0000",), r"\d{3} \d{3} \d{4}"),
)
"""Format of python-stdnum, digits that select lines, and form: of formats that few other numbers have."""


def _is_personal_number_in_words(text: str) -> bool:
    """Whether a word of letters and digits is an Italian tax code or a Mexican population number, by date and checksum."""
    if re.fullmatch(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", text):
        return _is_valid("it.codicefiscale", text)
    return bool(re.fullmatch(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d", text)) and _is_valid("mx.curp", text)


NUMBER_RULES = (
    Rule(
        "number",
        ("0000 0000", "0000-0000", "0000 000000", "0000-000000", *_LONG),
        re.compile(r"(?P<value>\d(?<![\w.-].)\d{3}[ -]?(?:\d{4}[ -]?\d{4}[ -]?\d{1,7}|\d{6}[ -]?\d{4,5}))(?![\w-]|\.\d)"),
        check=is_card_number,
        digits=True,
    ),
    Rule(
        "number",
        ("000-00-0000", "000 00 0000"),
        re.compile(r"(?<![\w.-])(?P<value>(?!000|666|9)\d{3}([ -])(?!00)\d{2}\2(?!0000)\d{4})(?![\w-]|\.\d)"),
        digits=True,
    ),
    Rule(
        "number",
        ("00 0000", "00-0000", *_LONG),
        re.compile(r"(?P<value>[A-Z](?<![\w-].)[A-Z]\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?)(?![\w-])"),
        check=is_iban,
        digits=True,
    ),
    Rule(  # Russia's pension number
        "number", ("000-000-000 00",), re.compile(r"(?<![\w.-])\d{3}-\d{3}-\d{3} \d\d(?![\w-])"), digits=True
    ),
    Rule(  # Britain's national insurance number
        "number",
        ("00 00 00",),
        re.compile(r"(?<![\w.-])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d \d\d \d\d ?[A-D](?![\w-])"),
        digits=True,
    ),
    Rule(
        "number",
        (*(f"00{month}00" for month in "ABCDEHLMPRST"), "000000H", "000000M"),
        re.compile(r"(?P<value>[A-Z](?<![\w-].)[A-Z]{3}[A-Z\d]{12}(?:[A-Z\d]{2})?)(?![\w-])"),
        check=_is_personal_number_in_words,
        digits=True,
    ),
    *(
        Rule(
            "number",
            literals,
            re.compile(rf"(?<![\w.-])(?P<value>{form})(?![\w-]|\.\d)"),
            check=partial(_is_valid, format_name),
            digits=True,
        )
        for format_name, literals, form in _PERSONAL_NUMBERS
    ),
)  # fmt: skip
