"""Hosts that are not public: ServiceNow instances, cloud machines, internal domains and private addresses, and public addresses that a
text says are a machine's or a person's."""

import ipaddress
import re

from agentmerge_hub.dataset.redaction.rules.labeled import SIGN
from agentmerge_hub.dataset.redaction.rules.rule import Rule, rule_after_label

_START = r"(?<![\w.@-])"

_INTERNAL = (
    "corp", "internal", "intranet", "intra", "lan", "localdomain", "cluster.local", "svc.local", "home.arpa", "ts.net",
    "ngrok.io", "ngrok.app", "ngrok.dev", "ngrok-free.app", "ngrok-free.dev", "trycloudflare.com", "loca.lt",
)  # fmt: skip
"""Endings of names that only one network, company or tunnel resolves."""

_INTERNAL_IN_URL = (*_INTERNAL, "local", "private", "home", "localhost", "invalid", "onion", "test", "lab")
"""Endings that are file names or plain words outside of a URL."""

_OF_TENANTS = (
    "sharepoint.com", "onmicrosoft.com", "okta.com", "oktapreview.com", "atlassian.net", "my.salesforce.com", "lightning.force.com",
    "zendesk.com", "freshservice.com", "myworkday.com", "workday.com", "b2clogin.com", "auth0.com",
)  # fmt: skip
"""Services whose hosts start with the name of the company that uses them."""

_IN_URL = r"://(?<!file://)(?<!chrome://)(?<!resource://)(?<!extension://)"
_USER_INFO = r"(?:[^\s/@'\"<>]{0,200}@)?"


def _is_private_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value.strip("[]").split("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast) and (
        address.is_private or address in _SHARED or address.is_link_local
    )


_SHARED = ipaddress.ip_network("100.64.0.0/10")


