"""Instruction data that packages contain, as prompt and completion rows: OUT/train.parquet, and OUT/held_out.parquet for forgetting.

    python instructions.py OUT [FILE …]

The rows are those of the package `evals` (at most 300 of a file), of the generators of `reasoning-gym`, and of the files, which are
JSON rows with instruction, input and output or self-instruct's seed tasks. Held out are one row in ten of each file of `evals`
and each generator, where the answer is short, and 20 whole generators. Six generators (isomorphic_strings, ransom_note and word_ladder
most) draw other rows in each process: two runs differed in 1,415 of 75,703 rows.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import instruction_files
import pyarrow as pa
import pyarrow.parquet as pq
import reasoning_gym
from reasoning_gym.factory import DATASETS

from agentmerge_hub import manifest
from agentmerge_hub.files import content_hash, output_folder

ROWS_PER_SOURCE = 300
GENERATED = 600
"""Rows of a generator."""
HELD_OUT_GENERATORS = 20
SHORT_ANSWER = 24
"""Characters of a held-out answer: exact match says little about long ones."""
LEFT_OUT = {"composite", "codeio", "futoshiki", "knight_swap", "zebra_puzzles"}
"""Generators that need settings, run programs from a file, or take minutes."""

Row = dict[str, str]


def main(out: Path, extra: list[Path]) -> None:
    if (out / manifest.NAME).is_file():
        return
    train: list[Row] = []
    held_out: list[Row] = []
    unseen = held_out_generators()
    for source, rows in sources(extra):
        whole = source in unseen
        for row in rows:
            if (
                not row["answer"]
                or len(row["question"]) + len(row["answer"]) > instruction_files.MAX_CHARACTERS
                or not is_latin(row)
            ):
                continue
            short = len(row["answer"]) <= SHORT_ANSWER and "\n" not in row["answer"]
            if whole or (not source.startswith("file:") and short and share(row["question"]) < 0.1):
                held_out += [row | {"source": source, "unseen_source": str(whole)}] if short else []
            else:
                train.append(row | {"source": source})
    asked = {row["question"] for row in train}
    held_out = [row for row in held_out if row["question"] not in asked]
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(pa.Table.from_pylist([as_sample(row) for row in train]), folder / "train.parquet")
        pq.write_table(pa.Table.from_pylist([as_sample(row) for row in held_out]), folder / "held_out.parquet")
        manifest.write(folder, "instructions", config={file.name: content_hash.file_hash(file) for file in extra})
    print(f"{len(train):,} rows to train on, {len(held_out):,} held out")


def sources(extra: list[Path]) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every source of rows with its name."""
    (package,) = find_spec("evals").submodule_search_locations  # not imported: it needs API clients
    data = Path(package) / "registry" / "data"
    for file in sorted(data.rglob("*.jsonl")):
        yield f"evals:{file.relative_to(data).with_suffix('')}", islice(evals_rows(file), ROWS_PER_SOURCE)
    for name in sorted(set(DATASETS) - LEFT_OUT):
        yield f"reasoning-gym:{name}", generated_rows(name)
    for file in extra:
        yield f"file:{file.name}", (from_sample(sample) for sample in instruction_files.rows(file))


def evals_rows(file: Path) -> Iterator[Row]:
    """Rows with a chat as input and one right answer; other rows are left out."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("input"), list):
            continue
        ideal = row.get("ideal")
        ideal = ideal[0] if isinstance(ideal, list) and ideal else ideal
        turns = [turn.get("content") for turn in row["input"] if isinstance(turn, dict)]
        if isinstance(ideal, str) and turns and all(isinstance(turn, str) for turn in turns):
            yield {"question": "\n\n".join(turns).strip(), "answer": ideal.strip()}


def generated_rows(name: str) -> Iterator[Row]:
    """Rows of one generator at its defaults."""
    for item in reasoning_gym.create_dataset(name, seed=42, size=GENERATED):
        if isinstance(item["answer"], str):
            yield {"question": item["question"].strip(), "answer": item["answer"].strip()}


def from_sample(sample: dict[str, list[dict[str, str]]]) -> Row:
    return {"question": sample["prompt"][0]["content"], "answer": sample["completion"][0]["content"]}


def as_sample(row: Row) -> dict[str, object]:
    return row | {
        "prompt": [{"role": "user", "content": row["question"]}],
        "completion": [{"role": "assistant", "content": row["answer"]}],
    }


def is_latin(row: Row) -> bool:
    """True where all but one in fifty characters are ASCII: the vocabulary is cut to what such rows need."""
    text = row["question"] + row["answer"]
    return sum(character.isascii() for character in text) >= 0.98 * len(text)


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def held_out_generators() -> set[str]:
    """Names of the sources that nothing is trained on."""
    names = sorted(set(DATASETS) - LEFT_OUT, key=lambda name: share(f"generator {name}"))
    return {f"reasoning-gym:{name}" for name in names[:HELD_OUT_GENERATORS]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
