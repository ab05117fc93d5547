"""Draw the samples of `cot` and `no_cot`: the same steps where a step has both versions, otherwise equally many per task."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from agentmerge_hub.dataset.selection.split import draw


class SampleKey(NamedTuple):
    """The part of a sample that balancing needs."""

    sample_id: str
    split: str
    task: str
    cot: bool
    step: tuple[str, int]
    """Episode and number of the step."""
    rendered: bool
    """Whether the prompt was rendered from the page, so that the step can have both versions. A recorded prompt has one."""


def balance(samples: Iterable[SampleKey], seed: int) -> set[str]:
    """Ids of the samples that go into `cot` and `no_cot`. The draw is seeded and does not depend on the order.

    A rendered step goes in with both versions or not at all: one version can be lost when the page is cut to the window. Of
    recorded prompts, as many of each task are drawn from both sides as the smaller side has.
    """
    versions: dict[tuple[str, str, tuple[str, int]], dict[bool, str]] = defaultdict(dict)
    pools: dict[tuple[str, str], dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for sample in samples:
        if sample.rendered:
            versions[sample.split, sample.task, sample.step][sample.cot] = sample.sample_id
        else:
            pools[sample.split, sample.task][sample.cot].append(sample.sample_id)
    chosen = {name for pair in versions.values() if len(pair) == 2 for name in pair.values()}
    for pool in pools.values():
        size = min(len(pool[True]), len(pool[False]))
        for ids in pool.values():
            chosen.update(sorted(ids, key=lambda name: (draw(name, seed), name))[:size])
    return chosen
