"""Fine-tune a model on the rows `agentmerge build` wrote.

accelerate launch -q --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/sft/tiny/base-all.yaml [--key value …]

Keys are TRL's SFTConfig, ModelConfig and ScriptArguments, and those of agentmerge_hub.training.arguments. The same
command goes on where an interrupted run stopped; --preflight only checks the rows and prints the plan. After a mistake
accelerate shows a traceback of its own below the sentence that says what to mend; -q leaves it out.
"""

import json
import os
import sys
from pathlib import Path

from agentmerge_hub.errors import UserError, require


def main() -> None:
    require("train", "torch", "trl", "accelerate", "datasets", "peft")
    from agentmerge_hub.training import arguments, finetune

    finetune.run(arguments.read())


def refuse(error: UserError) -> None:
    """Say the mistake once, and to the launcher of several processes too, which ends by showing why the first one failed."""
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(report).write_text(json.dumps({"message": f"Error: {error}"}), encoding="utf-8")
    sys.exit(f"Error: {error}" if os.environ.get("RANK", "0") == "0" else 1)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        refuse(error)
