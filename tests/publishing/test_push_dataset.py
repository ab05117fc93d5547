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
from huggingface_hub import DatasetCard

PUSH = ("push", "dataset", "traces", "--repo-id", "acme/workarena-traces")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return stage_outputs.dataset(tmp_path / "traces")


def repo(hub: Hub):
    return hub.store.repos["dataset", "acme/workarena-traces"]


def add(hub: Hub, name: str, content: bytes) -> str:
    """Commit a file by hand."""
    return repo(hub).commit("by hand", repo(hub).resolve("main").files | {name: File(content, False)}).oid


def card(hub: Hub) -> str:
    return repo(hub).resolve("main").files["README.md"].content.decode()


def more_rows(traces: Path, number: int = 6) -> None:
    stage_outputs.dataset(traces, [stage_outputs.sample(row) for row in range(number)])


def test_the_script_is_the_verb(hub: Hub, run, traces: Path, client_environment) -> None:
    script = Path(__file__).parents[2] / "push_scripts" / "push_dataset.py"
    command = [sys.executable, script, "traces", "--repo-id", "acme/workarena-traces"]
    shown = subprocess.run(
        command, env=client_environment, cwd=traces.parent, capture_output=True, text=True, check=True
    )
    assert shown.stdout == run(*PUSH).stdout
    usage = subprocess.run(command[:2], env=client_environment, capture_output=True, text=True).stderr
    assert usage.startswith("Usage: agentmerge push dataset [OPTIONS] FOLDER")


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
    text = sent["README.md"].decode()
    assert (
        'load_dataset("acme/workarena-traces", "cot", split="train", revision="v1.0.0")' in text
        and "## Contact" in text
    )
    assert "`completion[0]`, role `assistant`:\n\n```text\n<action>click('a0')</action>\n```" in text
    assert "Press button 0." in made["README.md"].decode() and "revision=" not in made["README.md"].decode()
    changed = {"README.md", "croissant.json", "manifest.json"}
    assert {n: c for n, c in sent.items() if n not in changed} == {n: c for n, c in made.items() if n not in changed}
    before = len(hub.requests)
    assert "nothing new" in run(*PUSH, "--yes").stdout
    assert repo(hub).head == head
    assert not [path for method, path, _ in hub.requests[before:] if method == "PUT" or "/commit/" in path]


