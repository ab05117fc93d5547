"""Expert likelihood of a model on disk or on the Hub, written as one Parquet file."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from transformers import AutoModelForCausalLM

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import likelihood, rows, student


def measure(
    model: str, dataset: str, config: str, splits: Sequence[str], limit: int | None, batch: int, out: Path
) -> pa.Table:
    """Score `model` on the first `limit` rows of each split, write `out`, and say a line for each split."""
    tokenizer = student.tokenizer_at(model)
    try:
        scored = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise UserError(f"no model at {model!r}: no such folder, and not a Hub id within reach") from error
    if torch.cuda.is_available():
        scored = scored.cuda()
    tables = []
    for split in splits:
        loaded = rows.load_split(dataset, config, split)
        table = likelihood.score(
            scored, tokenizer, loaded.select(range(min(limit or len(loaded), len(loaded)))), split, batch
        )
        tables.append(table)
        print(
            f"{split}: {table.num_rows} samples, mean log-probability {pc.mean(table['mean_logprob']).as_py():.3f}, "
            f"greedy action match {pc.mean(table['greedy_action_match'].cast(pa.int8())).as_py():.3f}"
        )
    whole = pa.concat_tables(tables)
    out.parent.mkdir(parents=True, exist_ok=True)
    likelihood.write(whole, out)
    print(f"{whole.num_rows} samples under {model} written to {out}")
    return whole
