"""Nothing secret goes out, in whatever field or form it hides, and no card tells what the data do not hold."""

import base64
import gzip
import html
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stage_outputs
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks import files as file_checks
from agentmerge_hub.publishing.publish_checks.dataset_folder import check_dataset
from agentmerge_hub.publishing.publish_checks.encodings import decodings
from agentmerge_hub.publishing.publish_checks.secret_scan import local_secrets, scan
from agentmerge_hub.records import SAMPLE_SCHEMA

CANARY = "hf_" + "Canary0123456789" * 2 + "ab"

HIDDEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: quote("".join(f"%{byte:02x}" for byte in text.encode())),
    "HTML": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML hex": lambda text: html.escape("".join(f"&#x{ord(letter):x};" for letter in text)),
    "backslash": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"k": "".join(f"\\x{ord(letter):02x}" for letter in text)})),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"key?>~={text}".encode()).decode().rstrip("="),
    "base64 in a path": lambda text: "abc/de/" + base64.b64encode(text.encode()).decode(),
    "base64 over lines": lambda text: base64.encodebytes(
        b"user: somebody at home, key: " + f"{text} ".encode() * 3
    ).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hex behind a letter": lambda text: "f" + text.encode().hex(),
    "hex": lambda text: text.encode().hex(),
    "gzip": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "fullwidth": lambda text: "".join(chr(ord(letter) + 0xFEE0) for letter in text),
    "zero width": lambda text: "\u200b".join(text),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
}


@pytest.mark.parametrize("form", HIDDEN)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    text = f"[a1] link 'x', url='https://a.example/?q={HIDDEN[form](CANARY)}&n=1'"
    assert [what for _, what in scan([("here", text)], {})]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300))
def test_reading_ends_whatever_the_text(text: str) -> None:
    found = list(decodings(text))
    assert found[0] == text and len(found) < 2000


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60),
    st.sampled_from(sorted(HIDDEN)),
)
def test_any_value_of_this_machine_is_found_in_every_form(value: str, form: str) -> None:
    assert ("here", "mine") in list(scan([("here", f"a {HIDDEN[form](value)} b")], {value: "mine"}))


def findings_of(folder: Path) -> list[str]:
    content = manifest.read(folder)
    files = {name: folder / name for name in [*content["outputs"], "manifest.json"]}
    return file_checks.check_files(files, file_checks.DATASET_KINDS, content["config"]["allow"])


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
    return file_checks.check_files({name: folder / name}, file_checks.DATASET_KINDS)


def test_canaries_beside_the_rows_are_found(tmp_path: Path) -> None:
    dropped = {"source": "a", "episode_id": "e", "step": None, "rule": "crashed", "detail": f"Bearer {CANARY}"}
    folder = stage_outputs.dataset(tmp_path / "traces", dropped=[dropped])
    assert any("ledger.parquet, column detail" in finding for finding in findings_of(folder))
    assert plant(tmp_path, "README.md", f"# Card\n<!-- {CANARY} -->".encode())
    assert plant(tmp_path, "manifest.json", json.dumps({"config": {"api_base": f"https://x?k={CANARY}"}}).encode())
    assert "the name of" in plant(tmp_path, f"data/{CANARY}.md", b"nothing")[0]
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
    assert file_checks.check_files(files, file_checks.DATASET_KINDS)
    assert file_checks.check_files(files, file_checks.DATASET_KINDS, {"team@acme.org": "the maintainers' own"}) == []


def test_local_secrets_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    found = local_secrets({"SNOW_INSTANCE_PWD": "correct horse", "PWD": "/home/somebody", "OPENAI_API_KEY": "short"})
    assert found == {"correct horse": "the value of SNOW_INSTANCE_PWD on this machine"}


def test_files_that_could_hide_anything_are_refused(tmp_path: Path) -> None:
    assert "traces.pkl has a file type that is not published" in plant(tmp_path, "traces.pkl", b"\x80\x04")[0]
    assert "is damaged" in plant(tmp_path, "rows.parquet", b"no table")[-1]


def changed_card(folder: Path, old: str, new: str) -> list[str]:
    text = (folder / "README.md").read_text()
    assert old in text
    (folder / "README.md").write_text(text.replace(old, new, 1))
    return check_dataset(folder, manifest.read(folder))


def test_figures_that_the_data_do_not_give_are_named(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    assert changed_card(folder, "12 samples", "32,000 samples") == [
        finding for finding in check_dataset(folder, manifest.read(folder)) if "32,000 samples" in finding
    ]
    assert changed_card(stage_outputs.dataset(tmp_path / "b"), "num_examples: 4", "num_examples: 5")
    assert changed_card(stage_outputs.dataset(tmp_path / "c"), "Apache License 2.0", "MIT License")


def test_counts_of_the_manifest_are_recomputed(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    content = manifest.read(folder)
    content["counts"] |= {"episodes": 99, "dropped": {"crashed": 7}}
    findings = check_dataset(folder, content)
    assert "manifest.json has episodes 99, the data have 4" in findings
    assert "manifest.json has dropped {'crashed': 7}, the data have {}" in findings


def test_rows_without_terms_stay_here(tmp_path: Path) -> None:
    unknown = stage_outputs.dataset(
        tmp_path / "a", [stage_outputs.sample(0, teacher="acme/agent-1", license="unknown"), stage_outputs.sample(1)]
    )
    assert "rows of acme/agent-1 have no license" in " ".join(check_dataset(unknown, manifest.read(unknown)))
    wrong = stage_outputs.dataset(
        tmp_path / "b", [stage_outputs.sample(0, teacher="meta-llama/Llama-3.1-70B-Instruct"), stage_outputs.sample(1)]
    )
    assert "have the license apache-2.0, its license is llama3.1" in " ".join(
        check_dataset(wrong, manifest.read(wrong))
    )
    several = [stage_outputs.sample(0, teacher="meta-llama/Llama-3.1-70B-Instruct", license="llama3.1"),
               stage_outputs.sample(1, teacher="mistralai/Mistral-Large-Instruct-2407", license="mistral-research-license")]  # fmt: skip
    right = stage_outputs.dataset(tmp_path / "c", several)
    assert check_dataset(right, manifest.read(right)) == []


def test_a_folder_of_another_stage_is_refused(tmp_path: Path) -> None:
    folder = stage_outputs.dataset(tmp_path / "traces")
    with pytest.raises(UserError, match="was written by `build`"):
        file_checks.check_folder(folder, ["merge"])
    result = CliRunner().invoke(agentmerge, ["push", "model", str(folder), "--repo-id", "a/b"])
    assert isinstance(result.exception, UserError)
