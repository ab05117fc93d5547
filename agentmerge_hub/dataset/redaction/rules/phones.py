"""Phone numbers: international ones, national ones of common forms, and any number next to a word for a phone."""

import re

from agentmerge_hub.dataset.redaction.rules.labeled import SIGN
from agentmerge_hub.dataset.redaction.rules.rule import Rule, rule_after_label
from agentmerge_hub.dataset.redaction.rules.words import PHONE_WORDS, spellings

_NO_DATE = r"(?!\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d|\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d))"
_LABEL_ENDING = (
    r"(?![A-Za-zÀ-ɏ])(?:[ _.-]{0,2}(?:no|number|nr|n[°ºo.]|#|№|номер))?\.?(?:\s?\([^()\n]{0,20}\)|\s[^\W\d_]{1,12})?"
)


def _n_digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _is_phone_number(text: str) -> bool:
    return 10 <= _n_digits(text) <= 15 and len(set(text)) > 3


def _is_international(text: str) -> bool:
    """A number of 8 to 15 digits; ``+12 345 678`` is an amount."""
    is_amount = re.fullmatch(r"\+\d{1,3}(?:[ .]\d{3}){2}", text)
    return 8 <= _n_digits(text) <= 15 and len(set(text)) > 4 and not is_amount


def _is_national(text: str) -> bool:
    return 8 <= _n_digits(text) <= 12 and len(set(text)) > 3


def _is_labeled(text: str) -> bool:
    return 7 <= _n_digits(text) <= 15 and len(set(text)) > 2


PHONE_RULES = (
    Rule(
        "phone",
        ("+0", "+(0"),
        re.compile(r"(?<![\w+.-])(?P<value>\+\(?\d{1,3}\)?(?:[ .\u00a0\u2010-\u2015/-]?\(?\d{1,5}\)?){2,6})(?![\w%]|[.-]\d)"),
        check=_is_international,
        digits=True,
    ),
    Rule(  # 00 and a country's code
        "phone",
        ("0000 0", "0000-0", "00000 0", "0000 (0"),
        re.compile(r"(?<![\w+.,-])(?P<value>00[1-9]\d{0,2}(?:[ ./-]{1,2}\(?\d{1,8}\)?){2,6})(?![\w-]|\.\d)"),
        check=_is_phone_number,
        digits=True,
    ),
    Rule(
        "phone",
        ("000-0000", "000.0000", "000 0000", *(f"000{dash}0000" for dash in "\u2010\u2011\u2012\u2013")),
        re.compile(r"(?<![\w+.,$-])(?P<value>(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .\u2010-\u2013-])\d{3}[ .\u2010-\u2013-]\d{4})(?![\w-]|\.\d)"),
        check=_is_phone_number,
        digits=True,
    ),
    Rule(  # an area code in parentheses
        "phone",
        ("(00) 0", "(00)0", "(000) 0", "(000)0", "(0000) 0", "(00000) 0"),
        re.compile(r"(?<![\w+.,$-])(?P<value>(?:[78] ?)?\(\d{2,5}\) ?\d{2,5}(?:[ .-]\d{2,5}){1,3})(?![\w-]|\.\d)"),
        check=_is_national,
        digits=True,
    ),
    Rule(  # groups after a zero
        "phone",
        ("000-0000", "00 0000", "00 000 ", "00.00.00.00", "00 00 00 00", "00-00-00-00"),
        re.compile(
            rf"(?<![\w+.,/-])(?P<value>{_NO_DATE}0[1-9]\d{{0,3}}(?:[ -]\d{{2,4}}[ -]\d{{4}}|[ -]\d{{3,4}}[ -]\d{{3,4}}|([ .-])\d\d(?:\2\d\d){{3}}))(?![\w-]|[ .]\d)"
        ),
        check=_is_national,
        digits=True,
    ),
    Rule(  # an area code and one group: 030/901820
        "phone",
        ("000/00", "000 / 00", "000-000000", "00-0000000", "000 000000", "00 00000000"),
        re.compile(r"(?<![\w+.,/:-])(?<!\d )(?P<value>0[1-9]\d{0,4}(?:\s?/\s?\d{2,9}(?:[ -]\d{1,5}){0,4}|[- ]\d{6,8}))(?![\w/-]|[ .,:]\d)"),
        check=_is_national,
        digits=True,
    ),
    rule_after_label(
        "phone",
        spellings(PHONE_WORDS),
        rf"{_LABEL_ENDING}(?:{SIGN}|['\"]?\s?value=|\s){{1,2}}[\"'(]{{0,2}}(?P<value>{_NO_DATE}\+?\d{{1,5}}\)?(?:[ ./()-]{{1,3}}\d{{2,5}}){{2,5}})(?![\w-]|\.\d)",
        _is_labeled,
    ),
    rule_after_label(  # without separators
        "phone",
        spellings(PHONE_WORDS),
        rf"{_LABEL_ENDING}(?:{SIGN}|['\"]?\s?value=){{1,2}}[\"'(]{{0,2}}(?P<value>{_NO_DATE}\+?\d{{1,5}}(?:[ .-]?\d{{1,10}}){{1,3}})(?![\w-]|\.\d)",
        _is_labeled,
    ),
    rule_after_label(  # call 5145550123
        "phone", spellings(PHONE_WORDS), rf"{_LABEL_ENDING}\s(?P<value>(?:1?[2-9]|0\d?)\d{{9}})(?![\w-]|[.,]\d)", _is_phone_number
    ),
    Rule(  # links that call or write
        "phone",
        ("tel:", "sms:", "callto:", "wa.me/", "phone=", "t.me/+"),
        re.compile(r"(?:\b(?:tel|sms|smsto|callto|facetime):|\bwa\.me/|[?&]phone=|\bt\.me/)\+?(?P<value>\d[\d.-]{6,18}\d)(?!\w)", re.IGNORECASE),
        check=_is_labeled,
    ),
)  # fmt: skip
