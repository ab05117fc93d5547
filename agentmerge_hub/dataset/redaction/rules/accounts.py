"""Names of accounts: in the menu of ServiceNow, in notes on who is logged in, and those that WorkArena makes."""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule

_NAME = r"(?-i:(?P<value>[^\W\d_a-z][\w'’.-]{0,30}(?: (?:[^\W\d_a-z]|(?:v[oa]n|de[rnl]?|da|di|du|la|le|el|al|bin|ibn|ter|ten)\b|\()[\w'’.(),-]{0,30}){0,5}))"
_STATUS = r"(?:available|away|busy|offline|online|do not disturb|be right back|invisible|out of office)"
_ROLES = r"(?!(?:system administrator|guest|user|users|admin|administrator|agent|status|presence|chat|support|service)\b['\" :])"

ACCOUNT_RULES = (
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
