"""Rows of special tokens are copied from the instruct model; the probability of ending a turn is measured."""

import json
from pathlib import Path

import pytest
import torch
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import arguments, finetune, rows, special_tokens

RECIPE = Path(__file__).parents[2] / "recipes/sft/tiny/base-all.yaml"
TOKENS = ["<|assistant|>", "<|end|>"]


@pytest.fixture(scope="module")
def instruct(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the base's shape, in several files, so that two of them are opened."""
    folder = tmp_path_factory.mktemp("instruct") / "model"
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for parameter in model.parameters():
        parameter.data.normal_()
    model.save_pretrained(folder, max_shard_size="1MB")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    assert (folder / "model.safetensors.index.json").is_file()
    return folder


def test_a_run_starts_from_the_instruct_rows(tiny_model: Path, instruct: Path, traces: Path, tmp_path: Path) -> None:
    settings = {
        "model_name_or_path": tiny_model, "tokenizer_name_or_path": instruct, "dataset_name": traces,
        "output_dir": tmp_path / "run", "max_steps": 1, "per_device_train_batch_size": 2, "learning_rate": 1e-30,
    }  # fmt: skip
    words = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    finetune.run(arguments.parse_args(["--config", str(RECIPE), *words, "--instruct_rows", *TOKENS]))
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    ids = tokenizer.convert_tokens_to_ids(TOKENS)
    others = [index for index in range(len(tokenizer)) if index not in ids]
    base, made = load_file(tiny_model / "model.safetensors"), load_file(tmp_path / "run" / "model.safetensors")
    theirs = AutoModelForCausalLM.from_pretrained(instruct).state_dict()
    for name, tensor in made.items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert tensor[ids].equal(theirs[name][ids]) and tensor[others].equal(base[name][others])
        else:
            assert tensor.equal(base[name])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["config"]["instruct_rows"] == TOKENS and 0 <= manifest["counts"]["ends_turn"] <= 1


def test_a_tied_head_takes_the_embeddings_rows(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    theirs, model = LlamaForCausalLM(config), LlamaForCausalLM(config)
    theirs.save_pretrained(tmp_path / "theirs")
    special_tokens.init_embedding_rows(str(tmp_path / "theirs"), model, tokenizer, TOKENS)
    ids = tokenizer.convert_tokens_to_ids(TOKENS)
    assert model.lm_head.weight[ids].equal(theirs.model.embed_tokens.weight[ids])
    assert not model.lm_head.weight[:2].equal(theirs.lm_head.weight[:2]) or ids == [0, 1]


@pytest.mark.parametrize(
    "adapted",
    [
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
    ],
)
def test_a_model_with_an_adapter_takes_the_same_rows(
    tiny_model: Path, instruct: Path, adapted: dict[str, list[str]]
) -> None:
    """The head's rows are the other head's, and not its embedding's, also where the head is trained beside an adapter."""
    tokenizer, base = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    model = get_peft_model(base, LoraConfig(**{"r": 2, "target_modules": ["q_proj"]} | adapted)).get_base_model()
    special_tokens.init_embedding_rows(str(instruct), model, tokenizer, TOKENS)
    ids, theirs = tokenizer.convert_tokens_to_ids(TOKENS), AutoModelForCausalLM.from_pretrained(instruct)
    assert model.get_input_embeddings().weight[ids].equal(theirs.model.embed_tokens.weight[ids])
    assert model.get_output_embeddings().weight[ids].equal(theirs.lm_head.weight[ids])


@pytest.mark.parametrize(
    ("source", "tokens", "says"),
    [
        ("nowhere", TOKENS, "no weights at 'nowhere'"),
        (None, ["<|nobody|>"], r"'<\|nobody\|>' is not a token"),
    ],
)
def test_mistakes_in_instruct_rows(tiny_model: Path, source: str | None, tokens: list[str], says: str) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(UserError, match=says):
        special_tokens.init_embedding_rows(source or str(tiny_model), model, tokenizer, tokens)


def test_ending_a_turn_is_learnt_and_measured(tiny_model: Path, traces: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenized = rows.tokenize(
        load_dataset(str(traces), "all", split="train").select(range(2)), tokenizer, ChatTemplate(tokenizer), None
    )
    before = special_tokens.end_of_turn_probability(model, tokenized)
    expected = []
    for row in tokenized:
        assert row["input_ids"][-1] == tokenizer.eos_token_id
        with torch.no_grad():
            logits = model(torch.tensor([row["input_ids"]])).logits[0, -2]
        expected.append(logits.softmax(-1)[tokenizer.eos_token_id].item())
    assert before == pytest.approx(sum(expected) / 2, rel=1e-4) and before < 0.1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        for row in tokenized:
            optimizer.zero_grad()
            model(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss.backward()
            optimizer.step()
    assert special_tokens.end_of_turn_probability(model, tokenized) > 0.5
