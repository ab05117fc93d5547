"""A model's license is known only for exact names of known families."""

import pytest

from agentmerge_hub.licenses.model_licenses import license_of


@pytest.mark.parametrize(
    ("model", "license"),
    [
        ("meta-llama/Llama-3.1-8B", "llama3.1"),
        ("Meta-Llama-3.1-70B-Instruct", "llama3.1"),
        ("openrouter/meta-llama/llama-3.1-405b-instruct", "llama3.1"),
        ("meta-llama/Llama-3.1-8B@0e9e39f249a16976918f6564b8830bc894c89659", "llama3.1"),
        ("meta-llama/Meta-Llama-3-8B", "llama3"),
        ("Qwen/Qwen2.5-7B-Instruct", "apache-2.0"),
        ("Qwen/Qwen2.5-Coder-3B", "qwen-research"),
        ("Qwen/Qwen3-8B", "apache-2.0"),
        ("mistralai/Ministral-8B-Instruct-2410", "mistral-research-license"),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "apache-2.0"),
        ("azure/gpt-4o", "openai-terms-of-use"),
        ("anthropic/claude-3.5-sonnet:beta", "anthropic-commercial-terms"),
        ("gemini-1.5-pro-002", "gemini-api-terms"),
    ],
)
def test_names_of_known_families(model: str, license: str) -> None:
    assert license_of(model) == license


@pytest.mark.parametrize(
    "model",
    [
        "qwen-max", "qwen-plus-latest", "qwen-turbo", "Qwen/Qwen-Max", "Qwen/Qwen2-72B-Instruct", "Qwen/Qwen1.5-7B",
        "ministral-3b-latest", "mistralai/Ministral-3B", "mistral-small-2402", "mistral-large-latest", "codestral-2405",
        "google/medgemma-4b-it", "google/shieldgemma-2b", "meta-llama/Llama-2-7b-hf", "meta-llama/Llama-Guard-3-8B",
        "deepseek-chat", "deepseek-ai/DeepSeek-V3", "gpt-4all-j", "gpt-neox-20b", "claude", "o1ai/model",
        "someone/Qwen2.5-7B-Instruct", "someone/Llama-3.1-8B", "a/b/Llama-3.1-8B", "my-llama-3.1-8b-run", "scripted-2",
    ],
)  # fmt: skip
def test_other_names_are_unknown(model: str) -> None:
    assert license_of(model) == "unknown"
