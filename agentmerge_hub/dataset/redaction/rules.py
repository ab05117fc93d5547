"""Every redaction rule of this project, and the kinds of secrets. A scanner adds its own rules: see detector.py."""

import re

from agentmerge_hub.dataset.redaction.credential_rules import CREDENTIAL_RULES
from agentmerge_hub.dataset.redaction.host_rules import HOST_RULES
from agentmerge_hub.dataset.redaction.path_rules import PATH_RULES
from agentmerge_hub.dataset.redaction.personal_rules import PERSONAL_RULES
from agentmerge_hub.dataset.redaction.rule import KINDS, Rule
from agentmerge_hub.dataset.redaction.token_rules import TOKEN_RULES

__all__ = ["DETECTED", "KINDS", "RULES", "Rule"]

RULES: tuple[Rule, ...] = (*CREDENTIAL_RULES, *TOKEN_RULES, *HOST_RULES, *PERSONAL_RULES, *PATH_RULES)
"""In the order of precedence: of findings with the same span, the first rule's counts."""

DETECTED = Rule("token", (), re.compile(r"(?!)"))
"""Stands in for the rules of the scanner, see detector.py."""
