"""Traces → `workarena-traces/`: parts are made batch by batch, put together in one pass, scanned, described, signed.

Everything that is drawn or decided depends on names and seeds, never on order or time: the same traces and settings give
the same bytes, however often the build was interrupted.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from agentmerge_hub import manifest, output_folder
from agentmerge_hub.dataset import stored
from agentmerge_hub.dataset.assemble import assemble
from agentmerge_hub.dataset.cache import Entry, PartCache, default_folder, program_hash, signature
from agentmerge_hub.dataset.card import write_card
from agentmerge_hub.dataset.gate import check_files, measure
from agentmerge_hub.dataset.redaction import Allowed, Scanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.workers import Work, run, run_on_ray
from agentmerge_hub.dataset.write import Written
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import SCHEMA_VERSION
from agentmerge_hub.tokenizer import ChatTokenizer

BATCH = 32
"""Episodes a part."""

STAGE = "build"


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    written: list[Written]
    counts: dict
    n_new: int
    """Episodes that were read now; the others' parts were there from an earlier build."""


def build(traces: Sequence[Path], out: Path, work: Work, *, workers: int = 1, ray: bool = False) -> Built:
    """Build the dataset folder `out`.

    Raises:
        UserError: if there are no traces, no successes, no tokenizer, nothing fits the window, or a secret is left.
    """
    started = time.time()
    output_folder.check_replaceable(out, STAGE)
    found = stored.find(traces)
    settings = work.settings
    cache = PartCache(default_folder(), _fingerprint(settings, work.load_tokenizer()))
    signatures = {signature(episode): episode for episode in found}
    known = cache.entries()
    new = [(name, episode) for name, episode in signatures.items() if name not in known]
    batches = [new[start : start + BATCH] for start in range(0, len(new), BATCH)]
    start = run_on_ray if ray else run
    made = start(work, [[episode for _, episode in batch] for batch in batches], workers)
    for batch, (_, part) in zip(batches, track(made, "Reading and fitting", len(batches), transient=True)):
        cache.add(part, [name for name, _ in batch])
    known = cache.entries()
    entries = [known[name] for name in signatures]
    with output_folder.new_folder(out, STAGE) as folder:
        assembled = assemble(entries, folder, settings)
        counts = assembled.counts | _reading(entries)
        if not counts["samples"]:
            raise UserError(_why_nothing(counts, traces))
        scanner = Scanner(Allowed(settings.allow))
        measure(assembled.written, scanner)
        config = settings.model_dump(mode="json") | {
            "tokenizer": _name_of(work.tokenizer),
            "schema_version": SCHEMA_VERSION,
        }
        write_card(folder, out.resolve().name, assembled.written, counts, config)
        check_files(folder, scanner)
        manifest.write(folder, STAGE, inputs=_studies(traces), config=config, counts=counts, started=started)
    return Built(assembled.written, counts, len(new))


def _studies(traces: Sequence[Path]) -> dict[str, Path]:
    """Those of the folders that say themselves how they were made, by role: what `collect` or an earlier build wrote."""
    finished = [folder for folder in traces if (folder / manifest.NAME).is_file()]
    return {f"traces-{number}" if number else "traces": folder for number, folder in enumerate(finished)}


def _fingerprint(settings: Settings, tokenizer: ChatTokenizer) -> str:
    """Names the parts that this program would make with this tokenizer and these settings."""
    parts = [program_hash(), tokenizer.identity, json.dumps(settings.for_parts(), sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _name_of(tokenizer: str) -> str:
    """A Hub id as it is; of a local folder only the last two names, for where it lies is nobody's business."""
    return "/".join(Path(tokenizer).parts[-2:]) if Path(tokenizer).is_dir() else tokenizer


def _reading(entries: list[Entry]) -> dict:
    redacted: Counter[str] = Counter()
    for entry in entries:
        redacted.update(entry.read.redacted)
    readable = sum(entry.read.readable for entry in entries)
    return {
        "episodes_found": len(entries),
        "episodes_read": readable,
        "episodes_unreadable": len(entries) - readable,
        "redacted": dict(sorted(redacted.items())),
    }


def _why_nothing(counts: dict, traces: Sequence[Path]) -> str:
    rules = ", ".join(f"{rule} {number}" for rule, number in counts["dropped"].items())
    where = ", ".join(str(path) for path in traces)
    return (
        f"no sample is left of the {counts['episodes_found']} episodes in {where} ({rules}): "
        "a larger --window or a lower --min-reward keeps more"
    )
