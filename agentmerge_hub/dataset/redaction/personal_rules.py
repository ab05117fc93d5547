"""Personal data: e-mail addresses, phone, card, bank and social security numbers, and names of accounts."""

import re
from itertools import cycle

from agentmerge_hub.dataset.redaction.rule import Rule

_FILE_ENDINGS = r"(?!(?:png|jpe?g|gif|svg|webp|css|js|ico|woff2?|json|html?)\b)"

_LOCAL_PART = r"(?P<value>[^\W_](?:[\w.+'-]{0,80}\w)?"
_DOMAIN = rf"[^\W_][\w-]{{0,62}}(?:\.[^\W_][\w-]{{0,62}}){{0,5}}\.{_FILE_ENDINGS}[^\W\d_]{{2,24}})"

_TLD = (
    r"(?:com|org|net|edu|gov|io|ai|co|dev|test|de|fr|uk|ca|ch|es|it|nl|eu|us|info|me|app|cloud|jp|cn|in|br|au|se|no|dk)"
)
"""For addresses in words, where any other word could follow."""


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def is_card_number(text: str) -> bool:
    """Whether a text is a card number: known first digits, and the checksum of Luhn (ISO/IEC 7812)."""
    digits = _digits(text)
    if not 13 <= len(digits) <= 19 or not re.match(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|4|5)|62", digits):
        return False
    doubled = (int(digit) * factor for digit, factor in zip(reversed(digits), cycle((1, 2))))
    return len(set(digits)) > 1 and sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is a bank account number with a valid checksum (ISO 13616)."""
    letters = text.replace(" ", "")
    return 15 <= len(letters) <= 34 and int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1


def _is_phone_number(text: str) -> bool:
    return 10 <= len(_digits(text)) <= 15 and len(set(_digits(text))) > 2


_NAME = r"(?-i:(?P<value>[^\W\d_a-z][\w'’.-]{0,30}(?: (?:[^\W\d_a-z]|(?:v[oa]n|de[rnl]?|da|di|du|la|le|el|al|bin|ibn|ter|ten)\b|\()[\w'’.(),-]{0,30}){0,5}))"
_STATUS = r"(?:available|away|busy|offline|online|do not disturb|be right back|invisible|out of office)"
_ROLES = r"(?!(?:system administrator|guest|user|users|admin|administrator|agent|status|presence|chat|support|service)\b['\" :])"

PERSONAL_RULES = (
    Rule("email", ("@",), re.compile(r"(?<![\w.+-])(?!redacted-)" + _LOCAL_PART + "@" + _DOMAIN)),
    Rule(
        "email",
        ("at]", "at)", "at}", "at>", " at ", "@ ", " @", "dot]", "dot)", " dot "),
        re.compile(
            r"(?<![\w.+-])(?P<value>[^\W_](?:[\w.+-]{0,60}\w)?"
            rf"(?:\s?[\[({{<]\s?(?:at|@)\s?[\])}}>]\s?|\s@\s|\sat\s(?=[\w-]{{1,60}}\s?[\[({{<]?\s?dot\b))"
            r"[^\W_][\w-]{0,60}(?:(?:\s?[\[({<]\s?dot\s?[\])}>]\s?|\sdot\s|\.)[^\W_][\w-]{0,60}){0,4}"
            rf"(?:\s?[\[({{<]\s?dot\s?[\])}}>]\s?|\sdot\s|\.){_TLD})(?![\w-])",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "phone",
        ("+0", "+(0"),
        re.compile(r"(?<![\w+.-])(?P<value>\+\(?\d{1,3}\)?(?:[ .\u00a0/-]?\(?\d{1,5}\)?){2,6})(?![\w%]|[.-]\d)"),
        check=_is_phone_number,
        digits=True,
    ),
    Rule(
        "phone",
        ("000-0000", "000.0000", "000 0000", "000\u20110000"),
        re.compile(r"(?<![\w+.,$-])(?P<value>(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .\u2011-])\d{3}[ .\u2011-]\d{4})(?![\w-]|\.\d)"),
        check=_is_phone_number,
        digits=True,
    ),
    Rule(
        "phone",
        ("tel:", "tel.", "phone", "mobile", "fax", "cell:", "cell ", "call "),
        re.compile(
            r"\b(?:tel|phone|mobile|fax|cell|call)(?:[ _-]?(?:no|number|nr))?\W{1,4}(?:value=')?"
            r"(?!\d{4}-\d\d-\d\d)(?P<value>\(?0?\d{1,5}\)?(?:[ ./-]\d{2,5}){2,5})(?![\w-]|\.\d)",
            re.IGNORECASE,
        ),
        check=_is_phone_number,
    ),
    Rule(
        "number",
        ("0000 0000", "0000-0000", "0000 000000", "0000-000000", "0" * 13),
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
        ("00 0000", "0000 0000", "0" * 10),
        re.compile(r"(?P<value>[A-Z](?<![\w-].)[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)(?![\w-])"),
        check=is_iban,
        digits=True,
    ),
    Rule(  # ServiceNow's menu of the account: button 'Jane Roe: available'
        "account",
        tuple(f": {word}" for word in ("available", "away", "busy", "off", "on", "do not", "be right", "invis", "out of")),
        re.compile(rf"(?<!\w)(?P<quote>['\"]){_ROLES}{_NAME}: {_STATUS}(?P=quote)", re.IGNORECASE),
    ),
    Rule(  # image 'Jane Roe is Available'
        "account",
        (" is a", " is b", " is o", " is do", " is i"),
        re.compile(rf"(?:image|img|avatar|button|link|figure|menuitem)\W{{1,3}}{_ROLES}{_NAME} is {_STATUS}(?=['\".,]|$)", re.IGNORECASE),
    ),
    Rule(
        "account",
        ("logged in as", "signed in as", "impersonating", "profile", "user menu", "account menu", "avatar"),
        re.compile(
            r"(?:logged in as|signed in as|impersonating(?: user)?|user menu for|account menu for|(?:profile|avatar|profile (?:picture|photo|image)) (?:of|for))"
            r"[: ]{1,3}['\"]?(?-i:(?P<value>[A-Z][\w'’-]{1,30}(?: [A-Z][\w'’-]{1,30}){1,3}))",
            re.IGNORECASE,
        ),
    ),
    Rule(  # accounts that WorkArena makes: Jane.Roe.1234
        "account",
        tuple(f".{digit}" for digit in range(10)),
        re.compile(r"\b(?P<value>[A-Z][a-z]{1,20}\.[A-Z][a-z]{1,20}\.\d{4})\b"),
    ),
)  # fmt: skip
