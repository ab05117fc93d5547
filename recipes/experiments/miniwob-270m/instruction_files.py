"""General instructions as prompt/completion rows, for the instruct model and for replay: a folder that load_dataset reads.

    python instruction_files.py OUT FILE …

Each FILE is JSON or JSON lines of rows with instruction, input and output, or with self-instruct's list of instances.
Rows of more than 1,000 characters are left out: one in a hundred, which would take a fifth of the time.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from agentmerge_hub import manifest
from agentmerge_hub.files import content_hash, output_folder

MAX_CHARACTERS = 1_000
"""Of question and answer together."""


def rows(file: Path) -> Iterator[dict[str, list[dict[str, str]]]]:
    text = file.read_text(encoding="utf-8")
    for task in json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines()):
        for instance in task.get("instances", [task]):
            question = "\n\n".join(part for part in (task["instruction"].strip(), instance["input"].strip()) if part)
            answer = instance["output"].strip()
            if answer and len(question) + len(answer) <= MAX_CHARACTERS:
                yield {
                    "prompt": [{"role": "user", "content": question}],
                    "completion": [{"role": "assistant", "content": answer}],
                }


def main(out: Path, files: list[Path]) -> None:
    if (out / manifest.NAME).is_file():
        return
    with output_folder.new_folder(out, "instructions") as folder:
        Dataset.from_list([row for file in files for row in rows(file)]).to_parquet(folder / "train.parquet")
        manifest.write(folder, "instructions", config={file.name: content_hash.file_hash(file) for file in files})


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
