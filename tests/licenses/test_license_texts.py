"""Only the complete text of a license counts as its copy."""

import pytest
from license_copies import license_copy

from agentmerge_hub.licenses.license_terms import LICENSES
from agentmerge_hub.licenses.license_texts import CLAUSES, missing_clauses


@pytest.mark.parametrize("license", CLAUSES)
def test_a_copy_has_every_clause_and_is_no_copy_of_another_license(license: str) -> None:
    text = license_copy(license)
    assert missing_clauses(license, text) == []
    assert all(missing_clauses(other, text) for other in CLAUSES if other != license)


@pytest.mark.parametrize("license", CLAUSES)
def test_the_name_or_a_part_is_no_copy(license: str) -> None:
    assert missing_clauses(license, f"{LICENSES[license].name}\n\nSee {LICENSES[license].link}")
    text = license_copy(license)
    assert missing_clauses(license, text[: len(text) // 2])


def test_every_license_that_requires_a_copy_is_recognized() -> None:
    assert {license.id for license in LICENSES.values() if license.copy_of_text} == set(CLAUSES)
