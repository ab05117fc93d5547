"""Coordinates and left-out elements: printed from recorded trees with the flags that are asked for, and known to later builds."""

from pathlib import Path

import pytest
from dataset_files import rows, run
from made_traces import write_episode

from agentmerge_hub.dataset.reload import find_inputs, read_input
from agentmerge_hub.dataset.rows.samples import make_samples
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.prompt import ADVANCED, Flags
from agentmerge_hub.tokenizer import ChatTokenizer

SEEN = {"clickable": True, "set_of_marks": True}
PROPERTIES = {
    "10": SEEN | {"bbox": [8.4, 8, 31, 20.5], "visibility": 1.0},
    "11": SEEN | {"bbox": [8, 3000, 50, 20], "visibility": 0.0},
    "12": SEEN | {"bbox": None, "visibility": 1.0},
}
NAMES = {"10": "OK 0", "11": "Below", "12": "Unplaced"}
TREE = {
    "nodes": [
        {"nodeId": "1", "role": {"value": "RootWebArea"}, "name": {"value": "Shop"}, "childIds": list(NAMES)},
        *(
            {"nodeId": bid, "role": {"value": "button"}, "name": {"value": name}, "childIds": [], "browsergym_id": bid}
            for bid, name in NAMES.items()
        ),
    ]
}
RAW = {"axtree_object": TREE, "extra_element_properties": PROPERTIES, "axtree_txt": "RootWebArea 'Shop'\n\t[10] button"}
PLACED = """RootWebArea 'Shop'
\t[10] button 'OK 0', box="(8,8,39,28)", clickable, visible
\t[12] button 'Unplaced', clickable, visible"""
ASKED = {"extract_coords": "box", "filter_visible_elements_only": True}


def made(root: Path, tokenizer: ChatTokenizer, **flags: object) -> list[str]:
    """The prompt of the only step below a root, or why there is none."""
    settings = Settings(window=20_000, versions="no_cot", rebuild_prompts=True, flags=flags)
    (found,) = find_inputs([root])
    one = make_samples(read_input(found, settings.read_options), settings, tokenizer)
    return [sample.prompt[1]["content"] for sample in one.samples] + [row.detail for row in one.dropped]


@pytest.mark.parametrize("recorded", [None, ADVANCED], ids=["no prompt", "a recorded prompt"])
def test_a_recorded_tree_is_printed_with_the_flags_asked_for(
    tmp_path: Path, tokenizer_folder: Path, recorded: Flags | None
) -> None:
    write_episode(tmp_path, "webarena.7", 0, flags=recorded, obs=RAW)
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    (shown,) = made(tmp_path, tokenizer, **ASKED)
    assert f"{PLACED}\n" in shown and "Below" not in shown
    assert "Note: bounding boxes of elements" in shown and "Note: elements with a bid that are not visible" in shown
    (every_element,) = made(tmp_path, tokenizer)
    assert "[11] button 'Below', clickable\n" in every_element and "viewport" not in every_element


def test_a_dataset_knows_how_its_pages_were_printed(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "traces", "webarena.7", 0, flags=None, obs=RAW)
    options = ["--flag", "extract_coords=box", "--flag", "filter_visible_elements_only=true", "--versions", "no_cot"]
    run("build", tmp_path / "traces", "-o", tmp_path / "set", "--tokenizer", tokenizer_folder, "--workers", 1, *options)
    (row,) = rows(tmp_path / "set", "all")
    run("export", tmp_path / "set", "-o", tmp_path / "atif", "--format", "atif")
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    for root in (tmp_path / "set", tmp_path / "atif"):
        assert made(root, tokenizer, **ASKED) == [row["prompt"][1]["content"]]
        (bare,) = made(root, tokenizer, filter_visible_elements_only=True)
        assert PLACED.replace('box="(8,8,39,28)", ', "") in bare and "bounding boxes" not in bare
        assert made(root, tokenizer) == ["the AXTree was saved with filter_visible_elements_only=true"]


def test_a_recorded_prompt_stays_word_for_word(tmp_path: Path, tokenizer_folder: Path) -> None:
    tree = "RootWebArea 'Shop'\n\t[10] button 'OK 0'"
    write_episode(tmp_path, "webarena.7", 0, obs=RAW | {"axtree_txt": tree})
    settings = Settings(window=20_000, flags=ASKED)
    (found,) = find_inputs([tmp_path])
    episode = read_input(found, settings.read_options)
    (sample,) = make_samples(episode, settings, ChatTokenizer(str(tokenizer_folder))).samples
    assert sample.prompt == episode.steps[0].messages and f"{tree}\n" in sample.prompt[1]["content"]


def test_elements_without_recorded_properties_have_no_place(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path, "webarena.7", 0, flags=None, obs=RAW | {"extra_element_properties": None})
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    assert made(tmp_path, tokenizer, extract_coords="box") == ["the AXTree was saved with extract_coords=false"]
