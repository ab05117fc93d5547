"""Agents that are shown screenshots: the request's image, the trace's file and the dataset's column are one picture."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.study import preflight, studies
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.prompt import answer


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.browser
def test_the_model_sees_what_the_trace_keeps_and_the_dataset_holds(
    write_recipe, chat_server, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(messages: list[dict]) -> str:
        page = messages[1]["content"][1]["text"]
        button = re.search(r"\[(\w+)\] button", page)
        return answer(f"click('{button[1]}')", "There is one button.")

    chat_server.answer = press
    flags = {"preset": "advanced", "action_space": "click_fill", "use_screenshot": True}
    agents = [{"name": "plain", "flags": flags}, {"name": "som", "flags": flags | {"use_som": True}}]
    recipe = write_recipe(
        candidates=[{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}],
        agents=agents,
        endpoint=chat_server.address,
        answer=64,
    )
    assert studies.run_collect(recipe, tmp_path / "traces") == {"done": 2, "crashed": 0, "missing": 0}
    sent = []
    for request in chat_server.requests:
        image, text = request["messages"][1]["content"]
        assert [image["type"], text["type"]] == ["image_url", "text"]
        sent.append(pixels(base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))))
    assert len(sent) == 2 and sent[0].shape == sent[1].shape and not np.array_equal(*sent)  # one has marks
    saved = {
        name: pixels(next((tmp_path / "traces").glob(f"*/*{name}*/screenshot_{file}step_0.png")).read_bytes())
        for name, file in (("plain", ""), ("som", "som_"))
    }
    assert all(any(np.array_equal(one, other) for other in sent) for one in saved.values())
    for step in (tmp_path / "traces").rglob("step_0.pkl.gz"):
        assert step.stat().st_size < 50_000  # the picture is in the trace once, as a file

    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    command = [
        "build",
        tmp_path / "traces",
        "-o",
        tmp_path / "data",
        "--tokenizer",
        tokenizer_folder,
        "--inter-share",
        0,
    ]
    built = CliRunner().invoke(agentmerge, [*map(str, command), "--screenshots", "shown", "--license", "m=apache-2.0"])
    assert built.exit_code == 0, built.output
    rows = [row for path in (tmp_path / "data").glob("data/all/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 2
    requests = {request["messages"][1]["content"][1]["text"] for request in chat_server.requests}
    for row in rows:
        assert np.array_equal(pixels(row["image"]["bytes"]), saved[row["agent"].removeprefix("m-")])
        assert row["prompt"][1]["content"] in requests  # word for word


def test_a_text_model_is_not_shown_screenshots(write_recipe, model_folder: Path, tmp_path: Path) -> None:
    flags = {"preset": "basic", "use_screenshot": True}
    recipe = write_recipe(
        candidates=[{"name": "tiny", "path": str(model_folder)}],
        agents=[{"name": "a", "flags": flags}],
        window=2048,
        answer=64,
    )
    problems = preflight.list_problems(read(recipe))
    assert any(
        "has no vision_config, so it takes no images, and agent 'a' has use_screenshot" in one for one in problems
    )
    vision = tmp_path / "vision"
    vision.mkdir()
    for path in model_folder.iterdir():
        (vision / path.name).write_bytes(path.read_bytes())
    config = json.loads((vision / "config.json").read_text()) | {"vision_config": {}}
    (vision / "config.json").write_text(json.dumps(config))
    recipe = write_recipe(
        candidates=[{"name": "v", "path": str(vision)}], agents=[{"name": "a", "flags": flags}], window=2048, answer=64
    )
    assert not any("vision_config" in one for one in preflight.list_problems(read(recipe)))
