"""Settings of `agentmerge tune`."""

from dataclasses import dataclass

from agentmerge_hub.errors import UserError
from agentmerge_hub.tuning.lambda_groups import By


@dataclass(frozen=True)
class TuneSettings:
    """How λ is learned."""

    by: By = "layer-and-block"
    """Which tensors share a λ."""
    config: str = "all"
    """Of the dataset: all, cot or no_cot."""
    split: str = "validation"
    instructions: str | None = None
    """File or dataset of general instructions; None takes generated requests (`generated_instructions`)."""
    keep_weight: float = 1.0
    """Weight of KL(instruct ‖ merged) on the instructions; with 0 nothing keeps the merge near the instruct model."""
    rows: int = 256
    """Expert answers at most, the held-out ones included; and as many instructions."""
    held_out: float = 0.25
    """Share of the tasks, or episodes, that is held out."""
    steps: int = 40
    batch: int = 8
    """Rows of a step."""
    learning_rate: float = 0.1
    """Of the logit of λ."""
    grid: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """Constant λ to compare with."""
    seed: int = 0
    device: str = "cpu"
    """``cpu`` computes in float32, ``cuda`` in bfloat16."""
    adapter_base: str | None = None
    chat_template_kwargs: str | None = None

    def check(self) -> None:
        """Raise UserError if a setting is out of its range, settings exclude each other, or the device is not here."""
        if not 0 <= self.keep_weight < float("inf"):
            raise UserError(f"--keep-weight {self.keep_weight}: it takes a number, 0 or more")
        if self.instructions is not None and not self.keep_weight:
            raise UserError("--instructions and --keep-weight 0 exclude each other: with 0 no instructions are used")
        if not 0 < self.held_out < 1:
            raise UserError(f"--held-out {self.held_out}: it takes a share between 0 and 1")
        for name, least in (("rows", 8), ("steps", 1), ("batch", 1), ("seed", 0)):
            if not least <= (value := getattr(self, name)) < 2**32:
                raise UserError(f"--{name} {value}: it takes a whole number from {least} to {2**32 - 1}")
        if not 0 < self.learning_rate < float("inf"):
            raise UserError(f"--learning-rate {self.learning_rate}: it takes a number above 0")
        if not self.grid or not all(0 <= value <= 1 for value in self.grid):
            raise UserError("--grid: it takes values of λ from 0 to 1, e.g. 0:1:0.1")
        if self.device != "cpu":
            import torch

            if not torch.cuda.is_available():
                raise UserError(f"device {self.device}: torch sees no GPU here, use cpu")
