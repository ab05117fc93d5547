"""Turn batches of episodes into partial tables, in this process or on all cores. Both ways make the same tables."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from agentmerge_hub.dataset.partial_tables import PartialTables, make_partial_tables
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.find import Found

Batch = Sequence[Found]


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker needs in addition to its batch. A worker reads the traces from the given paths."""

    settings: Settings
    tokenizer: str
    chat_template: Path | None = None
    chat_template_kwargs: str | None = None
    """A JSON object."""

    def process(self, batch: Batch) -> PartialTables:
        scanner = _scanner(tuple(self.settings.allow.items()))
        return make_partial_tables(batch, self.settings, self.load_tokenizer(), scanner)

    def load_tokenizer(self) -> ChatTokenizer:
        """The tokenizer, loaded once per process.

        Raises:
            UserError: see ChatTokenizer.
        """
        return _tokenizer(self.tokenizer, self.chat_template, self.chat_template_kwargs)


_tokenizer = cache(ChatTokenizer)


@cache
def _scanner(allowlist: tuple[tuple[str, str], ...]) -> LineScanner:
    return LineScanner(Allowlist(allowlist))


def run(config: WorkerConfig, batches: list[Batch], workers: int) -> Iterator[tuple[Batch, PartialTables]]:
    """Each batch with its partial tables, in the order of the batches.

    Raises:
        UserError: if a worker process is killed, for example because memory ran out.
    """
    if min(workers, len(batches)) <= 1:
        yield from ((batch, config.process(batch)) for batch in batches)
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes share the cores already
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_block_torch_import) as pool:
        try:
            yield from zip(batches, pool.map(config.process, batches))
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably because memory ran out: run the same command again with fewer "
                "--workers; finished parts are kept"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _block_torch_import() -> None:
    """Keep transformers from importing torch for a tokenizer: the import takes 2 s and 300 MB per process."""
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # transformers would warn that torch is missing
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # None marks a module as not importable
