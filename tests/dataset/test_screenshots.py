"""Datasets with screenshots: the picture of every row, what is dropped without one, and what is said about them."""

import gzip
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from dataset_files import data_hashes, ledger, rows, run
from made_traces import write_episode
from PIL import Image, PngImagePlugin

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import ADVANCED, Flags, render
from agentmerge_hub.publishing.publish_checks.parquet_texts import count_pictures, parquet_texts
from agentmerge_hub.records import Observation

TASK = "miniwob.click-dialog"
SHOWN = ADVANCED.model_copy(update={"use_screenshot": True, "use_som": True})


def picture(seed: int) -> bytes:
    """A PNG whose color says which episode it is of, with a name in its metadata."""
    buffer, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    texts.add_text("Author", "alice@corp.example")
    Image.fromarray(np.full((20, 30, 3), seed, np.uint8)).save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


def write(root: Path, seed: int, *, marks: bool = True) -> Path:
    """An episode of an agent that was shown a screenshot, as our agents record it; `marks` names the picture it was shown."""
    folder = write_episode(root, TASK, seed)
    name = f"screenshot_{'som_' if marks else ''}step_0.png"
    (folder / name).write_bytes(picture(seed))
    step = pickle.loads(gzip.decompress((folder / "step_0.pkl.gz").read_bytes()))
    observation = Observation(step["obs"]["goal"], step["obs"]["axtree_txt"], screenshot=b"any")
    flags = SHOWN.model_copy(update={"use_som": marks})
    system, user = render(observation, [], flags).messages()
    parts = [{"type": "image_url", "image_url": {"url": name}}, {"type": "text", "text": user["content"]}]
    answered = step["agent_info"]["chat_messages"]["messages"][-1]
    step["agent_info"]["chat_messages"] = {"messages": [system, {"role": "user", "content": parts}, answered]}
    (folder / "step_0.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step), mtime=0))
    args = pickle.loads((folder / "exp_args.pkl").read_bytes())
    args["agent_args"]["flags"] = flags.model_dump()
    (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    return folder


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    for seed in range(7):
        write(tmp_path / "traces", seed)
    return tmp_path / "traces"


def build(traces: Path, out: Path, tokenizer: Path, *options: object) -> Path:
    run("build", traces, "-o", out, "--tokenizer", tokenizer, "--inter-share", 0, *options)
    return out


def test_each_row_has_the_picture_that_its_agent_was_shown(
    traces: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    from datasets import load_dataset

    broken, lacking = (next(traces.glob(f"*_{seed}")) for seed in (5, 6))
    (broken / "screenshot_som_step_0.png").write_bytes(picture(5)[:-20])
    (lacking / "screenshot_som_step_0.png").rename(lacking / "screenshot_step_0.png")
    out = build(traces, tmp_path / "out", tokenizer_folder, "--screenshots", "shown")

    loaded = load_dataset(str(out), split="train")
    assert {row["seed"]: row["image"].getpixel((0, 0)) for row in loaded} == {n: (n, n, n) for n in range(5)}
    for row in rows(out, "all"):
        assert "[11] button" in row["prompt"][1]["content"] and "alice" not in str(row["image"]["bytes"])
        assert "The image before this text shows the page, with a box and the bid" in row["prompt"][1]["content"]
    details = {
        row["detail"] for row in pq.read_table(out / "ledger.parquet").to_pylist() if row["rule"] == "no_screenshot"
    }
    assert details == {
        "screenshot_som_step_0.png is damaged: the checksum of a chunk is wrong",
        "screenshot_som_step_0.png is missing",
    }
    card = (out / "README.md").read_text()
    assert "**Screenshots are not redacted**" in card and "1,500 are kept free for the screenshot" in card
    assert "dtype: image" in card
    fields = json.loads((out / "croissant.json").read_text())["recordSet"][0]["field"]
    assert next(field["dataType"] for field in fields if field["name"] == "image") == "sc:ImageObject"
    assert "screenshot: 30×20 pixels" in run("inspect", out, "--row", 0)
    assert "5 screenshots written" in run("inspect", out, "--save-images", tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5

    again = build(out, tmp_path / "again", tokenizer_folder, "--screenshots", "shown")
    by_id = [{row["sample_id"]: row for row in rows(folder, "all")} for folder in (out, again)]
    assert by_id[0] == by_id[1]
    with pytest.raises(UserError, match="the rule no_screenshot dropped most"):
        build(out, tmp_path / "plain", tokenizer_folder, "--screenshots", "plain")
    text = build(out, tmp_path / "text", tokenizer_folder)
    assert "image" not in rows(text, "all")[0] and "Screenshot" not in rows(text, "all")[0]["prompt"][1]["content"]
    exported = run("export", out, "-o", tmp_path / "atif", "--format", "atif")
    assert "5 screenshots are left out" in exported
    assert "The image before this text" not in next((tmp_path / "atif").glob("*.json")).read_text()

    files = sorted(out.glob("data/*/*.parquet"))
    assert count_pictures(files) == sum(len(rows(out, config)) for config in ("all", "cot", "no_cot")) + 5
    assert not any("alice" in text.text for path in files for text in parquet_texts(path.name, path))


def test_without_screenshots_a_dataset_is_the_same_to_the_byte(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(3):
        folder = write_episode(tmp_path / "traces", TASK, seed)
    before = data_hashes(build(tmp_path / "traces", tmp_path / "a" / "out", tokenizer_folder))
    (folder / "screenshot_step_0.png").write_bytes(picture(1))
    assert data_hashes(build(tmp_path / "traces", tmp_path / "b" / "out", tokenizer_folder)) == before
    assert "image" not in (tmp_path / "a" / "out" / "README.md").read_text()
    recorded = (tmp_path / "a" / "out" / "manifest.json").read_text()
    assert "screenshot" not in recorded.replace('"use_screenshot": false', "") and "image" not in recorded


def test_a_prompt_recorded_without_its_picture_is_rendered_with_it(tmp_path: Path, tokenizer_folder: Path) -> None:
    folder = write_episode(tmp_path / "traces", TASK, 1)
    (folder / "screenshot_step_0.png").write_bytes(picture(1))
    write(tmp_path / "traces", 2)
    as_text = build(tmp_path / "traces", tmp_path / "text", tokenizer_folder)
    assert not any("The image before" in str(row["prompt"]) for row in rows(as_text, "all"))
    out = build(tmp_path / "traces", tmp_path / "out", tokenizer_folder, "--screenshots", "plain")
    assert {row["seed"] for row in rows(out, "all")} == {1}
    assert "The image before this text shows the page.\n" in rows(out, "all")[0]["prompt"][1]["content"]
    assert [rule for rule, _ in ledger(out)] == ["no_screenshot"]
    marked = build(
        tmp_path / "traces", tmp_path / "marked", tokenizer_folder, "--screenshots", "som", "--image-tokens", 4000
    )
    assert all(row["n_prompt_tokens"] <= 8192 - 1024 - 4000 for row in rows(marked, "all"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--screenshots", "som", "--preferences"), "build them without --screenshots"),
        (("--flag", "use_som=true", "--flag", "use_screenshot=true"), "use --screenshots shown, plain or som"),
        (("--screenshots", "som", "--image-tokens", "7168"), "an answer of 1024 and an image of 7168"),
    ],
)
def test_options_that_exclude_each_other(tmp_path: Path, tokenizer_folder: Path, options, sentence: str) -> None:
    write_episode(tmp_path / "traces", TASK, 1)
    with pytest.raises(UserError) as error:
        build(tmp_path / "traces", tmp_path / "out", tokenizer_folder, *options)
    assert sentence in " ".join(str(error.value).split())


def test_marks_need_a_screenshot() -> None:
    with pytest.raises(ValueError, match="set use_screenshot too"):
        Flags(use_som=True)
