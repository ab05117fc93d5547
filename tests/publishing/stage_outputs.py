"""Small folders in the layout that build, evaluate and merge write, for publishing to take."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.dataset.card.readme import write_card
from agentmerge_hub.dataset.parquet_writer import SplitWriter
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.rules import KINDS
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.rows.image_columns import image_value, loadable, with_image
from agentmerge_hub.dataset.rows.step_rows import STEP_SCHEMA
from agentmerge_hub.dataset.selection.split import SPLITS
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.verify_output import measure_and_scan
from agentmerge_hub.files import output_folder
from agentmerge_hub.records import LEDGER_SCHEMA, RESULT_SCHEMA, SAMPLE_SCHEMA, SCHEMA_VERSION


def sample(number: int, **changes) -> dict:
    """One row of a dataset."""
    turn = {"role": "user", "content": f"# Goal\nPress button {number}.\n[a{number}] button 'Press me'"}
    return {
        "prompt": [{"role": "system", "content": "You act in a web page."}, turn],
        "completion": [{"role": "assistant", "content": f"<action>click('a{number}')</action>"}],
        "sample_id": f"s{number}",
        "episode_id": f"e{number}",
        "benchmark": "miniwob",
        "task": "miniwob.click-test",
        "category": "",
        "seed": number,
        "step": 0,
        "n_steps": 1,
        "agent": "Advanced",
        "teacher": "scripted",
        "license": "apache-2.0",
        "cot": number % 2 == 0,
        "action": f"click('a{number}')",
        "reward": 1.0,
        "n_prompt_tokens": 40,
        "n_completion_tokens": 9,
        "axtree_lines_cut": 0,
        "html_lines_cut": 0,
    } | changes


def step(row: dict) -> dict:
    """The row of the config `episodes` that a sample comes from."""
    columns = {name: row[name] for name in STEP_SCHEMA.names if name in row}
    page = {"goal": "Press the button.", "axtree": f"RootWebArea\n  [a{row['seed']}] button 'Press me'", "flags": "{}"}
    answer = {"answer": row["completion"][0]["content"], "executed": row["action"], "recorded_prompt": [], "html": ""}
    return dict.fromkeys(STEP_SCHEMA.names) | columns | page | answer


def dataset(
    out: Path,
    rows: list[dict] | None = None,
    dropped: list[dict] | None = None,
    png: bytes = b"",
    episodes: bool = False,
) -> Path:
    """A dataset folder: the rows as every split of `all`, and those with and without chain of thought; with the same
    screenshot in each row if there is one."""
    rows = [row | {"image": image_value(png)} for row in rows or [sample(number) for number in range(4)]]
    schema = loadable(with_image(SAMPLE_SCHEMA, images=bool(png)))
    with output_folder.new_folder(out, "build") as folder:
        written = []
        for config in ("all", "cot", "no_cot"):
            kept = [row for row in rows if config == "all" or row["cot"] == (config == "cot")]
            for split in SPLITS:
                writer = SplitWriter(folder, config, split, schema)
                writer.add(pa.Table.from_pylist(kept, schema), [100] * len(kept))
                written.append(writer.close())
        if episodes:
            writer = SplitWriter(folder, "episodes", "train", STEP_SCHEMA)
            writer.add(pa.Table.from_pylist([step(row) for row in rows], STEP_SCHEMA), [100] * len(rows))
            written.append(writer.close())
        measure_and_scan(written, LineScanner(Allowlist({kind: "to plant secrets" for kind in KINDS})))
        ledger = pa.Table.from_pylist(dropped or [], LEDGER_SCHEMA)
        pq.write_table(ledger, folder / "ledger.parquet")
        config = Settings(screenshots="plain" if png else "off").published() | {
            "tokenizer": "tiny",
            "schema_version": SCHEMA_VERSION,
        }
        counts = {"samples": 3 * len(rows), "episodes": len({row["episode_id"] for row in rows})}
        counts |= {"dropped": dict(sorted(Counter(row["rule"] for row in dropped or []).items())), "redacted": {}}
        counts |= {"episodes_found": 9, "episodes_unreadable": 0, "splits": {}}
        for part in written:
            counts["splits"].setdefault(part.config, {})[part.split] = part.num_examples
        write_card(folder, out.name, written, counts, config)
        manifest.write(folder, "build", config=config, counts=counts)
    return out


def results(out: Path, weights_hash: str, outcomes: dict[tuple[str, str, int], str | float], **columns: str) -> Path:
    """A results folder: (split, task, seed) → reward, or ``crashed`` or ``missing``.

    Args:
        columns: more columns of each row.
    """
    rows = []
    for (split, task, seed), outcome in outcomes.items():
        row = dict.fromkeys(RESULT_SCHEMA.names)
        done = isinstance(outcome, float)
        row |= {"benchmark": "miniwob", "task": task, "seed": seed, "split": split, "weights_hash": weights_hash}
        row |= {"agent": "Advanced", "method": "agentmerge", "model": "merged", "status": "done" if done else outcome}
        rows.append(row | columns | ({"reward": outcome, "success": outcome == 1} if done else {}))
    with output_folder.new_folder(out, "evaluate") as folder:
        pq.write_table(pa.Table.from_pylist(rows, RESULT_SCHEMA), folder / "results.parquet")
        manifest.write(folder, "evaluate")
    return out


SPEC = """\
# agentmerge: base + λ·(agent − base) + (1 − λ)·(instruct − base)
# Base: read, though λ and 1 − λ cancel it.

