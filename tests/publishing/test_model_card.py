"""A model's card is loaded with the classes of its configuration and states only what was recorded."""

import re

import pytest
from huggingface_hub import ModelCard

from agentmerge_hub.publishing.cards.model_card import Input, Loading, Model, model_card
from agentmerge_hub.publishing.cards.scores import Score
from agentmerge_hub.publishing.hub.repository import Repository

TEXT = Loading("LlamaForCausalLM", "AutoModelForCausalLM", "AutoTokenizer", "text-generation")
VISION = Loading(
    "Qwen2_5_VLForConditionalGeneration", "AutoModelForImageTextToText", "AutoProcessor", "image-text-to-text"
)
UNKNOWN = Loading("", "AutoModelForCausalLM", "AutoTokenizer", "")
SCORE = Score("miniwob", "inter_task", "Basic", 0.25, 0.1, 8, 4, 0, 0, "llama.cpp 6123", "Q8_0 (GGUF)")


def card_of(loading: Loading, relation: str = "finetune", stage: str = "sft", **changed) -> str:
    facts = {
        "relation": relation,
        "manifest": {
            "stage": stage,
            "agentmerge_hub": "0.1.0",
            "config": {},
            "counts": {},
            "versions": {"trl": "1.16.0"},
        },
        "spec": "",
        "inputs": [Input("model", "acme/base", "", "", "", True)],
        "base_models": ["acme/base"],
        "loaded_on": "acme/base",
        "datasets": ["acme/traces"],
        "terms": {"apache-2.0": ["acme/base"]},
        "weights_hash": "0" * 64,
        "scores": [SCORE],
        "parameters": 7,
        "loading": loading,
        "benchmarks": ["miniwob"],
        "tokenizer": "",
    }
    return model_card(Repository("model", "acme/m"), Model(**(facts | changed)))


@pytest.mark.parametrize("loading", [TEXT, VISION, UNKNOWN])
@pytest.mark.parametrize("relation", ["finetune", "merge", "adapter"])
def test_the_example_loads_the_model_with_its_classes(loading: Loading, relation: str) -> None:
    card = card_of(loading, relation, "merge" if relation == "merge" else "sft")
    data = ModelCard(card).data
    assert data.pipeline_tag == (loading.pipeline or None) and data.library_name == (
        "peft" if relation == "adapter" else "transformers"
    )
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    compile(code[1], "example", "exec")
    assert ("AutoModelForImageTextToText" in code[1], "AutoProcessor" in code[1]) == (loading.takes_images,) * 2
    assert "pip install transformers torch" in card and "https://github.com/ServiceNow/BrowserGym" in card
    assert (f"| architecture | `{loading.architecture}` |" in card) is bool(loading.architecture)
    assert "{%" not in card and "{{" not in card


def test_the_language_is_that_of_the_benchmarks_or_left_out() -> None:
    assert ModelCard(card_of(TEXT)).data.language == "en"
    assert ModelCard(card_of(TEXT, benchmarks=["miniwob", "own"])).data.language is None
    assert ModelCard(card_of(TEXT, benchmarks=[], scores=[])).data.language is None


def test_a_screenshot_is_named_only_if_model_and_data_have_them() -> None:
    for loading, seen in ((TEXT, True), (VISION, False)):
        assert "a goal and a page and answers" in card_of(loading, sees_screenshots=seen)
    assert "a goal and a page with its screenshot and answers" in card_of(VISION, sees_screenshots=True)


def test_each_score_names_engine_version_and_number_format() -> None:
    card = card_of(TEXT)
    assert "| miniwob | inter_task | Basic | llama.cpp 6123 | Q8_0 (GGUF) | 0.250 |" in card
    metric = ModelCard(card).data.to_dict()["model-index"][0]["results"][0]["metrics"][0]
    assert metric["args"]["engine"] == "llama.cpp 6123" and metric["args"]["number_format"] == "Q8_0 (GGUF)"
    assert "| not recorded | not recorded |" in card_of(TEXT, scores=[Score("miniwob", "x", "", 0.5, 0.1, 2, 2, 0, 0)])
