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
parse_args = arguments.parse_args


def parse_and_shard() -> arguments.RunConfig:
    config = parse_args()
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return config


arguments.parse_args = parse_and_shard


class Watch(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs) -> None:
        model = kwargs["model"]
        assert isinstance(model, FSDPModule)
        assert all(type(each).__name__ == "DTensor" for each in model.parameters())
        print(f"sharded step {state.global_step}", flush=True)


init = SFTTrainer.__init__


def init_watched(self: SFTTrainer, *arguments: object, callbacks: list, **options: object) -> None:
    init(self, *arguments, callbacks=[*callbacks, Watch()], **options)


SFTTrainer.__init__ = init_watched
runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "sft.py"), run_name="__main__")
assert not torch.distributed.is_initialized()
# Threads of gloo end with the last reference to their group.
threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert threads and not any("gloo" in name for name in threads), threads
