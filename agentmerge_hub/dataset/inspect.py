"""Print samples for reading: goal, page, thought, action, token counts, truncated lines."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from rich.console import Console, Group
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import thought_of


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
    data = folder / "data" / config
    if not data.is_dir():
        raise UserError(f"{folder} has no data/{config}: give the folder that `agentmerge build` wrote")
    files = sorted(data.glob(f"{split or '*'}-*.parquet"))
    if not files:
        raise UserError(f"{data} has no split {split!r}")
    rows = ds.dataset(files, format="parquet")
    if episode is not None:
        matching = rows.to_table(filter=ds.field("episode_id") == episode).to_pylist()
        if not matching:
            raise UserError(f"no episode {episode!r} in {data}")
        for sample in sorted(matching, key=lambda sample: (sample["step"], not sample["cot"])):
            console.print(_sample(sample, whole))
    elif row is not None:
        if not 0 <= row < rows.count_rows():
            raise UserError(f"no row {row}: {data} has rows 0 to {rows.count_rows() - 1}")
        console.print(_sample(rows.take(pa.array([row])).to_pylist()[0], whole))
    else:
        console.print(_contents(rows))


def _contents(rows: ds.Dataset) -> Table:
    answer_tokens = "n_chosen_tokens" if "chosen" in rows.schema.names else "n_completion_tokens"
    columns = ["episode_id", "task", "seed", "teacher", "cot", "n_prompt_tokens", answer_tokens]
    listing = Table(title=f"{rows.count_rows()} samples; --episode ID or --row N shows them", title_justify="left")
    for name in ("episode", "task", "seed", "teacher", "samples", "with thought", "tokens"):
        listing.add_column(name, no_wrap=True, justify="left" if name in ("episode", "task", "teacher") else "right")
    episodes: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_table(columns=columns).to_pylist():
        episodes.setdefault(row["episode_id"], []).append(row)
    for name, samples in episodes.items():
        first = samples[0]
        tokens = sum(row["n_prompt_tokens"] + row[answer_tokens] for row in samples)
        thoughts = sum(row["cot"] for row in samples)
        listing.add_row(
            name, first["task"], str(first["seed"]), first["teacher"], str(len(samples)), str(thoughts), f"{tokens:,}"
        )
    return listing


def _sample(sample: dict[str, Any], whole: bool) -> Group:
    user = sample["prompt"][-1]["content"]
    pair = "chosen" in sample
    answer = sample["chosen" if pair else "completion"][0]["content"]
    answer_tokens = sample["n_chosen_tokens" if pair else "n_completion_tokens"]
    truncated = ", ".join(f"{sample[f'{name}_lines_cut']} lines of the {label}" for name, label in (("axtree", "AXTree"), ("html", "HTML"))
                    if sample[f"{name}_lines_cut"])  # fmt: skip
    facts = (
        f"{sample['task']}  seed {sample['seed']}  step {sample['step'] + 1} of {sample['n_steps']}  reward {sample['reward']:g}\n"
        f"{sample['teacher']} ({sample['license']})  episode {sample['episode_id']}  sample {sample['sample_id']}\n"
        f"{sample['n_prompt_tokens']} prompt + {answer_tokens} answer tokens; truncated: {truncated or 'nothing'}"
    )
    if "label" in sample:
        facts += f"\n{'desirable' if sample['label'] else 'undesirable'}: {sample['origin']}"
    page = user if whole else _shortened(user)
    return Group(
        Rule(style="bold"),
        Text(facts, style="bold"),
        Panel(Text(sample["prompt"][0]["content"]), title="system", title_align="left"),
        Panel(Text(page), title="user", title_align="left"),
        Panel(Text(thought_of(answer) or "(none)"), title="thought", title_align="left"),
        Panel(Text(sample["action"], style="bold green"), title="action", title_align="left"),
        *([_rejected(sample)] if pair else []),
    )


def _rejected(pair: dict[str, Any]) -> Panel:
    title = f"rejected: {pair['origin']}, {pair['n_rejected_tokens']} tokens"
    return Panel(Text(pair["rejected"][0]["content"], style="red"), title=title, title_align="left")


def _shortened(text: str, head: int = 60, tail: int = 25) -> str:
    """The first and last lines of a long prompt. The page and the action space are in the middle."""
    lines = text.split("\n")
    if len(lines) <= head + tail:
        return text
    hidden = f"⋮ {len(lines) - head - tail} lines hidden: --whole shows them ⋮"
    return "\n".join([*lines[:head], hidden, *lines[-tail:]])
