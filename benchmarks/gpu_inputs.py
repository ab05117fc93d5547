"""Models with random weights, a tokenizer of numbered words and rows for benchmarks/gpu.py; nothing is downloaded."""

from pathlib import Path
from typing import Any

SHAPES = {  # hidden, inner, layers, heads, key-value heads, vocabulary, tied: Llama 3.2 1B and 3B, Llama 3.1 8B
    "1b": (2048, 8192, 16, 32, 8, 128_256, True),
    "3b": (3072, 8192, 28, 24, 8, 128_256, True),
    "8b": (4096, 14_336, 32, 32, 8, 128_256, False),
    "toy": (32, 64, 2, 2, 1, 512, True),
}


SIDES: dict[str, dict[str, Any]] = {
    "trl": {}, "ours": {}, "liger": {"use_liger_kernel": True}, "compiled": {"torch_compile": True},
}  # fmt: skip
"""Sides of a comparison, with the options that distinguish this package's."""


def model_config(shape: str) -> Any:
    from transformers import LlamaConfig

    hidden, inner, layers, heads, key_values, vocabulary, tied = SHAPES[shape]
    return LlamaConfig(
        hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_values, vocab_size=vocabulary, tie_word_embeddings=tied, max_position_embeddings=16_384,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """Words `w3`, `w4` … and a chat template whose turns end with `</s>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, vocabulary)}
    backend = Tokenizer(models.WordLevel(words, unk_token="w3"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Replace("w", " w")  # no space before the end of a turn
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    tokenizer.chat_template = (
        "{% for m in messages %}<s> {{ m.role }} {{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<s> assistant {% endif %}"
    )
    tokenizer.save_pretrained(folder)


def write_model(folder: Path, shape: str, dtype: str = "bfloat16", seed: int = 0) -> Path:
    """Random weights; bfloat16 on the disk halves the time to write and read them, and training loads them as float32."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(model_config(shape), dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
    write_tokenizer(folder, SHAPES[shape][5])
    return folder


def write_rows(work: Path, prompt: int, answer: int, rows: int, spread: bool, shorter: int = 0) -> Path:
    """Prompt/completion chat rows of random words; with `spread`, prompts of 40 to 100 % of the length, else each
    `shorter` words shorter than the one before.

    The folder's name holds the sizes: the cache of datasets knows a folder by its name, not by its content.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(f"w{word}" for word in rng.integers(3, 500, words))

    def row(index: int) -> dict[str, Any]:
        length = prompt - (prompt * (index % 4) // 5 if spread else shorter * index)
        return {
            "prompt": [{"role": "user", "content": text(length)}],
            "completion": [{"role": "assistant", "content": text(answer)}],
            "sample_id": str(index), "task": "task", "cot": False,
        }  # fmt: skip

    folder = work / f"rows-{prompt}-{answer}-{rows}{'-spread' if spread else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "inter_task"):
        pq.write_table(pa.Table.from_pylist([row(index) for index in range(rows)]), folder / f"{split}.parquet")
    files = "".join(f"  - {{split: {split}, path: {split}.parquet}}\n" for split in ("train", "inter_task"))
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{files}---\n")
    return folder