def _is_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value.strip("[]").split("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _is_public_address(value: str) -> bool:
    """Whether a value is an address of the internet: none for documentation, none of a private network."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


_ADDRESS_WORD = r"(?:[ _-]{0,2}(?:address(?:es)?|addr|adresse?n?|adres|adresi|адрес|アドレス|地址|주소))?"
_ADDRESS = r"[\"'`(\[]{0,2}(?P<value>\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:-]|\.\w)"


def _alternatives(endings: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, sorted(endings, key=len, reverse=True)))


HOST_RULES = (
    Rule(
        "host",
        (".service-now.", ".servicenowservices.", ".service-now-"),
        re.compile(
            _START + r"(?!(?:www|docs|support|developer|hi|store|community|signon|learning|nowlearning)\.(?!\w+\.service))"
            r"(?P<value>[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){0,4}"
            r"\.(?:service-now(?:-\w{2,12})?|servicenowservices)\.(?:com|mil|gov|us|cn))(?![\w-])",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "host",
        (".amazonaws.com", ".cloudapp.", ".compute.", ".azurewebsites.net", ".run.app", ".appspot.com", ".c.", ".ec2."),
        re.compile(
            _START + r"(?P<value>(?:ec2-[\d-]{7,15}(?:\.[a-z0-9-]{1,63})?\.compute(?:-1)?\.amazonaws\.com(?:\.cn)?"
            r"|[a-z0-9][a-z0-9.-]{2,100}\.(?:elb|rds|cloudapp)(?:\.[a-z0-9-]{1,30})?\.(?:amazonaws|azure)\.com"
            r"|[a-z0-9][a-z0-9-]{2,62}\.azurewebsites\.net|[a-z0-9][a-z0-9-]{2,62}(?:\.[a-z]{1,3}\.r)?\.(?:run\.app|appspot\.com)"
            r"|[a-z0-9][a-z0-9.-]{2,100}\.(?:c\.[a-z0-9-]{4,40}|ec2)\.internal))(?![\w-])",
            re.IGNORECASE,
        ),
    ),
    Rule(  # a company's part of a service
        "host",
        tuple(f".{ending}" for ending in _OF_TENANTS),
        re.compile(
            _START + r"(?!(?:www|docs|support|developer|developers|community|status|help|api|login|id|auth|admin|blog|static|cdn)\.)"
            rf"(?P<value>[a-z0-9][a-z0-9-]{{1,62}}(?:\.[a-z0-9-]{{1,63}}){{0,2}}\.(?:{_alternatives(_OF_TENANTS)}))(?![\w-]|\.\w)",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "host",
        tuple(f".{ending}" for ending in _INTERNAL),
        re.compile(
            _START + rf"(?P<value>[a-z0-9][a-z0-9_-]{{0,62}}(?:\.[a-z0-9_-]{{1,63}}){{0,6}}\.(?:{_alternatives(_INTERNAL)}))"
            r"(?![\w-]|\.\w|\()",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "host",
        ("://",),
        re.compile(
            _IN_URL + _USER_INFO + r"(?P<value>[a-z0-9][a-z0-9_-]{0,62}(?:\.[a-z0-9_-]{1,63}){0,6}"
            rf"\.(?:{_alternatives(_INTERNAL_IN_URL)}))(?![\w-]|\.\w)",
            re.IGNORECASE,
        ),
    ),
    Rule(  # a name without a domain: a machine of this network
        "host",
        ("://",),
        re.compile(
            _IN_URL + _USER_INFO + r"(?!(?:localhost|miniwob|host|hostname|server|example|domain)(?![\w-]))"
            r"(?P<value>[a-z][a-z0-9_-]{2,62})(?=[:/?#'\"\s]|$)",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "host",
        ("://0", "@0", "\\\\0"),
        re.compile(r"(?:://[^\s/@]{0,200}@|://|@|\\\\)(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?![\w.]\d|\d)"),
        check=_is_address,
        digits=True,
    ),
    Rule(
        "host",
        ("10.", "172.", "192.168.", "169.254.", "100."),
        re.compile(
            r"(?<![\w.-])(?<!v)(?<!ersion )(?<!elease )(?<!hapter )(?<!ection )(?<!uild )(?<!irmware )(?P<value>(?:10|172|192|169|100)(?:\.\d{1,3}){3})(?![\w-]|\.\d)"
        ),
        check=_is_private_address,
    ),
    Rule(
        "host",
        ("fe80:", "fd", "fc"),
        re.compile(r"(?<![\w:.-])(?P<value>(?:fe80|f[cd][0-9a-f]{2})(?::[0-9a-f]{0,4}){2,8})(?![\w:])", re.IGNORECASE),
        check=_is_private_address,
    ),
    rule_after_label(  # IP address: …, client IP …
        "host",
        ("ip", "ipv4", "ipv6", "ipaddress", "ipaddr", "remoteip", "clientip", "sourceip", "hostip", "serverip", "userip", "ipアドレス", "ip地址", "ip주소"),
        rf"{_ADDRESS_WORD}(?:{SIGN}|['\"]?\s?value=|\s){_ADDRESS}",
        _is_public_address,
    ),
    rule_after_label(
        "host",
        (
            "host", "hostname", "server", "client", "peer", "gateway", "nameserver", "x-forwarded-for", "remote addr", "remote_addr",
            "remote-addr", "remoteaddr", "remote address", "remoteaddress",
        ),
        rf"(?:{SIGN}|['\"]?\s?value=){_ADDRESS}",
        _is_public_address,
    ),
    rule_after_label(
        "host",
        tuple(f"{word} from" for word in ("login", "logins", "logon", "logged in", "signed in", "sign-in", "connection", "connected", "connect")),
        rf"\s(?:ip\s|host\s)?{_ADDRESS}",
        _is_public_address,
    ),
    Rule(  # the server of a Windows share
        "host",
        ("\\\\",),
        re.compile(r"(?<![\w\\])\\\\(?P<value>[A-Za-z][\w.-]{2,62})\\(?=[\w$])"),
        everywhere=False,
    ),
)  # fmt: skip
