"""The order of rows with `train_sampling_strategy: group_by_length`: it follows from the seed and the epoch alone.

transformers draws it from the process's random numbers, which are at another place when a run is resumed: from its second epoch
on, such a run would train some of the epoch's rows twice and others not at all.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from agentmerge_hub.training.preflight.token_counts import row_lengths


class BatchesByLength(Trainer):
    """What TRL's trainers are combined with."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Any:
        args = self.args
        if args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        seed = args.seed if args.data_seed is None else args.data_seed
        together = args.train_batch_size * args.gradient_accumulation_steps
        # What was trained of the epochs so far: a whole number where an epoch begins, also after a resume.
        return _Sampler(together, row_lengths(rows).tolist(), lambda: seed + int(self.state.epoch or 0))


class _Sampler(LengthGroupedSampler):
    def __init__(self, together: int, lengths: list[int], seed: Callable[[], int]) -> None:
        super().__init__(together, lengths=lengths)
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))
