"""What a run may set beside TRL's own options, and reading all of it from a recipe and the command line."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import yaml
from trl import ModelConfig, ScriptArguments, SFTConfig, TrlParser

from agentmerge_hub.errors import UserError


@dataclass
class RunArguments:
    """Options of a recipe that TRL does not know."""

    tokenizer_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Tokenizer and chat template, where they are not the model's: the instruct model's for a base."
        },
    )
    checkpoint_samples: int = field(
        default=5120, metadata={"help": "A checkpoint each time this many samples were seen, on any number of devices."}
    )
    freeze: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Parameters whose names match one of these regular expressions are not trained, e.g. embed_tokens "
            "(and a head tied to it)."
        },
    )
    instruct_rows: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Special tokens whose rows of the embedding and of the head begin as the instruct model's "
            "(tokenizer_name_or_path): those that the chat template uses and the base model has never been trained on."
        },
    )
    padding_token: str | None = field(
        default=None, metadata={"help": "Token that pads, where the tokenizer has none or pads with its end of turn."}
    )
    likelihood_samples: int = field(
        default=0,
        metadata={"help": "Rows of each held-out split whose expert likelihood is written into every checkpoint."},
    )
    replay_dataset: str | None = field(
        default=None, metadata={"help": "Prompt/completion rows of general instructions to mix in, split train."}
    )
    replay_ratio: float = field(default=0.5, metadata={"help": "Replayed rows for each row of the dataset."})
    preflight: bool = field(default=False, metadata={"help": "Check the rows and print the plan; train nothing."})


@dataclass(frozen=True)
class Run:
    """Everything a run was asked to do."""

    data: ScriptArguments
    config: SFTConfig
    model: ModelConfig
    own: RunArguments


def read(arguments: Sequence[str] | None = None) -> Run:
    """Read ``--config recipe.yaml --key value …`` (the process's own arguments if None).

    Raises:
        UserError: for a recipe that is not there or not a mapping, an unknown key, or a value of the wrong kind.
    """
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, RunArguments), allow_abbrev=False)
    parser.error = _refuse
    try:
        data, config, model, own = parser.parse_args_and_config(arguments)
    except FileNotFoundError as error:
        raise UserError(f"no recipe at {error.filename}: `agentmerge recipes ls` shows those there are") from error
    except yaml.YAMLError as error:
        raise UserError(f"the recipe is not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError) as error:
        raise UserError(_said(error, parser)) from error
    for name, value in (("model_name_or_path", model.model_name_or_path), ("dataset_name", data.dataset_name)):
        if not value:
            raise UserError(f"{name} is not set: name it in the recipe or as --{name}")
    if config.output_dir is None or not Path(config.output_dir).name:
        raise UserError("output_dir is not set: name the run's folder, e.g. runs/tiny-base-all")
    if own.checkpoint_samples < 1:
        raise UserError(f"checkpoint_samples is {own.checkpoint_samples}: it must be at least 1")
    return Run(data, config, model, own)


_PACKAGES = {"trackio": "trackio", "wandb": "wandb", "tensorboard": "tensorboard"}


def check_packages(run: Run) -> None:
    """Raise UserError if the run asks for something whose package is missing."""
    wanted = {f"report_to {tracker}": _PACKAGES[tracker] for tracker in run.config.report_to if tracker in _PACKAGES}
    if run.model.load_in_4bit or run.model.load_in_8bit:
        wanted["load_in_4bit or load_in_8bit"] = "bitsandbytes"
    if run.config.use_liger_kernel:
        wanted["use_liger_kernel"] = "liger_kernel"
    for option, package in wanted.items():
        if find_spec(package) is None:
            raise UserError(f"{option} needs a package that is missing: pip install {package.replace('_', '-')}")


def _said(error: Exception, parser: TrlParser) -> str:
    """What TRL's parser found wrong; an option nobody knows is named, with the one that sounds most like it."""
    text = " ".join(str(error).split())
    unknown = re.search(r"(?:not used by the HfArgumentParser|Unknown arguments from config file).*?--(\w+)", text)
    if not unknown:
        return text
    options = [action.dest for action in parser._actions]
    near = difflib.get_close_matches(unknown[1], options, 1)
    return f"no option is called {unknown[1]!r}" + (f": did you mean {near[0]}?" if near else ": --help lists them")


def _refuse(message: str) -> None:
    raise UserError(f"{message}: run with --help to see every option")
