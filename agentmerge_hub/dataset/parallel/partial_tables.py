"""A batch of episodes → partial tables: its samples, its raw steps, and a ledger of what was dropped.

Batches are independent of each other, so they can be processed in any order and on any machine. Steps that need all
batches (deduplication, splits, balance) follow in assemble.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset import reload
from agentmerge_hub.dataset.preferences.rejected import REJECTED, PairKeys
from agentmerge_hub.dataset.redaction.episode import path_role, redact_detail, redact_episode
from agentmerge_hub.dataset.redaction.scanner import LineScanner, redact_text
from agentmerge_hub.dataset.rows.image_columns import image_value, with_image, with_step_image
from agentmerge_hub.dataset.rows.samples import keeps_recorded_prompt, make_samples, shown_by_default
from agentmerge_hub.dataset.rows.step_rows import STEP_KEYS, STEP_SCHEMA, step_rows
from agentmerge_hub.dataset.selection.deduplication import exact_key, near_key
from agentmerge_hub.dataset.selection.drop_rules import Dropped, episode_drop_rule
from agentmerge_hub.dataset.selection.goal_key import goal_key
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.content_hash import cache_folder
from agentmerge_hub.prompt import shows_thought
from agentmerge_hub.records import LEDGER_SCHEMA, SAMPLE_SCHEMA, Episode, Sample, Step
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.episode import NeedsMoreMemory, Unreadable, check_distinct_lines
from agentmerge_hub.traces.find import Found
from agentmerge_hub.traces.limits import EPISODE_BYTES, LimitExceeded, alone, shared_bytes, time_limit

KEYS = pa.schema(
    [
        ("source", pa.string()),
        ("goal_key", pa.string()),
        ("exact_key", pa.string()),
        ("near_key", pa.string()),
        ("success", pa.bool_()),
        ("rendered", pa.bool_()),
        ("earlier_thought", pa.bool_()),
        ("prompt_flags", pa.string()),
        ("n_bytes", pa.int64()),
        ("page_key", pa.string()),
        ("calls_key", pa.string()),
        ("rejected", REJECTED),
    ]
)
"""Columns of partial tables that assemble.py needs and the dataset does not keep."""

TABLES = ("samples", "steps", "ledger")

PART_BYTES = 2**26
"""Bytes of tables after which the other episodes of a batch become another part: hostile ones can hold 150 MB of text each."""


@dataclass(frozen=True)
class EpisodeStatus:
    """Whether one episode was readable, what it is of, and what was redacted in it."""

    source: str
    readable: bool = True
    redacted: dict[str, int] = field(default_factory=dict)
    """Number of distinct secrets of each kind."""
    task: str = ""
    agent: str = ""
    teacher: str = ""
    """As the rows name it: of a path, its last part."""


@dataclass(frozen=True)
class PartialTables:
    """Tables of one batch, rows sorted by source and step."""

    samples: pa.Table
    steps: pa.Table
    ledger: pa.Table
    episodes: list[EpisodeStatus]
    """One per episode, in the order of the batch: all of it, or a part of it."""
    first: int
    """Number in the batch of the first episode."""

    def packed(self) -> "PackedTables":
        """The tables as Parquet files."""
        return PackedTables({name: _parquet(getattr(self, name)) for name in TABLES}, self.episodes, self.first)


@dataclass(frozen=True)
class PackedTables:
    """Partial tables as a worker sends them: a twentieth of their size in memory, and ready to be stored."""

    files: dict[str, bytes]
    """Name of each table → its Parquet file."""
    episodes: list[EpisodeStatus]
    first: int

    def episodes_in(self, batch: Sequence[Found]) -> Sequence[Found]:
        """The episodes of the batch that these tables are made of."""
        return batch[self.first : self.first + len(self.episodes)]


def _parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", compression_level=1)
    return buffer.getvalue().to_pybytes()


@dataclass
class _Rows:
    """What became of one episode."""

    status: EpisodeStatus
    samples: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def tables(self, *, images: bool) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Samples, steps and ledger."""
        samples, steps = with_image(SAMPLE_SCHEMA, images=images), with_step_image(STEP_SCHEMA, images=images)
        return (
            pa.Table.from_pylist(self.samples, pa.schema([*samples, *KEYS])),
            pa.Table.from_pylist(self.steps, pa.schema([*steps, *STEP_KEYS])),
            pa.Table.from_pylist([asdict(row) for row in self.dropped], LEDGER_SCHEMA),
        )


def make_partial_tables(
    batch: Sequence[Found],
    settings: Settings,
    tokenizer: ChatTokenizer,
    scanner: LineScanner,
    read: Callable[..., Episode] = reload.read_input,
    failed: Mapping[int, str] = MappingProxyType({}),
    started: Callable[[int], object] | None = None,
    first: int = 0,
    max_bytes: int = shared_bytes(1),
) -> PartialTables:
    """Read, select, redact, render, fit and check a batch of episodes, or as many of them as fill a part.

    An episode that cannot be processed, for whatever reason, is in the ledger; it never ends the batch.

    Args:
        read: reads an episode; arguments as reload.read_input.
        failed: number in the batch → why an episode is not processed again.
        started: is called with the number of each episode before it is read, and while it waits for memory.
        first: number of the episode to begin with.
        max_bytes: memory that an episode may take beside those of other processes; one that needs more waits until no other such
            episode is processed.
    """
    images, options = settings.has_screenshots, settings.read_options
    statuses: list[EpisodeStatus] = []
    tables: list[tuple[pa.Table, pa.Table, pa.Table]] = []
    n_bytes = 0
    for number, found in enumerate(batch[first:], first):
        report = partial(started, number) if started else lambda: None
        report()
        try:
            if number in failed:
                raise Unreadable(failed[number])
            try:
                with time_limit():
                    episode = read(found, options, max_bytes)
                    rows = _process(episode, settings, tokenizer, scanner, max_bytes)
            except NeedsMoreMemory:
                with alone(cache_folder() / "large-episode.lock", report), time_limit():
                    episode = read(found, options)
                    rows = _process(episode, settings, tokenizer, scanner, EPISODE_BYTES)
            tables.append(rows.tables(images=images))
        except Unreadable as error:
            rows = _unreadable(found, str(error), scanner)
            tables.append(rows.tables(images=images))
        except UserError:
            raise
        except LimitExceeded as error:
            rows = _unreadable(found, f"the episode {error}", scanner)
            tables.append(rows.tables(images=images))
        except Exception as error:
            rows = _unreadable(found, f"{type(error).__name__}: {error}", scanner)
            tables.append(rows.tables(images=images))
        statuses.append(rows.status)
        n_bytes += sum(table.nbytes for table in tables[-1])
        if n_bytes > PART_BYTES:
            break
    samples, steps, ledger = (pa.concat_tables(of_kind) for of_kind in zip(*tables))
    return PartialTables(samples, steps, ledger, statuses, first)


