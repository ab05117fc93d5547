"""The arithmetic of task_arithmetic, linear and ties on a chunk of values: float32 in, float32 out. No file is read here.

Each function does the same float32 operations in the same order as mergekit 0.1.5, so that results are equal to the bit
before rounding and therefore after it; tests/merging compares them with mergekit on random models.
"""

from collections.abc import Sequence

import torch

MOST_IN_ORDER = 4
"""Rows that torch's sum on a CPU adds in their order; more are added in another, which a GPU does not have."""

ALIGNMENT = 64
"""Chunks of a tensor begin at multiples of this: torch adds the rows of the last values of an array, which do not fill four vector
registers (of 16 values at most), in another order than those before."""


def task_arithmetic(
    base: torch.Tensor, models: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool, factor: float
) -> torch.Tensor:
    """base + factor · Σ wᵢ·(modelᵢ − base), the sum divided by Σ wᵢ if `normalize` (Ilharco et al., 2023).

    Args:
        base: n values.
        models: n values each.
        weights: one a model.
    """
    weight = torch.tensor(weights, dtype=torch.float32)
    mixed = _sum([torch.sub(model, base).mul_(one) for model, one in zip(models, weight)])
    if normalize:
        total = weight.sum()
        mixed /= total if total.abs() >= 1e-8 else 1
    if factor != 1:
        mixed *= factor
    return mixed.add_(base)


def linear(models: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool) -> torch.Tensor:
    """Σ wᵢ·modelᵢ, divided by Σ wᵢ if `normalize` (Wortsman et al., 2022)."""
    weight = torch.tensor(weights, dtype=torch.float32)
    result = torch.zeros_like(models[0])
    for model, coefficient in zip(models, weight):
        result.addcmul_(model, coefficient)
    if normalize:
        result.div_(weight.sum())
    return result


def ties(
    base: torch.Tensor,
    models: Sequence[torch.Tensor],
    kept: Sequence[torch.Tensor | None],
    weights: Sequence[float],
    *,
    normalize: bool,
    factor: float,
) -> torch.Tensor:
    """base + factor · Σ wᵢ·δᵢ over the deltas whose sign is that of Σ wᵢ·δᵢ, divided by their Σ wᵢ if `normalize`
    (Yadav et al., 2023).

    Args:
        base: n values.
        models: n values each; δᵢ is modelᵢ − base where it is kept, else 0.
        kept: uint8, n a model, 1 where a value is kept, else 0; None keeps all.
        weights: one a model.
    """
    # Factors of 0 and 1 in float32 stand for booleans, which torch's CPU kernels take five to twenty times as long for.
    deltas = torch.empty((len(models), *base.shape), dtype=torch.float32, device=base.device)
    for row, model, mask in zip(deltas, models, kept):
        torch.sub(model, base, out=row)
        if mask is not None:
            row.mul_(mask.float())
    weight = torch.tensor(weights, dtype=torch.float32).to(base.device)[:, None]
    deltas.mul_(weight)
    majority = torch.copysign(torch.ones_like(base), _sum(deltas))  # +1 where the sum is 0
    agrees = deltas.sign().mul_(majority).clamp_(min=0)
    mixed = _sum(deltas.mul_(agrees))
    if normalize:
        total = _sum(agrees.mul_(weight))
        total += 1 - total.sign().abs_()  # 0 becomes 1
        mixed /= total
    if factor != 1:
        mixed *= factor
    return base + mixed


def _sum(rows: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of rows, to the bit that of ``torch.sum(dim=0)`` on a CPU. Up to `MOST_IN_ORDER` rows torch adds one after the
    other to zero, also here, which takes a third of the time of its own sum, and gives the same bits on a GPU."""
    if len(rows) > MOST_IN_ORDER:
        return (rows if isinstance(rows, torch.Tensor) else torch.stack(tuple(rows))).sum(dim=0)
    total = rows[0] + 0.0  # −0 becomes 0
    for row in rows[1:]:
        total += row
    return total
