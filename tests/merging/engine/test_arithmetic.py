"""The arithmetic on chunks is mergekit's on whole tensors, to the bit: any number of models, equal, opposite and zero values."""

import numpy as np
import pytest
import torch
from mergekit.merge_methods.api import merge_tensors

from agentmerge_hub.merging.engine import arithmetic
from agentmerge_hub.merging.engine.topk import topk_mask_by_sort

SHAPE, CHUNK, DENSITY = (7, 331), 9 * arithmetic.ALIGNMENT, 0.4
WEIGHTS = (-0.5, 0.5, 1 / 3, -0.33, 0.7, -0.1, 0.0, 2.0, 0.25)
"""The sum of the first two is 0, that of the first four small."""


def tensors(count: int) -> list[torch.Tensor]:
    """A base and models: eighths, whose sums are exact and often 0, then values that are rounded."""
    random = np.random.default_rng(count)
    values = random.integers(-4, 5, (count, *SHAPE)) / 8
    values[:, 4:] = random.standard_normal((count, 3, SHAPE[1]))
    found = torch.from_numpy(values).float()
    found[random.random((count, *SHAPE)) < 0.1] = -0.0
    return list(found)


def by_mergekit(
    method: str, inputs: list[torch.Tensor], weights: tuple[float, ...], **parameters: object
) -> torch.Tensor:
    base = None if method == "linear" else 0
    ids = range(len(inputs))
    given = {"weight": dict(zip(ids[base is not None :], weights)), **parameters}
    return merge_tensors(inputs, method, parameters=given, ids=ids, base_index=base)


def by_chunks(function, *inputs: list[torch.Tensor], **settings: object) -> torch.Tensor:
    """The chunks of all inputs through a function of ours."""
    flat = [[one.reshape(-1) for one in some] for some in inputs]
    parts = [
        function(*([one[begin : begin + CHUNK] for one in some] for some in flat), **settings)
        for begin in range(0, flat[0][0].numel(), CHUNK)
    ]
    return torch.cat(parts).view(SHAPE)


def assert_same_bits(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert torch.equal(found.view(torch.int32), wanted.view(torch.int32))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("factor", [1.0, -0.7])
def test_deltas(count: int, normalize: bool, factor: float) -> None:
    base, *models = tensors(count + 1)
    weights = WEIGHTS[:count]
    settings = {"normalize": normalize, "factor": factor}
    parameters = {"normalize": normalize, "lambda": factor}
    wanted = by_mergekit("task_arithmetic", [base, *models], weights, **parameters)
    plain = by_chunks(lambda b, m: arithmetic.task_arithmetic(b[0], m, weights, **settings), [base], models)
    assert_same_bits(plain, wanted)
    k = int(DENSITY * base.numel())
    kept = [torch.from_numpy(topk_mask_by_sort((one - base).abs().reshape(-1).numpy(), k)) for one in models]
    wanted = by_mergekit("ties", [base, *models], weights, density=DENSITY, **parameters)
    trimmed = by_chunks(lambda b, m, k: arithmetic.ties(b[0], m, k, weights, **settings), [base], models, kept)
    assert_same_bits(trimmed, wanted)
    wanted = by_mergekit("ties", [base, *models], weights, **parameters)
    whole = by_chunks(lambda b, m: arithmetic.ties(b[0], m, [None] * count, weights, **settings), [base], models)
    assert_same_bits(whole, wanted)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("normalize", [False, True])
def test_averages(count: int, normalize: bool) -> None:
    models, weights = tensors(count), WEIGHTS[3 : 3 + count] if count < 3 else WEIGHTS[:count]
    wanted = by_mergekit("linear", models, weights, normalize=normalize)
    assert_same_bits(by_chunks(lambda m: arithmetic.linear(m, weights, normalize=normalize), models), wanted)
