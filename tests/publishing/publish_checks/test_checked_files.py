"""Files that are published hold no secret in any field, and are what their names promise."""

import base64
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stage_outputs
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.dataset.redaction import machine_names
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks import files as file_checks
from agentmerge_hub.publishing.publish_checks.dataset_folder import check_dataset
from agentmerge_hub.publishing.publish_checks.file_types import DATASET_FILES, MODEL_FILES
from agentmerge_hub.publishing.publish_checks.png_texts import png_texts
from agentmerge_hub.publishing.publish_checks.secret_engine import SecretEngine
from agentmerge_hub.publishing.publish_checks.secret_scan import local_secrets
from agentmerge_hub.records import SAMPLE_SCHEMA

CANARY = "hf_" + "Canary0123456789" * 2 + "ab"


def findings_of(folder: Path) -> list[str]:
    content = manifest.read(folder)
    files = {name: folder / name for name in [*content["outputs"], "manifest.json"]}
    return file_checks.check_files(files, DATASET_FILES, content["config"]["allow"])


def test_a_clean_dataset_has_no_finding(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    assert findings_of(folder) == [] and check_dataset(folder, manifest.read(folder)) == []


@pytest.mark.parametrize("column", [field.name for field in SAMPLE_SCHEMA if not pa.types.is_primitive(field.type)])
def test_canaries_in_every_text_column_are_found(tmp_path: Path, column: str) -> None:
    row = stage_outputs.sample(1)
    if isinstance(row[column], list):
        changed = [row[column][0] | {"content": f"Go on.\nkey {CANARY}"}, *row[column][1:]]
    else:
        changed = f"{row[column]} {CANARY}"
    folder = stage_outputs.dataset(tmp_path / "traces", [stage_outputs.sample(0), row | {column: changed}])
    assert any(f"column {column}" in finding and "API tokens" in finding for finding in findings_of(folder))
    assert not any(CANARY in finding for finding in findings_of(folder))


def plant(folder: Path, name: str, content: bytes) -> list[str]:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return file_checks.check_files({name: folder / name}, DATASET_FILES)


def test_canaries_beside_the_rows_are_found(tmp_path: Path) -> None:
    dropped = {"source": "a", "episode_id": "e", "step": None, "rule": "crashed", "detail": f"Bearer {CANARY}"}
    folder = stage_outputs.dataset(tmp_path / "traces", dropped=[dropped])
    assert any("ledger.parquet, column detail" in finding for finding in findings_of(folder))
    assert plant(tmp_path, "README.md", f"# Card\n<!-- {CANARY} -->".encode())
    assert plant(tmp_path, "manifest.json", json.dumps({"config": {"api_base": f"https://x?k={CANARY}"}}).encode())
    assert any("the name of" in finding for finding in plant(tmp_path, f"data/{CANARY}.md", b"nothing"))
    table = pa.table({"a": [1]}).replace_schema_metadata({"made_by": CANARY})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    assert "schema (made_by)" in plant(tmp_path, "x.parquet", sink.getvalue().to_pybytes())[0]
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", f"drawn by {CANARY}")
    Image.new("L", (4, 4)).save(tmp_path / "p.png", pnginfo=note)
    assert plant(tmp_path, "p.png", (tmp_path / "p.png").read_bytes())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("write to jane.doe@servicenow.com", "e-mail addresses"),
        ("https://dev12345.service-now.com/now/nav", "hosts of instances"),
        ("login.do?user_name=admin&user_password=hunter22", "user names and passwords"),
        ("cookie: glide_user=U0N2Mzo=; path", "cookies"),
        ("/home/jane/traces/study", "user names in paths"),
    ],
)
def test_personal_data_are_found(tmp_path: Path, text: str, what: str) -> None:
    assert any(what in finding for finding in plant(tmp_path, "README.md", text.encode()))
    assert any(what in finding for finding in plant(tmp_path, "README.md", quote(text, safe="").encode()))


