"""The settings of a fine-tuning run: TRL's options and this package's own, read from a recipe and the command line."""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import torch
from peft import PeftConfig
from trl import DPOConfig, KTOConfig, ModelConfig, ScriptArguments, SFTConfig, TrlParser, get_peft_config

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import strict_yaml
from agentmerge_hub.recipe_kinds import TRAINING, other_kind
from agentmerge_hub.training.preflight.cpu_features import has_fast_bfloat16


@dataclass
class RunArguments:
    """Options of a recipe that TRL does not have."""

    tokenizer_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Tokenizer and chat template, if they are not the model's: the instruct model's for a base."},
    )
    chat_template_kwargs: str | None = field(
        default=None,
        metadata={
            "help": "Settings of the chat template as a JSON object, e.g. '{\"enable_thinking\": false}': those that the dataset "
            "was built with. They are written into the template that is saved."
        },
    )
    checkpoint_samples: int | None = field(
        default=None,
        metadata={
            "help": "Training samples between two checkpoints, on any number of devices; 5120 if neither this nor "
            "save_strategy is set."
        },
    )
    early_stopping_patience: int = field(
        default=0,
        metadata={
            "help": "Stop after this many evaluations without a better metric (load_best_model_at_end); 0: never."
        },
    )
    freeze: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Regular expressions: parameters whose names match are not trained, e.g. embed_tokens (and a head "
            "tied to it)."
        },
    )
    instruct_rows: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Special tokens whose embedding and output rows are copied from the instruct model "
            "(tokenizer_name_or_path): those that the chat template uses and the base model was never trained on."
        },
    )
    padding_token: str | None = field(
        default=None, metadata={"help": "Padding token, if the tokenizer has none or pads with its end-of-turn token."}
    )
    likelihood_samples: int = field(
        default=0,
        metadata={"help": "Rows of each held-out split whose expert likelihood is written into every checkpoint."},
    )
    recomputed_layers: int | None = field(
        default=None,
        metadata={
            "help": "Decoder layers, from the lowest, whose activations are computed again in the backward pass "
            "(activation_checkpointing); those of the others are kept. All if not set; the preflight names the fewest that fit."
        },
    )
    text_only: bool = field(
        default=False, metadata={"help": "Use the texts of a dataset with screenshots without its screenshots."}
    )
    replay_dataset: str | None = field(
        default=None, metadata={"help": "Prompt/completion rows of general instructions to mix in, split train."}
    )
    replay_ratio: float = field(default=0.5, metadata={"help": "Replayed rows for each row of the dataset."})
    preflight: bool = field(default=False, metadata={"help": "Check the rows and print the plan; train nothing."})


@dataclass(frozen=True)
class RunConfig:
    """A run's settings. The fields that TRL leaves optional and a run cannot do without are set here."""

    model_name: str
    tokenizer_name: str
    dataset_name: str
    dataset_config: str | None
    output_dir: Path
    peft: PeftConfig | None
    """LoRA settings, None for full fine-tuning."""
    explicit: frozenset[str]
    """Names of the options that the recipe or the command line set."""
    script: ScriptArguments
    sft: SFTConfig
    """TRL's settings of the trainer; `preference.arguments.PairConfig` and `LabelConfig` have all of these fields too."""
    model: ModelConfig
    options: RunArguments

    @property
    def tokenizer_revision(self) -> str | None:
        """The model's revision, if the tokenizer is the model's."""
        return self.model.model_revision if self.tokenizer_name == self.model_name else None

    @property
    def is_planned_elsewhere(self) -> bool:
        """Whether a run on GPUs is planned on a machine without one."""
        return self.options.preflight and self.sft.use_cpu and "use_cpu" not in self.explicit

    @property
    def config_overrides(self) -> dict[str, Any]:
        """Keys of the model's configuration that `model_init_kwargs` sets, such as max_position_embeddings."""
        given = self.sft.model_init_kwargs
        return (
            {key: value for key, value in (given or {}).items() if key not in _LOADING}
            if isinstance(given, dict)
            else {}
        )


