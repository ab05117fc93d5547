"""Expert likelihood of a model on disk or on the Hub, written as one Parquet file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.folder_kinds import check_model
from agentmerge_hub.plural import counted
from agentmerge_hub.training import attention_kernel, model_loading, rows
from agentmerge_hub.training.likelihood import results, scoring
from agentmerge_hub.training.preference import labeled_likelihood, margins


@dataclass(frozen=True)
class LikelihoodArgs:
    """What is scored on which rows."""

    model: str
    """Folder or Hub id."""
    dataset: str
    config: str | None = "all"
    splits: Sequence[str] = ("inter_task", "cross_task")
    limit: int | None = None
    """Rows that are drawn from a split; None for all."""
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

    Rows with a chosen and a rejected answer give the table of `preference.margins`, rows with a label that of
    `preference.labeled_likelihood`, and all others that of `results`.

    Raises:
        UserError: if the model, the dataset or a split does not exist, the chat template cannot be used, or `out` cannot be
            written.
    """
    with os_errors_as_sentences():
        return _score(args, out)


def _may_be_replaced(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(4) in (b"", b"PAR1")


def _check_output(out: Path) -> None:
    """Raise UserError if the table cannot be written to `out`: before hours of scoring."""
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a Parquet file with -o")
    if out.is_file() and not _may_be_replaced(out):
        raise UserError(f"{out} exists and is no Parquet file: choose another path with -o")
    if out.suffix != ".parquet":
        raise UserError(
            f"{out}: the scores are a Parquet file: name it with -o, e.g. {out.with_suffix('.parquet').name}"
        )
    output_folder.check_can_be_made(out)


def _score(args: LikelihoodArgs, out: Path) -> pa.Table:
    _check_output(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    check_model(args.model)
    state = PartialState(cpu=not torch.cuda.is_available())
    tokenizer = model_loading.tokenizer_at(args.model, args.revision)
    template = ChatTemplate(tokenizer, parse_settings(args.chat_template_kwargs))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = template.end_of_turn  # padding is masked; any token serves
    splits = {
        name: rows.load_split(args.dataset, args.config, name, ("prompt",), text_only=args.text_only)
        for name in args.splits
    }
    score = _scorer(args, next(iter(splits.values())).column_names)
    model = model_loading.load_model(args.model, args.revision).to(state.device)
    attention_kernel.disable_cudnn()
    tables = []
    for name, loaded in splits.items():
        chosen = rows.drawn(loaded, args.limit or len(loaded))
        with torch.autocast(state.device.type, torch.bfloat16, enabled=args.bf16):
            table = score(model, tokenizer, template, chosen, name, batch=args.batch)
        tables.append(table)
        if state.is_main_process:
            print(f"{name}: {counted(table.num_rows, 'row')}, {_summary(table)}")
    table = pa.concat_tables(tables)
    if state.is_main_process:
        with os_errors_as_sentences(out):
            results.write(table, out)
        print(f"{counted(table.num_rows, 'row')} under {args.model} written to {out}")
    return table


def _scorer(args: LikelihoodArgs, columns: Sequence[str]) -> Callable[..., pa.Table]:
    """The function that scores rows with these columns."""
    if {"chosen", "rejected"} <= set(columns):
        return margins.score
    if "completion" not in columns:
        raise UserError(
            f"{args.dataset}, config {args.config}, has no answers to score: use all, cot, no_cot, preferences or unpaired"
        )
    return labeled_likelihood.score if "label" in columns else scoring.score


def _summary(table: pa.Table) -> str:
    """The means of a split; of pairs and labeled answers by origin."""
    if "margin" in table.column_names:
        return "mean margin " + _means(table, "margin")
    if "label" in table.column_names:
        return "mean log-probability " + _means(table, "logprob")
    match = pc.mean(table["greedy_action_match"].cast(pa.int8())).as_py()
    return f"mean log-probability {pc.mean(table['mean_logprob']).as_py():.3f}, greedy action match {match:.3f}"


def _means(table: pa.Table, column: str) -> str:
    found = table.group_by("origin").aggregate([(column, "mean")]).sort_by("origin").to_pylist()
    return ", ".join(f"{row['origin']} {row[f'{column}_mean']:.3f}" for row in found)
