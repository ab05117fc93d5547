"""Documents hold no local path and no password; addresses and ordinary prose stay."""

import pytest

from agentmerge_hub.publishing.publish_checks.document_rules import document_findings


@pytest.mark.parametrize(
    "path",
    ["/network/scratch/j/{}/runs", "/project/def-prof/{}/runs", "/data/users/{}", "/u/{}/x", "/fsx/{}/x", "/home1/{}/x",
     "/home/mila/j/{}/runs", "C:\\Users\\{}\\x", "D:/work/{}/x", "/lustre/{}", "\\\\nas01\\users\\{}\\x", "~{}/runs",
     "file:///home/{}/x", "ssh://nas:/mnt/{}/x", "/localscratch/{}.1234.0/x", "/sailhome/{}", "/flash/project_46/{}/x", "/mmfs1/home/{}", "/dss/dsshome1/{}",
     "/ptmp/{}/x", "/oak/groups/lab/{}/x"],
)  # fmt: skip
def test_local_paths_are_found(path: str) -> None:
    text = f"The run is in `{path.format('nora.keller')}`."
    assert {kind for kind, _ in document_findings(text)} == {"local paths"}


@pytest.mark.parametrize(
    "text",
    ["at /teamspace/studios/nkeller/x", "at /ptmp/nkeller/x", "in _/home/nkeller/x_", "[weights](/home/nkeller/x)", "![curve](/Users/nkeller/curve.png)"],
)  # fmt: skip
def test_an_account_of_any_name_is_found_below_a_root_of_accounts(text: str) -> None:
    assert {kind for kind, _ in document_findings(text)} == {"local paths"}


@pytest.mark.parametrize(
    "line",
    [
        '"_name_or_path": "/dccstor/lab/x"',
        '"cache_dir": "~/models"',
        '"path": "/itet-stor/x"',
        '"vocab_file": "D:\\\\m\\\\v.json"',
    ],
)
def test_a_place_is_found_by_its_key_whatever_its_root(line: str) -> None:
    assert {kind for kind, _ in document_findings(line)} == {"local paths"}


@pytest.mark.parametrize(
    "line", ["password: Xk29aLqpW3mz", '"api_key": "Zk38-vRpl-Q2tm"', "client_secret=abc-DEF-123", "passwd => Hq72!mmm"]
)
def test_passwords_are_found(line: str) -> None:
    assert [kind for kind, _ in document_findings(line)] == ["passwords"]


@pytest.mark.parametrize(
    "text",
    ["https://demo.example.org/users/sign_in", "https://x.org/home/page", "and/or", "data/cot/train-00000-of-00001.parquet",
     "/home/user/runs", "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+", "password: redacted-credentials-3f2", "\"eos_token\": \"<|end|>\"",
     "api_key: $OPENAI_API_KEY", "The password field", "~100 tokens", "POST /v1/chat/completions",
     '"_name_or_path": "meta-llama/Llama-3.1-8B"', '"path": "data/all/*.parquet"', '"path": "/user"', '"route": "/orders/new.order/x"',
     "[a](/docs/merge.run/x)"],
)  # fmt: skip
def test_what_is_harmless_stays(text: str) -> None:
    assert list(document_findings(text)) == []
