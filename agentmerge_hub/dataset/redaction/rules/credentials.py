"""Passwords, cookies and session keys in URLs, headers, forms, JSON, text boxes and scripts."""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule
from agentmerge_hub.dataset.redaction.rules.value_checks import (
    entropy,
    is_password,
    is_password_in_prose,
    looks_random,
    mixes_letters_and_digits,
)

_PASSWORD_KEY = (
    r"(?:[\w.-]{0,40}(?:passw(?:or)?d|passphrase|passcode)[\w-]{0,20}"
    r"|(?:[\w.-]{0,40}[_.-])?(?:pwd|pass|pw)|[\w.-]{0,40}(?:_pwd|Pwd|_pass))"
)
_PASSWORD_LITERALS = ("passw", "passphrase", "passcode", "pwd", "pass", "pw")

_SECRET_KEY = (
    r"[\w.-]{0,40}(?:secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|account[_-]?key|auth[_-]?key|signing[_-]?key"
    r"|encryption[_-]?key|session[_-]?(?:id|key)?|sessid|connect\.sid|credential|csrf\w{0,12}|xsrf\w{0,12}|form_key|sysparm_ck|g_ck|_ck"
    r"|bigip\w{0,20}|glide_user\w{0,20}|jwt|bearer|authorization|client[_-]?id|sas|signature|sig)s?[\w.-]{0,30}"
)
_SECRET_LITERALS = (
    "secret", "token", "api_key", "api-key", "apikey", "access_key", "access-key", "accesskey", "private_key", "private-key",
    "account_key", "account-key", "accountkey", "auth_key", "auth-key", "authkey", "signing", "encryption", "sess", "connect.sid", "credential",
    "csrf", "xsrf", "form_key", "_ck", "bigip", "glide_user", "jwt", "bearer", "authorization", "client_id", "client-id",
    "clientid", "sas", "signature", "sig=",
)  # fmt: skip

DETECTOR_LITERALS = (*_SECRET_LITERALS, "passw", "pwd", "passphrase", "passcode")
"""Lines with one of these are for the scanner, also without a long word."""

_IS = r"[\"']?\]?\s{0,3}(?:=>|:=|[:=])\s{0,3}"
_KEY_FOLLOWS = rf"(?<!\w)(?=[\w.-]++(?:{_IS}|\s(?:is|was)\s))"
"""Start of a word that is followed by a sign of assignment: a cheap condition before the many spellings of a key are tried."""
_TOKEN_VALUE = r"(?P<value>(?:s:)?[A-Za-z0-9_.~+/!@-]{16,600}={0,2})"

_LINKS = (
    "reset",
    "password",
    "invite",
    "invitation",
    "verify",
    "confirm",
    "activate",
    "activation",
    "magic",
    "unsubscribe",
    "accept",
)


