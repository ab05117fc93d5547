"""The rows that the instruct model is trained on, in batches of like length by chance order.

    python mix.py OUT MODEL INSTRUCTIONS.parquet GROUNDING.parquet TRACES ROUND [BEFORE …]

ROUND is gpu, all instructions and pages and three times every row of the traces, or one of the three rounds of a machine without a GPU:
cpu-1, a share of the short ones and the traces once, cpu-2 and cpu-3, instructions and pages that are not in BEFORE, also longer ones,
and a third of the traces. Rows of like length stand together, so that a batch has little padding, and the batches are shuffled:
transformers' group_by_length goes from the longest to the shortest of each fifty batches, here from pages to instructions, and ends
with instructions alone.
"""

import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer

from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder

ALL = 10**9


@dataclass
class Round:
    """How many rows of each kind, of at most how many tokens."""

    batch: int
    instructions: int = ALL
    instruction_tokens: int = 2_048
    pages: int = ALL
    page_tokens: int = 2_048
    steps: int = ALL
    """Of the traces."""
    times: int = 1
    """Each of these."""


ROUNDS = {
    "gpu": Round(batch=64, times=3),
    "cpu-1": Round(batch=8, instructions=3_000, instruction_tokens=120, pages=5_500, page_tokens=350),
    "cpu-2": Round(batch=8, instructions=800, instruction_tokens=120, pages=2_500, page_tokens=500, steps=400),
    "cpu-3": Round(batch=8, instructions=800, instruction_tokens=120, pages=2_400, page_tokens=550, steps=400),
}


def main(
    out: Path, model: Path, instructions: Path, grounding: Path, traces: Path, one: Round, before: list[Path]
) -> None:
    if (out / manifest.NAME).is_file():
        return
    tokenizer = AutoTokenizer.from_pretrained(model)
    used = {text for folder in before for text in texts(pq.read_table(folder / "train.parquet"))}

    def read(file: Path, most: int, tokens: int, used: set[str]) -> tuple[pa.Table, list[int]]:
        """Rows by chance of at most so many tokens each, and how many these are."""
        rows = pq.read_table(file, columns=["prompt", "completion"])
        lengths = [len(ids) for ids in tokenizer(conversations(rows), add_special_tokens=False)["input_ids"]]
        kept = [n for n, text in enumerate(texts(rows)) if lengths[n] <= tokens and text not in used]
        random.Random(0).shuffle(kept)
        kept = kept[:most]
        print(f"{file}: {len(kept):,} of {len(rows):,} rows, {sum(lengths[n] for n in kept):,} tokens")
        return rows.take(kept), [lengths[n] for n in kept]

    def conversations(rows: pa.Table) -> list[str]:
        return [
            tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows.to_pylist()
        ]

    (file,) = (traces / "data" / "all").glob("train*.parquet")
    parts = [
        read(instructions, one.instructions, one.instruction_tokens, used),
        read(grounding, one.pages, one.page_tokens, used),
        *[read(file, one.steps, 2_048, set())] * one.times,
    ]
    rows = pa.concat_tables([table.cast(parts[0][0].schema) for table, _ in parts])
    order = batches([length for _, lengths in parts for length in lengths], one.batch, random.Random(1))
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(rows.take(order), folder / "train.parquet", compression="zstd")
        inputs = {"instructions": instructions.parent, "grounding": grounding.parent, "traces": traces}
        inputs |= {f"before-{n}": earlier for n, earlier in enumerate(before, 1)}
        manifest.write(folder, "instructions", inputs=inputs, config=asdict(one))
    print(f"{out}: {len(order):,} rows")


def texts(rows: pa.Table) -> list[str]:
    """The last message of each prompt."""
    return [messages[-1]["content"] for messages in rows["prompt"].to_pylist()]


def batches(lengths: list[int], size: int, draw: random.Random) -> list[int]:
    """Places of rows: of like length next to each other by `size`, these groups shuffled; the longest that fill none are left out."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place] + draw.random())
    groups = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
    draw.shuffle(groups)
    return [place for group in groups for place in group]


if __name__ == "__main__":
    *files, name = sys.argv[1:7]
    main(*map(Path, files), ROUNDS[name], [Path(folder) for folder in sys.argv[7:]])
