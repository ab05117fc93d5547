"""Answers of a Hub that no client expects, as one sentence."""

import json

import httpx
import pytest
from hub_server import Fault, Hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.errors import describe
from agentmerge_hub.publishing.hub.repository import Repository
from agentmerge_hub.publishing.hub.state import Publication
from agentmerge_hub.publishing.hub.upload import create_repository

REPOSITORY = Repository("dataset", "acme/x")


@pytest.mark.parametrize(("method", "sentence"), [("GET", "may not read"), ("POST", "may not write to")])
def test_what_a_token_may_not_do_depends_on_the_request(method: str, sentence: str) -> None:
    response = httpx.Response(403, request=httpx.Request(method, "https://hub.example/x"))
    said = describe(HfHubHTTPError("403", response=response), REPOSITORY)
    assert said is not None and said.startswith(f"The token {sentence} the dataset acme/x")


def test_the_reason_for_a_file_that_is_not_in_the_cache_is_told() -> None:
    response = httpx.Response(500, request=httpx.Request("HEAD", "https://hub.example/x"))
    with pytest.raises(LocalEntryNotFoundError) as raised:
        raise LocalEntryNotFoundError("Check your connection.") from HfHubHTTPError("500", response=response)
    assert str(describe(raised.value, REPOSITORY)).startswith("The Hub answered 500")


def test_a_page_in_place_of_an_answer_is_one_sentence() -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        httpx.Response(200, html="<p>Log in to this network</p>").json()
    assert "is not that of a Hub" in str(describe(raised.value, REPOSITORY))


def test_a_creation_without_a_readable_answer_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.faults.append(Fault("POST", "/api/repos/create", 409))
    publication = Publication(REPOSITORY, {"README.md": b"# x"}, "build", 1)
    with pytest.raises(UserError, match="does not show the dataset acme/x after its creation"):
        create_repository(HfApi(endpoint=hub.endpoint, token="hf_alice"), publication)
