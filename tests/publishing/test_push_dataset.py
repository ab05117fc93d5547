"""A dataset folder reaches the Hub whole, once, and comes back through the ecosystem's own loaders."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stage_outputs
from hub_server import Fault, Hub
from hub_store import File

PUSH = ("push", "dataset", "traces", "--repo-id", "acme/workarena-traces")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return stage_outputs.dataset(tmp_path / "traces")


def repo(hub: Hub):
    return hub.store.repos["dataset", "acme/workarena-traces"]


def test_without_yes_everything_is_shown_and_nothing_asked_of_the_hub(hub: Hub, run, traces: Path) -> None:
    shown = run(*PUSH).stdout
    assert "data/cot/train-00000-of-00001.parquet" in shown and "# traces" in shown and "no finding" in shown
    assert "Add --yes to publish" in shown
    assert hub.requests == []


def test_the_script_is_the_verb(hub: Hub, run, traces: Path, client_environment) -> None:
    script = Path(__file__).parents[2] / "push_scripts" / "push_dataset.py"
    command = [sys.executable, script, "traces", "--repo-id", "acme/workarena-traces"]
    shown = subprocess.run(
        command, env=client_environment, cwd=traces.parent, capture_output=True, text=True, check=True
    )
    assert shown.stdout == run(*PUSH).stdout


def test_private_things_are_made_private(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--private", "--collection", "Ours", "--yes")
    assert repo(hub).private
    assert [(c["title"], c["private"]) for c in hub.store.collections.values()] == [("Ours", True)]
    run(*PUSH, "--collection", "", "--yes", HF_TOKEN="hf_alice")
    assert len(hub.store.collections) == 1 and repo(hub).private


def test_one_commit_a_tag_a_collection_and_nothing_the_second_time(hub: Hub, run, traces: Path) -> None:
    assert "14 files sent" in run(*PUSH, "--yes").stdout
    head = repo(hub).head
    assert len(repo(hub).history()) == 2 and repo(hub).tags == {"v1.0.0": head}
    collection = next(iter(hub.store.collections.values()))
    assert collection["title"] == "AgentMerge" and [item["id"] for item in collection["items"]] == [
        "acme/workarena-traces"
    ]
    sent = {name: file.content for name, file in repo(hub).resolve("main").files.items() if name != ".gitattributes"}
    made = {p.relative_to(traces).as_posix(): p.read_bytes() for p in traces.rglob("*") if p.is_file()}
    card = made["README.md"].replace(b'load_dataset("traces"', b'load_dataset("acme/workarena-traces"')
    assert sent["README.md"] == card != made["README.md"]
    assert {n: c for n, c in sent.items() if n not in ("README.md", "manifest.json")} == {
        n: c for n, c in made.items() if n not in ("README.md", "manifest.json")
    }
    before = len(hub.requests)
    assert "nothing new" in run(*PUSH, "--yes").stdout
    assert repo(hub).head == head
    assert not [path for method, path, _ in hub.requests[before:] if method == "PUT" or "/commit/" in path]


def test_a_downloaded_copy_can_be_published_elsewhere(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    run("download", "acme/workarena-traces", "-o", "copy")
    run("push", "dataset", "copy", "--repo-id", "alice/copy", "--yes")
    card = hub.store.repos["dataset", "alice/copy"].resolve("main").files["README.md"].content.decode()
    assert 'load_dataset("alice/copy", "cot", split="train")' in card and "acme" not in card


def test_built_again_to_the_same_bytes_makes_no_commit(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    head = repo(hub).head
    path = traces / "manifest.json"
    content = json.loads(path.read_text())
    content["run"] = {"finished": "2030-01-01T00:00:00Z", "seconds": 9.0}
    path.write_text(json.dumps(content))
    assert "nothing new" in run(*PUSH, "--yes").stdout
    assert repo(hub).head == head


def test_new_rows_replace_old_files_and_the_tag_moves_on(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    first = repo(hub)
    first.commit("by hand", first.resolve("main").files | {"LICENSE": File(b"terms", False)})
    shards = stage_outputs.dataset(traces, [stage_outputs.sample(number) for number in range(6)]) / "data" / "cot"
    (shards / "train-00000-of-00001.parquet").rename(shards / "train-00000-of-00002.parquet")
    content = json.loads((traces / "manifest.json").read_text())
    old, new = (f"data/cot/train-00000-of-0000{n}.parquet" for n in (1, 2))
    content["outputs"][new] = content["outputs"].pop(old)
    (traces / "manifest.json").write_text(json.dumps(content))
    assert "1 removed" in run(*PUSH, "--yes").stdout
    files = repo(hub).resolve("v1.0.0").files
    assert repo(hub).tags["v1.0.0"] == repo(hub).head and "LICENSE" in files and new in files and old not in files


def test_every_loader_of_the_ecosystem_reads_it(run, traces: Path) -> None:
    run(*PUSH, "--yes")
    run(
        code="""
