"""The local Hub answers the unpatched clients as the Hub does."""

import hub_routes
import hub_server
import pytest
from hub_store import File

SETUP = """
import pathlib, warnings
from huggingface_hub import HfApi, errors
api = HfApi()
folder = pathlib.Path("data")
(folder / "cot").mkdir(parents=True, exist_ok=True)
import pyarrow as pa, pyarrow.parquet as pq
for split in ("train", "cross_task"):
    table = pa.table({"step": range(1000), "task": [f"{split} {i}" for i in range(1000)]})
    pq.write_table(table, folder / "cot" / f"{split}-00000-of-00001.parquet", row_group_size=100)
(folder / "README.md").write_text('''---
license: apache-2.0
configs:
- config_name: cot
  data_files:
  - {split: train, path: cot/train-*.parquet}
  - {split: cross_task, path: cot/cross_task-*.parquet}
---
# Traces
''')
def upload(**more):
    return api.upload_folder(repo_id="acme/traces", repo_type="dataset", folder_path=folder, **more).oid
"""


def test_upload_twice_makes_one_commit_and_sends_each_file_once(hub: hub_server.Hub, run) -> None:
    run(
        code=SETUP
        + """
api.create_repo("acme/traces", repo_type="dataset")
assert upload() == upload()
assert len(api.list_repo_commits("acme/traces", repo_type="dataset")) == 2
(folder / "README.md").write_text("---\\nlicense: mit\\n---\\nnew")
assert upload(parent_commit=api.repo_info("acme/traces", repo_type="dataset").sha)
"""
    )
    assert hub.asked("PUT", "/objects/") == 2
    repo = hub.store.repos["dataset", "acme/traces"]
    assert sorted(repo.resolve("main").files) == [
        ".gitattributes",
        "README.md",
        "cot/cross_task-00000-of-00001.parquet",
        "cot/train-00000-of-00001.parquet",
    ]


def test_datasets_streams_by_ranges_and_loads_by_tag(hub: hub_server.Hub, run) -> None:
    run(
        code=SETUP
        + """
from datasets import load_dataset
api.create_repo("acme/traces", repo_type="dataset")
upload()
api.create_tag("acme/traces", tag="v1", repo_type="dataset")
stream = load_dataset("acme/traces", "cot", streaming=True)
assert next(iter(stream["train"])) == {"step": 0, "task": "train 0"}
assert sum(1 for _ in stream["cross_task"]) == 1000
assert load_dataset("acme/traces", "cot", split="train", revision="v1").num_rows == 1000
"""
    )
    assert any(status == 206 for _, _, status in hub.requests)


def test_push_to_hub_and_collections(run) -> None:
    run(
        code=SETUP
        + """
from datasets import Dataset, load_dataset
Dataset.from_dict({"a": [1, 2, 3]}).push_to_hub("acme/pushed", "small")
assert load_dataset("acme/pushed", "small")["train"]["a"][:] == [1, 2, 3]
slug = api.create_collection("Web agents", namespace="acme").slug
for _ in range(2):
    api.add_collection_item(slug, "acme/pushed", "dataset", exists_ok=True)
assert [item.item_id for item in api.get_collection(slug).items] == ["acme/pushed"]
assert [found.slug for found in api.list_collections(owner="acme")] == [slug]
api.delete_repo("acme/pushed", repo_type="dataset")
assert not api.repo_exists("acme/pushed", repo_type="dataset")
"""
    )


def test_errors_arrive_as_the_clients_own(hub: hub_server.Hub, run) -> None:
    hub.store.create("model", "acme/secret", True, hub.store.accounts["hf_alice"])
    run(
        code=SETUP
        + """
def raised(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except Exception as error:
        return type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)
def same(got, expected):
    assert got == expected, f"{got}, expected {expected}"
bob, reader, nobody, wrong = (HfApi(token=token) for token in ("hf_bob", "hf_read", False, "hf_wrong"))
same(raised(nobody.model_info, "acme/secret"), ("RepositoryNotFoundError", 401))
same(raised(bob.model_info, "acme/secret"), ("RepositoryNotFoundError", 404))
same(raised(wrong.whoami), ("HfHubHTTPError", 401))
same(raised(bob.create_repo, "acme/other"), ("HfHubHTTPError", 403))
same(raised(reader.create_repo, "acme/other"), ("HfHubHTTPError", 403))
same(raised(api.create_repo, "acme/secret"), ("HfHubHTTPError", 409))
same(raised(api.model_info, "acme/secret", revision="v9"), ("RevisionNotFoundError", 404))
same(raised(api.hf_hub_download, "acme/secret", "none.txt"), ("RemoteEntryNotFoundError", 404))
api.create_tag("acme/secret", tag="v1")
same(raised(api.create_tag, "acme/secret", tag="v1"), ("HfHubHTTPError", 409))
late = {"path_in_repo": "x", "repo_id": "acme/secret", "parent_commit": "0" * 40}
same(raised(api.upload_file, path_or_fileobj=b"x", **late), ("HfHubHTTPError", 412))
bad = {"path_in_repo": "README.md", "repo_id": "acme/secret"}
same(raised(api.upload_file, path_or_fileobj=b"---\\na: [\\n---\\n", **bad), ("ValueError", None))
"""
    )


def test_a_failing_server_and_a_cut_connection_are_got_over(hub: hub_server.Hub, run) -> None:
    hub.faults += [hub_server.Fault("PUT", "/objects/", 0), hub_server.Fault("POST", "/preupload/", 500)]
    run(code=SETUP + "api.create_repo('acme/traces', repo_type='dataset')\nupload()")
    assert hub.asked("PUT", "/objects/") == 3 and not any(fault.times for fault in hub.faults)


def test_long_listings_come_in_pages(hub: hub_server.Hub, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_routes, "PAGE", 3)
    repo = hub.store.create("model", "acme/many", False, hub.store.accounts["hf_alice"])
    repo.commit("many", {f"folder/{i}.txt": File(b"x", False) for i in range(10)})
    run(code=SETUP + "assert len(list(api.list_repo_tree('acme/many', recursive=True))) == 11")
    assert hub.asked("GET", "/tree/") == 4