base_model: pair/base # base
models:
  - model: runs/base-all # agent
    parameters:
      weight: 0.4 # lambda
  - model: pair/instruct # instruct
    parameters:
      weight: 0.6 # 1 - lambda
merge_method: task_arithmetic
parameters:
  normalize: false
dtype: float32
out_dtype: bfloat16
tokenizer_source: pair/instruct
"""


def tiny_llama(tokenizer: Path, folder: Path) -> int:
    """Write a tiny Llama with a tokenizer; the number of its parameters."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    words = AutoTokenizer.from_pretrained(tokenizer)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, eos_token_id=words.eos_token_id, bos_token_id=words.bos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def merged(out: Path, tokenizer: Path, traces: Path) -> Path:
    """A merged model: a tiny Llama with a tokenizer, its spec, and the lineage of an agent trained on `traces`."""
    inputs = {}
    for role, name in (("base", "base"), ("instruct", "instruct"), ("agent", "base-all")):
        folder = out.parent / "inputs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"role": role}))
        if role == "agent":
            manifest.write(folder, "sft", inputs={"dataset": traces})
        inputs[role] = folder
    with output_folder.new_folder(out, "merge") as folder:
        parameters = tiny_llama(tokenizer, folder)
        (folder / "mergekit_config.yml").write_text(SPEC)
        (folder / "README.md").write_text("a card that mergekit wrote")
        manifest.write(
            folder,
            "merge",
            inputs=inputs,
            config={"method": "agentmerge", "lambda": 0.4, "merge_seed": None, "mergekit": "0.1.5"},
            counts={"parameters": parameters},
        )
    return out


def finetuned(
    out: Path,
    tokenizer: Path,
    traces: Path | None,
    rank: int | None = None,
    model: str = "acme/tiny-base",
    model_folder: Path | None = None,
    preference: dict | None = None,
) -> Path:
    """A run as it lies on disk, with its trainer's state and a checkpoint; with a rank, its checkpoint is an adapter.

    Args:
        traces: the dataset's folder; None for a run that read acme/workarena-traces from the Hub.
    """
    config = {"model": model, "dataset": str(traces or "acme/workarena-traces"), "dataset_config": "all"}
    config |= {"learning_rate": 5e-6, "samples_seen": 48, "seed": 3, "batch": 4, "lora_r": rank} | (preference or {})
    inputs = ({"dataset": traces} if traces else {}) | ({"model": model_folder} if model_folder else {})
    lineage = {"inputs": inputs, "config": config}
    checkpoint = out / "checkpoint-4"
    tiny_llama(tokenizer, out)
    (out / "run.json").write_text(json.dumps({"config": {"dataset": "/home/somebody/traces"}}))
    (out / "training_args.bin").write_bytes(b"\x80\x04pickle")
    if rank:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
        get_peft_model(model, LoraConfig(r=rank, task_type="CAUSAL_LM")).save_pretrained(checkpoint)
    else:
        tiny_llama(tokenizer, checkpoint)
        (checkpoint / "optimizer.pt").write_bytes(b"\x80\x04pickle")
    for folder in (checkpoint, out):
        manifest.write(folder, "preference" if preference else "sft", **lineage, counts={"steps": 12})
    return out
