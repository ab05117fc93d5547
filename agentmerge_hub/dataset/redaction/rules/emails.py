"""E-mail addresses: as they are, with tags or quotes inside, and spelled in words against programs that collect addresses."""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule

_FILE_ENDINGS = r"(?!(?:png|jpe?g|gif|svg|webp|css|js|ico|woff2?|json|html?)\b)"
_DOMAIN = rf"[^\W_][\w-]{{0,62}}(?:\.[^\W_][\w-]{{0,62}}){{0,5}}\.{_FILE_ENDINGS}[^\W\d_]{{2,24}}"
_TAG = r"<[^<>\n]{0,80}>"

_PERSON = r"[^\W\d_]{1,20}[._](?!(?:js|css|io|py|ts|min|core|next)@)[^\W\d_]{2,20}\d{0,4}"
_NO_HOST = r"(?:latest|next|beta|alpha|canary|stable|rc|dev|master|main|head|media|here|channel|everyone|all|localhost|example|legacy|experimental|types|v\d)"
"""What follows an ``@`` that is no host: versions of packages and groups of a chat."""
_INTRANET = (
    r"(?:intranet|intra|extranet|corp|internal|lan|office|company|firma|mailserver|mailhost|exchange|localdomain)"
)

_AT_WORDS = (
    "at",
    "@",
    "arobase",
    "arroba",
    "chiocciola",
    "klammeraffe",
    "apenstaartje",
    "snabel-a",
    "małpa",
    "kukac",
    "zavináč",
    "ät",
    "собака",
)
_DOT_WORDS = ("dot", "point", "punkt", "punto", "ponto", "punt", "kropka", "tečka", "точка", "点")
_AT = "|".join(_AT_WORDS)
_DOT = rf"(?:\s?[\[({{<*_]\s?(?:{'|'.join(_DOT_WORDS)}|\.)\s?[\])}}>*_]\s?|\s(?:{'|'.join(_DOT_WORDS)}|\.)\s|\.)"

_TLD = (
    r"(?:com|org|net|edu|gov|io|ai|co|dev|test|de|fr|uk|ca|ch|es|it|nl|eu|us|info|me|app|cloud|jp|cn|in|br|au|se|no|dk|at|be|pl|cz|fi|pt|ru|kr|mx|ar"
    r"|ie|gr|hu|ro|tr|za|nz|sg|hk|tw|biz|xyz|tech|online|email|museum|ac)"
)
"""For addresses in words, where any other word could follow."""


def _is_address_in_words(value: str) -> bool:
    """Whether words around a plain ``at`` are an address: ``meet us at corp.com`` is none."""
    local, at, domain = value.partition(" at ")
    if not at:
        return True
    is_account = re.search(r"[^\W\d_]{3}", local) and re.search(r"[\d._+]|\sdot\s", local)
    return bool(is_account or re.search(rf"[\[(]|\s(?:{'|'.join(_DOT_WORDS)})\s", domain))


_KEY = r"(?:mailto|to|from|cc|bcc|e?-?mail|user|username|login|account|id|href|url|q|address)"

EMAIL_RULES = (
    Rule("email", ("@",), re.compile(rf"(?<![^\W_])(?<![^\W_][_.+-])(?!redacted-|git@)(?P<value>[^\W_](?:[\w.+'-]{{0,80}}\w)?@{_DOMAIN})")),
    Rule(  # the recipient in the sender of a mailing list: bounce+jane=corp.com@list.org
        "email",
        ("@",),
        re.compile(
            rf"(?<![\w.+%=-])(?P<value>(?!{_KEY}=)[^\W_][\w.+%=-]{{0,80}}?[=%][^\W_](?:[\w-]{{0,40}}\.){{1,4}}{_TLD}(?:=[\w.+-]{{1,60}})?@{_DOMAIN})", re.IGNORECASE
        ),
    ),
    Rule("email", ("\"@", "'@"), re.compile(rf"(?<!\w)(?P<quote>[\"'])(?P<value>[^\W_][^\"'\n@]{{0,60}}(?P=quote)@{_DOMAIN})")),
    Rule(  # without a domain's ending: j.doe@intranet
        "email",
        ("@",),
        re.compile(
            rf"(?<![\w.+%/-])(?P<value>(?:{_PERSON}@(?!{_NO_HOST}\b)|[^\W_][\w.+-]{{1,60}}@(?={_INTRANET}\b)|(?<=mailto:)[^\W_][\w.+-]{{1,60}}@(?!{_NO_HOST}\b))"
            r"(?:[A-Za-z][\w-]{2,40}|\[?\d{1,3}(?:\.\d{1,3}){3}\]?))(?![\w@/:(-]|\.\w)",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "email",
        (">@", "@<"),
        re.compile(rf"(?<![\w.+-])(?P<value>[^\W_](?:[\w.+-]{{0,60}}\w)?(?:{_TAG}){{0,2}}@(?:{_TAG}){{0,2}}{_DOMAIN})"),
    ),
    Rule(
        "email",
        (
            *(f"{word}{sign}" for word in _AT_WORDS for sign in "])}"), "<at>", "_at_", "*at*", *(f" {word} " for word in _AT_WORDS), *(f" -{word}- " for word in _AT_WORDS),
            "[.]", "(.)", "[dot]", "(dot)",
        ),
        re.compile(
            rf"(?P<value>[^\W_](?<![\w.+-].)(?:[\w.+-]{{0,60}}\w)?(?=[\s\[({{<*_@])(?:{_DOT}[^\W_][\w+-]{{0,30}}){{0,3}}"
            rf"(?:\s?[\[({{<*_]\s?(?:{_AT})\s?[\])}}>*_]\s?|\s-?(?:{_AT})-?\s|@)[^\W_][\w-]{{0,60}}(?:{_DOT}[^\W_][\w-]{{0,60}}){{0,4}}{_DOT}{_TLD})(?![\w-])",
            re.IGNORECASE,
        ),
        check=_is_address_in_words,
    ),
)  # fmt: skip
