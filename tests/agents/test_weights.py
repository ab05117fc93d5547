"""The hash of weights depends on the tensors alone."""

import shutil
from pathlib import Path

import pytest

from agentmerge_hub.agents.weights import weights_hash
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
    save_file(tensors, changed / "model.safetensors")
    assert weights_hash(changed) != weights_hash(model_folder)


def test_no_weights_or_broken_ones_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no \*.safetensors file"):
        weights_hash(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00not json")
    with pytest.raises(UserError, match="is not a safetensors file"):
        weights_hash(tmp_path)
