"""The types of a merge: its job, its settings, its state while it runs, its result."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.specs.formula import Formula
from agentmerge_hub.merging.specs.spec import Spec

SHARD_BYTES = 5_000_000_000
"""Bytes a weights file at most, the default of transformers and mergekit."""


@dataclass(frozen=True)
class MergeJob:
    """One merge to run."""

    spec: Spec
    out: Path
    where: str
    """The spec's file, for messages."""


@dataclass(frozen=True)
class MergeResult:
    """One merge that was run."""

    out: Path
    reply: str | None = None
    problem: str | None = None
    """Why it was not kept; None if it was."""
    lacks_space: bool = False
    """The disk could not take it, beside the other merges of its pass."""
    replaced: str | None = None
    """The merge that was there before, in words."""


@dataclass(frozen=True)
class MergeSettings:
    """How merges are run; none of it changes their weights."""

    reply: bool = True
    """Load each finished model and let it answer."""
    quick: bool = False
    """No reply, and specs that are computed here are not validated by mergekit's own classes, whose import takes as long as
    merging half a billion values."""
    shard_bytes: int = SHARD_BYTES
    """Bytes a weights file at most."""
    adapter_base: str | None = None
    """The model that adapters were trained on, where it is not at the path they name."""
    device: str = "cpu"
    """Where values are computed: ``cpu`` or ``cuda``."""

    def check(self) -> None:
        """Raise UserError if the device is not here."""
        if self.device != "cpu":
            import torch

            if not torch.cuda.is_available():
                raise UserError(f"device {self.device}: torch sees no GPU here, use cpu")


@dataclass
class MergeRun:
    """The state of one job: its opened inputs, and the output folder that is being written."""

    job: MergeJob
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    inputs: MergeInputs | None = None
    formula: Formula | None = None
    folder: Path = Path()
    hash_weights: Callable[[], dict[str, str]] | None = None
    """Hashes of the written weights, if they were taken while they were written."""
    reply: str | None = None
    problem: str | None = None
    lacks_space: bool = False
    replaced: str | None = None
    """The finished merge that is there, in words."""

    @property
    def opened(self) -> MergeInputs:
        assert self.inputs is not None, "only runs without a problem are used, and those are open"
        return self.inputs

    def fail(self, problem: str) -> None:
        """Give up one merge: what was written of it is removed."""
        self.problem = problem
        self.abort(UserError(problem))

    def abort(self, error: BaseException) -> None:
        """Leave the output folder with an error, which removes what was written."""
        with contextlib.suppress(type(error), UserError):
            self.stack.__exit__(type(error), error, error.__traceback__)
