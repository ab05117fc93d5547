"""Prompt/completion chat rows in, token ids and labels out, with nothing cut and the loss on the answer only.

A row that breaks the rule of `agentmerge_hub.chat_template.rendering` is refused here, before the first step.
"""

import errno
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import (
    Dataset,
    Features,
    List,
    Value,
    concatenate_datasets,
    get_dataset_config_names,
    get_dataset_split_names,
    load_dataset,
)
from datasets import config as datasets_config
from datasets.exceptions import DatasetGenerationError
from transformers import PreTrainedTokenizerBase
from yaml import YAMLError

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError, is_no_space
from agentmerge_hub.files.content_hash import folder_hash
from agentmerge_hub.files.folder_kinds import check_dataset
from agentmerge_hub.files.parquet_reading import readable
from agentmerge_hub.hub_names import check_name
from agentmerge_hub.prompt import without_screenshot_note
from agentmerge_hub.tokenizer import encode
from agentmerge_hub.training.cached_map import cached_map

IGNORED = -100
"""Label of a token without loss, as in torch.nn.functional.cross_entropy."""

_PARTS = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")
"""What a turn of other datasets may hold beside its content, and chat templates may render."""

_UNREAD = ("tools", "chat_template_kwargs")
"""Columns that TRL gives to the chat template, row by row."""

_SCRIPTS = {
    "chosen": "recipes/preference.py",
    "label": "recipes/preference.py with method: kto",
    "completion": "recipes/sft.py",
}
"""A column → the script that trains on rows with it."""


def load_split(
    name: str,
    config: str | None,
    split: str,
    columns: Sequence[str] = ("prompt", "completion"),
    *,
    text_only: bool = False,
) -> Dataset:
    """One split of a dataset of chat rows, from a local folder or the Hub.

    Args:
        columns: that its rows need.
        text_only: whether rows with pictures are taken without them, and their prompts without the note on the picture.

    Raises:
        UserError: if the dataset is a model's folder, it, its config or split does not exist, its rows lack a column, or they have pictures and
            `text_only` is not set.
    """
    check_dataset(name)
    check_name(name, "dataset")
    try:
        rows = load_dataset(name, config, split=split, cache_dir=_cache_of(name))
    except (DatasetGenerationError, pa.ArrowException, YAMLError, OSError, ValueError) as error:
        if is_no_space(error) or (isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)):
            raise
        damaged = isinstance(error, DatasetGenerationError | pa.ArrowException | YAMLError)
        if damaged or (isinstance(error, OSError) and Path(name).is_dir()):
            raise UserError(_not_readable(name, config, error)) from error
        raise UserError(_not_found(name, config, split, error)) from error
    missing = set(columns) - set(rows.column_names)
    if missing:
        script = next((script for column, script in _SCRIPTS.items() if column in rows.column_names), None)
        instead = f"; rows such as these are for {script}" if script else ""
        raise UserError(
            f"{name} has no column {' or '.join(sorted(missing))}: rows must have {', '.join(columns)}{instead}"
        )
    if pictures := [column for column in ("image", "images") if column in rows.column_names]:
        if not text_only:
            raise UserError(
                f"{name} has screenshots (column {pictures[0]}), and only text is trained and scored here: build it without "
                "--screenshots, set text_only to use its texts alone, or train a vision model with `trl sft`, which reads these rows"
            )
        rows = cached_map(rows.remove_columns(pictures), _without_note, desc="Leaving out the screenshots")
    if not len(rows):
        raise UserError(f"{name}, config {config}, split {split} has no rows")
    if unread := next((column for column in _UNREAD if column in rows.column_names and any(rows[column])), None):
        raise UserError(
            f"{name} has the column {unread}, which chat templates may render and no stage here does: write it into the prompts, or "
            "remove the column"
        )
    return rows


