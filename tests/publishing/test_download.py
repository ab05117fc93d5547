"""What was published comes back checked, goes on after a cut, and never stands half."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stage_outputs
from hub_server import Fault, Hub
from hub_store import File

from agentmerge_hub import manifest


@pytest.fixture
def published(hub: Hub, run, tmp_path: Path) -> Path:
    """A dataset on the Hub, and the folder it came from."""
    folder = stage_outputs.dataset(tmp_path / "traces")
    run("push", "dataset", "traces", "--repo-id", "acme/traces", "--yes")
    return folder


def tamper(hub: Hub, name: str, content: bytes) -> None:
    repo = hub.store.repos["dataset", "acme/traces"]
    file = File(content, lfs=name.endswith("parquet"))
    hub.store.objects[file.sha256] = content
    repo.commit("by hand", repo.resolve("main").files | {name: file})


def published_files(hub: Hub) -> list[str]:
    return [
        name for name in hub.store.repos["dataset", "acme/traces"].resolve("main").files if name.endswith(".parquet")
    ]


def test_into_a_folder_and_into_the_cache(run, published: Path, tmp_path: Path) -> None:
    said = run("download", "acme/traces", "-r", "v1.0.0", "-o", "copy").stdout
    assert said.startswith("copy: the dataset acme/traces at ") and "all equal to its manifest" in said
    assert manifest.verify(tmp_path / "copy") == []
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert 'load_dataset("acme/traces", "cot", split="train", revision="v1.0.0")' in card
    said = run("download", "acme/traces").stdout
    assert "hf-home/hub/datasets--acme--traces/snapshots/" in said
    run("download", "acme/traces", "-o", "copy")
    assert sorted(p.name for p in tmp_path.iterdir() if "copy" in p.name) == ["copy"]


def test_what_was_changed_on_the_hub_is_named_and_nothing_stands(
    hub: Hub, run, published: Path, tmp_path: Path
) -> None:
    tamper(hub, "data/cot/train-00000-of-00001.parquet", b"PAR1 other rows")
    failed = run("download", "acme/traces", "-o", "copy", ok=False)
    assert "data/cot/train-00000-of-00001.parquet was changed since it was written" in failed.stderr
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]
    assert "differs from its manifest" in run("download", "acme/traces", ok=False).stderr


def test_exactly_the_files_of_the_manifest_are_fetched(hub: Hub, run, published: Path, tmp_path: Path) -> None:
    others = (".gitattributes~", "a\x1b[2J.md", "data/all/train-00001-of-00002.parquet", "notes.md")
    for name in others:
        tamper(hub, name, b"of others")
    before = len(hub.requests)
    for place in (("-o", "copy"), ()):
        failed = run("download", "acme/traces", *place, ok=False)
        assert f"its manifest does not list ({others[0]}, {others[1]!r}, {others[2]}, {others[3]})" in failed.stderr
        assert "--skip-unlisted; nothing was downloaded" in failed.stderr and not (tmp_path / "copy").exists()
    fetched = {path.rsplit("/", 1)[1] for _, path, _ in hub.requests[before:] if "/resolve/" in path}
    assert fetched == {"manifest.json"}
    for place in (("-o", "copy"), ()):
        done = run("download", "acme/traces", *place, "--skip-unlisted")
        assert (
            done.stderr.startswith("not in the manifest, and not downloaded: ") and len(done.stderr.splitlines()) == 1
        )
        assert not [name for name in others if (Path(done.stdout.split(":")[0]) / name).exists()]
    assert manifest.verify(tmp_path / "copy") == []
    assert run("download", "acme/traces", "-r", "v1.0.0").stderr == ""


def test_files_that_are_missing_are_named_before_anything_is_fetched(hub: Hub, run, published: Path) -> None:
    repo = hub.store.repos["dataset", "acme/traces"]
    files = dict(repo.resolve("main").files)
    del files["data/cot/train-00000-of-00001.parquet"]
    repo.commit("by hand", files)
    failed = run("download", "acme/traces", "-o", "copy", ok=False)
    assert "lacks files that its manifest lists (data/cot/train-00000-of-00001.parquet)" in failed.stderr


def test_an_edited_card_is_fetched_unless_it_loads_other_files(hub: Hub, run, published: Path, tmp_path: Path) -> None:
    card = hub.store.repos["dataset", "acme/traces"].resolve("main").files["README.md"].content
    tamper(hub, "README.md", card.replace(b"---\n", b"---\nextra_gated_prompt: Agree.\n", 1))
    for place in (("-o", "copy"), ()):
        assert "README.md was edited on the Hub" in run("download", "acme/traces", *place).stderr
    assert b"extra_gated_prompt" in (tmp_path / "copy" / "README.md").read_bytes()
    assert manifest.verify(tmp_path / "copy") == []
    tamper(hub, "README.md", card.replace(b"data/cot/train-*", b"https://elsewhere.example/x"))
    for place in (("-o", "other"), ()):
        failed = run("download", "acme/traces", *place, ok=False)
        assert "README.md was edited to load other files" in failed.stderr
    assert not (tmp_path / "other").exists()


def test_a_cut_download_goes_on_where_it_stopped(
    hub: Hub, run, published: Path, tmp_path: Path, client_environment
) -> None:
    """The process is killed at its last large file; the next run asks for no finished one again."""
    started: list[subprocess.Popen] = []
    last = "data/no_cot/train-00000-of-00001.parquet"
    beside = tmp_path / ".copy.download"

    def finished() -> set[str]:
        notes = beside / ".cache" / "huggingface" / "download"
        names = [name for name in published_files(hub) if (beside / name).is_file()]
        told = {name: notes / f"{name}.metadata" for name in names}
        return {name for name, path in told.items() if path.is_file() and len(path.read_text().splitlines()) == 3}

    def kill() -> None:
        while not finished():
            time.sleep(0.01)
        started[0].send_signal(signal.SIGKILL)

    hub.faults.append(Fault("HEAD", f"/resolve/.*/{last}", 0, after=kill))
    command = [sys.executable, "-m", "agentmerge_hub.cli", "download", "acme/traces", "-o", "copy"]
    started.append(subprocess.Popen(command, cwd=tmp_path, env=client_environment, stderr=subprocess.DEVNULL))
    assert started[0].wait(60) == -signal.SIGKILL
    kept = finished()
    assert kept and last not in kept and not (tmp_path / "copy").exists()
    before = len(hub.requests)
    run("download", "acme/traces", "-o", "copy")
    again = {path.split("/resolve/")[1].split("/", 1)[1] for _, path, _ in hub.requests[before:] if "/resolve/" in path}
    assert last in again and not kept & again
    assert manifest.verify(tmp_path / "copy") == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    run, published: Path, tmp_path: Path, client_environment
) -> None:
    # A limit on a file's size is the closest to a full disk that a process can be given without a disk of its own.
    size = max(path.stat().st_size for path in published.rglob("*.parquet"))
    code = """
import signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from agentmerge_hub.cli import main
sys.argv = ["agentmerge", "download", "acme/traces", "-o", "copy"]
main()
"""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, size - 1))

    failed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=client_environment,
        capture_output=True,
        text=True,
        preexec_fn=limited,
    )
    assert failed.returncode == 1 and "Error: The disk is full" in failed.stderr and "Traceback" not in failed.stderr
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]


def test_what_no_disk_can_hold_is_refused_before_the_first_byte(hub: Hub, run, published: Path, tmp_path: Path) -> None:
    repo = hub.store.repos["dataset", "acme/traces"]
    last = published_files(hub)[-1]
    file = repo.resolve("main").files[last]
    repo.commit("larger than any disk", repo.resolve("main").files | {last: File(file.content, file.lfs, told=10**18)})
    for place in (("-o", "copy"), ()):
        before = len(hub.requests)
        failed = run("download", "acme/traces", *place, ok=False)
        assert failed.stderr.startswith("Error: the dataset acme/traces needs 1,000,000.0 TB and the disk of ")
        assert "nothing was downloaded" in failed.stderr and len(failed.stderr.splitlines()) == 1
        fetched = [path for method, path, _ in hub.requests[before:] if "/resolve/" in path and method == "GET"]
        assert all(path.endswith("manifest.json") for path in fetched)
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("acme/none",), "There is no model and no dataset acme/none"),
        (("acme/traces", "-r", "v9"), "the dataset acme/traces has no such revision"),
        (("acme/traces", "-r", ""), "--revision is empty"),
        (("acme/traces", "--type", "model"), "the model acme/traces does not exist"),
        (("acme traces",), "'acme traces' is not a name the Hub allows"),
        (("acme/plain",), "the model acme/plain has no manifest.json"),
        (
            ("acme/rows",),
            "the dataset acme/rows has no manifest.json to check it against, so agentmerge has not published it: fetch it with "
            "`hf download acme/rows --repo-type dataset`",
        ),
        (("acme/größe",), "'acme/größe' is not a name the Hub allows"),
        (("acme/traces", "-o", "mine"), "{tmp_path}/mine already exists"),
    ],
)
def test_what_a_user_may_get_wrong_is_one_sentence(
    hub: Hub, run, published: Path, arguments, sentence, tmp_path
) -> None:
    for kind, name in (("model", "acme/plain"), ("dataset", "acme/rows")):
        hub.store.create(kind, name, False, hub.store.accounts["hf_alice"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    failed = run("download", *arguments, ok=False)
    assert failed.returncode == 1 and failed.stderr.splitlines()[-1].startswith(
        f"Error: {sentence.format(tmp_path=tmp_path)}"
    )
    assert "Traceback" not in failed.stderr and (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_private_things_need_a_token(hub: Hub, run, published: Path) -> None:
    hub.store.repos["dataset", "acme/traces"].private = True
    assert "that your token may read" in run("download", "acme/traces", ok=False, HF_TOKEN="hf_bob").stderr
    assert "that your token may read" in run("download", "acme/traces", ok=False, HF_TOKEN="").stderr
    run("download", "acme/traces", "-o", "copy")
