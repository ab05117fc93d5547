"""What is published of a local path is its role: manifests and specs name no place of this machine."""

import json

import pytest

from agentmerge_hub.package_data import data_folder
from agentmerge_hub.publishing.published_manifest import published_manifest, published_spec

PLACES = [
    "/home/jane doe/base", "/lab disk/jdoe/base", "file:///lab/jdoe/base", "file:/lab/jdoe", "D:\\My Models\\jdoe\\b", "gs://jdoe-bucket/b",
    "\\\\nas01\\share\\jdoe", "../runs/jdoe", "./jdoe", "~/jdoe", "~jdoe/b", "My Models/jdoe/b", "runs/jdoe", "jdoe/",
]  # fmt: skip


def published_config(config: dict) -> dict:
    entry = {"inputs": {"agent": {"name": "jdoe run", "sha256": "s"}}, "config": config, "outputs": {}}
    published = published_manifest(entry, {}, {"org/base"})
    assert b"jdoe" not in published
    return json.loads(published)["config"]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_is_published_as_its_role(place: str) -> None:
    config = {"model": place, "nested": {"data": [place, "org/base"]}, "weights": {place: 0.5}}
    assert published_config(config) == {
        "model": "model",
        "nested": {"data": ["data", "org/base"]},
        "weights": {"weights-0": 0.5},
    }
    spec = f"base_model: {place} # base\nmodels:\n  - model: org/base\ntokenizer_source: {place}-x\n"
    assert published_spec(spec, {"base": place}, {"org/base"}).splitlines() == [
        "base_model: base # base", "models:", "  - model: org/base", "tokenizer_source: tokenizer_source",
    ]  # fmt: skip


def test_a_folder_without_a_slash_is_published_as_its_role_and_other_settings_stay() -> None:
    assert published_config({"model": "jdoe-workstation", "dataset": "jdoe"}) == {
        "model": "model",
        "dataset": "dataset",
    }
    stay = {
        "model": "org/base", "reference_model": "agentmerge before this training", "targets": ".*\\.(q_proj|v_proj)", "seed": 0,
        "note": "either / or", "template": "{{ a/b }}", "api": "https://example.org/v1", "mergekit": "0.1.5", "layers": "model.layers.\\d+.mlp",
        "prompts": {"window": 2048, "flags": {"action_space": "workarena++", "use_html": True}, "different_flags": ["use_tabs"]},
    }  # fmt: skip
    assert published_config(stay) == stay


@pytest.mark.parametrize(
    "place", ["/ptmp/jdoe/traces", "~/jdoe", "./runs/jdoe/", "../jdoe", "D:\\jdoe\\traces", "/lab/jdoe.1/x-y_z"]
)
def test_a_place_in_a_comment_is_not_published(place: str) -> None:
    spec = f"# Data: {place}, config all.\nmerge_method: linear # of {place}\n# Learned on `{place}`\n"
    published = published_spec(spec, {}, set())
    assert "jdoe" not in published and published.count("local-path") == 3 and "merge_method: linear # of" in published


def test_comments_that_name_no_place_stay() -> None:
    recipes = sorted((data_folder("recipes") / "merge").glob("*.yml"))
    lines = [line for path in recipes for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join([*lines, "a: 1 # https://x.org/a/b, and/or, 1/n, (a + b)/n, org/base@v1, 100%/b/c", ""])
    assert len(lines) > 50 and published_spec(text, {}, set()) == text
