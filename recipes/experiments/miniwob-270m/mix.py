"""The rows that the instruct model is trained on: the instructions once, and every row of the traces a number of times.

python mix.py OUT INSTRUCTIONS.parquet TRACES [TIMES]
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest, output_folder


def main(out: Path, instructions: Path, traces: Path, times: int) -> None:
    if (out / manifest.NAME).is_file():
        return
    columns = ["prompt", "completion"]
    rows = pq.read_table(instructions, columns=columns)
    (file,) = (traces / "data" / "all").glob("train*.parquet")
    web = pq.read_table(file, columns=columns).cast(rows.schema)
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(pa.concat_tables([rows] + [web] * times), folder / "train.parquet")
        manifest.write(
            folder,
            "instructions",
            inputs={"instructions": instructions.parent, "traces": traces},
            config={"times": times},
        )
    print(f"{out}: {len(rows):,} instructions and {times} × {len(web):,} steps")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:4]), int(sys.argv[4]) if len(sys.argv) > 4 else 3)
