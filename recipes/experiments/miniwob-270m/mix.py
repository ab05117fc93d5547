"""The rows that the instruct model is trained on, in batches of like length by chance order.

    python mix.py OUT MODEL INSTRUCTIONS.parquet GROUNDING.parquet TRACES GRID

GRID is gpu, all instructions and pages and three times every row of the traces, or cpu, some short instructions, short pages and the traces
twice. Rows of like length stand together, so that a batch has little padding, and the batches are shuffled: transformers'
group_by_length goes from the longest to the shortest of each fifty batches, here from pages to instructions, and ends with instructions
alone.
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
class Mix:
    """How many rows of each kind, of at most how many tokens."""

    batch: int
    instructions: int = ALL
    instruction_tokens: int = 2_048
    page_tokens: int = 2_048
    times: int = 1
    """Each row of the traces."""


MIXES = {
    "gpu": Mix(batch=64, times=3),
    "cpu": Mix(batch=8, instructions=2_400, instruction_tokens=120, page_tokens=450, times=2),
}


def main(out: Path, model: Path, instructions: Path, grounding: Path, traces: Path, mix: Mix) -> None:
    if (out / manifest.NAME).is_file():
        return
    tokenizer = AutoTokenizer.from_pretrained(model)

    def read(file: Path, most: int, tokens: int) -> tuple[pa.Table, list[int]]:
        """Rows by chance of at most so many tokens each, and how many these are."""
        rows = pq.read_table(file, columns=["prompt", "completion"])
        lengths = [len(ids) for ids in tokenizer(conversations(rows), add_special_tokens=False)["input_ids"]]
        kept = [n for n, length in enumerate(lengths) if length <= tokens]
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
        read(instructions, mix.instructions, mix.instruction_tokens),
        read(grounding, ALL, mix.page_tokens),
        *[read(file, ALL, 2_048)] * mix.times,
    ]
    rows = pa.concat_tables([table.cast(parts[0][0].schema) for table, _ in parts])
    order = batches([length for _, lengths in parts for length in lengths], mix.batch, random.Random(1))
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(rows.take(order), folder / "train.parquet", compression="zstd")
        inputs = {"instructions": instructions.parent, "grounding": grounding.parent, "traces": traces}
        manifest.write(folder, "instructions", inputs=inputs, config=asdict(mix))
    print(f"{out}: {len(order):,} rows")


def batches(lengths: list[int], size: int, draw: random.Random) -> list[int]:
    """Places of rows: of like length next to each other by `size`, these groups shuffled; the longest that fill none are left out."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place] + draw.random())
    groups = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
    draw.shuffle(groups)
    return [place for group in groups for place in group]


if __name__ == "__main__":
    *files, grid = sys.argv[1:]
    main(*map(Path, files), MIXES[grid])
