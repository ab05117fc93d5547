"""Values next to a word that names them, in any of the main languages: passwords, keys, codes and personal numbers."""

import re
from collections.abc import Iterator

from agentmerge_hub.dataset.redaction.rules.rule import Rule, rule_after_label
from agentmerge_hub.dataset.redaction.rules.value_checks import (
    is_password,
    is_password_by_label,
    looks_random,
    mixes_letters_and_digits,
)
from agentmerge_hub.dataset.redaction.rules.words import (
    BIRTH_WORDS,
    CODE_WORDS,
    NUMBER_ABBREVIATIONS,
    NUMBER_WORDS,
    PASSWORD_WORDS,
    SECRET_WORDS,
    spellings,
)

_ENDING = r"[\w-]{0,12}"
"""What may follow a label's word in the same word: an inflection, a number."""
_NUMBER_ENDING = (
    r"(?:[ .-]{0,2}(?:no|nr|num|number|nummer|numéro|numero|número|n[°ºo.]|id|#|№|号码|号|番号))?\.{0,2}[\w-]{0,6}"
)
_NOTE = r"(?:\s?[(（][^()（）\n]{0,40}[)）]|\s[^\W\d_]{1,20}){1,3}"
"""What may be between label and sign: ``(temporary)``, ``for the portal``."""
_VERB = r"(?:is|was|are|set to|changed to|reset to|est le|est la|es el|ist der|ist die|ist|war|lautet|est|était|es|era|será|é|è|jest|är|είναι|это|on|fr[åa]n|olarak|adalah|là)"
SIGN = rf"(?:[\"'`*]{{0,2}}\]?\s{{0,3}}(?:=>|:=|[:=→|]|\s[-–—]+>?)\s{{0,3}}|\s{_VERB}(?:\s?[:=])?\s|\s?(?:[是为為はが는은이가]|คือ|हैं|है)\s?[:=]?\s?)"
"""What connects a label and its value."""
TAG = r"</?[A-Za-z][\w:-]{0,20}[^<>\n]{0,100}>\s{0,2}"
_TAGS = rf"(?:(?:\s[^<>\n]{{0,100}})?>|[\"'`*]?\s?:?\s?(?=<))\s{{0,2}}(?:{TAG}){{0,4}}"
"""Tags between label and value: ``<password>x</password>``, ``<td>Password</td><td>x</td>``."""
_OPENING = r"[\"'`*«„“「『(<]{0,2}"
_WORD_VALUE = r"(?P<value>[^\s\"'`,;<>{}()\[\]«»“”「」『』\u3000-\u30ff\u3400-\u9fff\uac00-\ud7ff]{4,200})"
_KEY_VALUE = r"(?P<value>[A-Za-z0-9_.~+/-]{16,600}={0,2})"
_NUMBER_VALUE = r"(?P<value>(?:[A-Z]{1,3}[ -]?)?(?:(?=[A-Z]{0,3}\d)[A-Z0-9]{1,4}[ ./-]{1,2}){0,9}(?=[A-Z]{0,6}\d)[A-Z0-9]{2,24}(?:[ /-]?[A-Z](?!\w))?)(?![\w-])"

_DATE_VALUE = (
    r"(?P<value>(?:19|20)\d\d(?:[-./]\s?\d{1,2}){2}|\d{1,2}(?P<sign>[-./ ])\d{1,2}(?P=sign)(?:19|20)?\d\d|(?:19|20)\d\d[年년]\s?\d{1,2}[月월]\s?\d{1,2}[日일]"
    r"|\d{1,2}(?:st|nd|rd|th|\.)?(?: de| of)?[ -][^\W\d_]{3,12}\.?,?(?: de)?[ -](?:19|20)\d\d|[^\W\d_]{3,12}\.? \d{1,2}(?:st|nd|rd|th)?,? (?:19|20)\d\d)(?![\w-])"
)

_PASSWORDS = spellings(PASSWORD_WORDS)
_SECRETS = spellings(SECRET_WORDS)


def _is_code(value: str) -> bool:
    return sum(character.isdigit() for character in value) >= 3 and not re.fullmatch(r"(?:19|20)\d\d", value)


def _is_personal_number(value: str) -> bool:
    n_digits = sum(character.isdigit() for character in value)
    return n_digits >= 5 and not re.match(r"(?:19|20)\d\d-\d\d-\d\d|\d\d?[./]\d\d?[./](?:19|20)\d\d$", value)


