"""Model name → license of its weights and of its answers. Only exact names of known families match; the rest is ``unknown``.

The values are the Hub's license identifiers where one exists. Read from the models' cards and the providers' terms.
"""

import re

UNKNOWN = "unknown"

_PROVIDERS = {"openrouter", "azure", "azure_ai", "bedrock", "vertex_ai", "together_ai", "together", "groq", "hosted_vllm", "vllm"}  # fmt: skip
"""Prefixes that LLM routers put before the name of a model."""

_SUFFIX = r"(?:-(?:awq|fp8|bf16|gptq-int[48]|turbo|fast|free|hf))*"
"""The same weights in another number format or at another speed."""


def _family(owners: str, name: str, license: str) -> tuple[frozenset[str], re.Pattern[str], str]:
    return frozenset(owners.split()), re.compile(f"(?:{name}){_SUFFIX}"), license


_MISTRAL = "mistralai mistral"
_QWEN = "qwen alibaba"

FAMILIES = (
    _family("", "scripted", "apache-2.0"),
    # Meta
    _family("meta-llama meta", r"(?:meta-)?llama-?3[.]3-70b(?:-instruct|-versatile)?", "llama3.3"),
    _family("meta-llama meta", r"(?:meta-)?llama-?3[.]2-(?:1b|3b|11b-vision|90b-vision)(?:-instruct)?", "llama3.2"),
    _family("meta-llama meta", r"(?:meta-)?llama-?3[.]1-(?:8b|70b|405b)(?:-instruct|-instant)?", "llama3.1"),
    _family("meta-llama meta", r"(?:meta-)?llama-?3-(?:8b|70b)(?:-instruct)?", "llama3"),
    _family("meta-llama meta", r"llama-?4-(?:scout|maverick)(?:-17b-(?:16e|128e))?(?:-instruct)?", "llama4"),
    # DeepSeek
    _family("deepseek-ai deepseek", "deepseek-r1-distill-llama-8b", "llama3.1"),
    _family("deepseek-ai deepseek", "deepseek-r1-distill-llama-70b", "llama3.3"),
    _family("deepseek-ai deepseek", r"deepseek-r1(?:-zero|-0528|-distill-qwen-(?:1[.]5|7|14|32)b)?", "mit"),
    _family("deepseek-ai deepseek", r"deepseek-v3-0324|deepseek-v3[.][12](?:-base|-terminus|-exp|-speciale)?", "mit"),
    # Mistral: research models before 2025, Apache-2.0 for the rest that is named here; API-only models are unknown.
    _family(_MISTRAL, r"mistral-large-(?:instruct-)?(?:2407|2411)", "mistral-research-license"),
    _family(_MISTRAL, r"pixtral-large-(?:instruct-)?2411|ministral-8b-(?:instruct-)?2410", "mistral-research-license"),
    _family(_MISTRAL, r"mistral-small-(?:instruct-)?2409", "mistral-research-license"),
    _family(_MISTRAL, r"mistral-7b-(?:instruct-)?v0[.][123]|mixtral-8x(?:7b|22b)-(?:instruct-)?v0[.][13]", "apache-2.0"),
    _family(_MISTRAL, r"(?:open-)?mistral-nemo(?:-(?:instruct|base))?(?:-2407)?|pixtral-12b(?:-base)?-2409", "apache-2.0"),
    _family(_MISTRAL, r"mistral-small-(?:24b-)?(?:instruct-|base-)?2501", "apache-2.0"),
    _family(_MISTRAL, r"mistral-small-(?:3[.][12]-24b-(?:instruct|base)-)?(?:2503|2506)", "apache-2.0"),
    _family(_MISTRAL, r"mistral-large-(?:3-675b-(?:instruct|base)-)?2512", "apache-2.0"),
    _family(_MISTRAL, r"ministral-3-(?:3|8|14)b-(?:instruct|base|reasoning)-2512", "apache-2.0"),
    _family(_MISTRAL, r"(?:mamba-codestral|mathstral)-7b-v0[.]1|devstral-small-(?:2505|2507)", "apache-2.0"),
    # Qwen: weights only; qwen-max, -plus and -turbo are API models under other terms.
    _family(_QWEN, r"qwen-?2[.]5-(?:coder-|vl-)?3b(?:-instruct)?", "qwen-research"),
    _family(_QWEN, r"qwen-?2[.]5-(?:math-|vl-)?72b(?:-instruct)?", "qwen"),
    _family(_QWEN, r"qwen-?2[.]5-(?:coder-)?(?:0[.]5|1[.]5|7|14|32)b(?:-instruct(?:-1m)?)?", "apache-2.0"),
    _family(_QWEN, r"qwen-?2[.]5-(?:math-(?:1[.]5|7)b|vl-(?:7|32)b)(?:-instruct)?|qwq-32b", "apache-2.0"),
    _family(_QWEN, r"qwen-?2-(?:0[.]5b|1[.]5b|7b|57b-a14b)(?:-instruct)?", "apache-2.0"),
    _family(_QWEN, r"qwen-?3-(?:0[.]6|1[.]7|4|8|14|32)b(?:-base)?|qwen-?3-4b-(?:instruct|thinking)-2507", "apache-2.0"),
    _family(
        _QWEN,
        r"qwen-?3-(?:vl-)?(?:30b-a3b|235b-a22b)(?:-(?:base|instruct|thinking))?(?:-2507)?|qwen-?3-vl-(?:2|4|8|32)b-(?:instruct|thinking)"
        r"|qwen-?3-coder-(?:30b-a3b|480b-a35b)-instruct|qwen-?3-next-80b-a3b-(?:instruct|thinking)",
        "apache-2.0",
    ),
    # Google
    _family("google", r"gemma-4-(?:e2b|e4b|12b|26b-a4b|31b)(?:-it)?", "apache-2.0"),
    _family("google", r"gemma-(?:1[.]1-)?(?:2b|7b)(?:-it)?|gemma-2-(?:2b|9b|27b)(?:-it)?", "gemma"),
    _family("google", r"gemma-3-(?:270m|1b|4b|12b|27b)(?:-it|-pt)?|gemma-3n-(?:e2b|e4b)(?:-it)?", "gemma"),
    _family(
        "google gemini", r"gemini(?:-(?:\d(?:[.]\d)?|pro|flash|lite|ultra|exp|preview|latest|thinking|8b|\d{2,4}))+", "gemini-api-terms"
    ),
    # OpenAI, Anthropic
    _family("openai", r"gpt-oss-(?:20b|120b)", "apache-2.0"),
    _family(
        "openai",
        r"(?:gpt-(?:3[.]5|4|4o|4[.]1|4[.]5|5|5[.]\d)|chatgpt-4o|o1|o3|o4)"
        r"(?:-(?:turbo|mini|nano|pro|preview|latest|chat|codex|instruct|vision|16k|32k|\d{4}|\d{4}-\d\d-\d\d))*",
        "openai-terms-of-use",
    ),
    _family(
        "anthropic",
        r"claude(?:-(?:instant|opus|sonnet|haiku|latest|thinking|beta|v?\d{1,2}(?:[.]\d)?|\d{8}(?:-v\d:\d)?))+",
        "anthropic-commercial-terms",
    ),
    # Small open models
    _family("huggingfacetb", r"smollm2-(?:135m|360m|1[.]7b)(?:-instruct)?|smollm3-3b(?:-base)?", "apache-2.0"),
    _family("tinyllama", r"tinyllama-1[.]1b-chat-v1[.]0", "apache-2.0"),
    _family("microsoft", r"phi-3[.]5-mini-instruct|phi-4(?:-mini-instruct)?", "mit"),
)  # fmt: skip
"""Owners on the Hub or provider names, pattern of the whole name in lower case, license."""


def license_of(model: str) -> str:
    """License of a model and of its answers; ``unknown`` unless the whole name is one of a known family.

    Args:
        model: as a trace or the Hub names it, e.g. ``meta-llama/Llama-3.1-8B``, ``openrouter/openai/gpt-4o`` or ``gpt-4o``.
    """
    parts = model.lower().replace("_", "-").partition("@")[0].removesuffix(":free").removesuffix(":beta").split("/")
    if len(parts) > 1 and parts[0].replace("-", "_") in _PROVIDERS:
        parts = parts[1:]
    owner = parts[0] if len(parts) == 2 else ""
    if len(parts) > 2:
        return UNKNOWN
    for owners, pattern, license in FAMILIES:
        if pattern.fullmatch(parts[-1]) and (not owner or owner in owners):
            return license
    return UNKNOWN
