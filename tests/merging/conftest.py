"""Real models to merge: random Llamas of a few thousand parameters, saved as users save theirs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def llama(tokenizer_folder: Path) -> Callable[..., Path]:
    """A function that writes a random Llama with the project's tokenizer to a folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)

    def make(
        out: Path,
        *,
        seed: int,
        near: Path | None = None,
        dtype: torch.dtype = torch.float32,
        chat: bool = True,
        layers: int = 2,
        hidden: int = 32,
        tied: bool = False,
        shard: str = "5GB",
    ) -> Path:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            tie_word_embeddings=tied,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = LlamaForCausalLM(config)
        if near is not None:
            first = LlamaForCausalLM.from_pretrained(near, dtype=torch.float32).state_dict()
            with torch.no_grad():
                for name, weight in model.state_dict().items():
                    weight.copy_(first[name] + 0.01 * torch.randn_like(weight))
        model.to(dtype).save_pretrained(out, max_shard_size=shard)
        tokenizer.save_pretrained(out)
        if not chat:
            (out / "chat_template.jinja").unlink()
        return out

    return make


@pytest.fixture(scope="session")
def family(llama: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base (bfloat16, no chat template), instruct (bfloat16) and agent (float32), as in the paper."""
    import torch

    folder = tmp_path_factory.mktemp("family")
    base = llama(folder / "base", seed=0, dtype=torch.bfloat16, chat=False)
    (base / "generation_config.json").unlink()
    llama(folder / "instruct", seed=1, near=base, dtype=torch.bfloat16)
    llama(folder / "agent", seed=2, near=base)
    return folder


@pytest.fixture
def here(family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder where base, agent and instruct stand under these names, to be damaged freely."""
    for name in ("base", "agent", "instruct"):
        shutil.copytree(family / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
