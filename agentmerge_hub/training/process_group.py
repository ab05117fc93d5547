"""The processes of a distributed run."""

import os

from accelerate import PartialState


def is_sharded() -> bool:
    """Whether each process holds a part of the weights (FSDP, DeepSpeed), as `accelerate launch` sets it in the environment."""
    return any(os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true" for name in ("FSDP", "DEEPSPEED"))


def leave() -> None:
    """Leave the group, as the last thing a process does: threads of gloo that outlive the interpreter abort it."""
    PartialState().destroy_process_group()
