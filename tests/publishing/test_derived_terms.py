"""What the licenses ask of a model's name and files, and of what a dataset's card says."""

from pathlib import Path

import pytest
from license_copies import license_copy

from agentmerge_hub.licenses.license_terms import dataset_notices, metadata
from agentmerge_hub.publishing.derived_terms import check_license_files, check_terms, notice, terms_of


def test_a_gemma_goes_with_its_terms() -> None:
    terms = {"gemma": ["google/gemma-3-270m"], "apache-2.0": ["answers of scripted"]}
    assert ["requires a copy of its complete text" in finding for finding in check_terms("web-agent", terms, {})] == [
        True
    ]
    clauses = {"LICENSE": license_copy("gemma").encode()}
    assert "LICENSE is no copy: it differs from the known text near word" in check_terms("web-agent", terms, clauses)[0]
    assert notice(terms).decode().splitlines() == [
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms",
        "These weights were modified from those of google/gemma-3-270m: see README.md.",
    ]
    assert metadata(terms) == {"license": "gemma"}


def test_learning_from_gemma_makes_a_derivative_and_from_llama_does_not() -> None:
    gemma = {"apache-2.0": ["acme/base"], "gemma": ["answers of google/gemma-3-27b-it"]}
    assert "requires a copy" in check_terms("agent", gemma, {})[0] and b"Gemma Terms of Use" in notice(gemma)
    llama = {"apache-2.0": ["acme/base"], "llama3.1": ["answers of meta-llama/Llama-3.1-70B-Instruct"]}
    assert check_terms("Llama-agent", llama, {}) == [] and b"Meta" not in notice(llama)
    assert "starts with 'Llama'" in check_terms("agent", llama, {})[0]


def test_answers_of_llama_3_improve_llama_3_alone() -> None:
    answers = ["answers of meta-llama/Meta-Llama-3-70B-Instruct"]
    elsewhere = check_terms("Llama-3-agent", {"llama3": answers, "apache-2.0": ["acme/base"]}, {})
    assert "starts with 'Llama 3'" in check_terms("Llama-agent", {"llama3": ["meta-llama/Meta-Llama-3-8B"]}, {})[0]
    assert len(elsewhere) == 1 and "this one was made of acme/base" in elsewhere[0]
    text = {"LICENSE": license_copy("llama3").encode()}
    assert check_terms("Llama-3-agent", {"llama3": [*answers, "meta-llama/Meta-Llama-3-8B"]}, text) == []


def test_two_licenses_want_two_copies() -> None:
    terms = {"qwen-research": ["Qwen/Qwen2.5-3B"], "llama3": ["meta-llama/Meta-Llama-3-8B"]}
    texts = {f"LICENSE-{id}": license_copy(id).encode() for id in terms}
    assert len(check_terms("Llama-3-qwen", terms, {"LICENSE": texts["LICENSE-llama3"]})) == 1
    assert check_terms("Llama-3-qwen", terms, texts) == []
    assert metadata(terms)["license_name"] == "llama3-and-qwen-research"


@pytest.mark.parametrize(
    ("license", "said"),
    [
        ("llama3.1", "must start with 'Llama'"),
        ("mistral-research-license", "lets no commercial entity distribute them"),
        ("gemma", "is a Model Derivative"),
        ("qwen-research", "non-commercial research"),
        ("openai-terms-of-use", "compete"),
    ],
)
def test_a_dataset_says_what_learning_from_it_asks(license: str, said: str) -> None:
    assert [said in told for told in dataset_notices([license, "apache-2.0"])] == [True]


def test_a_license_that_the_hub_does_not_know_is_other_with_its_name() -> None:
    assert metadata({"acme-terms": ["acme/base"]}) == {"license": "other", "license_name": "acme-terms"}
    assert metadata({"bsd-3-clause": ["acme/base"]}) == {"license": "bsd-3-clause"}
    content = {"stage": "sft", "inputs": {}, "config": {}}
    _, findings = terms_of(["acme/base"], [], content, None, "My own terms")
    assert "--license 'My own terms' is no license as the Hub writes it" in findings[0]


def test_a_license_option_that_changes_nothing_is_refused() -> None:
    content = {"stage": "merge", "inputs": {}, "config": {}}
    for base, declared, replayed, said in (
        ("Qwen/Qwen2.5-0.5B", "mit", None, "--license mit contradicts the licenses that are known here (Qwen/Qwen2.5-0.5B: apache-2.0)"),
        ("Qwen/Qwen2.5-0.5B", "apache-2.0", None, ""),
        ("acme/base", "mit", None, ""),
        ("Qwen/Qwen2.5-0.5B", None, "mit", "--replay-license is given, and it was trained without replayed instructions"),
    ):  # fmt: skip
        _, findings = terms_of([base], [], content, None, declared, replayed)
        assert said in findings[0] if said else findings == []


def test_a_license_file_is_the_text_of_a_license_that_the_card_names() -> None:
    apache = (Path(__file__).parents[2] / "LICENSE").read_bytes()
    assert check_license_files(["apache-2.0"], {"LICENSE": apache}) == []
    (finding,) = check_license_files(["mit"], {"LICENSE": apache})
    assert finding == "LICENSE is the text of the Apache License 2.0, and the card names MIT License: leave it out"
    (finding,) = check_license_files(["apache-2.0"], {"LICENSE": apache + b"All rights reserved. GPL."})
    assert "LICENSE is an altered copy of the Apache License 2.0: it differs from the known text near word" in finding
    own = b"Whoever uses these weights names Acme."
    assert "is not a text that is known here" in check_license_files(["apache-2.0"], {"LICENSE": own})[0]
    assert (
        check_license_files(["apache-2.0", "acme-terms"], {"LICENSE": own, "LICENSE-1": apache}, own="acme-terms") == []
    )
    assert len(check_license_files(["acme-terms"], {"LICENSE": own, "LICENSE-1": b"More."}, own="acme-terms")) == 2
