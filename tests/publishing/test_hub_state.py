"""What a push, a download and a withdrawal read on the Hub before they change anything: rights, edits of others, versions; and
what they add afterwards."""

import json
import os
from dataclasses import replace

import pytest
from hub_server import Fault, Hub
from hub_store import Account, File, Repo
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub import client
from agentmerge_hub.publishing.hub.account import check_account, check_write_access
from agentmerge_hub.publishing.hub.collection import add_to_collection
from agentmerge_hub.publishing.hub.download import download
from agentmerge_hub.publishing.hub.planned_release import planned_tag
from agentmerge_hub.publishing.hub.repository import Repository
from agentmerge_hub.publishing.hub.state import HubState, Publication, obstacles, read_state
from agentmerge_hub.publishing.hub.upload import publish
from agentmerge_hub.publishing.hub.withdrawn import with_files
from agentmerge_hub.publishing.hub.yank import yank

REPOSITORY = Repository("model", "acme/m")
FILES = {
    "README.md": b"# m\n",
    "config.json": b"{}",
    "model.safetensors": b"\2\0\0\0\0\0\0\0{}",
    "tokenizer.json": b'{"model": {}}',
    "mergekit_config.yml": b"models: []\n",
}
LARGE = ("model.safetensors", "tokenizer.json")


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' processes are offline; only the Hub on this machine is contacted here."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_alice")


def publication(**changed: bytes) -> Publication:
    files = FILES | {name.replace("__", "."): content for name, content in changed.items()}
    empty = {"stage": "merge", "inputs": {}, "config": {}, "counts": {}, "outputs": {}, "run": {"seconds": None}}
    return Publication(REPOSITORY, files | {"manifest.json": with_files(json.dumps(empty).encode(), files)}, "merge", 1)


def store(hub: Hub, files: dict, removed: tuple[str, ...] = ()) -> str:
    """Commit files by hand."""
    repo = hub.store.repos.get(("model", "acme/m")) or hub.store.create(
        "model", "acme/m", False, hub.store.accounts["hf_alice"]
    )
    made = {name: File(content, lfs=name in LARGE) for name, content in files.items()}
    hub.store.objects |= {file.sha256: file.content for file in made.values() if file.lfs}
    kept = {name: file for name, file in repo.resolve("main").files.items() if name not in removed}
    return repo.commit("by hand", kept | made).oid


def state_of(api: HfApi) -> HubState:
    state = read_state(api, REPOSITORY)
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("edit", "removed", "sentence"),
    [
        ({}, (), None),
        (
            {"model.safetensors": b"\2\0\0\0\0\0\0\0{ }"},
            (),
            "model.safetensors of the model acme/m was edited on the Hub",
        ),
        ({"tokenizer.json": b"{}"}, (), "tokenizer.json of the model acme/m was edited on the Hub"),
        ({"config.json": b"{} "}, (), "config.json of the model acme/m was edited on the Hub"),
        ({}, ("model.safetensors",), "model.safetensors of the model acme/m was deleted on the Hub"),
        ({"other.json": b"{}"}, ("config.json",), "config.json of the model acme/m was deleted on the Hub"),
    ],
)
def test_every_file_that_others_changed_is_noticed(hub: Hub, api: HfApi, edit, removed, sentence) -> None:
    store(hub, publication().files)
    store(hub, edit, removed)
    new = publication(config__json=b'{"new": 1}', model__safetensors=b"\2\0\0\0\0\0\0\0[]", tokenizer__json=b"[]")
    found = obstacles(api, new, state_of(api))
    assert ("; ".join(found) == "") if sentence is None else (sentence in "; ".join(found))
    if "other.json" not in edit:
        assert obstacles(api, replace(new, replace_edits=True), state_of(api)) == []
    same = publication(**{name.replace(".", "__"): content for name, content in edit.items() if name in FILES})
    if edit and not removed:
        assert obstacles(api, same, state_of(api)) == []  # others made the change that this push makes


@pytest.mark.parametrize(
    ("changed", "tag"),
    [
        ({}, "v1.0.0"),
        ({"README__md": b"# corrected\n", "mergekit_config__yml": b"# note\n"}, "v1.0.0"),
        ({"tokenizer__json": b"{}"}, "v1.0.1"),
        ({"model-q8_0__gguf": b"GGUF"}, "v1.0.1"),
        ({"model__safetensors": b"\2\0\0\0\0\0\0\0[]"}, "v1.1.0"),
        ({"config__json": b'{"rope_theta": 1}', "tokenizer__json": b"{}"}, "v1.1.0"),
    ],
)
def test_minor_versions_follow_weights_and_patches_the_other_files(hub: Hub, api: HfApi, changed, tag: str) -> None:
    commit = store(hub, publication().files)
    hub.store.repos["model", "acme/m"].tags["v1.0.0"] = commit
    assert planned_tag(api, publication(**changed), state_of(api)) == tag


