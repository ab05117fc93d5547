"""Rows of a dataset → token ids and labels, with nothing cut and the loss on the completion alone.

What leaves is what the trainer sees: a violation is found here, before the first step, not in a curve afterwards.
"""

from datasets import Dataset, concatenate_datasets, get_dataset_config_names, load_dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.errors import UserError

IGNORED = -100
"""Label of a token without loss, as in torch.nn.functional.cross_entropy."""


def load_split(name: str, config: str | None, split: str) -> Dataset:
    """One split of a dataset of prompt/completion chat rows, from a local folder or the Hub.

    Raises:
        UserError: if the dataset, its config or split is not there, or its rows are not prompt and completion.
    """
    try:
        rows = load_dataset(name, config, split=split)
    except ValueError as error:
        raise UserError(_not_found(name, config, split, error)) from error
    except OSError as error:
        raise UserError(f"no dataset at {name!r}: no such folder, and not a Hub id within reach") from error
    missing = {"prompt", "completion"} - set(rows.column_names)
    if missing:
        raise UserError(f"{name} has no column {' or '.join(sorted(missing))}: rows must be prompt and completion")
    if not len(rows):
        raise UserError(f"{name}, config {config}, split {split} has no rows")
    return rows


def _not_found(name: str, config: str | None, split: str, error: ValueError) -> str:
    try:
        configs = get_dataset_config_names(name)
    except (ValueError, OSError):
        return f"no dataset at {name!r}: no such folder, and not a Hub id within reach"
    if config not in configs:
        return f"{name} has no config {config!r}: it has {', '.join(configs)}"
    return f"{name}, config {config}, has no split {split!r}: {str(error).splitlines()[0]}"


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> Dataset:
    """Columns ``input_ids`` and ``labels``; labels are -100 on the prompt.

    Args:
        rows: prompt/completion chat rows.
        tokenizer: with the chat template both students share.
        max_length: the window in tokens; None for no bound.

    Raises:
        UserError: naming the first row whose tokens would be lost, not be trained, or train something else.
    """
    return rows.map(
        _encode,
        batched=True,
        batch_size=1000,
        with_indices=True,
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length},
        remove_columns=rows.column_names,
        desc="Tokenizing",
    )


def _encode(
    batch: dict[str, list], indices: list[int], tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> dict[str, list[list[int]]]:
    openings = tokenizer.apply_chat_template(batch["prompt"], tokenize=False, add_generation_prompt=True)
    chats = [prompt + completion for prompt, completion in zip(batch["prompt"], batch["completion"])]
    wholes = tokenizer.apply_chat_template(chats, tokenize=False)
    prompts = tokenizer(openings, add_special_tokens=False)["input_ids"]
    sequences = tokenizer(wholes, add_special_tokens=False)["input_ids"]
    labels = []
    for index, prompt, sequence in zip(indices, prompts, sequences):
        check_row(index, prompt, sequence, tokenizer, max_length)
        labels.append([IGNORED] * len(prompt) + sequence[len(prompt) :])
    return {"input_ids": sequences, "labels": labels}


def check_row(
    index: int, prompt: list[int], sequence: list[int], tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> None:
    """Raise UserError unless the whole row can be trained as it will be generated.

    Args:
        index: of the row, for the message.
        prompt: token ids of the prompt with the opening of the assistant's turn.
        sequence: token ids of prompt and completion.
        tokenizer: theirs.
        max_length: the window in tokens; None for no bound.
    """
    if max_length is not None and len(sequence) > max_length:
        raise UserError(
            f"row {index} takes {len(sequence)} tokens and max_length is {max_length}: raise max_length, or build the "
            "dataset with a smaller --window"
        )
    if sequence[: len(prompt)] != prompt:
        raise UserError(
            f"row {index}: the prompt's tokens are not the beginning of prompt and completion, so that the model would be "
            "trained on another text than it is asked to continue: the chat template must open the assistant's turn as "
            "it renders it"
        )
    completion = sequence[len(prompt) :]
    if tokenizer.eos_token_id not in completion[-2:]:
        raise UserError(
            f"row {index}: the completion does not end with {tokenizer.eos_token!r}, so that the model would not learn to "
            "end its turn: set eos_token to the token the chat template ends a turn with"
        )


def mix(rows: Dataset, replayed: Dataset, ratio: float, seed: int) -> Dataset:
    """Rows with `ratio` times as many rows of general instructions beside them, drawn without repeating any.

    Raises:
        UserError: if there are too few of them.
    """
    wanted = round(ratio * len(rows))
    if wanted > len(replayed):
        raise UserError(
            f"replay_ratio {ratio:g} asks for {wanted} rows and replay_dataset has {len(replayed)}: lower the ratio"
        )
    columns = ["prompt", "completion"]
    drawn = replayed.shuffle(seed=seed).select(range(wanted)).select_columns(columns)
    return concatenate_datasets([rows.select_columns(columns), drawn.cast(rows.select_columns(columns).features)])