_LOADING = frozenset(
    {
        "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "max_memory", "offload_buffers", "offload_folder",
        "quantization_config", "revision", "torch_dtype", "use_kernels", "use_safetensors", "variant", "cache_dir",
        "local_files_only", "force_download", "token", "subfolder", "kernel_config", "tp_plan", "experts_implementation",
    }
)  # fmt: skip
"""`model_init_kwargs` that say how a model is loaded; the others change its configuration."""


def parse_args(args: Sequence[str] | None = None, trainer_config: type = SFTConfig) -> RunConfig:
    """Parse ``--config recipe.yaml --key value …`` (the process's own arguments if None).

    Args:
        args: the words of the command line.
        trainer_config: TRL's settings of the trainer.

    Raises:
        UserError: for a recipe that does not exist or is not a mapping, an unknown key, or a value of the wrong type.
    """
    kinds = (ScriptArguments, trainer_config, ModelConfig, RunArguments)
    parser = _Parser(kinds, allow_abbrev=False)  # type: ignore[arg-type] # TrlParser takes any iterable of dataclasses
    args = list(sys.argv[1:] if args is None else args)
    try:
        given = given_options(args)
        if not given.keys() & {"config", "model_name_or_path", "help"} and "-h" not in args:
            raise UserError(
                "no recipe is named: add --config FILE, e.g. --config recipes/sft/tiny/base-all.yaml; `agentmerge recipes ls` "
                "lists the recipes"
            )
        _check_script(given, kinds)
        if str(given.get("eval_steps")) in ("0", "0.0"):  # transformers would take logging_steps
            raise UserError("eval_steps is 0: set it to a number above 0, or remove it to evaluate every logging_steps")
        if _is_true(given.get("use_cpu")) and "bf16" not in given:  # TRL's default is bfloat16 everywhere
            args += ["--bf16", str(has_fast_bfloat16()).lower()]
        if _is_true(given.get("preflight")) and not _is_true(given.get("use_cpu")) and not torch.cuda.is_available():
            given.pop("use_cpu", None)
            args += ["--use_cpu", "true"]  # else transformers refuses bf16, which the run's GPU will have
        script, sft, model, options = parser.parse_args_and_config(args)
    except FileNotFoundError as error:
        raise UserError(f"no recipe at {error.filename}: `agentmerge recipes ls` lists the recipes") from error
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(_explain(error, kinds)) from error
    return _checked(script, sft, model, options, frozenset(given))


def given_options(args: Sequence[str]) -> dict[str, Any]:
    """The options that the recipe and, above it, the command line set; those of the command line as text."""
    given: dict[str, Any] = {}
    if "--config" in args:
        if args[-1] == "--config":
            raise UserError("--config needs a recipe: `agentmerge recipes ls` lists the recipes")
        path = args[args.index("--config") + 1]
        recipe = strict_yaml.load(Path(path).read_text(encoding="utf-8"), path)
        given = dict(recipe) if isinstance(recipe, dict) else {}
        _check_kind(given, path)
    for word, following in zip(args, [*args[1:], "true"]):
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            given[name.replace("-", "_")] = value or following
    return given


def _check_kind(recipe: Mapping[str, Any], path: str) -> None:
    """Raise UserError if a file with these keys is a recipe of another kind."""
    kind = other_kind(recipe, TRAINING)
    if kind and "model_name_or_path" not in recipe:
        raise UserError(f"{path} has no model_name_or_path: it is no recipe of training, but {kind}")


_OPTIONS = {
    "recipes/sft.py": {each.name for each in fields(SFTConfig)},
    "recipes/preference.py": {each.name for kind in (DPOConfig, KTOConfig) for each in fields(kind)} | {"method"},
}
"""Options of the trainers that a script runs."""


def _check_script(given: Mapping[str, Any], kinds: Sequence[type]) -> None:
    """Raise UserError if an option is one of the other script; `kinds` have the options of this one."""
    known = {each.name for kind in kinds for each in fields(kind)}
    script = "recipes/sft.py" if "method" in known else "recipes/preference.py"
    if option := next((name for name in given if name in _OPTIONS[script] - known), None):
        recipe = given.get("config", "this command line")
        raise UserError(
            f"{recipe} is for {script}, which has the option {option}: launch that script with it, or remove {option}"
        )


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes")


