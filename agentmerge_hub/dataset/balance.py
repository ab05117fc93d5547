"""Make `cot` and `no_cot` equally large: for each task, draw as many samples from both as the smaller one has."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from agentmerge_hub.dataset.split import draw


class SampleKey(NamedTuple):
    """The part of a sample that balancing needs."""

    sample_id: str
    split: str
    task: str
    cot: bool


def balance(samples: Iterable[SampleKey], seed: int) -> set[str]:
    """Ids of the samples that go into `cot` and `no_cot`; the draw is seeded and does not depend on the order."""
    pools: dict[tuple[str, str], dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for sample in samples:
        pools[sample.split, sample.task][sample.cot].append(sample.sample_id)
    chosen: set[str] = set()
    for pool in pools.values():
        size = min(len(pool[True]), len(pool[False]))
        for ids in pool.values():
            chosen.update(sorted(ids, key=lambda name: (draw(name, seed), name))[:size])
    return chosen
