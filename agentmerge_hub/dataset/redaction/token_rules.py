"""API tokens by the prefixes and shapes of their providers, in addition to the scanner's rules."""

import re

from agentmerge_hub.dataset.redaction.credential_rules import looks_random
from agentmerge_hub.dataset.redaction.rule import Rule

_PREFIXES = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "gloas-", "hf_", "api_org_",
    "sk-", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_", "whsec_", "npm_", "pypi-", "dapi", "gsk_", "r8_",
    "nvapi-", "hvs.", "hvb.", "hvr.", "xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxe.", "xoxs-", "xoxr-", "xapp-", "AIza", "ya29.", "GOCSPX-",
    "SG.", "AKIA", "ASIA", "ABIA", "ACCA", "lin_api_", "ntn_", "shpat_", "shpss_", "shpca_", "shppa_", "sq0csp-", "sq0atp-", "dop_v1_",
    "doo_v1_", "dor_v1_", "dckr_pat_", "dckr_oat_", "PMAK-", "rubygems_", "figd_", "NRAK-", "NRJS-", "glsa_", "glc_", "xai-", "pplx-",
    "tgp_v1_", "csk-", "AGE-SECRET-KEY-", "tskey-", "sntrys_", "sntryu_", "atlasv1.", "ATATT3", "ATCTT3", "wandb_v1_", "ops_ey",
)  # fmt: skip
"""Starts that only tokens have."""

_WEAK_PREFIXES = (
    "eyJ",
    "key-",
    "secret_",
    "pul-",
    "fw_",
    "vercel_",
    "EAAA",
    "AQVN",
    "token_",
    "pat-",
    "sess-",
    "ak-",
    "sid_",
)
"""Starts that other words have too. ``eyJ`` is the Base64 form of ``{"``, with which a JSON web token starts."""


def _is_token(value: str) -> bool:
    if value.startswith(_PREFIXES):
        return any(c.isdigit() or c.isupper() for c in value[4:]) and len(set(value)) >= 6
    return value.startswith(_WEAK_PREFIXES) and looks_random(value)


TOKEN_RULES = (
    Rule("token", ("eyJ",), re.compile(r"(?<![A-Za-z0-9_-])eyJ[\w-]{6,4000}\.[\w-]{6,4000}(?:\.[\w-]{0,4000})?")),
    Rule("token", (), re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z][A-Za-z0-9_.~+-]{15,4000}={0,2}"), check=_is_token),
    Rule(
        "token", (), re.compile(r"(?P<value>[MNO](?<![\w.-].)[A-Za-z\d_-]{23,27}\.[\w-]{6,7}\.[\w-]{27,40})(?![\w.-])")
    ),  # Discord
    Rule(
        "token", ("00000000:A",), re.compile(r"(?<![\w.-])\d{8,10}:A[A-Za-z0-9_-]{34}(?![\w-])"), digits=True
    ),  # Telegram
    Rule(
        "token",
        ("hooks.slack.com", "discord", "webhook", "logic.azure.com"),
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{10,25}/"
            r"|[\w.-]{1,60}/webhooks?/)(?P<value>[\w/-]{20,200})",
            re.IGNORECASE,
        ),
        check=looks_random,
    ),
)
"""Rules without literals run on lines that may hold a token, see prefilter.py."""
