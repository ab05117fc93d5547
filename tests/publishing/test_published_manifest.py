"""What is published of a local path is its role: manifests and specs name no place of this machine."""

import json

import pytest

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
