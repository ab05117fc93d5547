"""The processes of a distributed run."""

import gc
import os

from accelerate import PartialState
from torch.distributed.device_mesh import DeviceMesh


def is_sharded() -> bool:
    """Whether each process holds a part of the weights (FSDP, DeepSpeed), as `accelerate launch` sets it in the environment."""
    return any(os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true" for name in ("FSDP", "DEEPSPEED"))


def leave() -> None:
    """Leave the group, as the last thing a process does: threads of gloo that outlive the interpreter abort it.

    They end with the last reference to their group. A sharded model has some in cycles, and its meshes, which torch never
    takes out of the caches of its operations, have others.
    """
    gc.collect()
    for each in gc.get_objects():
        if type(each) is DeviceMesh:
            getattr(each, "_pg_registry", {}).clear()
    PartialState().destroy_process_group()
