"""The rows that the instruct model is trained on: instructions and pages once, and every row of the traces a number of times.

python mix.py OUT INSTRUCTIONS.parquet GROUNDING.parquet TRACES [TIMES]
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder


def main(out: Path, instructions: Path, grounding: Path, traces: Path, times: int) -> None:
    if (out / manifest.NAME).is_file():
        return
    columns = ["prompt", "completion"]
    rows = pq.read_table(instructions, columns=columns)
    (file,) = (traces / "data" / "all").glob("train*.parquet")
    pages, web = (pq.read_table(table, columns=columns).cast(rows.schema) for table in (grounding, file))
    with output_folder.new_folder(out, "instructions") as folder:
        pq.write_table(pa.concat_tables([rows, pages] + [web] * times), folder / "train.parquet", compression="zstd")
        manifest.write(
            folder,
            "instructions",
            inputs={"instructions": instructions.parent, "grounding": grounding.parent, "traces": traces},
            config={"times": times},
        )
    print(f"{out}: {len(rows):,} instructions, {len(pages):,} pages, and {times} × {len(web):,} steps")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:5]), int(sys.argv[5]) if len(sys.argv) > 5 else 3)
