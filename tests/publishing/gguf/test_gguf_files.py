"""GGUF files hold the weights they were made from, and the checks before a push see every change and every text in them."""

import re
import shutil
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import byte_fallback_tokenizer
import pytest
import stage_outputs
from click.testing import CliRunner
from gguf import GGUFReader
from hub_server import Hub

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.publishing.gguf.compare import compare
from agentmerge_hub.publishing.gguf.header import read_header
from agentmerge_hub.publishing.publish_checks.file_types import MODEL_FILES
from agentmerge_hub.publishing.publish_checks.files import check_files
from agentmerge_hub.publishing.publish_checks.gguf_texts import gguf_texts
from agentmerge_hub.sizes import size_text


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged model and its dataset, with GGUF files in two number formats."""
    folder = tmp_path_factory.mktemp("gguf")
    tokenizer = byte_fallback_tokenizer.write(folder / "tokenizer")
    stage_outputs.merged(folder / "merged", tokenizer, stage_outputs.dataset(folder / "traces"))
    for number_format in ("bf16", "q8_0"):
        done = CliRunner().invoke(agentmerge, ["gguf", str(folder / "merged"), "--type", number_format])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def model(converted: Path, tmp_path: Path) -> Path:
    shutil.copytree(converted, tmp_path, dirs_exist_ok=True)
    return tmp_path / "merged"


@pytest.mark.parametrize("name", ["model-bf16.gguf", "model-q8_0.gguf"])
def test_a_file_holds_the_weights_of_its_model(converted: Path, name: str) -> None:
    path = converted / "merged" / name
    header, reader = read_header(name, path), GGUFReader(path)
    assert {t.name: (tuple(map(int, t.shape))[::-1], t.n_bytes) for t in reader.tensors} == {
        key: (tensor.shape, tensor.size) for key, tensor in header.tensors.items()
    }
    last = reader.tensors[-1]
    start = header.tensors[last.name].start
    assert last.data.tobytes() == path.read_bytes()[start : start + last.n_bytes]
    assert compare(converted / "merged", path) == [] and manifest.verify(converted / "merged") == []
    assert check_files({name: path}, MODEL_FILES) == []


@pytest.mark.parametrize("name", ["model-bf16.gguf", "model-q8_0.gguf"])
def test_every_changed_tensor_is_named(model: Path, name: str) -> None:
    path = model / name
    whole = path.read_bytes()
    for key, tensor in read_header(name, path).tensors.items():
        changed = bytearray(whole)
        changed[tensor.start + tensor.size // 2 + 1] ^= 0x41
        path.write_bytes(changed)
        assert any(f"{name}: {key} does not hold the model's" in finding for finding in compare(model, path)), key
    path.write_bytes(whole)
    (model / "chat_template.jinja").write_text("{{ messages }}")
    assert f"{name}: its chat template is not the model's: convert it again" in compare(model, path)


@pytest.mark.parametrize(
    ("key", "code", "value"),
    [("rope.freq_base", "f", 5e5), ("attention.layer_norm_rms_epsilon", "f", 1e-5), ("attention.head_count", "I", 1)],
)
def test_every_changed_setting_is_named(model: Path, key: str, code: str, value: float) -> None:
    path = model / "model-bf16.gguf"
    data = bytearray(path.read_bytes())
    at = data.index(f"llama.{key}".encode()) + len(f"llama.{key}") + 4
    data[at : at + 4] = struct.pack(f"<{code}", value)
    path.write_bytes(data)
    assert [finding for finding in compare(model, path) if f"{path.name} has {key} " in finding]


def entry(key: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def with_entry(data: bytes, added: bytes) -> bytes:
    """A file without tensors that has the entries of the architecture and one more."""
    head = entry("general.architecture", 8, text("llama"))
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + head + added


TOKEN = "hf_" + "Canary0123456789" * 2 + "ab"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-40], "is cut off, or has data behind its tensors"),
        (lambda data: data + bytes(4096), "is cut off, or has data behind its tensors"),
        (lambda data: data[:4] + struct.pack("<I", 2) + data[8:], "version 2"),
        (lambda data: data[:8] + struct.pack("<QQ", 2**60, 2**60) + data[24:], "1152921504606846976 tensors"),
        (lambda data: b"PK\x03\x04" + data[4:], "it does not start with GGUF"),
        (lambda data: data[:24] + struct.pack("<Q", 2**62) + data[32:], "a text goes beyond the header"),
        (lambda data: with_entry(data, entry("general.x", 9, struct.pack("<IQ", 4, 2**40))), "has 1099511627776 items"),
        (lambda data: with_entry(data, entry("llama.x", 9, struct.pack("<IQ", 9, 1))), "items of the type 9"),
        (lambda data: with_entry(data, entry("llama.x", 99, b"")), "has an unknown type"),
        (lambda data: with_entry(data, entry("general.architecture", 8, text("x"))), "comes twice"),
        (lambda data: with_entry(data, entry("hidden.x", 8, text("x"))), "has the metadata 'hidden.x'"),
        (lambda data: with_entry(data, entry("llama.x", 9, struct.pack("<IQ3s", 0, 3, b"abc"))), "metadata 'llama.x'"),
    ],
)  # fmt: skip
def test_what_no_converter_writes_is_refused(model: Path, change: Callable[[bytes], bytes], said: str) -> None:
    path = model / "model-bf16.gguf"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=re.escape(said)):
        list(gguf_texts(path.name, path))


def test_texts_are_scanned(model: Path) -> None:
    entries = {
        "model-a.gguf": entry("general.name", 8, text(TOKEN)),
        "model-b.gguf": entry("general.url", 8, text("/home/jane.doe/m")),
        "model-c.gguf": entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 1) + text(TOKEN)),
    }
    for name, added in entries.items():
        (model / name).write_bytes(with_entry(b"", added))
    findings = check_files({name: model / name for name in entries}, MODEL_FILES)
    assert all(any(name in finding for finding in findings) for name in entries)


def test_data_between_tensors_are_refused(model: Path) -> None:
    path = model / "model-q8_0.gguf"
    tensors = list(read_header(path.name, path).tensors.values())
    gaps = [a.start + a.size for a, b in pairwise(tensors) if a.start + a.size < b.start]
    with path.open("r+b") as file:
        file.seek(gaps[0])
        file.write(b"x")
    with pytest.raises(UserError, match="it has data between its tensors"):
        read_header(path.name, path)


def test_a_model_goes_with_its_gguf_files(hub: Hub, run, model: Path) -> None:
    push = (
        "push",
        "model",
        "merged",
        "--repo-id",
        "acme/tiny",
        "--base-model",
        "acme/tiny-base",
        "--base-model",
        "acme/tiny-instruct",
        "--license",
        "mit",
    )
    outcomes: dict = {("inter_task", f"t{n}", n): float(n % 2) for n in range(4)}
    served = {"engine": "llama.cpp 6123", "number_format": "GGUF model-q8_0"}
    stage_outputs.results(
        model.parent / "results", content_hash.file_hash(model / "model-q8_0.gguf"), outcomes, **served
    )
    run(*push, "--traces", "traces", "--results", "results", "--yes")
    files = hub.store.repos["model", "acme/tiny"].resolve("v1.0.0").files
    card = files["README.md"].content.decode()
    size = size_text((model / "model-q8_0.gguf").stat().st_size)
    assert (
        f"llama-server -hf acme/tiny --hf-file model-q8_0.gguf  # q8_0, {size}" in card and "model-bf16.gguf" in files
    )
    assert "| miniwob | inter_task | Advanced | llama.cpp 6123 | Q8_0 (GGUF) | 0.500 |" in card
    weights = (model / "model-q8_0.gguf").read_bytes()
    (model / "model-q8_0.gguf").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "model-q8_0.gguf was changed since it was written" in run(*push, "--traces", "traces", ok=False).stdout


def test_a_user_error_of_a_conversion_is_one_sentence(converted: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    done = CliRunner().invoke(agentmerge, ["gguf", str(converted / "merged")])
    assert "exists already" in str(done.exception)
    stage_outputs.tiny_llama(tokenizer_folder, tmp_path / "other")
    done = CliRunner().invoke(agentmerge, ["gguf", str(tmp_path / "other")])
    assert "cannot convert" in str(done.exception) and "llama.cpp does not know its tokenizer" in str(done.exception)
    assert not list((tmp_path / "other").glob("*gguf*"))