def _unreadable(found: Found, reason: str, scanner: LineScanner) -> _Rows:
    detail = redact_text(" ".join(reason.split())[:300].encode(errors="replace").decode(), scanner.allowlist)
    return _Rows(
        EpisodeStatus(found.source, readable=False), dropped=[Dropped(found.source, "", None, "unreadable", detail)]
    )


def _process(
    episode: Episode, settings: Settings, tokenizer: ChatTokenizer, scanner: LineScanner, max_bytes: int
) -> _Rows:
    teacher = path_role(episode.teacher)
    rows = _Rows(EpisodeStatus(episode.source, task=episode.task, agent=episode.agent, teacher=teacher))
    drop = episode_drop_rule(episode, settings)
    if drop is not None:
        rule, detail = drop
        detail = redact_detail(episode, detail, scanner)
        rows.dropped.append(Dropped(episode.source, episode.episode_id, None, rule, detail))
        if rule != "unsuccessful" or not (settings.failures or settings.preferences):
            return rows
    episode = _without_unused_html(episode, settings)
    check_distinct_lines(episode, max_bytes)
    episode, secrets = redact_episode(episode, scanner)
    rows.status = replace(rows.status, redacted=dict(secrets), teacher=episode.teacher)
    if episode.unmapped:
        rows.dropped.append(
            Dropped(episode.source, episode.episode_id, None, "not_mapped", ", ".join(episode.unmapped))
        )
    made = make_samples(episode, settings, tokenizer, successful=drop is None)
    keys = _goal_keys(episode)
    recorded = {step.index for step in episode.steps if keeps_recorded_prompt(step, settings)}
    with_thought = _with_earlier_thought(episode, recorded & {sample.step for sample in made.samples if not sample.cot})
    rows.samples += [
        _sample_row(sample, episode, keys[sample.step], drop is None)
        | {"rendered": sample.step not in recorded, "earlier_thought": sample.step in with_thought}
        | {"prompt_flags": made.prompt_flags[sample.sample_id]}
        | _pair_columns(made.pair_keys.get(sample.sample_id))
        for sample in made.samples
    ]
    if drop is None:
        rows.dropped += [replace(row, detail=redact_text(row.detail, scanner.allowlist)) for row in made.dropped]
        rows.steps += step_rows(episode, settings)
    return rows


def _goal_keys(episode: Episode) -> dict[int, str]:
    """Number of each step → the key of its goal, which a user can change during a run; without one, that of the first goal."""
    keys = {goal: goal_key(goal) for goal in {step.observation.goal for step in episode.steps}}
    of_steps = {step.index: keys[step.observation.goal] for step in episode.steps}
    first = next(filter(None, of_steps.values()), "")
    return {number: key or first for number, key in of_steps.items()}


def _with_earlier_thought(episode: Episode, steps: set[int]) -> set[int]:
    """Those of the steps whose recorded prompt shows a thought of an earlier step."""
    thoughts = [step.thought for step in episode.steps]
    return {
        step.index
        for place, step in enumerate(episode.steps)
        if step.index in steps and shows_thought(step.messages, filter(None, thoughts[:place]))
    }


def _without_unused_html(episode: Episode, settings: Settings) -> Episode:
    """The episode without HTML that neither a prompt nor --keep-html needs: HTML is ten times the size of the tree."""
    if settings.keep_html or settings.rendering_flags(shown_by_default(episode), thinking=False).use_html:
        return episode
    return replace(episode, steps=tuple(step if _shows_html(step) else _without_html(step) for step in episode.steps))


def _shows_html(step: Step) -> bool:
    html = step.observation.html.strip()
    return bool(html) and any(html[:200] in message["content"] for message in step.messages)


def _without_html(step: Step) -> Step:
    return replace(step, observation=replace(step.observation, html=""))


def _sample_row(sample: Sample, episode: Episode, key: str, success: bool) -> dict:
    both = [*sample.prompt, *sample.completion]
    row = dict(zip(SAMPLE_SCHEMA.names, (getattr(sample, name) for name in SAMPLE_SCHEMA.names)))
    return row | {
        "source": episode.source,
        "goal_key": key,
        "image": image_value(sample.screenshot),
        "exact_key": exact_key(both, sample.screenshot),
        "near_key": near_key(both, sample.screenshot),
        "success": success,
        "n_bytes": sum(len(message["content"].encode()) for message in both) + len(sample.screenshot),
    }


def _pair_columns(keys: PairKeys | None) -> dict:
    return {} if keys is None else asdict(keys)
