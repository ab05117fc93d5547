"""Fine-tune a model on the rows `agentmerge build` wrote.

accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/sft/tiny/base-all.yaml [--key value …]

Keys are TRL's SFTConfig, ModelConfig and ScriptArguments, and those of agentmerge_hub.training.arguments. The same
command goes on where an interrupted run stopped; --preflight only checks the rows and prints the plan.
"""

import sys

from agentmerge_hub.errors import UserError, require


def main() -> None:
    require("train", "torch", "trl", "accelerate", "datasets", "peft")
    from agentmerge_hub.training import arguments, finetune

    finetune.run(arguments.read())


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"Error: {error}")
