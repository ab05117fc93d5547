"""API tokens by the prefixes and shapes of their providers, in addition to the scanner's rules.

The table is here and not in a configuration of Betterleaks, whose Python interface reads it again for every text: 15 times slower.
"""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule
from agentmerge_hub.dataset.redaction.rules.value_checks import changes_often, entropy, looks_random

_PREFIXES = (
    # models and data
    "sk-", "hf_", "api_org_", "gsk_", "r8_", "nvapi-", "xai-", "pplx-", "tgp_v1_", "csk-", "wandb_v1_", "lsv2_", "ls__", "pcsk_", "tvly-", "jina_",
    "sk-lf-", "pk-lf-", "phc_", "phx_", "rpa_", "e2b_", "bb_live_", "bb_test_", "AKCp", "cmVmd", "pul-", "dapi", "dkea", "dp.pt.", "dp.st.", "dp.ct.",
    # code hosts and package registries
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "gloas-", "glft-", "glsoat-", "glimt-",
    "ATBB", "ATATT3", "ATCTT3", "ATOA", "npm_", "pypi-", "rubygems_", "oy2", "dckr_pat_", "dckr_oat_", "CLOJARS_", "CCIPAT_", "CCIPRJ_", "bkua_",
    # clouds and infrastructure
    "AKIA", "ASIA", "ABIA", "ACCA", "AIza", "ya29.", "GOCSPX-", "hvs.", "hvb.", "hvr.", "dop_v1_", "doo_v1_", "dor_v1_", "atlasv1.", "tskey-", "nfp_",
    "fo1_", "fm1_", "fm1a_", "fm1r_", "fm2_", "HRKU-", "pscale_", "sbp_", "sb_secret_", "sb_publishable_", "AGE-SECRET-KEY-", "ops_ey", "SWMTKN-", "pnu_",
    "pnb_", "sgp_", "snyk_", "NRAK-", "NRJS-", "NRII-", "NRSP-", "NRAA-", "glsa_", "glc_", "eyJrIjoi", "sntrys_", "sntryu_", "dt0c01.", "dt0s01.",
    # messages, work and shops
    "xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxe.", "xoxs-", "xoxr-", "xapp-", "SG.", "xkeysib-", "xsmtpsib-", "lin_api_", "lin_oauth_", "ntn_", "figd_", "figu_",
    "PMAK-", "PMAT-", "CFPAT-", "rdme_", "secret_", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_", "whsec_", "shpat_", "shpss_",
    "shpca_", "shppa_", "sq0csp-", "sq0atp-", "sq0idp-", "EZAK", "EZTK", "shippo_", "duffel_", "FLWSECK", "access_token$", "sl.", "uat_", "fio-u-", "tfp_",
)  # fmt: skip
"""Starts that only tokens have."""

_WEAK_PREFIXES = (
    "eyJ", "key-", "key_", "secret_", "fw_", "vercel_", "EAAA", "AQVN", "token_", "tok_", "pat-", "pat_", "pa-", "sess-", "ak-", "as-", "ak_", "sid_", "sk_",
    "pk_", "rk_", "api-", "api_", "re_", "tr_", "bot_", "app_", "client_", "access_", "auth_", "cf_", "gAAAAA",
)  # fmt: skip
"""Starts that other words have too. ``eyJ`` is the Base64 form of ``{"``, with which a JSON web token starts."""

_SHAPES = re.compile(
    r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6,7}\.[\w-]{27,40}"  # Discord
    r"|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"  # Airtable
    r"|(?:SK|AC|AP|HX)[0-9a-f]{32}"  # Twilio
    r"|(?:pat|access|secret|key|token|api)[a-z0-9_-]{0,20}[_-][0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|v[1-4]\.(?:local|public)\.[\w-]{20,}"  # PASETO
    r"|sq[apu]_[0-9a-f]{40}"  # SonarQube
    r"|cio[A-Za-z0-9]{32}"  # crates.io
    r"|sk\.eyJ[\w-]{20,200}\.[\w-]{16,80}"  # Mapbox
)
_ANY_VENDOR = re.compile(
    r"[A-Za-z][A-Za-z0-9]{1,9}[_-](?:[A-Za-z0-9]{1,8}[_-]){0,3}(?=[A-Za-z0-9]{0,60}[A-Z])(?=[A-Za-z0-9]{0,60}[a-z])(?=[A-Za-z0-9]{0,60}\d)"
    r"[A-Za-z0-9]{22,200}(?:[_-][A-Za-z0-9]{4,80}){0,3}"
)
"""The shape that new vendors choose: a short prefix, and a long part with digits, small and capital letters."""
_LONG_PART = re.compile(r"[A-Za-z0-9]{16}")
_HASH = re.compile(r"(?:md5|sha\d{1,3}|commit|rev|etag|blake\w{1,3})[_-]", re.IGNORECASE)


