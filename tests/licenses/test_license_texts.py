"""Only the exact text of a license counts as its copy."""

import re
from pathlib import Path

import pytest
from license_copies import license_copy

from agentmerge_hub.licenses.license_terms import LICENSES
from agentmerge_hub.licenses.license_texts import CLAUSES, differences, identify, known_texts

APACHE = (Path(__file__).parents[2] / "LICENSE").read_text()
OWNER = "Copyright [yyyy] [name of copyright owner]"
MIT = """MIT License

Copyright (c) 2024 Jane Roe and others

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do
so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def test_layout_addresses_holders_and_the_appendix_make_no_difference() -> None:
    wrapped = "\n> ".join(re.sub("http\\S+", "https://elsewhere.example", APACHE).upper().split(" "))
    holders = (
        "Copyright 2023-2025 Acme, Inc.",
        "Copyright (c) 2024, Jane Roe. All rights reserved.",
        "© 2024 Acme\nAll rights reserved.",
    )
    copies = [wrapped, APACHE, *(APACHE.replace(OWNER, holder) for holder in holders), f"{holders[0]}\n\n{APACHE}"]
    copies.append(APACHE[: APACHE.index("APPENDIX")])
    assert [differences("apache-2.0", text) for text in copies] == [[]] * len(copies)
    assert identify(MIT) == ("mit", True) == identify(MIT.partition("\n\n")[2])


@pytest.mark.parametrize(
    "text",
    [
        f"{APACHE}\nAll rights reserved. GPL.\n",
        f"{APACHE}\nAll rights reserved.\n",
        f"Copyright 2024 Acme. You may use it for research only.\n{APACHE}",
        f"Copyright 2024 Acme\nNo commercial use.\n{APACHE}",
        APACHE.replace("perpetual,", "annual,", 1),
        APACHE[: len(APACHE) - 400],
        APACHE.replace("irrevocable", "", 1),
    ],
)
def test_any_other_word_makes_an_altered_copy(text: str) -> None:
    assert "it differs from the known text near word" in differences("apache-2.0", text)[0]
    assert identify(text) == ("apache-2.0", False)


def test_extra_clauses_and_two_licenses_in_one_file_are_altered_copies() -> None:
    assert identify(f"{MIT}\nThe Software is not used for military purposes.\n") == ("mit", False)
    both = identify(f"{MIT}\nor, at your option,\n\n{APACHE}")
    assert both and not both[1] and identify("All rights reserved.") is None and identify("") is None


@pytest.mark.parametrize("license", sorted(set(CLAUSES) - set(known_texts())))
def test_without_a_known_text_every_clause_is_needed(license: str) -> None:
    text = license_copy(license)
    assert differences(license, text) == []
    assert all(differences(other, text) for other in CLAUSES if other != license)
    assert differences(license, text[: len(text) // 2])


@pytest.mark.parametrize("license", CLAUSES)
def test_the_name_is_no_copy(license: str) -> None:
    assert differences(license, f"{LICENSES[license].name}\n\nSee {LICENSES[license].link}")


@pytest.mark.parametrize("license", sorted(set(known_texts()) & set(CLAUSES)))
def test_the_clauses_alone_are_no_copy_of_a_known_text(license: str) -> None:
    assert "it differs from the known text near word" in differences(license, license_copy(license))[0]


def test_every_license_that_requires_a_copy_is_recognized() -> None:
    assert {license.id for license in LICENSES.values() if license.copy_of_text} == set(CLAUSES)
