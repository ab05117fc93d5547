"""Three small Llamas near each other, and a dataset with a validation split."""

from pathlib import Path

import pytest

TASKS = ("click", "fill", "select", "scroll")


@pytest.fixture(scope="module")
def study(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, agent, instruct, workarena-traces and general.json."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tuning")
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    first = {name: weight.clone() for name, weight in model.state_dict().items()}
    for name, size in (("base", 0.0), ("agent", 0.1), ("instruct", 0.1)):
        model.load_state_dict({key: weight + size * torch.randn_like(weight) for key, weight in first.items()})
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)

    def row(task: str, number: int) -> dict:
        prompt = [{"role": "user", "content": f"{task} number {number}"}]
        answer = [{"role": "assistant", "content": f"<action>\n{task}('{number}')\n</action>"}]
        return {"prompt": prompt, "completion": answer, "task": task, "episode_id": f"{task} {number}"}

    data = folder / "workarena-traces"
    data.mkdir()
    splits = {"train": ("press",), "validation": TASKS, "cross_task": ("drag",)}
    for split, tasks in splits.items():
        rows = [row(task, number) for task in tasks for number in range(4)]
        pq.write_table(pa.Table.from_pylist(rows), data / f"{split}.parquet")
    files = "".join(f"  - {{split: {split}, path: {split}.parquet}}\n" for split in splits)
    (data / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{files}---\n")
    general = [{"instruction": f"Repeat {number}.", "input": "", "output": f"{number}"} for number in range(8)]
    (folder / "general.json").write_text(json.dumps(general))
    return folder
