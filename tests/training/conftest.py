"""A tiny model nobody has trained, and a small dataset in the layout that build writes."""

import random
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base model before its training, with its tokenizer."""
    import torch

    from agentmerge_hub.training.tiny.model import new_model
    from agentmerge_hub.training.tiny.tokenizer import new_tokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = new_tokenizer(0)
    new_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 training rows and 6 held-out ones, prompts rendered as the agent's, in config ``all``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from agentmerge_hub.prompt import Flags, answer, render
    from agentmerge_hub.records import Observation

    rng = random.Random(0)
    flags = Flags(action_space="click_fill", long_description=False, individual_examples=False)

    def row(index: int) -> dict:
        bid, name = rng.randint(10, 99), rng.choice(("OK", "Cancel", "Submit"))
        thought = f"The goal names {name}." if index % 2 else None
        page = Observation(f'Click "{name}".', f"RootWebArea 'Test'\n\t[{bid}] button '{name}'")
        return {
            "prompt": list(render(page, [], flags).messages()),
            "completion": [{"role": "assistant", "content": answer(f"click('{bid}')", thought)}],
            "sample_id": f"sample-{index}",
            "task": "click",
            "cot": bool(index % 2),
        }

    folder = tmp_path_factory.mktemp("data") / "traces"
    (folder / "data").mkdir(parents=True)
    for split, rows in (("train", range(40)), ("inter_task", range(40, 46))):
        pq.write_table(pa.Table.from_pylist([row(index) for index in rows]), folder / "data" / f"{split}.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: all\n  data_files:\n  - {split: train, path: data/train.parquet}\n"
        "  - {split: inter_task, path: data/inter_task.parquet}\n---\n"
    )
    return folder


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Forward passes for the backward pass of each layer's MLP, from the lowest."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaMLP

    counted: dict[int, int] = {}
    forward = LlamaMLP.forward

    def counting(self: LlamaMLP, *args: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            counted[id(self)] = counted.get(id(self), 0) + 1
        return forward(self, *args)

    monkeypatch.setattr(LlamaMLP, "forward", counting)
    return counted
