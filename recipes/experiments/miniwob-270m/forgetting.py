"""What models keep of the instruct model: exact answers to held-out instructions, and how far their answers' distributions moved.

    python forgetting.py OUT.csv INSTRUCTIONS INSTRUCT MODEL …

INSTRUCTIONS/held_out.parquet has short answers. An answer is exact if every token of it and of the end of the turn is the most
probable one after those before: greedy decoding writes it. One forward pass over the right answer tells. The KL divergence of
INSTRUCT from a model is the mean over the same positions of the first KL_ROWS rows, in nats a token. One line a model; its difference
from INSTRUCT is over the same rows, with a standard error over rows.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from agentmerge_hub.files import atomic_write

ROWS = 4_000
KL_ROWS = 500
BATCH = 32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Row = tuple[list[int], list[int]]
"""Token ids of the prompt and of the answer with the end of its turn."""


def main(out: Path, instructions: Path, instruct: Path, models: list[Path]) -> None:
    rows = read_rows(instructions / "held_out.parquet", AutoTokenizer.from_pretrained(instruct))
    exact, reference = answer(instruct, rows, None)
    lines = [line(instruct, exact, exact, 0.0)]
    for model in models:
        found, divergence = answer(model, rows, reference)
        lines.append(line(model, found, exact, float(divergence.mean())))
        print(f"{model}: {found.mean():.1%} exact, KL {divergence.mean():.3f}", flush=True)
    columns = list(lines[0])
    text = "".join(",".join(map(str, row)) + "\n" for row in (columns, *(entry.values() for entry in lines)))
    atomic_write.write_text(out, text)


def read_rows(file: Path, tokenizer: PreTrainedTokenizerBase) -> list[Row]:
    """The first rows in the order of the file's sources taken in turn, so that every source is among them."""
    table = pq.read_table(file).to_pylist()
    by_source: dict[str, list[dict]] = {}
    for row in table:
        by_source.setdefault(row["source"], []).append(row)
    turns = [
        row for place in range(len(table)) for rows in by_source.values() if place < len(rows) for row in [rows[place]]
    ]
    rows = []
    for row in turns[:ROWS]:
        prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        text = prompt + row["completion"][0]["content"] + tokenizer.eos_token
        start, whole = (tokenizer(each, add_special_tokens=False)["input_ids"] for each in (prompt, text))
        rows.append((start, whole[len(start) :]))
    return rows


def answer(folder: Path, rows: list[Row], reference: torch.Tensor | None) -> tuple[np.ndarray, torch.Tensor]:
    """Whether each row's answer is exact; and the log-probabilities at the first rows' answers, or their KL from a reference's."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(DEVICE).eval()
    exact, distributions = np.zeros(len(rows), bool), []
    with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
        for places, logits in forward(model, rows):
            for place, scores in zip(places, logits):
                right = torch.tensor(rows[place][1], device=scores.device)
                exact[place] = bool((scores.argmax(-1) == right).all())
                if place < KL_ROWS:
                    distributions.append((place, scores.float().log_softmax(-1).half().cpu()))
    ordered = torch.cat([scores for _, scores in sorted(distributions, key=lambda each: each[0])])
    if reference is None:
        return exact, ordered
    return exact, torch.nn.functional.kl_div(ordered.float(), reference.float(), log_target=True, reduction="none").sum(
        -1
    )


def forward(model: torch.nn.Module, rows: list[Row]) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    """Logits at the answers, batches of rows of similar lengths at a time. Rows are padded at the end, which nothing before sees."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place][0]) + len(rows[place][1]))
    for first in range(0, len(order), BATCH):
        places = order[first : first + BATCH]
        sequences = [torch.tensor(rows[place][0] + rows[place][1]) for place in places]
        ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True).to(DEVICE)
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        yield (
            places,
            [logits[i, len(rows[p][0]) - 1 : len(sequences[i]) - 1] for i, p in enumerate(places)],
        )


def line(model: Path, exact: np.ndarray, before: np.ndarray, divergence: float) -> dict[str, object]:
    change = exact.astype(float) - before
    return {
        "model": model, "rows": len(exact), "exact": f"{exact.mean():.4f}", "change": f"{change.mean():+.4f}",
        "se": f"{change.std(ddof=1) / len(change) ** 0.5:.4f}", "kl": f"{divergence:.4f}",
    }  # fmt: skip


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:4]), [Path(name) for name in sys.argv[4:]])