def test_the_tag_of_a_removed_release_is_not_given_again(hub: Hub, api: HfApi) -> None:
    entry = {"reason": "names", "date": "2026-01-01", "content": "0"}
    store(hub, dict(publication().files) | {"withdrawn.json": json.dumps({"v1.0.0": entry}).encode()})
    assert planned_tag(api, publication(), state_of(api)) == "v1.1.0"
    hub.store.repos["model", "acme/m"].tags["v1.1.0"] = hub.store.repos["model", "acme/m"].head
    store(hub, {"withdrawn.json": json.dumps({"v1.0.0": entry, "v1.1.1": entry}).encode()})
    assert planned_tag(api, publication(tokenizer__json=b"{}"), state_of(api)) == "v1.1.2"


READ, WRITE = "repo.content.read", "repo.write"


@pytest.mark.parametrize(
    ("account", "result"),
    [
        (Account("alice", "write", ("acme",)), True),
        (Account("alice", "write", ("acme",), "admin"), True),
        (Account("alice", "write", ("acme",), "contributor"), True),
        (Account("alice", "write", ("acme",), "read"), "alice can only read in acme"),
        (Account("alice", "write", ("acme",), "read", groups=("read",)), "alice can only read in acme"),
        (Account("alice", "write", ("acme",), "read", groups=("read", "write")), False),
        (Account("alice", "read", ("acme",)), "The token of alice can only read"),
        (Account("bob"), "bob cannot publish under 'acme': use one of bob."),
        (
            Account("alice", "fineGrained", ("acme",)),
            "The fine-grained token of alice may not write to the model acme/m",
        ),
        (
            Account("alice", "fineGrained", ("acme",), scopes=(("org", "acme", READ),)),
            "may not write to the model acme/m",
        ),
        (
            Account("alice", "fineGrained", ("acme",), scopes=(("user", "alice", WRITE),)),
            "may not write to the model acme/m",
        ),
        (
            Account("alice", "fineGrained", ("acme",), scopes=(("dataset", "acme/m", WRITE),)),
            "may not write to the model",
        ),
        (Account("alice", "fineGrained", ("acme",), scopes=(("model", "acme/m", READ, WRITE),)), False),
        (Account("alice", "fineGrained", scopes=(("org", "acme", READ, WRITE),)), True),
        (Account("alice", "fineGrained", ("acme",), "read", (("org", "acme", WRITE),)), "alice can only read in acme"),
        (Account("acme", "fineGrained", scopes=(("user", "acme", WRITE),)), True),
    ],
)
def test_rights_are_judged_as_the_hub_does(hub: Hub, account: Account, result: bool | str) -> None:
    hub.store.accounts["hf_t"] = account
    api = HfApi(endpoint=hub.endpoint, token="hf_t")
    if isinstance(result, str):
        with pytest.raises(UserError, match=result):
            check_account(api, REPOSITORY)
    else:
        assert check_account(api, REPOSITORY) is result


def test_a_contributor_writes_to_repositories_of_their_own(hub: Hub) -> None:
    store(hub, FILES)
    hub.store.accounts["hf_t"] = Account("carol", "write", ("acme",), "contributor")
    api = HfApi(endpoint=hub.endpoint, token="hf_t")
    with pytest.raises(HfHubHTTPError, match="403"):
        check_write_access(api, REPOSITORY)
    hub.store.accounts["hf_t"] = replace(hub.store.accounts["hf_t"], created=("acme/m",))
    check_write_access(api, REPOSITORY)


@pytest.mark.parametrize("path", ["/api/collections$", "/api/collections/.*/items?$"])
@pytest.mark.parametrize("status", [0, 502])
def test_a_collection_is_looked_up_after_a_lost_reply(hub: Hub, api: HfApi, path: str, status: int) -> None:
    store(hub, FILES)
    hub.faults.append(Fault("POST", path, status, lost=True))
    url, warning = add_to_collection(api, REPOSITORY, "Ours", private=False)
    assert warning is None and url and not any(fault.times for fault in hub.faults)
    (collection,) = hub.store.collections.values()
    assert [item["id"] for item in collection["items"]] == ["acme/m"]
    hub.faults.append(Fault("POST", path, 500, times=9))
    url, warning = add_to_collection(api, REPOSITORY, "Others", private=False)
    assert url is None and warning and "was not added to the collection 'Others'" in warning


