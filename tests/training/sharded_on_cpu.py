"""recipes/sft.py under FSDP2 with gloo processes: accelerate shards on GPUs only, torch itself anywhere.

Started by torchrun with the environment that `accelerate launch --config_file recipes/accelerate/fsdp.yaml` sets.
"""

import runpy
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback
from trl import SFTTrainer

from agentmerge_hub.training import arguments

torch.set_num_threads(1)
read = arguments.read


def read_and_shard() -> arguments.Run:
    run = read()
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return run


arguments.read = read_and_shard


class Watch(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs) -> None:
        model = kwargs["model"]
        assert isinstance(model, FSDPModule)
        assert all(type(each).__name__ == "DTensor" for each in model.parameters())
        print(f"sharded step {state.global_step}", flush=True)


begin = SFTTrainer.__init__


def begin_watched(self: SFTTrainer, *arguments: object, callbacks: list, **options: object) -> None:
    begin(self, *arguments, callbacks=[*callbacks, Watch()], **options)


SFTTrainer.__init__ = begin_watched
runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "sft.py"), run_name="__main__")