def test_a_downloaded_copy_can_be_published_elsewhere(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    run("download", "acme/workarena-traces", "-o", "copy")
    run("push", "dataset", "copy", "--repo-id", "alice/copy", "--yes")
    copied = hub.store.repos["dataset", "alice/copy"].resolve("main").files["README.md"].content.decode()
    assert 'load_dataset("alice/copy", "cot", split="train", revision="v1.0.0")' in copied and "acme" not in copied
    assert copied.count("## Contact") == 1


def test_built_again_to_the_same_bytes_makes_no_commit(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    head = repo(hub).head
    path = traces / "manifest.json"
    content = json.loads(path.read_text())
    content["run"] = {"finished": "2030-01-01T00:00:00Z", "seconds": 9.0}
    path.write_text(json.dumps(content))
    assert "nothing new" in run(*PUSH, "--yes").stdout
    assert repo(hub).head == head


def test_new_rows_get_a_new_tag_and_the_first_release_stays(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    first = repo(hub).head
    more_rows(traces)
    shards = traces / "data" / "cot"
    (shards / "train-00000-of-00001.parquet").rename(shards / "train-00000-of-00002.parquet")
    content = json.loads((traces / "manifest.json").read_text())
    old, new = (f"data/cot/train-00000-of-0000{n}.parquet" for n in (1, 2))
    content["outputs"][new] = content["outputs"].pop(old)
    (traces / "manifest.json").write_text(json.dumps(content))
    assert "1 removed, tagged v1.1.0" in run(*PUSH, "--yes").stdout
    files = repo(hub).resolve("v1.1.0").files
    assert repo(hub).tags == {"v1.0.0": first, "v1.1.0": repo(hub).head} and new in files and old not in files
    described = [json.loads(repo(hub).resolve(tag).files["croissant.json"].content) for tag in ("v1.0.0", "v1.1.0")]
    assert [entry["version"] for entry in described] == ["1.0.0", "1.1.0"]
    assert 'revision="v1.1.0"' in card(hub) and 'revision="v1.0.0"' not in card(hub)
    run("download", "acme/workarena-traces", "-r", "v1.0.0", "-o", "first")
    assert (traces.parent / "first" / old).is_file()


def test_a_corrected_card_is_no_new_release(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    first = repo(hub).head
    (traces.parent / "overlay.md").write_text("---\ncontact: data@acme.org\n---\n## Thanks\n\nTo all.\n")
    assert "tagged v1.0.0" in run(*PUSH, "--overlay", "overlay.md", "--yes").stdout
    assert repo(hub).head != first and repo(hub).tags == {"v1.0.0": first} and "write to data@acme.org" in card(hub)


def test_foreign_files_are_never_tagged(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    first = repo(hub).head
    add(hub, "data/all/train-00001-of-00002.parquet", b"PAR1")
    more_rows(traces)
    failed = run(*PUSH, "--yes", ok=False)
    assert "did not publish (data/all/train-00001-of-00002.parquet)" in failed.stderr
    assert repo(hub).tags == {"v1.0.0": first} and "train-00001" in "".join(repo(hub).resolve("main").files)


def test_edits_of_the_card_are_kept(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    edited = card(hub).replace("---\n", "---\nextra_gated_prompt: Please agree.\n", 1)
    add(hub, "README.md", edited.encode())
    more_rows(traces)
    failed = run(*PUSH, "--yes", ok=False)
    assert "README.md of the dataset acme/workarena-traces was edited on the Hub" in failed.stderr
    assert "was edited on the Hub" in run(*PUSH, ok=False).stdout and card(hub) == edited
    (traces.parent / "overlay.md").write_text("---\nextra_gated_prompt: Please agree.\n---\n")
    run(*PUSH, "--overlay", "overlay.md", "--replace-edits", "--yes")
    assert DatasetCard(card(hub)).data.to_dict()["extra_gated_prompt"] == "Please agree."
    more_rows(traces, 8)
    assert "was edited on the Hub" in run(*PUSH, "--yes", ok=False).stderr  # without the overlay, the gate would go
    run(*PUSH, "--overlay", "overlay.md", "--yes")
    assert "extra_gated_prompt" in card(hub) and len(repo(hub).tags) == 3


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        (
            "---\nlicense: llama3.1\n---\n",
            "1 finding above",
        ),
        ("---\na: [\n---\n", "The metadata of overlay.md is not YAML"),
        ("key hf_" + "Canary0123456789" * 2 + "ab", "finding above"),
    ],
)
def test_an_overlay_is_checked(run, traces: Path, overlay: str, sentence: str) -> None:
    (traces.parent / "overlay.md").write_text(overlay)
    assert sentence in run(*PUSH, "--overlay", "overlay.md", ok=False).stderr


def test_a_collection_that_cannot_be_changed_is_a_warning(hub: Hub, run, traces: Path) -> None:
    hub.faults.append(Fault("POST", "/api/collections$", 403, times=9))
    said = run(*PUSH, "--yes").stdout
    assert "was not added to the collection 'AgentMerge'" in " ".join(said.split()) and repo(hub).tags


def test_a_tag_that_failed_is_made_by_the_next_run(hub: Hub, run, traces: Path) -> None:
    hub.faults.append(Fault("POST", "/tag/", 500, times=9))
    failed = run(*PUSH, "--yes", ok=False)
    assert "the files are at" in failed.stderr and "no tag names them yet" in failed.stderr and repo(hub).tags == {}
    hub.faults.clear()
    assert "nothing new, tagged v1.0.0" in run(*PUSH, "--yes").stdout
    assert repo(hub).tags == {"v1.0.0": repo(hub).head}


@pytest.mark.parametrize("status", [0, 502])
@pytest.mark.parametrize("path", ["/commit/", "/tag/", "/api/repos/create"])
def test_after_a_lost_reply_the_state_is_looked_up(hub: Hub, run, traces: Path, path: str, status: int) -> None:
    hub.faults.append(Fault("POST", path, status, lost=True))
    assert "tagged v1.0.0" in run(*PUSH, "--yes").stdout
    assert len(repo(hub).history()) == 2 and repo(hub).tags == {"v1.0.0": repo(hub).head}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/whoami-v2"), ("GET", "/api/datasets/[^/]+/[^/]+$"), ("GET", "/tree/"), ("POST", "/commit/")],
)
def test_a_hub_that_does_not_answer_is_one_sentence(hub: Hub, run, traces: Path, method: str, path: str) -> None:
    hub.faults.append(Fault(method, path, hang=100, times=9))
    failed = run(*PUSH, "--yes", ok=False, AGENTMERGE_HUB_TIMEOUT="2")
    assert f"did not answer {method} /api/" in failed.stderr and "AGENTMERGE_HUB_TIMEOUT" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "set it to a number of seconds" in run(*PUSH, ok=False, AGENTMERGE_HUB_TIMEOUT="soon").stderr


@pytest.mark.parametrize("content", [b"[1, 2]", b'{"stage": "build"}', b"\xff"])
def test_a_broken_manifest_is_one_sentence(hub: Hub, run, traces: Path, content: bytes) -> None:
    run(*PUSH, "--yes")
    add(hub, "manifest.json", content)
    for failed in (run(*PUSH, "--yes", ok=False), run("download", "acme/workarena-traces", "-o", "copy", ok=False)):
        assert failed.stderr.startswith("Error: ") and "manifest" in failed.stderr and "Traceback" not in failed.stderr
    (traces / "manifest.json").write_bytes(content)
    failed = run(*PUSH, ok=False)
    assert failed.stderr.startswith("Error: ") and "Traceback" not in failed.stderr


def test_a_withdrawn_release_is_refused(hub: Hub, run, traces: Path) -> None:
    run(*PUSH, "--yes")
    yank = ("yank", "acme/workarena-traces", "v1.0.0", "--reason", "names were left in")
    assert "has no release v9" in run(*yank[:2], "v9", *yank[3:], ok=False).stderr
    assert "Add --yes" in run(*yank).stdout and "withdrawn.json" not in repo(hub).resolve("main").files
    # Each reply of a withdrawal is lost after the work was done: the true state is looked up.
    hub.faults.append(Fault("POST", "/commit/", 502, lost=True))
    run(*yank, "--yes")
    failed = run("download", "acme/workarena-traces", "-r", "v1.0.0", "-o", "copy", ok=False)
    assert "was withdrawn on" in failed.stderr and "names were left in" in failed.stderr
    run("download", "acme/workarena-traces", "-r", "v1.0.0", "-o", "copy", "--allow-withdrawn")
    assert "push the corrected release first" in run(*yank, "--squash", "--yes", ok=False).stderr
    more_rows(traces)
    run(*PUSH, "--yes")
    assert "**Withdrawn: v1.0.0**" in card(hub)
    run("download", "acme/workarena-traces", "-o", "new")
    hub.faults.append(Fault("POST", "/super-squash/", 0, lost=True))
    hub.faults.append(Fault("DELETE", "/tag/", 504, lost=True))
    said = run(*yank, "--squash", "--yes").stdout
    assert "removed from the history of main; the history of v1.1.0 still has it" in said
    assert "the Hub's own copy of the data, convert/parquet, may have it too" in said
    assert not any(fault.times for fault in hub.faults)
    assert list(repo(hub).tags) == ["v1.1.0"] and len(repo(hub).history()) == 1
    del repo(hub).tags["v1.1.0"]
    more_rows(traces, 8)
    assert "tagged v1.1.0" in run(*PUSH, "--yes").stdout  # the number of the removed release is not given again
    assert "nothing was changed" in run(*yank, ok=False, HF_HUB_OFFLINE="1").stderr


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
        ({}, (*PUSH[:4], "acme/größe"), "'acme/größe' is not a name the Hub allows"),
        ({}, (*PUSH[:4], "my traces"), "'my traces' is not a name the Hub allows"),
        ({}, (*PUSH[:4], "acme/--x"), "'acme/--x' is not a name the Hub allows"),
        ({}, ("push", "dataset", "nowhere", *PUSH[3:]), "there is no folder nowhere"),
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
    assert "has other content" in failed.stderr and other.head == head


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
