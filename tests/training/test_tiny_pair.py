"""The tiny pair: whole, in full precision, one tokenizer, the same again from the same seed; prompts are short."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.training.tiny import pair
from agentmerge_hub.training.tiny.pages import document


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "pair"
    pair.make(out, seed=1, base_steps=3, instruct_steps=2)
    return out


def test_both_models_are_whole_and_share_a_tokenizer(made: Path) -> None:
    for name in ("base", "instruct"):
        assert manifest.verify(made / name) == []
        weights = load_file(made / name / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    for file in ("tokenizer.json", "chat_template.jinja"):
        assert (made / "base" / file).read_bytes() == (made / "instruct" / file).read_bytes()
    assert manifest.read(made / "instruct")["inputs"]["base"]["sha256"] == content_hash.folder_hash(made / "base")
    base, instruct = (load_file(made / name / "model.safetensors") for name in ("base", "instruct"))
    assert base.keys() == instruct.keys() and any(not base[key].equal(instruct[key]) for key in base)


def test_the_same_seed_gives_the_same_pair(made: Path, tmp_path: Path) -> None:
    pair.make(tmp_path / "pair", seed=1, base_steps=3, instruct_steps=2)
    again, first = (load_file(folder / "instruct" / "model.safetensors") for folder in (tmp_path / "pair", made))
    assert all(first[name].equal(again[name]) for name in first)


def test_initialized_heads_find_a_names_bid_before_any_training(tiny_model: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    tree = "RootWebArea 'Page', focused\n\t[13] button 'lorem'\n\t[27] link 'apple'\n\t[42] tab 'river'\n"
    found = []
    for name in ("lorem", "apple", "river"):
        ids = tokenizer(f"<|bos|>{tree}'{name}' ", add_special_tokens=False, return_tensors="pt")["input_ids"]
        found.append(tokenizer.decode(model(ids).logits[0, -1].argmax()))
    assert found == ["13", "27", "42"]


def test_bids_and_fixed_lines_are_single_tokens(tiny_model: Path, traces: Path) -> None:
    from datasets import load_dataset

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert all(len(tokenizer.tokenize(str(number))) == 1 for number in range(100))
    row = load_dataset(str(traces), "all", split="train")[0]
    text = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text and len(ids) < 200


def test_documents_hold_no_chat_and_no_action() -> None:
    import random

    rng = random.Random(0)
    texts = ["".join(document(rng)) for _ in range(300)]
    assert not any(mark in text for text in texts for mark in ("<action>", "click('", "<|user|>", "<|assistant|>"))


def test_files_of_others_at_out_are_never_changed(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "mine.txt").write_text("mine")
    done = CliRunner().invoke(agentmerge, ["tiny-pair", "-o", str(tmp_path)])
    assert isinstance(done.exception, UserError) and "already exists" in str(done.exception)
