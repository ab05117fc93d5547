"""Only the complete text of a license counts as its copy."""

import re
from pathlib import Path

import pytest
from license_copies import license_copy

from agentmerge_hub.licenses.license_terms import LICENSES
from agentmerge_hub.licenses.license_texts import (
    CLAUSES,
    chunks_of,
    differences,
    known_texts,
    missing_chunks,
)

APACHE = (Path(__file__).parents[2] / "LICENSE").read_text()


def test_every_word_of_a_known_text_is_compared_whatever_its_layout() -> None:
    known = chunks_of(APACHE)
    wrapped = "\n> ".join(re.sub("http\\S+", "https://elsewhere.example", APACHE).upper().split())
    assert missing_chunks(known, wrapped) == [] and missing_chunks(known, f"# License\n{APACHE}\nThe end.") == []
    words = APACHE.split()
    for place in range(5, len(words), 97):
        changed = [*words[:place], "otherwise", *words[place + 1 :]]
        dropped = [*words[: place - 2], *words[place + 2 :]]
        if words[place].isalpha() and words[place].lower() != "otherwise":
            assert missing_chunks(known, " ".join(changed)) and missing_chunks(known, " ".join(dropped))
    assert missing_chunks(known, "") and missing_chunks(known, APACHE[: len(APACHE) // 2])


@pytest.mark.parametrize("license", set(CLAUSES) - set(known_texts()))
def test_without_a_known_text_every_clause_is_needed(license: str) -> None:
    text = license_copy(license)
    assert differences(license, text) == []
    assert all(differences(other, text) for other in CLAUSES if other != license)
    assert differences(license, text[: len(text) // 2])


@pytest.mark.parametrize("license", CLAUSES)
def test_the_name_is_no_copy(license: str) -> None:
    assert differences(license, f"{LICENSES[license].name}\n\nSee {LICENSES[license].link}")


@pytest.mark.parametrize("license", known_texts())
def test_the_clauses_alone_are_no_copy_of_a_known_text(license: str) -> None:
    assert "it differs from the known text near word" in differences(license, license_copy(license))[0]


def test_every_license_that_requires_a_copy_is_recognized() -> None:
    assert {license.id for license in LICENSES.values() if license.copy_of_text} == set(CLAUSES)