_STARTS = {prefix[:3] for prefix in (*_PREFIXES, *_WEAK_PREFIXES)}
"""First characters of all prefixes: most words of a page have others."""


def _is_token(value: str) -> bool:
    if value[:3] in _STARTS:
        if value.startswith(_PREFIXES):
            return any(c.isdigit() or c.isupper() for c in value[4:]) and len(set(value)) >= 6
        if value.startswith(_WEAK_PREFIXES) and looks_random(value) and _LONG_PART.search(value):
            return True
    return bool(_SHAPES.fullmatch(value)) or (
        bool(_ANY_VENDOR.fullmatch(value)) and entropy(value) >= 3.8 and changes_often(value) and not _HASH.match(value)
    )


TOKEN_RULES = (
    Rule("token", ("eyJ",), re.compile(r"(?<![A-Za-z0-9_-])eyJ[\w-]{6,4000}\.[\w-]{6,4000}(?:\.[\w-]{0,4000})?")),
    Rule("token", (), re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z][A-Za-z0-9_.~+-]{15,4000}={0,2}"), check=_is_token),
    Rule(
        "token", ("00000000:A",), re.compile(r"(?<![\w.-])\d{8,10}:A[A-Za-z0-9_-]{34}(?![\w-])"), digits=True
    ),  # Telegram
    Rule("token", ("-us0",), re.compile(r"(?<!\w)[0-9a-f]{32}-us\d{1,2}(?!\w)"), digits=True),  # Mailchimp
    Rule("token", ("1//0",), re.compile(r"(?<![\w/])1//0[\w-]{40,200}(?![\w/])")),  # Google, to renew others
    Rule("token", ("0:",), re.compile(r"(?<![\w/.])\d/\d{10,20}:[0-9a-f]{32}(?!\w)"), digits=True),  # Asana
    Rule("token", ("ssws ",), re.compile(r"\bSSWS\s(?P<value>[\w-]{20,100})", re.IGNORECASE)),  # Okta
    Rule("token", ("appid=", "app_id="), re.compile(r"[?&]app_?id=(?P<value>[0-9a-f]{32})(?!\w)", re.IGNORECASE)),
    Rule(
        "token", ("hooks.zapier.com",), re.compile(r"hooks\.zapier\.com/hooks/(?:catch/)?(?P<value>\d{3,12}/\w{4,40})")
    ),
    Rule(
        "account",
        ("ssh-", "ecdsa-"),
        re.compile(
            r"\b(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\w{1,20}) AAAA[\w+/]{40,2000}={0,2} (?P<value>(?!User )[\w.-]{2,60}(?:@[\w.-]{2,80})?)"
        ),
    ),
    Rule("token", ("0Q~",), re.compile(r"(?<![\w.~-])[\w.~-]{3}\dQ~[\w.~-]{31,34}(?![\w~-])"), digits=True),  # Azure
    Rule(  # hashes of passwords
        "credentials",
        ("$1$", "$2", "$5$", "$6$", "$y$", "$apr1$", "$argon2", "$scrypt$", "pbkdf2_", "{ssha", "{sha", "{crypt"),
        re.compile(
            r"\$(?:1|2[abxy]?|5|6|7|g?y|apr1|argon2\w{1,2}|scrypt)\$[\w./$,=+-]{22,400}|pbkdf2_\w{3,8}\$\d+\$[\w./+=-]{4,100}\$[\w./+=-]{20,200}"
            r"|\{(?:S?SHA\d{0,3}|CRYPT)\}[\w./$,=+-]{20,400}",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "token",
        ("hooks.slack.com", "discord", "webhook", "logic.azure.com"),
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{10,25}/"
            r"|[\w.-]{1,60}/webhooks?/|webhook\.office\.com/webhookb2/)(?P<value>[\w/@-]{20,300})",
            re.IGNORECASE,
        ),
        check=looks_random,
    ),
)
"""Rules without literals run on lines that may hold a token, see prefilter.py."""
