"""The rows that the instruct model is trained on, in batches of like length by chance order.

    python mix.py OUT MODEL INSTRUCTIONS.parquet GROUNDING.parquet TRACES [GRID]

GRID is gpu, all instructions and pages and three times every row of the traces, or cpu, a share of the short ones and the traces once.
Rows of like length stand together, so that a batch has little padding, and the batches are shuffled: transformers' group_by_length
goes from the longest to the shortest of each fifty batches, here from pages to instructions, and ends with instructions alone.
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


@dataclass
class Grid:
    """What one machine can train on."""

    batch: int
    times: int
    """Of every row of the traces."""
    instructions: int = 10**9
    instruction_tokens: int = 2_048
    pages: int = 10**9
    page_tokens: int = 2_048


GRIDS = {
    "gpu": Grid(batch=64, times=3),
    "cpu": Grid(batch=8, times=1, instructions=3_000, instruction_tokens=120, pages=5_500, page_tokens=350),
}


def main(out: Path, model: Path, instructions: Path, grounding: Path, traces: Path, grid: Grid) -> None:
    if (out / manifest.NAME).is_file():
        return
    tokenizer = AutoTokenizer.from_pretrained(model)
    draw = random.Random(0)

    def read(file: Path, most: int = 10**9, tokens: int = 2_048) -> tuple[pa.Table, list[int]]:
        """Rows of a file of at most so many tokens, drawn by chance, and their numbers of tokens."""
        rows = pq.read_table(file, columns=["prompt", "completion"])
        texts = [
            tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows.to_pylist()
        ]
        lengths = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        kept = [place for place, length in enumerate(lengths) if length <= tokens]
        kept = sorted(draw.sample(kept, min(most, len(kept))))
        print(f"{file}: {len(kept):,} of {len(rows):,} rows, {sum(lengths[place] for place in kept):,} tokens")
        return rows.take(kept), [lengths[place] for place in kept]

    (file,) = (traces / "data" / "all").glob("train*.parquet")
    parts = [
        read(instructions, grid.instructions, grid.instruction_tokens),
        read(grounding, grid.pages, grid.page_tokens),
        *[read(file)] * grid.times,
    ]
    rows = pa.concat_tables([table.cast(parts[0][0].schema) for table, _ in parts])
    order = batches([length for _, lengths in parts for length in lengths], grid.batch, draw)
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(rows.take(order), folder / "train.parquet", compression="zstd")
        manifest.write(
            folder,
            "instructions",
            inputs={"instructions": instructions.parent, "grounding": grounding.parent, "traces": traces},
            config=asdict(grid),
        )
    print(f"{out}: {len(rows):,} rows")


def batches(lengths: list[int], size: int, draw: random.Random) -> list[int]:
    """Places of rows: of like length next to each other by `size`, these groups shuffled, the one that is not full last."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place] + draw.random())
    full = len(order) - len(order) % size
    groups = [order[first : first + size] for first in range(0, full, size)]
    draw.shuffle(groups)
    return [place for group in groups for place in group] + order[full:]


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:6]), GRIDS[sys.argv[6] if len(sys.argv) > 6 else "gpu"])