from datasets import load_dataset
from huggingface_hub import snapshot_download
stream = load_dataset("acme/workarena-traces", "cot", streaming=True)
assert set(stream) == {"train", "inter_task", "cross_task"}
row = next(iter(stream["train"]))
assert row["completion"][0]["content"] == "<action>click('a0')</action>" and row["cot"]
whole = load_dataset("acme/workarena-traces", "all", split="train", revision="v1.0.0", verification_mode="all_checks")
assert whole.num_rows == 4
from pathlib import Path
from agentmerge_hub import manifest
folder = Path(snapshot_download("acme/workarena-traces", repo_type="dataset"))
assert manifest.verify(folder) == [".gitattributes is not in the manifest"]
"""
    )


def test_a_cut_connection_is_got_over(hub: Hub, run, traces: Path) -> None:
    hub.faults.append(Fault("PUT", "/objects/", 0))
    run(*PUSH, "--yes")
    assert len(repo(hub).history()) == 2


def test_a_failing_hub_is_one_sentence_and_the_next_run_sends_only_the_rest(hub: Hub, run, traces: Path) -> None:
    hub.faults.append(Fault("POST", "/commit/", 503))
    failed = run(*PUSH, "--yes", ok=False)
    assert failed.returncode == 1 and failed.stderr.splitlines()[-1].startswith("Error: The Hub answered 503")
    assert "nothing was published" in failed.stderr and "Traceback" not in failed.stderr
    assert list(repo(hub).resolve("main").files) == [".gitattributes"]
    sent = hub.asked("PUT", "/objects/")
    assert "14 files sent" in run(*PUSH, "--yes").stdout
    assert hub.asked("PUT", "/objects/") == sent and len(repo(hub).history()) == 2


@pytest.mark.parametrize(
    ("environment", "arguments", "sentence"),
    [
        ({"HF_TOKEN": ""}, PUSH, "No Hugging Face token was found: run `hf auth login`"),
        ({"HF_TOKEN": "hf_wrong"}, PUSH, "The Hub does not accept the token"),
        ({"HF_TOKEN": "hf_read"}, PUSH, "The token of alice can only read"),
        ({"HF_TOKEN": "hf_bob"}, PUSH, "bob cannot publish under 'acme': use one of bob"),
        ({"HF_HUB_OFFLINE": "1"}, PUSH, "HF_HUB_OFFLINE is set"),
        ({}, (*PUSH[:4], "my traces"), "'my traces' is not a name the Hub allows"),
        ({}, (*PUSH[:4], "acme/--x"), "'acme/--x' is not a name the Hub allows"),
        ({}, ("push", "dataset", "nowhere", *PUSH[3:]), "nowhere has no manifest.json"),
    ],
)
def test_what_a_user_may_get_wrong_is_one_sentence(
    hub: Hub, run, traces: Path, environment, arguments, sentence
) -> None:
    failed = run(*arguments, "--yes", ok=False, **environment)
    assert failed.returncode == 1 and failed.stderr.splitlines()[-1].startswith(f"Error: {sentence}")
    assert "Traceback" not in failed.stderr and hub.store.repos == {}


def test_an_unreachable_hub_is_one_sentence(run, traces: Path) -> None:
    failed = run(*PUSH, "--yes", ok=False, HF_ENDPOINT="http://127.0.0.1:9")
    assert failed.stderr.startswith("Error: The connection to http://127.0.0.1:9 failed")


def test_other_content_is_left_alone(hub: Hub, run, traces: Path) -> None:
    alice = hub.store.accounts["hf_alice"]
    other = hub.store.create("dataset", "acme/workarena-traces", False, alice)
    head = other.commit("by someone", {"train.csv": File(b"a,b\n", False)}).oid
    failed = run(*PUSH, "--yes", ok=False)
    assert "has other content" in failed.stderr and other.head == head
    failed = run(*PUSH, "--private", "--yes", ok=False)
    assert "is public already" in failed.stderr and other.head == head


def test_a_commit_made_meanwhile_is_not_written_over(hub: Hub, run, traces: Path) -> None:
    def someone_else() -> None:
        repo(hub).commit("meanwhile", {"notes.md": File(b"mine", False)})

    hub.faults.append(Fault("PUT", "/objects/", 0, after=someone_else))
    failed = run(*PUSH, "--yes", ok=False)
    assert "was changed by someone else meanwhile" in failed.stderr and "notes.md" in repo(hub).resolve("main").files


def test_killed_in_mid_upload_the_next_run_sends_only_the_rest(hub: Hub, run, traces: Path, client_environment) -> None:
    started: list[subprocess.Popen] = []
    large = {file.read_bytes() for file in traces.rglob("*.parquet")} | {(traces / "lengths.png").read_bytes()}
    last = hashlib.sha256((traces / "ledger.parquet").read_bytes()).hexdigest()

    def kill() -> None:
        while not hub.store.objects:
            time.sleep(0.01)
        started[0].send_signal(signal.SIGKILL)

    hub.faults.append(Fault("PUT", f"/objects/{last}", 0, after=kill))
    command = [sys.executable, "-m", "agentmerge_hub.cli", *PUSH, "--yes"]
    started.append(subprocess.Popen(command, cwd=traces.parent, env=client_environment, stdout=subprocess.DEVNULL))
    assert started[0].wait(120) == -signal.SIGKILL
    assert list(repo(hub).resolve("main").files) == [".gitattributes"]
    kept, before = set(hub.store.objects), len(hub.requests)
    run(*PUSH, "--yes")
    again = {path.removeprefix("/objects/") for method, path, _ in hub.requests[before:] if method == "PUT"}
    assert last in again and not again & kept and len(again | kept) == len(large)
    assert len(repo(hub).history()) == 2