def _is_key_of_link(value: str) -> bool:
    """No id of a record: those of ServiceNow and UUIDs have 32 hex digits."""
    return looks_random(value) and not re.fullmatch(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", value)


_FORM_TOKEN = r"(?:form_key|[\w-]{0,20}[cx]srf[\w-]{0,20}|authenticity_token)"
_COOKIE_NAME = r"[\w.-]{0,40}(?:sess|sid|token|auth|csrf|jwt|glide|key|login|user)[\w.-]{0,40}"

CREDENTIAL_RULES = (
    Rule("credentials", ("://",), re.compile(r"://(?P<value>[^/\s:@'\"<>]{0,200}:[^/\s'\"<>]{1,200})@(?=[\w\[])"), everywhere=False),
    Rule("credentials", ("://",), re.compile(r"://[^/\s:@'\"<>]{1,200}:(?P<value>[^/\s'\"<>]{1,200})@(?=[\w\[])")),
    Rule(
        "credentials",
        ("://",),
        re.compile(r"://(?P<value>(?!(?:git|hg|svn|anonymous|user|username|admin|root)@)[^/\s:@'\"<>]{2,400})@(?=[\w\[])"),
    ),
    Rule(
        "credentials",
        ("user_name", "username", "user-name", "login=", "userid", "user_id", "email="),
        re.compile(
            r"(?:[?&;]|\b)(?:sysparm_)?(?:user_?name|user-name|login|userid)=['\"]?(?P<value>[^&\s'\"%;,)<>]{3,100})", re.IGNORECASE
        ),
        check=is_password,
    ),
    Rule(  # a URL's query or a form: anything up to the next parameter
        "credentials",
        _PASSWORD_LITERALS,
        re.compile(rf"{_KEY_FOLLOWS}{_PASSWORD_KEY}=(?P<value>[^&\s'\";,)<>]{{3,200}})", re.IGNORECASE),
        check=is_password,
    ),
    Rule(  # quoted: JSON, YAML, Python, JavaScript
        "credentials",
        _PASSWORD_LITERALS,
        re.compile(
            rf"{_KEY_FOLLOWS}{_PASSWORD_KEY}{_IS}(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote))[^\n]){{3,200}})(?P=quote)", re.IGNORECASE
        ),
        check=is_password,
    ),
    Rule(  # unquoted
        "credentials",
        _PASSWORD_LITERALS,
        re.compile(rf"{_KEY_FOLLOWS}{_PASSWORD_KEY}(?:{_IS}| is | was )(?P<value>[^\s'\",;<>{{}}()\[\]]{{4,200}})", re.IGNORECASE),
        check=is_password_in_prose,
    ),
    Rule(  # HTML: <input type="password" value="…">
        "credentials",
        ("password",),
        re.compile(
            r"<input\b[^>\n]{0,400}?(?:type|name|id|autocomplete)=[\"']?[\w-]{0,20}password[^>\n]{0,400}?\bvalue=(?P<quote>[\"'])"
            r"(?P<value>[^\"'\n]{4,200})(?P=quote)",
            re.IGNORECASE,
        ),
        check=is_password,
    ),
    Rule(
        "credentials",
        ("password",),
        re.compile(
            r"<input\b[^>\n]{0,400}?\bvalue=(?P<quote>[\"'])(?P<value>[^\"'\n]{4,200})(?P=quote)[^>\n]{0,400}?"
            r"(?:type|name|id)=[\"']?[\w-]{0,20}password",
            re.IGNORECASE,
        ),
        check=is_password,
    ),
    Rule(
        "token",
        ("basic ", "bearer ", "digest ", "negotiate ", "ntlm ", "authorization", "apikey ", "token "),
        re.compile(
            r"(?:\b(?:basic|bearer|digest|negotiate|ntlm)|authorization[\"']?\s?[:=]\s?[\"']?(?:\w{1,20}\s)?|\bapikey|\btoken)\s"
            r"?(?:token\s|username=\")?(?P<value>[A-Za-z0-9_.~+/=-]{16,2000})",
            re.IGNORECASE,
        ),
        check=lambda value: any(c.isdigit() for c in value) or (value.endswith("=") and entropy(value) > 3),
    ),
    Rule(
        "session",
        _SECRET_LITERALS,
        re.compile(rf"{_KEY_FOLLOWS}{_SECRET_KEY}(?:{_IS}(?:Bearer |Basic )?|\s(?:is|was)\s)[\"'`]?{_TOKEN_VALUE}", re.IGNORECASE),
        check=looks_random,
    ),
    Rule(  # e.g. "your API key (sandbox) 8f3b…": a random value in the same sentence
        "token",
        ("api key", "access key", "secret key", "auth token", "access token", "api token", "bearer token", "personal access"),
        re.compile(
            r"(?:(?:api|access|secret|private) key|(?:auth|access|api|bearer|security|refresh) token)[^\n]{0,40}?"
            r"(?<![\w./=-])(?P<value>[A-Za-z0-9_+-]{20,400}={0,2})(?![\w./])",
            re.IGNORECASE,
        ),
        check=looks_random,
    ),
    Rule(
        "session",
        ("form_key", "csrf", "authenticity_token", "xsrf"),
        re.compile(
            rf"name=[\"']{_FORM_TOKEN}[\"'][^>\n]{{0,200}}?(?:value|content)=[\"']{_TOKEN_VALUE}",
            re.IGNORECASE,
        ),
    ),
    Rule(  # the value before the name
        "session",
        ("form_key", "csrf", "authenticity_token", "xsrf"),
        re.compile(rf"(?:value|content)=[\"']{_TOKEN_VALUE}[\"'][^<>\n]{{0,200}}?name=[\"']{_FORM_TOKEN}[\"']", re.IGNORECASE),
    ),
    Rule(  # parameters of a single sign-on
        "session",
        ("samlre", "sid=", "code="),
        re.compile(
            r"(?:\bSAML(?:Response|Request)=|(?<![\w-])sid=|[?&]code=(?=[^&\s]{16,600}&(?:state|scope|session_state)=)|[?&](?:state|scope|session_state)=[^&\s]{0,600}&code=)(?P<value>[\w.~/%+=-]{16,4000})", re.IGNORECASE
        ),
        check=looks_random,
    ),
    Rule(  # the private part of a JSON web key
        "token",
        ("\"kty\"", "'kty'"),
        re.compile(r"[\"'](?:d|k|p|q)[\"']\s?:\s?[\"'](?P<value>[\w-]{22,1000})[\"']"),
    ),
    Rule("session", ("/key/",), re.compile(r"/key/(?P<value>[0-9a-f]{32,256})")),
    Rule(
        "session",
        ("cookie",),
        re.compile(
            r"cookies?[\"']?\]?\s{0,3}[:=]\s{0,3}[\"'`]?(?P<value>(?!redacted-)[\w.-]{1,60}=[^\n'\"`]{6,4000})", re.IGNORECASE
        ),
        everywhere=False,
    ),
    Rule(  # a cookie in JSON, as Playwright saves it
        "session",
        ("\"value\"", "'value'"),
        re.compile(
            rf"[\"']name[\"']\s?:\s?[\"']{_COOKIE_NAME}[\"'][^{{}}\n]{{0,200}}?"
            r"[\"']value[\"']\s?:\s?[\"'](?P<value>[^\"'\n]{8,4000})[\"']",
            re.IGNORECASE,
        ),
    ),
    Rule(  # its value before its name
        "session",
        ("\"value\"", "'value'"),
        re.compile(
            r"[\"']value[\"']\s?:\s?[\"'](?P<value>[^\"'\n]{8,4000})[\"'][^{}\n]{0,200}?"
            rf"[\"']name[\"']\s?:\s?[\"']{_COOKIE_NAME}[\"']",
            re.IGNORECASE,
        ),
        check=looks_random,
    ),
    Rule(  # a line of a file of cookies, as curl and browsers keep it
        "session",
        ("\tTRUE\t", "\tFALSE\t"),
        re.compile(r"\t(?:TRUE|FALSE)\t[^\t\n]{1,200}\t(?:TRUE|FALSE)\t\d{1,12}\t[^\t\n]{1,100}\t(?P<value>[^\s]{8,4000})"),
    ),
    Rule(  # a link that lets in whoever has it: https://shop.org/reset-password/…
        "session",
        tuple(f"/{word}" for word in _LINKS),
        re.compile(
            rf"/(?:{'|'.join(_LINKS)})(?:[-_/]?[a-z]{{2,20}}){{0,3}}/(?P<value>[\w-]{{20,400}})(?![\w-])", re.IGNORECASE
        ),
        check=_is_key_of_link,
    ),
    Rule("session", ("wordpress_",), re.compile(r"wordpress_\w{1,60}[=:]\s?(?P<value>[^\s;,'\"]{16,400})")),
    Rule("session", ("bigip",), re.compile(r"BIGip\w{0,60}[=:]\s?(?P<value>[\w.!+/-]{8,200})", re.IGNORECASE)),
    Rule(  # command lines
        "credentials",
        ("curl ", "wget ", "http ", "--user"),
        re.compile(r"(?:\s-u\s?|--user[= ])['\"]?[\w.@+-]{1,60}:(?P<value>[^\s'\"]{3,200})"),
        check=is_password,
    ),
    Rule(
        "credentials",
        ("--pass", "sshpass", "mysql", "mariadb", "--pwd", "docker login", "podman login", "htpasswd", "/user:", "machine "),
        re.compile(
            r"(?:--(?:pass(?:word|wd|phrase)?|pwd)[= ]|sshpass\s+-p\s?|(?:mysql|mariadb)\w*\s[^\n]{0,100}?-p|(?:docker|podman) login\s[^\n]{0,100}?-p[= ]"
            r"|htpasswd\s+-\w*b\w*\s+\S{1,60}\s+\S{1,60}\s+|\s/user:\S{1,60}\s+|\bmachine\s+\S{1,60}\s+login\s+\S{1,60}\s+password\s+)['\"]?(?P<value>[^\s'\"]{3,200})"
        ),
        check=is_password,
    ),
    Rule(
        "credentials",
        ("ldap", "sqlcmd", "redis-cli", "smbclient", "mongo"),
        re.compile(r"(?:ldap\w+|sqlcmd|redis-cli|smbclient|mongo\w*)\s[^\n]{0,200}?\s-(?:w|P|p|a)\s?['\"]?(?P<value>[^\s'\"-][^\s'\"]{3,200})"),
        check=mixes_letters_and_digits,
    ),
    Rule(  # a network's code for phones
        "credentials", ("wifi:",), re.compile(r"WIFI:[^\n]{0,200}?\bP:(?P<value>(?:[^;\\\n]|\\.){4,64});"), check=is_password
    ),
    Rule(  # Login: jane / x
        "credentials",
        ("login:", "login =", "user:", "username:", "account:", "credentials:", "creds:"),
        re.compile(r"(?:login|user(?:name)?|account|cred(?:ential)?s)\s?[:=]\s?[^\s/,;|]{2,60}\s?[/,;|:]\s?(?P<value>[^\s'\",;<>(){}\[\]/]{6,100})", re.IGNORECASE),
        check=mixes_letters_and_digits,
    ),
    Rule(
        "token",
        ("login ", "--token", "--api-key", "--key"),
        re.compile(r"(?:\blogin\s+|--(?:token|api-key|key|relogin)[= ]){1,3}['\"]?(?P<value>[A-Za-z0-9_.-]{20,400})"),
        check=looks_random,
    ),
)  # fmt: skip
