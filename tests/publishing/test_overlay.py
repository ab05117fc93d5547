"""What an overlay adds to a card, and what it cannot change."""

from pathlib import Path

import pytest
import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.repository import Repository
from agentmerge_hub.publishing.hub.withdrawn import with_warning
from agentmerge_hub.publishing.overlay import Overlay, apply_overlay, check_license, generated_part, read_overlay

CARD = "---\nlicense: {}\ntags:\n- agentmerge\n---\n\n# m\n\n## License\n\n- the derived one\n"
OWN = "license: other\nlicense_name: acme-terms\nlicense_link: https://acme.example/terms"


def overlay(tmp_path: Path, metadata: str) -> Overlay:
    (tmp_path / "overlay.md").write_text(f"---\n{metadata}\n---\n")
    return read_overlay(tmp_path / "overlay.md")


@pytest.mark.parametrize(
    ("derived", "metadata", "license"),
    [
        ("apache-2.0", "license: cc-by-nc-4.0", {"license": "cc-by-nc-4.0"}),
        ("apache-2.0", "license: mit", {"license": "apache-2.0"}),
        ("apache-2.0", "license: gpl-3.0", {"license": "gpl-3.0"}),
        ("apache-2.0", OWN, dict(line.split(": ") for line in OWN.splitlines())),
        (
            "llama3.1",
            OWN,
            {
                "license": "other",
                "license_name": "llama3.1-and-acme-terms",
                "license_link": "https://www.llama.com/llama3_1/license/",
            },
        ),
    ],
)
def test_a_license_is_added_to_the_derived_one(tmp_path: Path, derived: str, metadata: str, license: dict) -> None:
    added = overlay(tmp_path, metadata)
    assert check_license(added, [derived], []) == []
    card = apply_overlay(CARD.format(derived), added, Repository("model", "acme/m"), [derived])
    shown = yaml.safe_load(card.split("---")[1])
    assert {key: value for key, value in shown.items() if key.startswith("license")} == license
    assert "## Additional license" in card and "- the derived one" in card and "tags:\n- agentmerge" in card
    assert generated_part(card) == generated_part(CARD.format(derived))
    assert apply_overlay(card, Overlay(), Repository("model", "acme/m")).count("Additional license") == 0


@pytest.mark.parametrize(
    ("derived", "metadata", "reason"),
    [
        ("llama3.1", "license: mit", "mit grants what the derived terms do not (Llama 3.1 Community License)"),
        ("qwen-research", "license: cc-by-4.0", "cc-by-4.0 grants what the derived terms do not"),
        ("cc-by-nc-4.0", "license: apache-2.0", "apache-2.0 grants what the derived terms do not (cc-by-nc-4.0)"),
        ("gemma", "license: gpl-3.0", "gpl-3.0 lets no other terms be added"),
        ("cc-by-sa-4.0", "license: cc-by-nc-4.0", "cc-by-sa-4.0 lets no other terms be added"),
        ("apache-2.0", "license: llama3.1", "is the license of models that this one was not made of"),
    ],
)
def test_a_license_that_contradicts_the_derived_one_is_refused(tmp_path, derived, metadata, reason) -> None:
    (finding,) = check_license(overlay(tmp_path, metadata), [derived], [])
    assert reason in finding


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ("license: my-terms", "'my-terms', which is no license of the Hub"),
        ("license: [mit, apache-2.0]", "['mit', 'apache-2.0'], which is no license of the Hub"),
        ("license: unknown", "'unknown', which is no license of the Hub"),
        ("license: other", "without a license_name"),
        ("license: other\nlicense_name: My Terms", "without a license_name of lower-case letters"),
        ("license: other\nlicense_name: my-terms", "without a license_link"),
        (
            "license: other\nlicense_name: my-terms\nlicense_link: http://acme.example",
            "without a license_link: an https address",
        ),
        ("license: other\nlicense_name: mit\nlicense_link: https://acme.example", "write `license: mit`"),
        ("license: mit\nlicense_name: x", "they belong to `license: other`"),
        ("license_name: x", "no license of the Hub"),
        ("pretty_name: x", "sets pretty_name: an overlay can set contact, tags and extra_gated_* keys"),
    ],
)
def test_metadata_that_the_hub_does_not_take_is_refused(tmp_path: Path, metadata: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        overlay(tmp_path, metadata)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("metadata", ["contact: [a@b.org, c@d.org]", "contact: {a: b}", "tags: x", "tags: [1, null]"])
def test_metadata_of_another_type_is_refused(tmp_path: Path, metadata: str) -> None:
    with pytest.raises(UserError, match=f"sets {metadata.split(':')[0]} to .*: write"):
        overlay(tmp_path, metadata)


@pytest.mark.parametrize("text", ["---\n---\nText", "\ufeff--- \ncontact:\n--- \nText", "---\r\ntags:\r\n---\r\nText"])
def test_empty_metadata_adds_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "overlay.md").write_bytes(text.encode())
    added = read_overlay(tmp_path / "overlay.md")
    card = apply_overlay("---\ntags:\n- web\n---\n\n# x\n", added, Repository("dataset", "a/b"))
    assert (
        card.startswith("---\ntags:\n- web\n---\n") and "None" not in card and card.endswith("/discussions.\n\nText\n")
    )


def test_tags_stay_texts_in_the_card(tmp_path: Path) -> None:
    tags = ["web agents", "1.0", "yes", "a: b", "# c", "d\\1\ne: f"]
    card = apply_overlay(CARD.format("mit"), Overlay({"tags": tags}), Repository("model", "acme/m"))
    assert yaml.safe_load(card.split("---")[1]) == {"license": "mit", "tags": [*tags, "agentmerge"]}


def test_metadata_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The metadata of .*overlay.md, line 2: 'tags' is given twice"):
        overlay(tmp_path, "tags: [a]\ntags: [b]")


@pytest.mark.parametrize("end", ["", "<!-- end of withdrawn releases -->\n\nMore"])
def test_a_text_with_the_mark_of_withdrawn_releases_is_kept(end: str) -> None:
    text = f"Ours:\n<!-- withdrawn releases -->\nnone yet\n{end}".strip()
    card = apply_overlay(CARD.format("mit"), Overlay(text=text), Repository("model", "acme/m"))
    assert with_warning(card, {}) == card
    first = with_warning(card, {"v1.0.0": {"date": "2026-01-02", "reason": "Wrong."}})
    assert "---\n\n<!-- withdrawn releases -->\n> **Withdrawn: v1.0.0** (2026-01-02). Wrong.\n" in first
    second = with_warning(first, {"v1.1.0": {"date": "2026-01-03", "reason": "Wrong too."}})
    assert second.endswith(f"\n\n{text}\n") and "v1.0.0" not in second and "v1.1.0" in second
    assert with_warning(second, {}) == card and generated_part(second) == generated_part(card)


def test_the_text_of_an_own_license_is_published(tmp_path: Path) -> None:
    added = overlay(tmp_path, "license: other\nlicense_name: acme-terms\nlicense_link: LICENSE")
    assert "which is not published: pass it with --license-file" in check_license(added, [], ["README.md"])[0]
    assert check_license(added, [], ["LICENSE"]) == []
