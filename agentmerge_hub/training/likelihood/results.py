"""The table of expert likelihoods: one row a sample."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.files.atomic_write import temporary_name
from agentmerge_hub.training.likelihood.answer_spans import SPANS

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("split", pa.string()),
        ("task", pa.string()),
        ("cot", pa.bool_()),
        ("samples_seen", pa.int64()),
        ("n_tokens", pa.int32()),
        ("mean_logprob", pa.float32()),
        ("geometric_mean_probability", pa.float32()),
        *(
            (f"{span}_{figure}", kind)
            for span in SPANS
            for figure, kind in (("logprob", pa.float32()), ("tokens", pa.int32()))
        ),
        ("greedy_match", pa.bool_()),
        ("greedy_action_match", pa.bool_()),
    ]
)
"""`n_tokens` counts the answer and its end-of-turn token. `<span>_logprob` is the mean over the span's tokens, null if it has
none; `greedy_action_match` covers the tokens of the action's name, bid and arguments, after the expert's own thought."""


def write(table: pa.Table, path: Path) -> None:
    """Write the table whole or not at all."""
    partial = temporary_name(path, "partial")
    try:
        pq.write_table(table, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
