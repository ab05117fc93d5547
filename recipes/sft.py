"""Fine-tune a model on the rows that `agentmerge build` wrote.

accelerate launch -q --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/sft/tiny/base-all.yaml [--key value …]

Keys are those of TRL's SFTConfig, ModelConfig and ScriptArguments, and of agentmerge_hub.training.arguments. The same
command resumes an interrupted run; --preflight true only checks the rows and prints the plan. After a mistake accelerate
prints a traceback of its own below the error message; -q omits it.
"""

import json
import os
import sys
from pathlib import Path

from agentmerge_hub.errors import UserError, os_error_sentence, require


def main() -> None:
    require("train", "torch", "trl", "accelerate", "datasets", "peft")
    from agentmerge_hub.training import arguments, finetune, process_group

    finetune.run(arguments.parse_args())
    process_group.leave()


def exit_with(sentence: str) -> None:
    """Print the error once, and report it to torchrun, which repeats the first process's error at its end."""
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(report).write_text(json.dumps({"message": f"Error: {sentence}"}), encoding="utf-8")
    sys.exit(f"Error: {sentence}" if os.environ.get("RANK", "0") == "0" else 1)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        exit_with(str(error))
    except KeyboardInterrupt:
        exit_with("interrupted; the checkpoints are kept: run the same command again to continue")
    except OSError as error:
        if (sentence := os_error_sentence(error)) is None:
            raise
        exit_with(sentence)
