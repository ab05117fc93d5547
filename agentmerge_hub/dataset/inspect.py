"""Print samples for reading: goal, page, thought, action, token counts, truncated lines."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from rich.console import Console, Group
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agentmerge_hub.dataset.rows.image_columns import COLUMN
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files.parquet_reading import read_schema, readable
from agentmerge_hub.plural import counted
from agentmerge_hub.prompt import thought_of
from agentmerge_hub.terminal_text import printable
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.observation.png import Png, read_png


def print_samples(
    folder: Path, *, config: str, split: str | None, episode: str | None, row: int | None, whole: bool
) -> None:
    """Print one row, every sample of one episode, or, with neither, the list of episodes.

    Raises:
        UserError: if the folder, the config, the row or the episode does not exist.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    with readable(folder / "data" / config):
        rows = _rows(folder, config, split)
        if episode is None and row is None:
            console.print(_contents(rows))
            return
        chosen = _chosen(rows, episode, row)
    for sample in sorted(chosen, key=lambda sample: (sample["step"], not sample["cot"])):
        console.print(_sample(sample, whole))


def save_screenshots(
    folder: Path, out: Path, *, config: str, split: str | None, episode: str | None, row: int | None
) -> int:
    """Write the different screenshots of the rows to a new folder, by number and sample, and return their number.

    Raises:
        UserError: if the rows have none, `out` exists, or the folder, the config, the row or the episode does not exist.
    """
    with readable(folder / "data" / config):
        rows = _rows(folder, config, split)
    if COLUMN not in rows.schema.names:
        raise UserError(f"{folder} has no screenshots: `agentmerge build --screenshots shown` writes them")
    with os_errors_as_sentences(), readable(folder / "data" / config):
        if out.exists():
            raise UserError(f"--save-images {out}: it exists: name a new folder")
        out.mkdir(parents=True)
        seen = set()
        columns = ["sample_id", COLUMN]
        everything = (one for batch in rows.to_batches(columns=columns, batch_size=64) for one in batch.to_pylist())
        for sample in everything if episode is None and row is None else _chosen(rows, episode, row):
            png = _checked(sample).data
            if hash(png) not in seen:
                seen.add(hash(png))
                (out / f"{len(seen):06}_{re.sub('[^0-9a-f]', '', sample['sample_id'])[:16]}.png").write_bytes(png)
    return len(seen)


def _checked(sample: dict[str, Any]) -> Png:
    try:
        return read_png((sample[COLUMN] or {}).get("bytes") or b"")
    except Refused as refused:
        raise UserError(f"the screenshot of sample {sample['sample_id']} {refused}: build the dataset again") from None


def _rows(folder: Path, config: str, split: str | None) -> ds.Dataset:
    data = folder / "data" / config
    _check_config(folder, config)
    present = sorted(path for path in data.iterdir() if path.suffix == ".parquet")
    files = [path for path in present if split is None or path.name.startswith(f"{split}-")]
    if not present:
        raise UserError(f"{data} has no Parquet file: build the dataset again")
    if not files:
        raise UserError(
            f"--split {split}: {data} has {', '.join(sorted({path.name.split('-')[0] for path in present}))}"
        )
    for path in files:
        read_schema(path)
    rows = ds.dataset(files, format="parquet")
    if not rows.count_rows():
        raise UserError(f"{data} has no rows: build the dataset again with traces that pass its rules")
    return rows


_MADE_BY = {"failures": "--failures", "preferences": "--preferences", "unpaired": "--preferences"}
"""Config → the option of `agentmerge build` that writes it."""


def _check_config(folder: Path, config: str) -> None:
    """Raise UserError unless the folder is a dataset with this config."""
    if (folder / "data" / config).is_dir():
        return
    if folder.exists() and (around := next((one for one in folder.parents if (one / "data/all").is_dir()), None)):
        raise UserError(f"{folder} is inside of a dataset: give the dataset's folder, {around}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: give the folder of a dataset that `agentmerge build` wrote")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give a dataset that `agentmerge build` wrote")
    present = sorted(path.name for path in (folder / "data").glob("*") if path.is_dir() and path.name != "episodes")
    if not present:
        raise UserError(f"{folder} has no data/{config}: give a dataset that `agentmerge build` wrote")
    made_by = f"; `agentmerge build {_MADE_BY[config]}` writes it" if config in _MADE_BY else ""
    raise UserError(f"{folder} has no config {config}, but {', '.join(present)}{made_by}")


