"""Hashes come from contents; the shortcut never hides a change."""

import hashlib
import os
import re
import time
from pathlib import Path

import pytest

from agentmerge_hub.files import content_hash


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AGENTMERGE_HASH_CACHE", raising=False)
    return tmp_path / "cache" / "hashes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model/checkpoint-4").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "optimizer.pt", "README.md", "manifest.json"):
        (tmp_path / "model" / name).write_text(name)
    (tmp_path / "model/checkpoint-4/model.safetensors").write_text("earlier")
    return tmp_path / "model"


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names: list[str] = []
    real = content_hash.file_hash
    monkeypatch.setattr(content_hash, "file_hash", lambda path: names.append(path.name) or real(path))
    return names


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files be old enough to be remembered."""
    now = time.time() + 60
    monkeypatch.setattr(content_hash.time, "time", lambda: now)


def test_only_what_a_stage_reads_is_hashed(folder: Path) -> None:
    sha = {name: hashlib.sha256(name.encode()).hexdigest() for name in (path.name for path in folder.iterdir())}
    hashes = content_hash.file_hashes(folder)
    assert hashes == {name: sha[name] for name in ("config.json", "model.safetensors", "tokenizer.json")}
    only = content_hash.file_hashes(folder, lambda name: name.endswith(".safetensors"))
    assert sorted(only) == ["checkpoint-4/model.safetensors", "model.safetensors"]
    (folder / "config.json").unlink()
    (folder / ".cache").mkdir()
    (folder / ".cache/lock").write_text("")
    assert sorted(content_hash.file_hashes(folder)) == [
        "checkpoint-4/model.safetensors", "model.safetensors", "optimizer.pt", "tokenizer.json",
    ]  # fmt: skip


def test_a_single_file_is_hashed_and_a_missing_input_is_an_error(folder: Path) -> None:
    sha = hashlib.sha256(b"optimizer.pt").hexdigest()
    assert content_hash.file_hashes(folder / "optimizer.pt") == {"optimizer.pt": sha}
    with pytest.raises(FileNotFoundError):
        content_hash.folder_hash(folder / "missing")


def test_a_file_that_did_not_change_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = reads(monkeypatch)
    age(monkeypatch)
    first = content_hash.file_hashes(folder)
    (folder / "new.safetensors").write_text("new")
    assert content_hash.file_hashes(folder).items() > first.items()
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "new.safetensors"]
    monkeypatch.setenv("AGENTMERGE_HASH_CACHE", "0")
    content_hash.file_hashes(folder)
    assert len(names) == 8


def test_a_change_of_equal_size_and_time_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    path = folder / "model.safetensors"
    times = path.stat()
    before = content_hash.folder_hash(folder)
    path.write_text("model.safetensorS")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = content_hash.folder_hash(folder)
    assert changed != before
    other = folder / "other"
    other.write_text("model.safetensors")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert content_hash.folder_hash(folder) == before


def test_a_file_that_was_just_written_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = reads(monkeypatch)
    content_hash.file_hashes(folder)
    content_hash.file_hashes(folder)
    assert len(names) == 6


@pytest.mark.parametrize("text", ["", "[1]", '{"config.json": 3}', '{"config.json": [[1, 2, 3, 4], 5]}', "\udcff"])
def test_a_damaged_cache_is_ignored(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    age(monkeypatch)
    first = content_hash.file_hashes(folder)
    (file,) = cache.glob("*/*.json")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert content_hash.file_hashes(folder) == first


def test_a_cache_that_cannot_be_written_is_no_error(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    cache.parent.write_text("a file")
    assert len(content_hash.file_hashes(folder)) == 3


def test_a_name_that_is_not_utf_8_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / os.fsdecode(b"\xff.txt")).write_text("x")
    assert content_hash.folder_hash(tmp_path / "data") == content_hash.folder_hash(tmp_path / "data")


def test_a_large_file_is_hashed_by_a_process_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/large \xff"))
    path.write_bytes(bytes(range(256)) * 20_000)  # more than one piece
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    assert content_hash.file_hash(path) == sha
    monkeypatch.setattr(content_hash, "_LARGE", 1)
    read_here = reads(monkeypatch)
    assert content_hash.file_hash_by_process(path) == sha and read_here == []
    monkeypatch.setattr(content_hash.sys, "executable", "/no/python")
    assert content_hash.file_hash_by_process(path) == sha and read_here == [path.name]


def test_a_short_id_is_never_a_number() -> None:
    """Of random ids of 16 digits one in 1,850 has no letter; one of those in ten passes the checksum of card numbers."""
    ids = [content_hash.short_id(f"sample {number}") for number in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", one) and not one.isdigit() for one in ids)
    digits = [f"sample {n}" for n in range(20_000) if hashlib.sha256(f"sample {n}".encode()).hexdigest()[:16].isdigit()]
    assert digits, "some of them would have been numbers"


def test_program_hash_reads_the_whole_package():
    whole = content_hash.program_hash()
    assert whole == content_hash.program_hash(without={"no such part"})
    assert whole != content_hash.program_hash(without={"analysis"})
