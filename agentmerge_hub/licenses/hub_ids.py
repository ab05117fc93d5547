"""The Hub's license identifiers, by what they let others add: https://huggingface.co/docs/hub/repositories-licenses"""

PERMISSIVE = frozenset(
    [
        "apache-2.0",
        "mit",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "isc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "ecl-2.0",
        "etalab-2.0",
        "ms-pl",
        "ncsa",
        "odc-by",
        "openmdw-1.0",
        "pddl",
        "postgresql",
        "unlicense",
        "wtfpl",
        "zlib",
    ]
)
SHARE_ALIKE = frozenset(
    [
        "agpl-3.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cdla-sharing-1.0",
        "epl-1.0",
        "epl-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "mpl-2.0",
        "odbl",
        "ofl-1.1",
        "osl-3.0",
    ]
)
"""Licenses that let nobody add further conditions."""
RESTRICTED = frozenset(
    [
        "bigcode-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "c-uda",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nd-4.0",
        "creativeml-openrail-m",
        "fair-noncommercial-research-license",
        "h-research",
        "intel-research",
        "openrail",
        "openrail++",
    ]
)
OF_MODELS = frozenset(
    [
        "apple-amlr",
        "apple-ascl",
        "deepfloyd-if-license",
        "gemma",
        "grok2-community",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
    ]
)
"""Licenses of certain models and of what derives from them."""
HUB_IDS = PERMISSIVE | SHARE_ALIKE | RESTRICTED | OF_MODELS | {"cc", "lgpl-lr", "lppl-1.3c"}
