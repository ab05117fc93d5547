"""What turns a batch of episodes into partial tables, in any process. Every way of running it makes the same tables."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agentmerge_hub.dataset.parallel.partial_tables import PackedTables, make_partial_tables
from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.find import Found
from agentmerge_hub.traces.limits import shared_bytes

Batch = Sequence[Found]


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker needs in addition to its batch. A worker reads the traces from the given paths."""

    settings: Settings
    tokenizer: str
    chat_template: Path | None = None
    chat_template_kwargs: str | None = None
    """A JSON object."""
    max_bytes: int = shared_bytes(1)
    """Memory that the work on an episode may add beside that of the other workers."""

    def process(
        self, batch: Batch, failed: Mapping[int, str] | None = None, started: Callable[[int], object] | None = None
    ) -> Iterator[PackedTables]:
        """The partial tables of a batch, nearly always one part; see make_partial_tables."""
        scanner, tokenizer, first = _scanner(tuple(self.settings.allow.items())), self.load_tokenizer(), 0
        while first < len(batch):
            part = make_partial_tables(
                batch,
                self.settings,
                tokenizer,
                scanner,
                failed=failed or {},
                started=started,
                first=first,
                max_bytes=self.max_bytes,
            )
            first += len(part.episodes)
            yield part.packed()

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


def prepare_process(*, is_copy: bool) -> None:
    """Prepare a worker process.

    Args:
        is_copy: whether it is a copy of its parent. A new process imports transformers, which would import torch for a
            tokenizer: that takes 2 s and 300 MB.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # processes share the cores; a copy lacks its parent's threads
    if not is_copy:
        os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # transformers would warn that torch is missing
        sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # None marks a module as not importable