def test_transfers_with_xet_have_the_time_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "set_client_factory", lambda factory: None)
    monkeypatch.setenv("HF_XET_CLIENT_READ_TIMEOUT", "7s")
    monkeypatch.setenv("HF_XET_CLIENT_CONNECT_TIMEOUT", "")
    monkeypatch.delenv("HF_XET_CLIENT_CONNECT_TIMEOUT")
    client.limit_requests(4)
    assert os.environ["HF_XET_CLIENT_CONNECT_TIMEOUT"] == "4s" and os.environ["HF_XET_CLIENT_READ_TIMEOUT"] == "7s"


@pytest.fixture
def released(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Repo:
    """A repository with the release v1.0.0, on the Hub that this process speaks to."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    commit = store(hub, publication().files)
    repo = hub.store.repos["model", "acme/m"]
    repo.tags["v1.0.0"] = commit
    return repo


def withdraw(**options) -> str:
    return yank(REPOSITORY, **{"tag": "v1.0.0", "reason": "names", "squash": False, "yes": True} | options)


def test_an_edited_card_stays_known_as_edited_after_a_withdrawal(hub: Hub, api: HfApi, released: Repo) -> None:
    store(hub, {"README.md": b"# m\n\nA paragraph by hand.\n"})
    withdraw()
    card = released.resolve("main").files["README.md"].content.decode()
    assert "**Withdrawn: v1.0.0**" in card and "A paragraph by hand." in card
    found = "; ".join(obstacles(api, publication(config__json=b'{"new": 1}'), state_of(api)))
    assert "README.md of the model acme/m was edited on the Hub" in found


def test_the_files_of_a_withdrawn_release_are_not_published_again(hub: Hub, api: HfApi, released: Repo) -> None:
    withdraw()
    (found,) = obstacles(api, publication(README__md=b"# other words\n"), state_of(api))
    assert (
        found.startswith("these files are those of v1.0.0 of the model acme/m, which was withdrawn on")
        and "(names)" in found
    )
    assert obstacles(api, publication(config__json=b'{"new": 1}'), state_of(api)) == []


def test_a_second_withdrawal_keeps_the_date_and_says_what_was_removed(hub: Hub, released: Repo, tmp_path) -> None:
    withdraw()
    listed = json.loads(released.resolve("main").files["withdrawn.json"].content)
    listed["v1.0.0"]["date"] = "2020-02-02"
    corrected = publication(config__json=b'{"new": 1}').files
    store(hub, dict(corrected) | {"withdrawn.json": json.dumps(listed).encode()})
    released.pulls["7"] = released.head
    assert "the history of pr/7 still has it" in withdraw(reason="more  names\nthan one", squash=True)
    entry = json.loads(released.resolve("main").files["withdrawn.json"].content)["v1.0.0"]
    assert (entry["date"], entry["reason"]) == ("2020-02-02", "more names than one") and released.tags == {}
    with pytest.raises(UserError, match=r"its tags are none; v.* was withdrawn and removed before"):
        withdraw()


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (" \n", "--reason is empty"),
        ("the mail of jane.roe@roe-and-sons.com was in it", "--reason would be published: .*e-mail"),
    ],
)
def test_a_reason_is_checked_before_it_is_published(hub: Hub, released: Repo, reason: str, sentence: str) -> None:
    head = released.head
    with pytest.raises(UserError, match=sentence):
        withdraw(reason=reason)
    assert released.head == head


@pytest.mark.parametrize(
    "content", [b'{"v1.0.0": {"reason": "names"},}', b'{"v1.0.0": {"reason": "names"}}', b"[]", b"\xff"]
)
def test_a_broken_list_of_withdrawn_releases_is_never_an_empty_one(hub: Hub, api: HfApi, released, content) -> None:
    store(hub, {"withdrawn.json": content})
    for act in (lambda: download("acme/m", "model"), lambda: read_state(api, REPOSITORY), withdraw):
        with pytest.raises(UserError, match="of the model acme/m was edited and is broken"):
            act()
    assert download("acme/m", "model", allow_withdrawn=True).n_files == len(FILES)


@pytest.mark.parametrize("answer", [[], {}], ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/whoami-v2"), ("GET", "/api/models/acme/m"), ("GET", "/api/models/acme/m/refs"),
        ("POST", "/api/models/acme/m/preupload/main"), ("POST", "/acme/m.git/info/lfs/objects/batch"),
        ("POST", "/api/models/acme/m/commit/main"), ("POST", "/api/models/acme/m/tag/.*"),
    ],
)  # fmt: skip
def test_an_answer_of_another_kind_is_one_sentence_and_a_second_run_makes_the_release(
    hub: Hub, released: Repo, monkeypatch: pytest.MonkeyPatch, method: str, path: str, answer: object
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    changed = publication(config__json=b'{"new": 1}', model__safetensors=b"\2\0\0\0\0\0\0\0[]")
    hub.faults.append(Fault(method, f"{path}$", 200, times=9, answer=answer))
    with pytest.raises(UserError, match=r"look for a proxy between|run the same command again") as raised:
        publish(changed)
    assert "\n" not in str(raised.value)
    hub.faults.clear()
    assert publish(changed).tag in released.tags


@pytest.mark.parametrize("name", [None, "copy"])
def test_a_file_in_place_of_which_a_page_arrived_is_fetched_again(
    hub: Hub, released: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path, name: str | None
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    out = name and tmp_path / name
    hub.faults.append(Fault("GET", "/objects/", 200, times=9, answer={}))
    with pytest.raises(UserError, match="A file arrived with another size than"):
        download("acme/m", "model", out=out)
    hub.faults.clear()
    assert download("acme/m", "model", out=out).n_files == len(FILES)


def test_a_tag_by_hand_is_no_release(hub: Hub, released: Repo) -> None:
    released.tags["v2"] = released.history()[-1].oid
    with pytest.raises(UserError, match="v2 of the model acme/m has no manifest"):
        withdraw(tag="v2")


def test_a_renamed_repository_is_named(hub: Hub, api: HfApi, released: Repo) -> None:
    hub.store.renamed["old/m"] = "acme/m"
    earlier = replace(REPOSITORY, id="old/m")
    for act in (lambda: download("old/m", "model"), lambda: download("old/m"), lambda: read_state(api, earlier)):
        with pytest.raises(UserError, match="the model old/m has the name acme/m on the Hub: use that name"):
            act()


def test_a_gated_repository_needs_access(hub: Hub, released: Repo) -> None:
    released.readers = ("bob",)
    with pytest.raises(UserError, match="the model acme/m is gated: ask for access at"):
        download("acme/m", "model")
    released.readers = ("alice",)
    assert download("acme/m", "model").n_files == len(FILES)


@pytest.mark.parametrize(
    ("status", "pushed", "withdrawn"),
    [
        (500, "nothing was published by this run", "the release was not withdrawn"),
        (504, "the Hub shows none of the files so far", "whether the release was withdrawn is unknown"),
    ],
)
def test_what_a_gateway_answers_says_nothing_of_the_commit(
    hub: Hub, released: Repo, monkeypatch: pytest.MonkeyPatch, status: int, pushed: str, withdrawn: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    hub.faults.append(Fault("POST", "/commit/", status, times=99))
    with pytest.raises(UserError, match=f"The Hub answered {status} .*; {pushed}"):
        publish(publication(config__json=b'{"new": 1}'))
    with pytest.raises(UserError, match=f"The Hub answered {status} .*; {withdrawn}; run the same command again"):
        withdraw()


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("GET", "/resolve/.*/README.md", "nothing was changed"),
        ("GET", "/api/models/acme/m/commits/", "its files are still in the history; run again"),
        ("POST", "/super-squash/", "its files are still in the history; run again"),
        ("DELETE", "/tag/", "its files are still in the history; run again"),
    ],
)
def test_a_withdrawal_that_a_failure_cut_is_finished_by_the_next_run(
    hub: Hub, released: Repo, method: str, path: str, sentence: str
) -> None:
    store(hub, publication(config__json=b'{"new": 1}').files)
    hub.faults.append(Fault(method, path, 502))
    with pytest.raises(UserError, match=f"The Hub answered 502 .*; .*{sentence}"):
        withdraw(squash=True)
    assert ("withdrawn.json" in released.resolve("main").files) == (sentence != "nothing was changed")
    assert "removed from the history" in withdraw(squash=True)
    assert len(released.history()) == 1 and released.tags == {}


def test_a_file_that_changes_after_it_was_checked_is_not_sent(
    hub: Hub, released: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    wanted = publication(config__json=b'{"new": 1}')
    (tmp_path / "config.json").write_bytes(b'{"new": 1, "token": "later"}')
    with pytest.raises(UserError, match=r"config\.json was changed after it was checked: nothing was published"):
        publish(replace(wanted, files={**wanted.files, "config.json": tmp_path / "config.json"}))
    assert released.resolve("main").files["config.json"].content == b"{}"
