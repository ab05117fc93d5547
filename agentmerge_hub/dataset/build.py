"""Traces → `workarena-traces/`: make partial tables, assemble them, scan the result, write card and manifest.

Draws and decisions depend on names and seeds, never on order or time: the same traces and settings give the same bytes,
however often the build was interrupted.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.progress import track

from agentmerge_hub import manifest
from agentmerge_hub.dataset import reload
from agentmerge_hub.dataset.assemble import assemble
from agentmerge_hub.dataset.card.readme import write_card
from agentmerge_hub.dataset.parallel.part_cache import CacheEntry, PartCache, episode_keys, program_hash
from agentmerge_hub.dataset.parallel.worker_pool import run
from agentmerge_hub.dataset.parallel.workers import WorkerConfig
from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.dataset.redaction.episode import path_role, replace_in_json
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.machine_names import machine_hash
from agentmerge_hub.dataset.redaction.scanner import LineScanner, redact_text
from agentmerge_hub.dataset.selection.drop_rules import EPISODE_RULES, KEPT_BY, NOT_DROPPED, SAMPLE_RULES
from agentmerge_hub.dataset.settings import Settings, check_names
from agentmerge_hub.dataset.verify_output import measure_and_scan, scan_other_files
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.files.content_hash import cache_folder, file_hash, file_hashes
from agentmerge_hub.plural import counted
from agentmerge_hub.records import SCHEMA_VERSION
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.find import Found

BATCH = 32
"""Episodes per part."""

STAGE = "build"


@dataclass(frozen=True)
class BuildResult:
    """Result of a build."""

    written: list[WrittenSplit]
    counts: dict
    n_new: int
    """Episodes that this build read; the others came from the cache."""
    gone: list[str] | None
    """Configs of an earlier dataset at the same place that this one, which replaced it, does not have; None if there was none."""


def build(
    traces: Sequence[str | Path],
    out: str | Path,
    worker_config: WorkerConfig,
    *,
    workers: int = 1,
    ray: bool = False,
) -> BuildResult:
    """Build the dataset folder `out`.

    Args:
        traces: folders with traces of any supported format, or built datasets.
        out: the folder of the dataset.
        worker_config: the settings and the student's tokenizer.
        workers: number of processes.
        ray: whether they run on a Ray cluster.

    Raises:
        UserError: if there are no traces, no successes, no tokenizer, a setting names an unknown task, agent or teacher, nothing fits the window, or the output holds a secret.
    """
    folders, out, started = [Path(folder) for folder in traces], Path(out), time.time()
    output_folder.check_not_input(out, folders)
    output_folder.check_replaceable(out, STAGE)
    found = reload.find_inputs(folders)
    if not found:
        raise UserError(f"no episodes in {_listed(folders)}: give traces, or a dataset that has episodes")
    settings = worker_config.settings
    cache = PartCache(cache_folder(), _fingerprint(settings, worker_config.load_tokenizer()))
    episodes = dict(zip(episode_keys(found, screenshots=settings.has_screenshots), found))
    with output_folder.new_folder(out, STAGE, folders) as folder:  # also while traces are read: there is one writer
        earlier = _configs(out)
        entries, n_new = _read(episodes, cache, worker_config, workers, ray=ray)
        statuses = [entry.status for entry in entries]
        tasks, agents = {status.task for status in statuses}, {status.agent for status in statuses}
        check_names(settings, tasks, agents, {status.teacher for status in statuses})
        assembled = assemble(entries, folder, settings)
        counts = assembled.counts | _reading_counts(entries)
        if not counts["samples"]:
            raise UserError(_nothing_left_message(counts, assembled.ledger, folders, settings.min_reward))
        scanner = LineScanner(Allowlist(settings.allow))
        measure_and_scan(assembled.written, scanner)
        config = _published_config(worker_config, scanner) | {"prompt_flags": assembled.prompt_flags}
        title = redact_text(out.resolve().name, scanner.allowlist)
        write_card(folder, title, assembled.written, counts, config)
        scan_other_files(folder, scanner)
        inputs = _inputs(folders)
        path = manifest.write(
            folder,
            STAGE,
            inputs=inputs,
            config=config,
            counts=counts,
            started=started,
            known={given: _readable_hashes(given) for given in inputs.values()},
        )
        write_text(path, redact_text(path.read_text(encoding="utf-8"), scanner.allowlist))
        gone = sorted(earlier - _configs(folder)) if earlier else None
    return BuildResult(assembled.written, counts, n_new, gone)


def _read(
    episodes: Mapping[str, Found], cache: PartCache, worker_config: WorkerConfig, workers: int, *, ray: bool
) -> tuple[list[CacheEntry], int]:
    """The cache's entries of the episodes by key, in their order, and how many of them were read for that."""
    known = cache.entries()
    new = [(key, episode) for key, episode in episodes.items() if key not in known]
    batches = [new[start : start + BATCH] for start in range(0, len(new), BATCH)]
    start = run
    if ray:
        from agentmerge_hub.dataset.parallel.ray_workers import run_on_ray as start
    made = start(worker_config, [[episode for _, episode in batch] for batch in batches], workers)
    key_of = {episode: key for key, episode in new}
    for read, part in track(made, "Reading and fitting", len(batches), transient=True):
        cache.add(part, [key_of[episode] for episode in read])
    known = cache.entries()
    return [known[key] for key in episodes], len(new)


