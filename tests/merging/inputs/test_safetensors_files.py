"""Weight files of unknown origin: whatever safetensors refuses is refused in one sentence, and an index stays in its folder."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.checkpoint import INDEX, SINGLE, tensors_of
from agentmerge_hub.merging.inputs.safetensors_header import header_of

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


def rewrite(path: Path, edit: Callable[[dict], object], tail: bytes = b"") -> None:
    """Replace the header of a file; `edit` changes it, or returns the bytes to write."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    edited = edit(header)
    text = edited if isinstance(edited, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :] + tail)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / SINGLE)
    return tmp_path / SINGLE


def test_a_sound_file_is_read(file: Path) -> None:
    assert {name: tensor.shape for name, tensor in header_of(file).items()} == {"a": (2, 3), "b": (4,)}


@pytest.mark.parametrize(
    "edit",
    [
        lambda header: header["a"].update(data_offsets=header["b"]["data_offsets"]),
        lambda header: header["a"].update(data_offsets=[-8, 16]),
        lambda header: header["a"].update(shape=[-2, -3]),
        lambda header: header["a"].update(shape=[2**40, 2**40]),
        lambda header: header["a"].update(dtype="F99"),
        lambda header: header["a"].update(dtype="F8_E4M3"),
        lambda header: header["a"].update(shape=[2.0, 3]),
        lambda header: header["a"].update(data_offsets=[2**63, 2**63 + 24]),
        lambda header: header.update(a=[1, 2]),
        lambda header: b'{"a": ' * 100_000,
        lambda header: b"[" * 100_000,
        lambda header: b"\xff\xfe",
        lambda header: b'{"a": NaN}',
        lambda header: json.dumps(header).replace('"b"', '"a"').encode(),
    ],
    ids=[
        "overlap",
        "negative",
        "shape",
        "huge",
        "dtype",
        "float8",
        "fraction",
        "far",
        "list",
        "deep",
        "array",
        "bytes",
        "nan",
        "twice",
    ],
)
def test_a_malformed_header_is_one_sentence(file: Path, edit: Callable[[dict], object]) -> None:
    rewrite(file, edit)
    with pytest.raises(UserError, match=r"model\.safetensors is cut short or damaged: "):
        header_of(file)


@pytest.mark.parametrize("length", [0, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_one_sentence(file: Path, length: int) -> None:
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    with pytest.raises(UserError, match=r"model\.safetensors is cut short or damaged"):
        header_of(file)


def test_bytes_that_no_tensor_holds_are_refused(file: Path) -> None:
    rewrite(file, lambda header: None, b"more" * 1000)
    with pytest.raises(UserError, match="damaged"):
        header_of(file)


@given(data=st.binary(max_size=200))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "random.safetensors").write_bytes(data)
    with pytest.raises(UserError):
        header_of(tmp_path / "random.safetensors")


def sharded(folder: Path, weight_map: object) -> Path:
    save_file({"a": TENSORS["a"]}, folder / "one.safetensors")
    save_file({"b": TENSORS["b"]}, folder / "two.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_an_index_joins_files(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    assert set(tensors_of(folder)) == {"a", "b"}


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        (
            {"a": "../outside.safetensors", "b": "two.safetensors"},
            "may name plain .safetensors files of its own folder",
        ),
        ({"a": "/etc/passwd", "b": "two.safetensors"}, "may name plain .safetensors files of its own folder"),
        ({"a": "weights.bin"}, "may name plain .safetensors files of its own folder"),
        ({"a": "two.safetensors", "b": "one.safetensors"}, "and the index names two.safetensors"),
        ({"a": "one.safetensors"}, None),
        ({"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}, "lacks the tensor c"),
        ({"a": "three.safetensors"}, "lacks three.safetensors"),
        *(
            ({"a": name, "b": "two.safetensors"}, "may name plain .safetensors files of its own folder")
            for name in (
                "./one.safetensors",
                "sub/one.safetensors",
                "..\\one.safetensors",
                "C:one.safetensors",
                "",
                ".",
                "one\n.safetensors",
                "one\0.safetensors",
                f"{'x' * 300}.safetensors",
                ".one.safetensors",
            )
        ),
        ({"a": 3}, "has no weight_map"),
        (["a"], "has no weight_map"),
        ({}, "has no weight_map"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, weight_map: object, said: str | None) -> None:
    folder = sharded(tmp_path, weight_map)
    if said is None:
        assert set(tensors_of(folder)) == {"a"}
        return
    with pytest.raises(UserError, match=said):
        tensors_of(folder)


def test_weights_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    save_file(TENSORS, folder / "two.safetensors")
    with pytest.raises(UserError, match="a is stored twice"):
        tensors_of(folder)
    save_file(TENSORS, folder / SINGLE)
    with pytest.raises(UserError, match=r"has both model\.safetensors and model\.safetensors\.index\.json"):
        tensors_of(folder)
