"""Under which terms a teacher's answers may be used: the license that a row carries.

The names are the Hub's license identifiers where there is one. They say whose terms apply; reading those is the user's.
"""

import re

UNKNOWN = "unknown"

TERMS: tuple[tuple[str, str], ...] = (
    (r"^scripted$", "apache-2.0"),
    (r"distill-llama-8b", "llama3.1"),
    (r"distill-llama-70b", "llama3.3"),
    (r"llama-?_?3[._]3", "llama3.3"),
    (r"llama-?_?3[._]2", "llama3.2"),
    (r"llama-?_?3[._]1", "llama3.1"),
    (r"llama-?_?3\b", "llama3"),
    (r"llama-?_?4", "llama4"),
    (r"mistral-large-(3|\D*2512)|ministral-3|mamba-codestral", "apache-2.0"),
    (r"mistral-large|pixtral-large|ministral-8b|mistral-small\D*2409", "mistral-research-license"),
    (r"mixtral|mistral-(7b|nemo|small)|pixtral-12b", "apache-2.0"),
    (r"^(azure/|openai/)?(gpt-[345]|chatgpt|o[134](-|$))", "openai-terms-of-use"),
    (r"gpt-oss", "apache-2.0"),
    (r"claude", "anthropic-commercial-terms"),
    (r"gemini", "gemini-api-terms"),
    (r"gemma-?4", "apache-2.0"),
    (r"gemma", "gemma"),
    (r"deepseek-(r1|v3[-.]\d)", "mit"),
    (r"qwen[-_]?2[.]5-([a-z]+-)?3b", "qwen-research"),
    (r"qwen[-_]?2[.]5-([a-z]+-)?72b", "qwen"),
    (r"qwen([-_]?1[.]5|[-_]?2-([a-z]+-)?72b|-(1[._]8|7|14|72)b)", UNKNOWN),
    (r"qwen", "apache-2.0"),
)
"""Pattern of a model's name → license; the first that is found counts. What is not sure is left unknown, to be asked for."""


def license_of(teacher: str) -> str:
    """License of a teacher's answers, ``unknown`` if the table does not know the model."""
    name = teacher.lower()
    return next((terms for pattern, terms in TERMS if re.search(pattern, name)), UNKNOWN)
