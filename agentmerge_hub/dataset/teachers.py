"""Under which terms a teacher's answers may be used: the licence that a row carries.

The names are the Hub's licence identifiers where there is one. They say whose terms apply; reading those is the user's.
"""

import re

TERMS: tuple[tuple[str, str], ...] = (
    (r"^scripted$", "apache-2.0"),
    (r"llama-?_?3[._]3", "llama3.3"),
    (r"llama-?_?3[._]2", "llama3.2"),
    (r"llama-?_?3[._]1", "llama3.1"),
    (r"llama-?_?3\b", "llama3"),
    (r"llama-?_?4", "llama4"),
    (r"mistral-large|codestral|pixtral-large", "mistral-research-license"),
    (r"mixtral|mistral-(7b|nemo|small)|ministral-8b", "apache-2.0"),
    (r"^(azure/|openai/)?(gpt-[345]|chatgpt|o[134](-|$))", "openai-terms-of-use"),
    (r"gpt-oss", "apache-2.0"),
    (r"claude", "anthropic-commercial-terms"),
    (r"gemini", "gemini-api-terms"),
    (r"gemma", "gemma"),
    (r"deepseek-(r1|v3)", "mit"),
    (r"qwen[-_]?2[.]5-(3b|72b)", "qwen"),
    (r"qwen", "apache-2.0"),
)
"""Pattern of a model's name → licence; the first that is found counts."""

UNKNOWN = "unknown"


def licence(teacher: str) -> str:
    """Licence of a teacher's answers, ``unknown`` if the table does not know the model."""
    name = teacher.lower()
    return next((terms for pattern, terms in TERMS if re.search(pattern, name)), UNKNOWN)
