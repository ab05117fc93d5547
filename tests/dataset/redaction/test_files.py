"""Files of a dataset: what remains is found, and a build writes nothing secret."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_traces import write_episode

from agentmerge_hub.dataset.build import build
from agentmerge_hub.dataset.parallel.workers import WorkerConfig
from agentmerge_hub.dataset.redaction.files import scan_file
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.verify_output import scan_other_files
from agentmerge_hub.errors import UserError

KEY = "48e8d7acc30a1210a20cfacc050131ec58cccd6439c0e3f35ea7ecc19ed7bfe378deb5fa"


def test_files_are_scanned_column_by_column(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": "fine"}]}, {"prompt": [{"role": "user", "content": "x a@b.com"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (hit,) = scan_file(tmp_path / "a.parquet")
    assert (hit.kind, hit.location) == ("email", "a.parquet, column prompt") and "a@b.com" not in str(hit)
    (tmp_path / "README.md").write_text("made on https://dev1.service-now.com/")
    assert [hit.kind for hit in scan_file(tmp_path / "README.md")] == ["host"]
    with pytest.raises(UserError, match=r"still hold secrets .*host 1"):
        scan_other_files(tmp_path, LineScanner(Allowlist(email="made up")))


def test_a_built_dataset_holds_no_secret_and_says_what_was_replaced(tmp_path: Path, tokenizer_folder: Path) -> None:
    page = f"[11] button 'Mary Hart: available'\n[2] link 'x', url='https://dev7.service-now.com/x?sysparm_ck={KEY}'"
    obs = {
        "axtree_txt": page,
        "url": "https://dev7.service-now.com/a",
        "open_pages_urls": ["https://dev7.service-now.com/a"],
    }
    for seed in range(3):
        write_episode(
            tmp_path / "t", "workarena.servicenow.order-ipad-pro", seed, flags=None, obs=obs, action="click('11')"
        )
    built = build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    assert built.counts["redacted"] == {"account": 3, "host": 3, "session": 3}
    assert not [hit for path in (tmp_path / "out").rglob("*.parquet") for hit in scan_file(path)]
    written = json.dumps([pq.read_table(path).to_pylist() for path in (tmp_path / "out").rglob("*.parquet")])
    assert "Mary" not in written and "dev7" not in written and KEY not in written and "instance.example.com" in written


def test_the_ledger_is_redacted_too(tmp_path: Path, tokenizer_folder: Path) -> None:
    folder = write_episode(tmp_path / "t", "miniwob.click-dialog", 0)
    folder.rename(tmp_path / "t/run of a@b.com")  # the ledger names the folder
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, name="zz", summary={"note": "again"})
    crash = {"err_msg": "Error: https://snow.acme.test/login.do?user_name=jroe77 failed"}
    obs = {"url": "https://snow.acme.test/x"}
    write_episode(tmp_path / "t", "miniwob.click-dialog", 1, obs=obs, summary=crash)
    build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    written = str(pq.read_table(tmp_path / "out/ledger.parquet").to_pylist())
    assert "a@b.com" not in written and "snow.acme.test" not in written and "jroe77" not in written
    assert "@example.com" in written and "instance.example.com" in written
