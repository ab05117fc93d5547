"""Fits λ by gradient, beside a grid of constant λ, and records both on the fitted and on the held-out rows."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from tqdm import tqdm

from agentmerge_hub.errors import UserError
from agentmerge_hub.tuning.fit_state import FitStateFile, Point
from agentmerge_hub.tuning.objective import Objective, RowSet

Item = TypeVar("Item")

_EVALUATIONS = 4
"""Points of the curve after its first."""

_DECIMALS = 4
"""Of a learned λ in the spec; the scores are those of the rounded values."""


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
    state_file: FitStateFile,
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
        state_file: of this run; what it holds is not computed again, and it is written after each part.
        grid: values of the constant λ.
        steps: of Adam.
        batch: rows of a step, expert answers and instructions each.
        learning_rate: of θ; it falls to 0 along a half cosine.
        seed: of the order of the rows.

    Raises:
        UserError: if the objective is not finite.
    """
    device = objective.lambdas.values.device
    state = state_file.read()

    def point(values: torch.Tensor, constant: float | None = None, step: int | None = None) -> Point:
        found = Point(objective.score(values, rows), objective.score(values, held_out), constant, step)
        if wrong := next((one for one in (found.fit, found.held_out) if not math.isfinite(one.objective)), None):
            place = f"step {step}" if constant is None else f"λ = {constant:g}"
            raise UserError(
                f"the objective at {place} is not finite (nll {wrong.nll:g}, kl {wrong.kl:g}): a model's values, or those of the merge, "
                "are too large to answer"
            )
        return found

    for value in tqdm(grid[len(state.grid) :], desc="constant λ", leave=False, disable=None):
        state.grid.append(point(torch.full((groups,), value, device=device), constant=value))
        state_file.write(state)
    if not state.theta:
        first = min(state.grid, key=lambda found: found.fit.objective)
        start = min(max(first.constant or 0.0, 0.02), 0.98)  # sigmoid reaches neither 0 nor 1
        state.theta = [math.log(start / (1 - start))] * groups
    theta = torch.tensor(state.theta, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=learning_rate)
    if state.step:
        moments = {"exp_avg": state.mean, "exp_avg_sq": state.square}
        optimizer.state[theta] = {name: torch.tensor(values, device=device) for name, values in moments.items()}
        optimizer.state[theta]["step"] = torch.tensor(float(state.step))
    rng = random.Random(seed)
    answers, instructions = _Drawn(rows.answers, rng), _Drawn(rows.instructions, rng)
    for _ in range(state.step):  # the rows that these steps took
        answers.take(batch), instructions.take(batch)
    every = max(1, steps // _EVALUATIONS)
    if not state.curve:
        state.curve.append(point(theta.detach().sigmoid(), step=0))
    for step in tqdm(range(state.step + 1, steps + 1), desc="learn λ", leave=False, disable=None):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        optimizer.zero_grad()
        objective.backward(theta.sigmoid(), RowSet(answers.take(batch), instructions.take(batch)))
        optimizer.step()
        if step % every == 0 and step <= steps - every:
            state.curve.append(point(theta.detach().sigmoid(), step=step))
        state.step, state.theta = step, theta.tolist()
        state.mean, state.square = (optimizer.state[theta][name].tolist() for name in ("exp_avg", "exp_avg_sq"))
        state_file.write(state)
    values = [round(float(value), _DECIMALS) for value in theta.detach().sigmoid()]
    last = point(torch.tensor(values, device=device), step=steps)
    return Fit(tuple(values), tuple(state.grid), (*state.curve, last))


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
