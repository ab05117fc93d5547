"""Rows become tokens with nothing lost, and samples are counted whatever the batch."""

import math
from pathlib import Path

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import rows
from agentmerge_hub.training.checkpoints import samples_seen


def test_only_the_completion_is_trained_and_all_of_it(tiny_model: Path, traces: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    split = load_dataset(str(traces), "all", split="train")
    for row, made in zip(split, rows.tokenize(split, tokenizer, 1024)):
        trained = [token for token, label in zip(made["input_ids"], made["labels"]) if label != rows.IGNORED]
        assert [label for label in made["labels"] if label != rows.IGNORED] == trained
        assert tokenizer.decode(trained) == row["completion"][0]["content"] + tokenizer.eos_token
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
        assert tokenizer.decode(made["input_ids"]) == whole


def test_a_template_that_opens_another_turn_is_refused(tiny_model: Path, traces: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|assistant|>", "<|assistant|>now")
    with pytest.raises(UserError, match="not the beginning of prompt and completion"):
        rows.tokenize(load_dataset(str(traces), "all", split="train"), tokenizer, 1024)


def test_replay_mixes_at_its_ratio_and_repeats_nothing(traces: Path) -> None:
    agent, general = (load_dataset(str(traces), "all", split=split) for split in ("train", "inter_task"))
    mixed = rows.mix(agent, general, 0.1, seed=0)
    assert len(mixed) == 44 and mixed.column_names == ["prompt", "completion"]
    added = [str(row["prompt"]) + str(row["completion"]) for row in mixed.select(range(40, 44))]
    assert len(added) == 4
    assert all(text in [str(row["prompt"]) + str(row["completion"]) for row in general] for text in added)
    with pytest.raises(UserError, match="asks for 40 rows and replay_dataset has 6"):
        rows.mix(agent, general, 1.0, seed=0)


@given(rows=st.integers(1, 200), batch=st.integers(1, 50), epochs=st.integers(1, 4))
def test_samples_are_counted_as_batches_are_drawn(rows: int, batch: int, epochs: int) -> None:
    counted, seen = [], 0
    for _ in range(epochs):
        for start in range(0, rows, batch):
            seen += min(batch, rows - start)
            counted.append(seen)
    assert [samples_seen(step + 1, rows, batch) for step in range(len(counted))] == counted
    assert samples_seen(math.ceil(rows / batch) * epochs, rows, batch) == rows * epochs