def _chosen(rows: ds.Dataset, episode: str | None, row: int | None) -> list[dict[str, Any]]:
    """The samples of an episode, or the one of a row."""
    if episode is not None:
        matching = rows.to_table(filter=ds.field("episode_id") == episode).to_pylist()
        if not matching:
            raise UserError(f"--episode {episode}: these rows have no such episode; without --episode they are listed")
        return matching
    if row is None or not 0 <= row < rows.count_rows():
        raise UserError(f"--row {row}: there are rows 0 to {rows.count_rows() - 1}")
    return rows.take(pa.array([row])).to_pylist()


def _contents(rows: ds.Dataset) -> Table:
    answer_tokens = "n_chosen_tokens" if "chosen" in rows.schema.names else "n_completion_tokens"
    columns = ["episode_id", "task", "seed", "teacher", "cot", "n_prompt_tokens", answer_tokens]
    listing = Table(
        title=f"{counted(rows.count_rows(), 'sample')}; --episode ID or --row N shows them", title_justify="left"
    )
    for name in ("episode", "task", "seed", "teacher", "samples", "with thought", "tokens"):
        listing.add_column(name, no_wrap=True, justify="left" if name in ("episode", "task", "teacher") else "right")
    episodes: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_table(columns=columns).to_pylist():
        episodes.setdefault(row["episode_id"], []).append(row)
    for name, samples in episodes.items():
        first = samples[0]
        tokens = sum(row["n_prompt_tokens"] + row[answer_tokens] for row in samples)
        thoughts = sum(row["cot"] for row in samples)
        shown = (
            name, first["task"], str(first["seed"]), first["teacher"], str(len(samples)), str(thoughts), f"{tokens:,}",
        )  # fmt: skip
        listing.add_row(*map(_text, shown))
    return listing


def _sample(sample: dict[str, Any], whole: bool) -> Group:
    pair = "chosen" in sample
    answer = sample["chosen" if pair else "completion"][0]["content"]
    answer_tokens = sample["n_chosen_tokens" if pair else "n_completion_tokens"]
    truncated = ", ".join(f"{counted(sample[f'{name}_lines_cut'], 'line')} of the {label}" for name, label in (("axtree", "AXTree"), ("html", "HTML"))
                    if sample[f"{name}_lines_cut"])  # fmt: skip
    facts = (
        f"{sample['task']}  seed {sample['seed']}  step {sample['step'] + 1} of {sample['n_steps']}  reward {_reward(sample)}\n"
        f"{sample['teacher']} ({sample['license']})  episode {sample['episode_id']}  sample {sample['sample_id']}\n"
        f"{sample['n_prompt_tokens']} prompt + {answer_tokens} answer tokens; truncated: {truncated or 'nothing'}{_screenshot(sample)}"
    )
    if "label" in sample:
        facts += f"\n{'desirable' if sample['label'] else 'undesirable'}: {sample['origin']}"
    turns = ((turn["role"], turn["content"] if whole else _shortened(turn["content"])) for turn in sample["prompt"])
    return Group(
        Rule(style="bold"),
        _text(facts, style="bold"),
        *(Panel(_text(content), title=_text(role), title_align="left") for role, content in turns),
        Panel(_text(thought_of(answer) or "(none)"), title="thought", title_align="left"),
        Panel(_text(sample["action"], style="bold green"), title="action", title_align="left"),
        *([_rejected(sample)] if pair else []),
    )


def _text(text: str, style: str = "") -> Text:
    """Recorded text as it is: neither markup nor control characters have an effect."""
    return Text(printable(text), style=style)


def _reward(sample: dict[str, Any]) -> str:
    return "not recorded" if sample["reward"] is None else f"{sample['reward']:g}"


def _screenshot(sample: dict[str, Any]) -> str:
    if not sample.get(COLUMN):
        return ""
    png = _checked(sample)
    return f"; screenshot: {png.width}×{png.height} pixels, {len(png.data):,} bytes"


def _rejected(pair: dict[str, Any]) -> Panel:
    title = f"rejected: {pair['origin']}, {pair['n_rejected_tokens']} tokens"
    return Panel(_text(pair["rejected"][0]["content"], style="red"), title=title, title_align="left")


def _shortened(text: str, head: int = 60, tail: int = 25) -> str:
    """The first and last lines of a long prompt. The page and the action space are in the middle."""
    lines = text.split("\n")
    if len(lines) <= head + tail:
        return text
    hidden = f"⋮ {counted(len(lines) - head - tail, 'line')} hidden: --whole shows them ⋮"
    return "\n".join([*lines[:head], hidden, *lines[-tail:]])