def test_what_the_card_allows_goes_through(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Ask team@acme.org.")
    files = {"README.md": tmp_path / "README.md"}
    assert file_checks.check_files(files, DATASET_FILES)
    assert file_checks.check_files(files, DATASET_FILES, {"team@acme.org": "the maintainers' own"}) == []


def test_local_secrets_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    found = local_secrets({"SNOW_INSTANCE_PWD": "correct horse", "PWD": "/home/somebody", "OPENAI_API_KEY": "short"})
    assert found == {"correct horse": "the value of SNOW_INSTANCE_PWD on this machine"}


def test_files_that_could_hide_anything_are_refused(tmp_path: Path) -> None:
    assert "traces.pkl is not a file that is published" in plant(tmp_path, "traces.pkl", b"\x80\x04")[0]
    assert "is damaged" in plant(tmp_path, "rows.parquet", b"no table")[-1]


def test_a_folder_of_another_stage_is_refused(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    with pytest.raises(UserError, match="was written by `build`"):
        file_checks.check_folder(folder, ["merge"])
    result = CliRunner().invoke(agentmerge, ["push", "model", str(folder), "--repo-id", "a/b"])
    assert isinstance(result.exception, UserError)


CODES = np.frombuffer(CANARY.encode(), np.uint8)
COLUMNS = {
    "string_view": pa.array([CANARY], pa.string_view()),
    "binary_view": pa.array([CANARY.encode()], pa.binary_view()),
    "fixed_size_binary": pa.array([CANARY.encode()], pa.binary(len(CANARY))),
    "map key": pa.array([[(CANARY, "x")]], pa.map_(pa.string(), pa.string())),
    "map value": pa.array([[("x", CANARY)]], pa.map_(pa.string(), pa.string())),
    "list of structs": pa.array([[{"a": {"b": [CANARY]}}]]),
    "fixed-size list": pa.array([[CANARY, "x"]], pa.list_(pa.string(), 2)),
    "dictionary": pa.array([CANARY]).dictionary_encode(),
    "list of bytes": pa.array([list(CANARY.encode())], pa.list_(pa.uint8())),
    "list of floats": pa.array([CODES.astype(float).tolist()]),
    "gzipped": pa.array([gzip.compress(CANARY.encode())]),
    "UTF-16": pa.array([CANARY.encode("utf-16")]),
    "base64 in gzip": pa.array([gzip.compress(base64.b64encode(CANARY.encode()))]),
    "phone": pa.array([15145550199]),
}
"""Columns of one row that hold the canary."""
CODE_COLUMNS = {
    "integers": CODES.tolist(),
    "floats": CODES.astype(float).tolist(),
    "lists": [[float(c)] for c in CODES],
}


@pytest.mark.parametrize("columns", [COLUMNS, CODE_COLUMNS])
def test_parquet_columns_of_every_type_are_read(tmp_path: Path, columns: dict) -> None:
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    findings = plant(tmp_path, "x.parquet", (tmp_path / "x.parquet").read_bytes())
    assert [name for name in columns if not any(f"column {name}" in found for found in findings)] == []


def test_bytes_of_a_parquet_file_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    for value, allowed in ((picture.getvalue(), True), (pickle.dumps(print), False), (b"MZ", False)):
        pq.write_table(pa.table({"image": [{"bytes": None}, {"bytes": value}]}), tmp_path / "x.parquet")
        findings = plant(tmp_path, "x.parquet", (tmp_path / "x.parquet").read_bytes())
        assert findings == [] if allowed else "no pictures" in findings[0]


def test_parquet_names_and_field_metadata_are_read(tmp_path: Path) -> None:
    inner = pa.field("a", pa.string(), metadata={"note": CANARY})
    for schema in (pa.schema([inner]), pa.schema([pa.field("s", pa.struct([pa.field(CANARY, pa.string())]))])):
        pq.write_table(schema.empty_table(), tmp_path / "x.parquet")
        assert plant(tmp_path, "x.parquet", (tmp_path / "x.parquet").read_bytes())


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(CANARY.encode())),
        chunk(b"iTXt", b"Comment\0\0\0en\0\0" + CANARY.encode()),
        chunk(b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(CANARY.encode())),
        chunk(b"eXIf", b"MM\0*" + CANARY.encode()),
        chunk(b"prVt", b"anything"),
    ],
)
def test_png_chunks_of_every_type_are_read_or_refused(tmp_path: Path, extra: bytes) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "p.png")
    data = (tmp_path / "p.png").read_bytes()
    assert plant(tmp_path, "p.png", data) == []
    assert plant(tmp_path, "p.png", data[:33] + extra + data[33:])
    assert "behind its end" in plant(tmp_path, "p.png", data + CANARY.encode())[0]


