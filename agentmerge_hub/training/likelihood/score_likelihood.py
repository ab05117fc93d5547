"""Expert likelihood of a model on disk or on the Hub, written as one Parquet file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState

from agentmerge_hub.chat_template import ChatTemplate, parse_settings
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.training import model_loading, rows
from agentmerge_hub.training.likelihood import results, scoring


@dataclass(frozen=True)
class LikelihoodArgs:
    """What is scored on which rows."""

    model: str
    """Folder or Hub id."""
    dataset: str
    config: str | None = "all"
    splits: Sequence[str] = ("inter_task", "cross_task")
    limit: int | None = None
    """Rows of a split; None for all."""
    batch: int = 8
    """Rows of a forward pass."""
    bf16: bool = False
    """Autocast to bfloat16, as in training; float32 if not."""
    chat_template_kwargs: str | None = None
    revision: str | None = None
    """Of a model on the Hub."""
    text_only: bool = False
    """Whether rows with screenshots are scored without them."""


def score_likelihood(args: LikelihoodArgs, out: Path) -> pa.Table:
    """Score a model, write `out`, and print a line for each split. Under a distributed launch the rows are divided.

    Raises:
        UserError: if the model, the dataset or a split does not exist, the chat template cannot be used, or `out` cannot be
            written.
    """
    with os_errors_as_sentences():
        return _score(args, out)


def _score(args: LikelihoodArgs, out: Path) -> pa.Table:
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a Parquet file with -o")
    out.parent.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.cuda.is_available())
    tokenizer = model_loading.tokenizer_at(args.model, args.revision)
    template = ChatTemplate(tokenizer, parse_settings(args.chat_template_kwargs))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = template.end_of_turn  # padding is masked; any token serves
    splits = {name: rows.load_split(args.dataset, args.config, name, text_only=args.text_only) for name in args.splits}
    model = model_loading.load_model(args.model, args.revision).to(state.device)
    tables = []
    for name, loaded in splits.items():
        chosen = loaded.select(range(min(args.limit or len(loaded), len(loaded))))
        with torch.autocast(state.device.type, torch.bfloat16, enabled=args.bf16):
            table = scoring.score(model, tokenizer, template, chosen, name, args.batch)
        tables.append(table)
        if state.is_main_process:
            print(
                f"{name}: {table.num_rows} samples, mean log-probability {pc.mean(table['mean_logprob']).as_py():.3f}, "
                f"greedy action match {pc.mean(table['greedy_action_match'].cast(pa.int8())).as_py():.3f}"
            )
    table = pa.concat_tables(tables)
    if state.is_main_process:
        results.write(table, out)
        print(f"{table.num_rows} samples under {args.model} written to {out}")
    return table
