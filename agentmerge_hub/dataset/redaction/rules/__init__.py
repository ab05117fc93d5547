"""Every redaction rule of this project, and the kinds of secrets. A scanner adds its own rules: see detector.py."""

import re

from agentmerge_hub.dataset.redaction.rules.accounts import ACCOUNT_RULES
from agentmerge_hub.dataset.redaction.rules.credentials import CREDENTIAL_RULES
from agentmerge_hub.dataset.redaction.rules.devices import DEVICE_RULES
from agentmerge_hub.dataset.redaction.rules.emails import EMAIL_RULES
from agentmerge_hub.dataset.redaction.rules.hosts import HOST_RULES
from agentmerge_hub.dataset.redaction.rules.labeled import LABELED_RULES
from agentmerge_hub.dataset.redaction.rules.numbers import NUMBER_RULES
from agentmerge_hub.dataset.redaction.rules.paths import PATH_RULES
from agentmerge_hub.dataset.redaction.rules.persons import PERSON_RULES
from agentmerge_hub.dataset.redaction.rules.phones import PHONE_RULES
from agentmerge_hub.dataset.redaction.rules.rule import KINDS, Rule
from agentmerge_hub.dataset.redaction.rules.tokens import TOKEN_RULES

__all__ = ["DETECTED", "KINDS", "RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    *CREDENTIAL_RULES,
    *LABELED_RULES,
    *TOKEN_RULES,
    *HOST_RULES,
    *NUMBER_RULES,
    *DEVICE_RULES,
    *PHONE_RULES,
    *EMAIL_RULES,
    *ACCOUNT_RULES,
    *PERSON_RULES,
    *PATH_RULES,
)
"""In the order of precedence: of findings with the same span, the first rule's counts."""

DETECTED = Rule("token", (), re.compile(r"(?!)"))
"""Stands in for the rules of the scanner, see detector.py."""