def test_png_data_beside_the_picture_is_refused() -> None:
    def png(pixels: bytes, *chunks: bytes, size: tuple[int, int] = (4, 4), color: int = 0, interlace: int = 0) -> bytes:
        header = struct.pack(">IIBBBBB", *size, 8, color, 0, 0, interlace)
        idat = b"".join(chunk(b"IDAT", part) for part in (pixels[:5], pixels[5:]))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + idat + chunk(b"IEND", b"")

    lines = zlib.compress(b"\0abcd" * 4)
    palette = chunk(b"PLTE", CANARY.encode() + bytes(2))
    assert list(png_texts("p.png", png(lines))) == []
    assert list(png_texts("p.png", png(zlib.compress(bytes(2 + 2 + 2 + 4)), size=(3, 2), interlace=1))) == []
    assert any(CANARY in text.text for text in png_texts("p.png", png(lines, palette, color=3)))
    for wrong in (
        png(lines + CANARY.encode()),
        png(lines) .replace(chunk(b"IEND", b""), chunk(b"IDAT", CANARY.encode()) + chunk(b"IEND", b"")),
        png(zlib.compress(b"\0abcd" * 4 + CANARY.encode())),
        png(zlib.compress(b"\0abcd" * 3)),
        png(lines[:-4]),
        png(lines, chunk(b"pHYs", CANARY.encode())),
        png(lines, palette, palette),
    ):  # fmt: skip
        with pytest.raises(UserError):
            list(png_texts("p.png", wrong))


def test_bytes_of_a_parquet_file_outside_of_its_columns_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1] * 9}), tmp_path / "x.parquet", write_statistics=True)
    data = (tmp_path / "x.parquet").read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    hidden = data[: -8 - size] + CANARY.encode() + data[-8 - size :]
    assert pq.read_table(pa.BufferReader(hidden)).num_rows == 9 and plant(tmp_path, "x.parquet", data) == []
    assert "outside of its columns" in plant(tmp_path, "x.parquet", hidden)[0]


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("text")
    (tmp_path / "README.md").symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in file_checks.check_files({"README.md": tmp_path / "README.md"}, MODEL_FILES)[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Trained by nora.keller.", "account"),
        ("see %2Fsrv%2Fruns%2FNora.Keller%2Frun-3", "account"),
        ("on gpu-node-7", "host"),
        ("read from /pool/people/mark/", "home"),
        ("user=mark on mark@login", "account"),
        ("Mark it as read; a bookmark@ 7", ""),
        ("the nodes of a gpu-node-70", ""),
    ],
)
def test_names_of_this_machine_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str
) -> None:
    names = {"nora.keller": "account", "mark": "account", "/pool/people/mark": "home", "gpu-node-7": "host"}
    monkeypatch.setattr("agentmerge_hub.dataset.redaction.machine_names._names", lambda: names)
    places = [finding for finding in plant(tmp_path, "README.md", text.encode()) if "this machine" in finding]
    assert bool(places) == bool(found) and all(name not in place for name in names for place in places)
    assert not found or any(
        {"account": "account", "host": "name of this machine", "home": "home"}[found] in p for p in places
    )


def test_names_that_identify_nobody_are_no_names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_names._names.cache_clear()
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setattr("socket.gethostname", lambda: "3f2a9c81d07e")
    try:
        assert machine_names.machine_names() == {}
        assert list(machine_names.find_machine_names("root@localhost:/root on 3f2a9c81d07e")) == []
    finally:
        machine_names._names.cache_clear()


def test_texts_of_a_killed_scan_are_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = (
        "import os, signal\n"
        "from agentmerge_hub.publishing.publish_checks.secret_engine import SecretEngine\n"
        "from agentmerge_hub.publishing.publish_checks.text_extraction import Text\n"
        "with SecretEngine() as engine:\n"
        "    engine.add(Text('README.md', 'not for others')); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", scan], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)
    assert [path.read_text() for path in tmp_path.rglob("*.txt")] == ["not for others\n"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with SecretEngine():
        assert not list(tmp_path.rglob("*.txt"))
    assert not list(tmp_path.iterdir())
