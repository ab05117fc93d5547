"""The hash of weights depends on the tensors that are served, and on nothing else."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from agentmerge_hub.agents.weights import served_hash, settings_hash, weights_hash
from agentmerge_hub.errors import UserError


def test_shards_and_metadata_make_no_difference_but_one_value_does(model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model_folder / "model.safetensors")
    names = sorted(tensors)
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    save_file({name: tensors[name] for name in names[3:]}, sharded / "model-00001-of-00002.safetensors", {"a": "b"})
    save_file({name: tensors[name] for name in names[:3]}, sharded / "model-00002-of-00002.safetensors")
    assert weights_hash(sharded) == weights_hash(model_folder)

    changed = tmp_path / "changed"
    shutil.copytree(model_folder, changed)
    tensors[names[0]].view(-1)[0] += 1
    save_file(tensors, changed / "other.safetensors")
    assert weights_hash(changed) == weights_hash(model_folder)  # no engine loads a second file
    save_file(tensors, changed / "model.safetensors")
    assert weights_hash(changed) != weights_hash(model_folder)


def test_the_hash_is_of_what_is_served(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    before = served_hash(folder, "transformers"), settings_hash(folder)
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert served_hash(folder, "llama.cpp") == hashlib.sha256(b"GGUF").hexdigest()
    assert (served_hash(folder, "vllm"), settings_hash(folder)) == before
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert served_hash(folder, "vllm") == before[0] and settings_hash(folder) != before[1]

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    shutil.copy(folder / "model.safetensors", adapter / "adapter_model.safetensors")
    hashes = set()
    for config in ({"r": 8}, {"r": 8, "lora_alpha": 32}, {"r": 8, "base_model_name_or_path": "org/other"}):
        content = {"peft_type": "LORA", "base_model_name_or_path": str(folder)} | config
        (adapter / "adapter_config.json").write_text(json.dumps(content))
        hashes.add(served_hash(adapter, "vllm"))
    assert len(hashes | {before[0]}) == 4


def test_no_weights_or_broken_ones_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no \*.safetensors file"):
        weights_hash(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    with pytest.raises(UserError, match=r"has no model-1\.safetensors, which its index names"):
        weights_hash(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00not json")
    with pytest.raises(UserError, match="is not a safetensors file"):
        weights_hash(tmp_path)
