"""Teach a fine-tuned or merged model to prefer expert answers, on what `agentmerge build --preferences` wrote: pairs (method dpo,
the default) or labeled answers (method kto).

accelerate launch -q --config_file recipes/accelerate/cpu.yaml recipes/preference.py --config recipes/preference/tiny/agent.yaml [--key value …]

Keys are those of TRL's DPOConfig or KTOConfig, ModelConfig and ScriptArguments, of agentmerge_hub.training.arguments and of
agentmerge_hub.training.preference.arguments. The same command resumes an interrupted run; --preflight true only checks the
rows and prints the plan.
"""

from sft import exit_with

from agentmerge_hub.errors import UserError, os_error_sentence, require


def main() -> None:
    require("train", "torch", "trl", "accelerate", "datasets", "peft")
    from agentmerge_hub.training import finetune, process_group
    from agentmerge_hub.training.preference.arguments import parse_preference_args
    from agentmerge_hub.training.preference.method import METHODS

    config = parse_preference_args()
    finetune.run(config, METHODS[config.sft.method])
    process_group.leave()


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
