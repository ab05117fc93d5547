"""General instructions with their answers: a JSON or JSON lines file, or a dataset of chat rows."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.rows import load_split


def load_instructions(name: str) -> Dataset:
    """Prompt/completion chat rows.

    Args:
        name: a .json or .jsonl file of rows with `prompt` and `completion`, with `messages`, or with `instruction`, `input` and
            `output`; else a dataset's folder or Hub id, whose split train is read.

    Raises:
        UserError: if it cannot be read, or a row is none of these.
    """
    path = Path(name)
    if path.suffix not in (".json", ".jsonl"):
        return load_split(name, None, "train").select_columns(["prompt", "completion"])
    try:
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.strip()]
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} holds no list of instructions")
    return Dataset.from_list([_chat_row(row, f"{path}, row {number}") for number, row in enumerate(rows)])


def _chat_row(row: Any, where: str) -> dict[str, Any]:
    """One row as a prompt and a completion."""
    prompt: Any
    completion: Any
    keys = "prompt and completion, messages, or instruction, input and output"
    if not isinstance(row, dict):
        raise UserError(f"{where}: it should be an object with {keys}")
    if "instruction" in row and "output" in row:
        parts = [row["instruction"], row.get("input") or ""]
        question, answer = "\n\n".join(str(part).strip() for part in parts if str(part).strip()), row["output"]
        prompt, completion = [{"role": "user", "content": question}], [{"role": "assistant", "content": answer}]
    elif isinstance(row.get("messages"), list):
        prompt, completion = row["messages"][:-1], row["messages"][-1:]
    else:
        prompt, completion = (
            [{"role": role, "content": row.get(key)}] if isinstance(row.get(key), str) else row.get(key)
            for key, role in (("prompt", "user"), ("completion", "assistant"))
        )
    for turns in (prompt, completion):
        if not isinstance(turns, list) or not turns or not all(_is_turn(turn) for turn in turns):
            raise UserError(f"{where}: it should have {keys}, with texts")
    return {
        "prompt": [{"role": turn["role"], "content": turn["content"]} for turn in prompt],
        "completion": [{"role": turn["role"], "content": turn["content"]} for turn in completion],
    }


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and all(isinstance(turn.get(key), str) for key in ("role", "content"))
