"""The patterns of what must not be published, each with the literal texts that have to be there for it to match.

Generic tokens are detect-secrets' own patterns; ours are added for ServiceNow, AgentLab and what pages and paths hold.
A rule's literals make scanning fast: a page is searched for them first, and a pattern runs only around a hit.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property

_START = r"(?:(?<=%[0-9A-Fa-f]{2})|(?<![\w%.-])(?<!%[0-9A-Fa-f]))"
"""The beginning of a name, also right behind a percent-encoded character."""


@dataclass(frozen=True)
class Rule:
    """One kind of secret. The pattern's group ``value`` (else the whole match) is what is replaced."""

    kind: str
    literals: tuple[str, ...]
    """One of them stands within a match, in this letter case, or in lower case where the pattern ignores case. Empty: the
    pattern is run over the whole text."""
    pattern: re.Pattern[str]
    everywhere: bool = True
    """Whether the value is replaced wherever it stands in the episode, or only in this context."""
    before: int = 150
    """How far before a literal a match can begin, in characters."""
    reach: int = 600
    """How far behind a literal a match can end, in characters."""

    @cached_property
    def any_case(self) -> bool:
        return bool(self.pattern.flags & re.IGNORECASE)

    @cached_property
    def group(self) -> str | int:
        return "value" if "value" in self.pattern.groupindex else 0


KINDS = {
    "email": "e-mail addresses",
    "host": "hosts of instances",
    "credentials": "user names and passwords in URLs",
    "session": "cookies and session keys",
    "token": "API tokens and private keys",
    "account": "names of task accounts",
    "home": "user names in paths",
}
"""Kind → what it is, for the card."""

_SESSION_NAMES = (
    "sysparm_ck", "g_ck", "x-usertoken", "jsessionid", "phpsessid", "glide_user", "glide_session_store", "bigipserver",
    "form_key", "csrf_token", "csrftoken", "csrf-token", "xsrf-token", "authenticity_token", "session_id", "sessionid",
    "session_key", "access_token", "refresh_token", "id_token", "auth_token", "private_token", "api_key", "apikey",
    "api-key", "api_token", "client_secret", "secret_key",
)  # fmt: skip

_VALUE = r"(?P<value>[A-Za-z0-9_.~+/-]{16,}={0,2})"
_IS = r"(?:=|:|%3D|%3A)"

_SLASH = r"(?:/|%2F)"
_PATH_BEGINS = (
    r"(?:(?<![\w.%)\]}~-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[abfnrtv])|(?<=-[A-Z])|(?<=\.\.)|(?<=~)"
    r"|(?:file|s?ftp|scp|ssh|rsync|smb|nfs|vscode[\w-]*)(?:://|%3A%2F%2F)[\w.@:+-]*)"
)
"""Where the path of a file can begin: not behind the host or an earlier part of a web address, such as ``/now/home/tab``."""
_MOUNT = (
    rf"(?:{_SLASH}(?:[A-Za-z]|mnt|media|data\d*|export|var|nfs\w*|net|efs|fsx|gpfs|lustre|scratch|storage|srv|vol\w*|usr|private"
    rf"|Volumes|host|run|opt|autofs|afs|cluster|remote|rootfs)(?:{_SLASH}[\w.@$+ -]{{1,40}}){{0,2}}?)?"
)
"""Where home folders are mounted, e.g. ``/mnt/nfs``."""

