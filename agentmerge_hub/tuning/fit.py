"""Fits λ by gradient, beside a grid of constant λ, and records both on the fitted and on the held-out rows."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from tqdm import tqdm

from agentmerge_hub.tuning.objective import Objective, RowSet, Score

Item = TypeVar("Item")

_EVALUATIONS = 4
"""Points of the curve after its first."""

_DECIMALS = 4
"""Of a learned λ in the spec; the scores are those of the rounded values."""


@dataclass(frozen=True)
class Point:
    """The objective at one λ, or after one step."""

    fit: Score
    held_out: Score
    constant: float | None = None
    """λ of the grid."""
    step: int | None = None


@dataclass(frozen=True)
class Fit:
    """A learned λ."""

    values: tuple[float, ...]
    """One a group, rounded as the spec has them."""
    grid: tuple[Point, ...]
    """Constant λ."""
    curve: tuple[Point, ...]
    """From the first step to the last, which has `values`."""

    @property
    def start(self) -> Point:
        """The constant λ that fits best, where the fit starts."""
        return min(self.grid, key=lambda point: point.fit.objective)

    @property
    def best_constant(self) -> Point:
        """The constant λ that is best held-out: the baseline, chosen in its own favor."""
        return min(self.grid, key=lambda point: point.held_out.objective)

    @property
    def learned(self) -> Point:
        return self.curve[-1]

    @property
    def is_better(self) -> bool:
        """Whether the learned λ is better held-out than every constant of the grid."""
        return self.learned.held_out.objective < self.best_constant.held_out.objective

    @property
    def best_step(self) -> Point:
        """The point of the curve that is best held-out."""
        return min(self.curve, key=lambda point: point.held_out.objective)


def fit(
    objective: Objective,
    groups: int,
    rows: RowSet,
    held_out: RowSet,
    *,
    grid: Sequence[float],
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> Fit:
    """Minimise the objective over λ = sigmoid(θ), one a group, with Adam, from the constant λ that fits best.

    Args:
        groups: number of λ.
        rows: to fit.
        held_out: never fitted, and no choice depends on them.
        grid: values of the constant λ.
        steps: of Adam.
        batch: rows of a step, expert answers and instructions each.
        learning_rate: of θ; it falls to 0 along a half cosine.
        seed: of the order of the rows.
    """
    device = objective.lambdas.values.device

    def point(values: torch.Tensor, constant: float | None = None, step: int | None = None) -> Point:
        return Point(objective.score(values, rows), objective.score(values, held_out), constant, step)

    constants = tuple(
        point(torch.full((groups,), value, device=device), constant=value)
        for value in tqdm(grid, desc="constant λ", leave=False, disable=None)
    )
    first = min(constants, key=lambda found: found.fit.objective)
    start = min(max(first.constant or 0.0, 0.02), 0.98)  # sigmoid reaches neither 0 nor 1
    theta = torch.full((groups,), math.log(start / (1 - start)), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    rng = random.Random(seed)
    answers, instructions = _Drawn(rows.answers, rng), _Drawn(rows.instructions, rng)
    every = max(1, steps // _EVALUATIONS)
    curve = [point(theta.detach().sigmoid(), step=0)]
    for step in tqdm(range(1, steps + 1), desc="learn λ", leave=False, disable=None):
        optimizer.zero_grad()
        objective.backward(theta.sigmoid(), RowSet(answers.take(batch), instructions.take(batch)))
        optimizer.step()
        schedule.step()
        if step % every == 0 and step <= steps - every:
            curve.append(point(theta.detach().sigmoid(), step=step))
    values = [round(float(value), _DECIMALS) for value in theta.detach().sigmoid()]
    curve.append(point(torch.tensor(values, device=device), step=steps))
    return Fit(tuple(values), constants, tuple(curve))


class _Drawn(Generic[Item]):
    """Items in a random order, over and over."""

    def __init__(self, items: Sequence[Item], rng: random.Random) -> None:
        self._items, self._rng = list(items), rng
        self._left: list[Item] = []

    def take(self, count: int) -> list[Item]:
        """The next items, as many as there are at most."""
        found: list[Item] = []
        while self._items and len(found) < min(count, len(self._items)):
            if not self._left:
                self._left = list(self._items)
                self._rng.shuffle(self._left)
            found.append(self._left.pop())
        return found
