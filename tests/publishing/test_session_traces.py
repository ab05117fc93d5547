"""Episodes go with a dataset as session traces, in a config of their own that the Hub's trace viewer reads."""

import json
from pathlib import Path

import pytest
import stage_outputs
from huggingface_hub import DatasetCard

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.session_trace_texts import session_trace_texts
from agentmerge_hub.publishing.session_traces import session_files

HEADER = b'{"type": "session", "harness": "agentmerge", "id": "e1"}\n'


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    rows = [stage_outputs.sample(number, task=f"miniwob.t{number // 4}") for number in range(8)]
    return stage_outputs.dataset(tmp_path / "traces", rows, episodes=True)


def test_some_episodes_of_every_task_are_published(hub, run, traces: Path, tmp_path: Path) -> None:
    push = ("push", "dataset", "traces", "--repo-id", "acme/traces", "--session-traces", "3")
    run(*push, "--yes")
    repo = hub.store.repos["dataset", "acme/traces"]
    files = {name: file.content for name, file in repo.resolve("v1.0.0").files.items() if name.startswith("sessions/")}
    headers = [json.loads(content.splitlines()[0]) for content in files.values()]
    assert sorted(header["task"] for header in headers) == ["miniwob.t0", "miniwob.t0", "miniwob.t1"]
    configs = DatasetCard(repo.resolve("main").files["README.md"].content.decode()).data.to_dict()["configs"]
    assert [config["config_name"] for config in configs] == ["sessions", "all", "cot", "no_cot", "episodes"]
    assert [config["config_name"] for config in configs if config.get("default")] == ["all"]
    run("download", "acme/traces", "-o", "copy")
    assert {f"sessions/{path.name}" for path in (tmp_path / "copy" / "sessions").iterdir()} == set(files)
    shown = run("push", "dataset", "copy", "--repo-id", "alice/copy").stdout
    assert "no finding" in shown and "sessions/" not in shown


def test_datasets_takes_them_for_agent_traces(run, traces: Path, tmp_path: Path) -> None:
    for name, content in session_files(traces, 2).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    run(
        code="""
from datasets import load_dataset
from datasets.packaged_modules.json.json import AGENT_TRACES_FEATURES
rows = load_dataset("json", data_files="sessions/*.jsonl", split="train", streaming=True)
assert rows._ex_iterable is not None
from datasets import load_dataset_builder
builder = load_dataset_builder("json", data_files="sessions/*.jsonl")
builder._split_generators(__import__("datasets").DownloadManager())
assert builder.info.features == AGENT_TRACES_FEATURES, builder.info.features
"""
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"{}\n", "line 1: it is not of the type"),
        (b'{"type": "session"}\n', "line 1: no id or harness"),
        (HEADER, "holds no message"),
        (
            HEADER + b'{"type": "message", "message": {"role": "robot", "content": ""}}',
            "line 2: its message has no role",
        ),
        (
            HEADER + b'{"type": "message", "message": {"role": "tool", "content": "", "toolCallId": "x"}}',
            "belongs to no",
        ),
        (
            HEADER + b'{"type": "message", "message": {"role": "user", "content": "", "toolCalls": [{}]}}',
            "a call has no",
        ),
        (HEADER + b"plain text", "is not JSON"),
    ],
)
def test_what_the_viewer_does_not_show_is_refused(lines: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(session_trace_texts("sessions/a.jsonl", lines))


def test_every_text_is_read_as_recorded(traces: Path) -> None:
    name, content = next(iter(session_files(traces, 1).items()))
    texts = [text.text for text in session_trace_texts(name, content)]
    assert '"content": "<action>click(\'a0\')</action>"' in texts and '"arguments": "{"bid": "a0"}"' in texts
    with pytest.raises(UserError, match="at most 1000 files"):
        session_files(traces, 2000)