def _checked(
    script: ScriptArguments, sft: SFTConfig, model: ModelConfig, options: RunArguments, explicit: frozenset[str]
) -> RunConfig:
    if not model.model_name_or_path:
        raise UserError("model_name_or_path is not set: set it in the recipe or with --model_name_or_path")
    if not script.dataset_name:
        raise UserError("dataset_name is not set: set it in the recipe or with --dataset_name")
    if sft.output_dir is None or not Path(sft.output_dir).name:
        raise UserError("output_dir is not set: name the run's folder, e.g. runs/tiny-base-all")
    if options.checkpoint_samples is not None and options.checkpoint_samples < 1:
        raise UserError(f"checkpoint_samples is {options.checkpoint_samples}: set it to at least 1")
    target: Any = model.lora_target_modules
    if isinstance(target, str) and target.isidentifier():
        model.lora_target_modules = [target]  # TRL makes a text of one name, which PEFT would match with whole paths
    adapter = get_peft_config(model)
    if adapter:
        adapter.revision = model.model_revision  # of the base, as the adapter's own file names it
    return RunConfig(
        model_name=model.model_name_or_path,
        tokenizer_name=options.tokenizer_name_or_path or model.model_name_or_path,
        dataset_name=script.dataset_name,
        dataset_config=script.dataset_config,
        output_dir=Path(sft.output_dir),
        peft=adapter,
        explicit=explicit,
        script=script,
        sft=sft,
        model=model,
        options=options,
    )


_TRACKERS = {
    "azure_ml": "azureml", "clearml": "clearml", "codecarbon": "codecarbon", "comet_ml": "comet_ml", "dagshub": "dagshub",
    "dvclive": "dvclive", "flyte": "flytekit", "kubeflow": "kubeflow", "mlflow": "mlflow", "neptune": "neptune",
    "swanlab": "swanlab", "tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb",
}  # fmt: skip
"""`report_to` → the module that it needs."""


def check_packages(config: RunConfig) -> None:
    """Raise UserError if an option of the run needs a package that is not installed."""
    needed = {f"report_to {name}": _TRACKERS[name] for name in config.sft.report_to or () if name in _TRACKERS}
    if (config.model.load_in_4bit or config.model.load_in_8bit) and not config.is_planned_elsewhere:
        needed["load_in_4bit or load_in_8bit"] = "bitsandbytes"
    if config.sft.use_liger_kernel and not config.is_planned_elsewhere:
        needed["use_liger_kernel"] = "liger_kernel"
    for option, package in needed.items():
        if find_spec(package) is None:
            if package == "liger_kernel" and not torch.cuda.is_available():
                raise UserError("use_liger_kernel needs a GPU, and there is none here: set use_liger_kernel to false")
            raise UserError(f"{option} needs a package that is missing: pip install {package.replace('_', '-')}")


class _Parser(TrlParser):
    """TRL's parser, whose errors are exceptions instead of an exit."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: run with --help to see every option")


def _explain(error: Exception, kinds: Sequence[type]) -> str:
    """TRL's message; for an unknown option, its name and the closest known one."""
    text = " ".join(str(error).split())
    if "support bf16/gpu" in text:
        if torch.cuda.is_available():
            return "bf16 is set and this GPU does not have it: set bf16 to false"
        return "bf16 is set for a GPU, and there is none here: set use_cpu to true to train on the CPU, or preflight to true to plan"
    unknown = re.search(r"(?:not used by the HfArgumentParser|Unknown arguments from config file).*?--(\w+)", text)
    if not unknown:
        return text
    near = difflib.get_close_matches(unknown[1], [each.name for kind in kinds for each in fields(kind)], 1)
    return f"no option is called {unknown[1]!r}" + (f": did you mean {near[0]}?" if near else ": --help lists them")