OURS = (
    Rule(
        "email",
        ("@", "%40"),
        re.compile(
            r"(?P<value>[A-Za-z0-9](?:[\w.+-]*\w)?(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
            r"\.(?!png\b|jpe?g\b|gif\b|svg\b|webp\b|css\b|js\b)[A-Za-z]{2,})"
        ),
    ),
    Rule(
        "host",
        (".service-now.com", ".servicenowservices.com"),
        re.compile(
            _START + r"(?!(?:www|docs|support|developer|hi|store|community|signon)\.)"
            r"(?P<value>[a-z0-9][a-z0-9-]*\.(?:service-now|servicenowservices)\.com)",
            re.IGNORECASE,
        ),
        before=66,
        reach=1,
    ),
    Rule(
        "host",
        (".compute.amazonaws.com", ".compute-1.amazonaws.com"),
        re.compile(_START + r"(?P<value>ec2-[\d-]+(?:\.[a-z0-9-]+)?\.compute(?:-1)?\.amazonaws\.com)", re.IGNORECASE),
    ),
    Rule("host", (), re.compile(r"://(?!127\.|0\.0\.0\.0)(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?!\w)")),
    Rule("host", (), re.compile(r"%2F%2F(?!127\.|0\.0\.0\.0)(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?!\w)")),
    Rule("credentials", ("@",), re.compile(r"://(?P<value>[^/\s:@'\"]+:[^/\s@'\"]+)@")),
    Rule(
        "credentials",
        tuple(name + sign for name in ("user_password", "password", "passwd", "pwd", "user_name") for sign in ("=", "%3d")),
        re.compile(
            r"(?:user_password|password|passwd|pwd|user_name)(?:=|%3D)['\"]?(?P<value>[^&\s'\"%;,)<>]{3,})", re.IGNORECASE
        ),
    ),
    Rule(
        "session",
        ("_ck", "token", "sess", "form_key", "api_key", "apikey", "api-key", "secret", "bigip", "glide_user"),
        re.compile(rf"(?:{'|'.join(_SESSION_NAMES)})['\"]?\s?{_IS}\s?['\"]?{_VALUE}", re.IGNORECASE),
    ),
    Rule(
        "session",
        ("form_key", "csrf", "authenticity_token"),
        re.compile(rf"name=\"(?:form_key|csrf\w*|authenticity_token)\"[^>\n]{{0,100}}value=\"{_VALUE}\"", re.IGNORECASE),
    ),
    Rule("session", ("/key/",), re.compile(r"/key/(?P<value>[0-9a-f]{32,})")),
    Rule("session", ("cookie:",), re.compile(r"cookie:\s*(?P<value>[\w-]+=[^\n'\"]{8,})", re.IGNORECASE), everywhere=False),
    Rule("token", ("bearer ",), re.compile(rf"bearer\s+{_VALUE}", re.IGNORECASE)),
    Rule("token", ("hf_",), re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    Rule("token", ("sk-",), re.compile(r"\bsk-(?:ant-|proj-|or-|svcacct-)?[A-Za-z0-9_-]{24,}")),
    Rule("token", ("AIza",), re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    Rule(
        "account",
        (": available",),
        re.compile(r"(?:button|link|menuitem) (?P<quote>['\"])(?P<value>[^'\"\n]{3,60}): available(?P=quote)"),
    ),
    Rule(
        "account",
        tuple(f".{digit}" for digit in range(10)),
        re.compile(r"\b(?P<value>[A-Z][a-z]{1,20}\.[A-Z][a-z]{1,20}\.\d{4})\b"),
        before=45,
        reach=4,
    ),
    Rule(
        "home",
        ("/home/", "/Users/", "\\Users\\", "%2Fhome%2F", "%2FUsers%2F"),
        re.compile(
            rf"(?:{_PATH_BEGINS}{_MOUNT}{_SLASH}(?:home|Users){_SLASH}|[A-Za-z]:\\+Users\\+)"
            r"(?P<value>(?!shared\b|Shared\b|runner\b)[\w.-]+)"
        ),
        everywhere=False,
    ),
)  # fmt: skip

PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?")
"""A whole key, over several lines; every other rule's match stays within one line."""

_LITERALS = {
    "ArtifactoryDetector": ("AKC", "AP"),
    "AWSKeyDetector": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws"),
    "AzureStorageKeyDetector": ("AccountKey=",),
    "CloudantDetector": ("cloudant",),
    "GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "JwtTokenDetector": ("eyJ",),
    "MailchimpDetector": ("-us",),
    "NpmDetector": (":_authToken",),
    "OpenAIDetector": ("T3BlbkFJ",),
    "PrivateKeyDetector": ("PRIVATE KEY", "SSH2 ENCRYPTED", "PuTTY"),
    "PypiTokenDetector": ("pypi-",),
    "SendGridDetector": ("SG.",),
    "SlackDetector": ("xox", "hooks.slack.com"),
    "SoftlayerDetector": ("softlayer",),
    "SquareOAuthDetector": ("sq0csp-",),
    "StripeDetector": ("k_live_",),
    "TelegramBotTokenDetector": tuple(f"{digit}:" for digit in range(10)),
    "TwilioKeyDetector": ("AC", "SK"),
}
"""detect-secrets' plugins → what is there where they match; a plugin that is not named here runs over the whole text."""

_LEFT_OUT = {
    "BasicAuthDetector": "ours replaces the user's name as well",
    "IPPublicDetector": "version numbers on pages; addresses in URLs are ours",
    "IbmCloudIamDetector": "goes by words such as key alone",
    "IbmCosHmacDetector": "goes by words such as key alone",
}


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule: ours, then detect-secrets'."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    theirs = []
    for plugin in sorted(get_mapping_from_secret_type_to_class().values(), key=lambda plugin: plugin.__name__):
        name = plugin.__name__
        if issubclass(plugin, RegexBasedDetector) and name not in _LEFT_OUT:
            theirs += [Rule("token", _LITERALS.get(name, ()), pattern) for pattern in plugin.denylist]
    return (*OURS, *theirs)