LABELED_RULES = (
    rule_after_label(
        "credentials",
        _PASSWORDS,
        rf"{_ENDING}{SIGN}{_OPENING}{_WORD_VALUE}",
        is_password_by_label,
    ),
    rule_after_label(
        "credentials",
        _PASSWORDS,
        rf"{_ENDING}{_NOTE}{SIGN}{_OPENING}{_WORD_VALUE}",
        mixes_letters_and_digits,
    ),
    rule_after_label(  # quoted, with spaces perhaps
        "credentials",
        _PASSWORDS,
        rf"{_ENDING}{SIGN}(?P<quote>[\"'])(?P<value>[^\"'\n]{{3,200}})(?P=quote)",
        is_password,
    ),
    rule_after_label(  # a text box of BrowserGym's AXTree: textbox 'Passwort' value='…'
        "credentials",
        (*_PASSWORDS, *_SECRETS),
        r"[^'\"\n]{0,60}['\"][^\n]{0,120}?\bvalue=(?P<quote>['\"])(?P<value>[^'\"\n]{6,200})(?P=quote)",
        is_password,
    ),
    rule_after_label(
        "credentials",
        (*_PASSWORDS, "passwd", "pwd"),
        rf"{_ENDING}{_TAGS}{_WORD_VALUE}(?=\s?</|$)",
        is_password_by_label,
    ),
    rule_after_label(  # configuration files and commands without a sign: password x
        "credentials",
        (*_PASSWORDS, "passwd", "identified by", "requirepass"),
        rf"(?: \d| to)?\s{{1,4}}['\"]?{_WORD_VALUE}",
        mixes_letters_and_digits,
    ),
    rule_after_label(
        "credentials",
        tuple(f"{first} {second}" for first in ("seed", "recovery", "backup", "secret", "mnemonic") for second in ("phrase", "words")),
        r"[^\n]{0,30}?[:=]\s?[\"']?(?P<value>[a-z]{3,8}(?:[ ,]{1,2}[a-z]{3,8}){11,23})(?![a-z])",
    ),
    rule_after_label(
        "credentials",
        spellings(CODE_WORDS),
        rf"(?![A-Za-zÀ-ɏ])(?:{_NOTE})?{SIGN}{_OPENING}"
        r"(?P<value>\d{3,9}|\d{3,4}[ -]\d{3,4}|[A-Z]-\d{4,8}|(?-i:[A-Z0-9]{6,10}))(?![\w-]|[.,]\d)",
        _is_code,
    ),
    Rule(  # 123456 is your code
        "credentials",
        ("is your", "ist ihr", "ist dein", "est votre", "es tu", "es su", "— ваш", "- ваш", "是您的", "是你的"),
        re.compile(
            r"(?<![\w.,-])(?P<value>(?:[A-Z]-)?\d{4,8})\s(?:is your|ist (?:Ihr|dein)|est votre|es (?:tu|su)|[—-] ваш|是[您你]的)"
            r"[^\n.]{0,40}?(?:code|pin|otp|kennwort|código|код|码)",
            re.IGNORECASE,
        ),
    ),
    rule_after_label(
        "token",
        _SECRETS,
        rf"{_ENDING}(?:{_NOTE})?{SIGN}{_OPENING}{_KEY_VALUE}",
        looks_random,
    ),
    Rule(  # a user name and a key in one object
        "token",
        ("\"key\"", "'key'"),
        re.compile(r"[\"']user(?:_?name)?[\"']\s?:\s?[^{}\n]{0,100}?[\"']key[\"']\s?:\s?[\"'](?P<value>[\w-]{16,200})[\"']", re.IGNORECASE),
        check=looks_random,
    ),
    rule_after_label(
        "number",
        spellings(NUMBER_WORDS),
        rf"(?![A-Za-zÀ-ɏ]){_NUMBER_ENDING}(?:{_NOTE})?(?:{SIGN}|\s){_OPENING}{_NUMBER_VALUE}",
        _is_personal_number,
    ),
    rule_after_label(
        "number",
        NUMBER_ABBREVIATIONS,
        rf"(?![A-Za-zÀ-ɏ]){_NUMBER_ENDING}{SIGN}{_OPENING}{_NUMBER_VALUE}",
        _is_personal_number,
    ),
    rule_after_label(  # Date of birth: 1987-03-04; textbox 'Date of birth' value='1987-03-04'; <td>Date of birth</td><td>1987-03-04</td>
        "number",
        spellings(BIRTH_WORDS),
        rf"(?![A-Za-zÀ-ɏ])(?:\s?\([^()\n]{{0,40}}\))?(?:{SIGN}|\s|['\"][^\n<>]{{0,80}}?\bvalue=|{_TAGS}){_OPENING}{_DATE_VALUE}",
    ),
)  # fmt: skip

_ABOVE = (*PASSWORD_WORDS, "api key", "access key", "secret key", "access token", "client secret")
_VALUE_BELOW = re.compile(
    rf"^[ \t]{{0,60}}(?:\[\w+\] )?[A-Za-z]{{2,20}} ['\"](?:[^\W\d_]{{1,20}} ){{0,3}}(?:{'|'.join(map(re.escape, spellings(_ABOVE)))})\s?[:：]?['\"][^\n'\"]{{0,80}}\n"
    r"[ \t]{0,60}(?:\[\w+\] )?(?:StaticText|LabelText|gridcell|cell|code|definition|emphasis|strong|paragraph|generic) ['\"](?P<value>[^\s'\"]{6,200})['\"]",
    re.IGNORECASE | re.MULTILINE,
)


def values_below_labels(text: str) -> Iterator[str]:
    """Passwords and keys of BrowserGym's AXTree whose label is an element of its own on the line above."""
    lowered = text.lower()
    if any(word in lowered for word in _ABOVE):
        for match in _VALUE_BELOW.finditer(text):
            if mixes_letters_and_digits(match["value"]):
                yield match["value"]