def _configs(dataset: Path) -> set[str]:
    """The configs of a dataset; none where there is no dataset."""
    return {path.name for path in dataset.glob("data/*")}


def _inputs(traces: Sequence[Path]) -> dict[str, Path]:
    """The inputs that have a manifest, by role: outputs of `collect` or of an earlier build."""
    finished = [folder for folder in traces if (folder / manifest.NAME).is_file()]
    return {f"traces-{number}" if number else "traces": folder for number, folder in enumerate(finished)}


def _readable_hashes(folder: Path) -> dict[str, str]:
    """Hashes of the files of an input without those that cannot be read, which the build did not read either."""

    def hash_if_readable(path: Path) -> str:
        try:
            return file_hash(path)
        except OSError:
            return ""

    return {name: sha for name, sha in file_hashes(folder, hash_file=hash_if_readable).items() if sha}


def _fingerprint(settings: Settings, tokenizer: ChatTokenizer) -> str:
    """Identifies the parts that this program makes with this tokenizer and these settings."""
    parts = [
        program_hash(),
        machine_hash(),
        tokenizer.identity,
        json.dumps(settings.for_partial_tables(), sort_keys=True),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _published_config(worker_config: WorkerConfig, scanner: LineScanner) -> dict[str, Any]:
    """The settings for the manifest and the card, without secrets and without the place of a local path."""
    settings = worker_config.settings.published()
    names = {"tokenizer": path_role(worker_config.tokenizer), "schema_version": SCHEMA_VERSION}
    if Path(worker_config.tokenizer).is_dir():
        names["tokenizer"] = Path(worker_config.tokenizer).resolve().name
    allow = settings.pop("allow")
    shown = replace_in_json(settings | names, lambda text: redact_text(path_role(text), scanner.allowlist))
    return shown | {"allow": allow, "chat_template": worker_config.load_tokenizer().template.manifest}


def _reading_counts(entries: list[CacheEntry]) -> dict:
    redacted: Counter[str] = Counter()
    for entry in entries:
        redacted.update(entry.status.redacted)
    readable = sum(entry.status.readable for entry in entries)
    return {
        "episodes_found": len(entries),
        "episodes_read": readable,
        "episodes_unreadable": len(entries) - readable,
        "redacted": dict(sorted(redacted.items())),
    }


def counted_rules(dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    """The rules that dropped something and how much, those that dropped most first."""
    rules = [(rule, number) for rule, number in dropped.items() if rule not in NOT_DROPPED]
    return sorted(rules, key=lambda pair: (-pair[1], pair[0]))


def _nothing_left_message(counts: dict, ledger: pa.Table, traces: Sequence[Path], min_reward: float) -> str:
    rules = counted_rules(counts["dropped"])
    if not rules:
        return f"no sample is left of the {counted(counts['episodes_found'], 'episode')} in {_listed(traces)}"
    others = "".join(f", {rule} {number}" for rule, number in rules[1:])
    first, number = rules[0]
    meaning = (EPISODE_RULES | SAMPLE_RULES)[first]
    if first == "unreadable":
        meaning += f" (e.g. {ledger.filter(pc.field('rule') == first)['detail'][0]})"
    return (
        f"no sample is left of the {counted(counts['episodes_found'], 'episode')} in {_listed(traces)}: the rule {first} dropped most "
        f"({number}{others}), which means that {meaning}; "
        f"{KEPT_BY.get(first, 'no option keeps them: give other traces').format(min_reward=min_reward)}"
    )


def _listed(traces: Sequence[Path]) -> str:
    return ", ".join(map(str, traces))