def _cache_of(name: str) -> str | None:
    """Where `datasets` keeps the rows of a local folder, by their content. In its own cache, a folder with a card has the rows
    that the first folder of this name had (datasets 5.2), also when it was built anew."""
    if not Path(name).is_dir():
        return None
    return str(Path(datasets_config.HF_DATASETS_CACHE) / f"agentmerge-{folder_hash(Path(name))[:16]}")


def _without_note(row: dict[str, list[dict[str, str]]]) -> dict[str, list[dict[str, str]]]:
    return {"prompt": [turn | {"content": without_screenshot_note(turn["content"])} for turn in row["prompt"]]}


def _not_readable(name: str, config: str | None, error: Exception) -> str:
    """Why the files of a dataset give no rows."""
    for path in sorted(Path(name).rglob("*.parquet")):
        with readable(path):
            rows = pq.read_metadata(path).num_rows
        if not rows:
            return f"{path} has no rows: build the dataset again with traces that pass its rules"
    reason = str(error.__cause__ or error).splitlines()[0]
    return f"{name}, config {config}, is not readable ({reason}): restore its files, or write them again"


def _not_found(name: str, config: str | None, split: str, error: Exception) -> str:
    try:
        configs = get_dataset_config_names(name)
        known = config in configs or (config is None and len(configs) == 1)
        splits = get_dataset_split_names(name, config) if known else []
    except (ValueError, OSError):
        return f"no dataset at {name!r}: no such folder, and no dataset that can be reached on the Hub"
    if not splits:
        has = "several configs" if config is None else f"no config {config!r}"
        return f"{name} has {has}: name one of {', '.join(configs)}"
    return f"{name}, config {config}, has no split {split!r}: it has {', '.join(splits)}"


def tokenize(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    max_length: int | None,
    completion_only: bool = True,
    num_proc: int | None = None,
) -> Dataset:
    """Columns ``input_ids`` and ``labels``; labels are -100 on the prompt.

    Args:
        rows: prompt/completion chat rows.
        tokenizer: the trained model's.
        template: its chat template.
        max_length: the window in tokens; None for no bound.
        completion_only: False to train the prompt's tokens too.
        num_proc: processes that tokenize; this one alone if None.

    Raises:
        UserError: names the first row whose text would be cut, not be trained, or be trained in another form.
    """
    return cached_map(
        rows,
        _encode,
        batched=True,
        batch_size=1000,
        with_indices=True,
        fn_kwargs={
            "tokenizer": tokenizer,
            "template": template,
            "max_length": max_length,
            "completion_only": completion_only,
        },
        remove_columns=rows.column_names,
        num_proc=num_proc,
        desc="Tokenizing",
    )


def _encode(
    batch: dict[str, list],
    indices: list[int],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    max_length: int | None,
    completion_only: bool,
) -> dict[str, list[list[int]]]:
    prompts, wholes = [], []
    for index, prompt, completion in zip(indices, batch["prompt"], batch["completion"]):
        text, answer = render_row(index, prompt, completion, template)
        prompts.append(text)
        wholes.append(text + answer)
    prompt_ids = encode(tokenizer, prompts)["input_ids"]
    sequences = encode(tokenizer, wholes)["input_ids"]
    labels = []
    for index, start, sequence, completion in zip(indices, prompt_ids, sequences, batch["completion"]):
        if max_length is not None and len(sequence) > max_length:
            raise UserError(
                f"row {index} takes {len(sequence)} tokens and max_length is {max_length}: raise max_length, or build the "
                "dataset with a smaller --window"
            )
        check_completion(index, start, sequence, completion, template)
        labels.append([IGNORED] * len(start) + sequence[len(start) :] if completion_only else list(sequence))
    return {"input_ids": sequences, "labels": labels}


def render_row(index: int, prompt: list, completion: list, template: ChatTemplate) -> tuple[str, str]:
    """The texts of a row's prompt and completion.

    Raises:
        UserError: if the completion is not one assistant turn, or the template cannot keep the rule for this row.
    """
    _check_turns(index, prompt, completion)
    try:
        return template.prompt_text(prompt), template.completion_text(completion[0]["content"])
    except UserError as error:
        raise UserError(f"row {index}: {error}") from error


def _check_turns(index: int, prompt: list, completion: list) -> None:
    """Raise UserError if they are no turns with a role and a text, or hold more than a template renders here."""
    if any(not turns or not all(turns) for turns in (prompt, completion)):
        raise UserError(f"row {index}: the prompt or the completion has no turns, or an empty one: mend the dataset")
    for message in (*prompt, *completion):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise UserError(
                f"row {index}: the prompt or the completion is no list of turns with role and content: write its texts as turns, "
                'e.g. [{"role": "user", "content": "…"}]'
            )
    if len(completion) != 1 or completion[0]["role"] != "assistant":
        raise UserError(f"row {index}: the completion is not one turn of the assistant: mend the dataset")
    for message in (*prompt, *completion):
        if not message["role"]:
            raise UserError(f"row {index}: a turn has no role: mend the dataset")
        if not isinstance(message["content"], str):
            raise UserError(f"row {index}: the content of a {message['role']} turn is no text: mend the dataset")
        if part := next((part for part in _PARTS if message.get(part)), None):
            raise UserError(
                f"row {index}: a turn of the {message['role']} has {part} beside its content, which no stage renders: write it into the content"
            )
    if not completion[0]["content"].strip():
        raise UserError(
            f"row {index}: the answer is empty, so that only the end of a turn would be trained: mend the dataset"
        )


def check_completion(
    index: int, start: list[int], sequence: list[int], completion: list, template: ChatTemplate
) -> None:
    """Check the token ids of a prompt, and of it with its completion.

    Raises:
        UserError: if the completion's tokens are not those of the answer verbatim and the end of the turn.
    """
    if problem := template.completion_problem(start, sequence, completion[0]["content"]):
        raise UserError(f"row {index}: {problem}")


def drawn(rows: Dataset, count: int) -> Dataset:
    """`count` rows over the whole of a split, or all if there are fewer; the same ones in every run. A dataset has the rows of one
    task after those of another, so that its first rows are those of a few tasks."""
    chosen = random.Random(0).sample(range(len(rows)), min(count, len(rows)))
    return rows.select(sorted(chosen))


def with_answer(rows: Dataset, column: str) -> Dataset:
    """Prompts with the answer of `column` in the column ``completion``."""
    selected = rows.select_columns(["prompt", column])
    return selected if column == "completion" else selected.rename_column(column, "completion")


def mix(rows: Dataset, replayed: Dataset, ratio: float, seed: int) -> Dataset:
    """Rows with `ratio` times as many rows of general instructions, drawn without repetition.

    Raises:
        UserError: if there are too few of them, or the ratio takes none.
    """
    count = round(ratio * len(rows))
    if not count:
        raise UserError(
            f"replay_ratio {ratio:g} takes no row for the {len(rows)} of the dataset: raise it, or remove replay_dataset"
        )
    if count > len(replayed):
        raise UserError(
            f"replay_ratio {ratio:g} takes {count} rows and replay_dataset has {len(replayed)}: lower the ratio"
        )
    columns = ["prompt", "completion"]
    drawn = replayed.shuffle(seed=seed).select(range(count)).select_columns(columns)
    drawn = cached_map(drawn, _plain_turns, with_indices=True, features=_PLAIN, desc="Reading the replayed rows")
    return concatenate_datasets([rows.select_columns(columns), drawn.cast(rows.select_columns(columns).features)])


_PLAIN = Features(dict.fromkeys(("prompt", "completion"), List({"role": Value("string"), "content": Value("string")})))


def _plain_turns(row: dict[str, list], index: int) -> dict[str, list[dict[str, str]]]:
    """A replayed row's turns with role and content alone; datasets of others have more keys, in any order."""
    try:
        _check_turns(index, row["prompt"], row["completion"])
    except UserError as error:
        raise UserError(f"of the rows drawn from replay_dataset, {error}") from error
    return {
        column: [{"role": turn["role"], "content": turn["content"]} for turn in row[column]]
        for column in ("prompt", "completion")
    }
