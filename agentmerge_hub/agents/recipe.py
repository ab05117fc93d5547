"""The recipe of a study: candidates, agent configs, tasks and seeds. Reads YAML, returns validated models."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from agentmerge_hub import strict_yaml
from agentmerge_hub.errors import UserError, schema_problem
from agentmerge_hub.fit import IMAGE_TOKENS, Window
from agentmerge_hub.prompt import ADVANCED, BASIC, Flags


def _seeds(value: Any) -> Any:
    """``0-24`` → 0, 1 … 24. Lists and ``default`` are unchanged."""
    if value == "default":
        return value
    seeds = [value] if isinstance(value, int) else value
    if isinstance(value, str) and (bounds := re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", value)):
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if first > last:
            raise ValueError(f"{value}: the first seed is larger than the last: write {last}-{first}")
        if last - first >= _MOST_SEEDS:
            raise ValueError(f"{value} are more than {_MOST_SEEDS:,} seeds")
        seeds = list(range(first, last + 1))
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
        raise ValueError(
            f"{value!r} is no range of seeds, such as 0-24, no list of whole numbers below 2**32, and not default"
        )
    if repeated := [seed for seed, number in Counter(seeds).items() if number > 1]:
        raise ValueError(f"seed {repeated[0]} is given twice, remove one")
    return seeds


_MOST_SEEDS = 1_000_000


def _name(value: str) -> str:
    """A name that a table can show and a folder's name can include."""
    if not value.strip() or len(value) > 100 or not value.isprintable():
        raise ValueError("a name has 1 to 100 characters on one line")
    return value


def _folder_name(value: str) -> str:
    if "/" in value or "\\" in value:
        raise ValueError(f"{value!r} has a slash, and a folder is named after the study: use a hyphen")
    return value


Name = Annotated[str, AfterValidator(_name)]


def _flags(value: Any) -> Any:
    """``preset: advanced`` or ``basic`` sets the flags that are not given."""
    if isinstance(value, dict) and "preset" in value:
        presets = {"advanced": ADVANCED, "basic": BASIC}
        if value["preset"] not in presets:
            raise ValueError(f"no preset {value['preset']!r}: use advanced or basic")
        # These stay unset, so that they follow the benchmark.
        preset = presets[value["preset"]].model_dump(exclude={"action_space", "use_tabs"})
        return preset | {k: v for k, v in value.items() if k != "preset"}
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Price(_Strict):
    """What a hosted model costs."""

    prompt: float = Field(0.0, ge=0, description="Dollars for a million prompt tokens.")
    completion: float = Field(0.0, ge=0, description="Dollars for a million completion tokens.")


class Candidate(_Strict):
    """What is evaluated or collects: the scripted expert, a model folder, or a model behind an endpoint."""

    name: Name = Field(description="Name in agent names and tables.")
    method: str = Field(
        "", description="How the model was made: instruct, instruct-fine-tuned, model-soup, agentmerge …"
    )
    path: str = Field("", description="Model folder to serve; with wildcards, every folder that matches: runs/base-*.")
    model: str = Field("", description="The model's name at the recipe's endpoint, for a model without a folder.")
    revision: str = Field("", description="Revision of a served model, for the record.")
    scripted: bool = Field(False, description="The scripted expert, for MiniWoB.")
    tokenizer: str = Field("", description="Folder or Hub id; the model's own by default.")
    chat_template_kwargs: dict[str, Any] = Field(
        {}, description="Variables of the chat template, in addition to the recipe's, e.g. {enable_thinking: false}."
    )
    learning_rate: float | None = Field(
        None, description="Learning rate of the training run; from the manifest of a folder."
    )
    samples_seen: int | None = Field(None, description="Training samples seen; from the manifest of a folder.")
    merge_lambda: float | None = Field(None, description="λ of the merge; from the manifest of a folder.")
    run_seed: int | None = Field(None, description="Seed of the training run; from the manifest of a folder.")
    price: Price | None = Field(None, description="Price of a hosted model, for `agentmerge watch`.")

    @model_validator(mode="after")
    def _one_source(self) -> "Candidate":
        if sum(map(bool, (self.path, self.model, self.scripted))) != 1:
            raise ValueError(f"candidate {self.name!r} needs exactly one of path, model, scripted")
        return self


class AgentConfig(_Strict):
    """How a candidate is prompted."""

    name: Name = Field(description="Name in agent names and tables.")
    flags: Annotated[Flags, BeforeValidator(_flags)] | None = Field(
        None, description="Prompt flags of this package's agents."
    )
    generic: str = Field("", description="A preset of AgentLab's own GenericAgent instead, e.g. FLAGS_LLAMA3_70B.")

    @model_validator(mode="after")
    def _flags_or_generic(self) -> "AgentConfig":
        if (self.flags is None) == (not self.generic):
            raise ValueError(f"agent {self.name!r} needs flags, or generic, and not both")
        return self

    @property
    def uses_screenshot(self) -> bool:
        """Whether the agent is shown screenshots."""
        return self.flags is not None and self.flags.use_screenshot


class Group(_Strict):
    """Episodes: each task with each seed."""

    split: str = Field(description="Split in the results: train, inter_task, cross_task or validation.")
    tasks: list[str] = Field([], description="Task names with or without the benchmark's prefix; all tasks if empty.")
    browsergym_split: Literal["train", "valid", "test", ""] = Field(
        "", description="Only tasks of this BrowserGym split."
    )
    seeds: Annotated[list[int] | Literal["default"], BeforeValidator(_seeds)] = Field(
        "default", description="``0-24``, a list, or ``default`` for the benchmark's own."
    )


class Recipe(_Strict):
    """A study."""

    name: Annotated[Name, AfterValidator(_folder_name)] = Field(description="Name of the study.")
    benchmark: str = Field("miniwob", description="A benchmark registered with BrowserGym, e.g. workarena_l1.")
    candidates: list[Candidate] = Field(min_length=1, description="The models, or the scripted expert.")
    agents: list[AgentConfig] = Field(min_length=1, description="Agent configs; each candidate runs with each.")
    episodes: list[Group] = Field(min_length=1, description="Groups of tasks and seeds, for each candidate and agent.")
    window: int = Field(8192, gt=0, description="Context window: tokens of prompt and answer.")
    answer: int = Field(1024, gt=0, description="Most tokens of an answer.")
    image_tokens: int = Field(
        IMAGE_TOKENS,
        ge=0,
        description="Tokens of the window reserved for a screenshot, for agents with use_screenshot.",
    )
    temperature: float = Field(0.0, ge=0, description="Sampling temperature; 0 is greedy.")
    chat_template_kwargs: dict[str, Any] = Field(
        {}, description="Variables of the chat template, sent with each request, e.g. {enable_thinking: false}."
    )
    max_retry: int = Field(4, ge=0, description="Most retries after an answer that cannot be parsed.")
    max_steps: int | None = Field(None, gt=0, description="Most steps of an episode; the benchmark's by default.")
    endpoint: str = Field(
        "", description="OpenAI-compatible base URL; if empty, model folders are served on this machine."
    )
    api_key_variable: str = Field("", description="Environment variable that holds the endpoint's key.")
    engine: Literal["auto", "vllm", "sglang", "transformers", "llama.cpp"] = Field(
        "auto", description="Engine that serves model folders; llama.cpp serves the GGUF file in each."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Data type the served models compute in; auto is the engine's choice."
    )
    engine_arguments: list[Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(
        [],
        description="More arguments for the engine, e.g. [--continuous-batching] or [--tensor-parallel-size, 8].",
    )
    jobs: int = Field(1, ge=1, description="Episodes at once.")
    backend: Literal["local", "ray", "cube"] = Field(
        "local",
        description="Where episodes run: BrowserGym in processes on this machine or on Ray, or the tasks of CUBE on this machine.",
    )
    ray_address: str = Field("", description="A Ray cluster's address; its machines share the output folder.")
    max_hours: float | None = Field(None, gt=0, description="Budget: no episode starts after so many hours.")
    max_tokens: int | None = Field(
        None, gt=0, description="Budget: prompt and completion tokens over all runs of the study."
    )
    step_seconds: float = Field(
        120, gt=0, description="Time limit of one request and of one action in the browser, in seconds."
    )
    retries: int = Field(1, ge=0, description="Times a crashed episode is run again before it counts as crashed.")
    screenshots: bool = Field(
        False,
        description="Save screenshots; AgentXray shows them. Those that an agent is shown (its flags use_screenshot and "
        "use_som) are always saved.",
    )
    wait_after_action: float | None = Field(
        None,
        ge=0,
        description="Seconds between an action and the next observation; BrowserGym's default is 0.5.",
    )
    slow_mo: int | None = Field(
        None, ge=0, description="Milliseconds between two mouse or keyboard events; MiniWoB's default is 100."
    )

    @model_validator(mode="after")
    def _leaves_tokens_for_a_prompt(self) -> "Recipe":
        Window(self.window, self.answer, self.image_tokens if any(a.uses_screenshot for a in self.agents) else 0)
        return self


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a recipe's file, not validated.

    Raises:
        UserError: if the file cannot be read or is not a YAML mapping.
    """
    try:
        content = strict_yaml.load(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the recipe {path} cannot be read: it is no text in UTF-8") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no recipe: it has no keys, such as candidates and agents")
    if not content.keys() & {"candidates", "agents", "episodes"}:
        kind = next((f", but {kind}" for key, kind in _OTHER_FILES.items() if key in content), "")
        raise UserError(f"{path} has no candidates, agents or episodes: it is no recipe of collect and evaluate{kind}")
    return content


_TRAINING = "one of training: run `accelerate launch` with recipes/sft.py or recipes/preference.py and it as --config"

_OTHER_FILES = {
    "model_name_or_path": _TRAINING,
    "dataset_name": _TRAINING,
    "learning_rate": _TRAINING,
    "merge_method": "a merge spec: run `agentmerge merge`",
    "grid": "a sweep of training runs: run `agentmerge recipes expand`",
}
"""A key that a recipe of a study does not have → the kind of file that has it, and the command that reads it."""


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: if the file cannot be read, is not YAML, has a wrong value, or if no folder matches; the message names the key.
    """
    content = read_mapping(path)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {schema_problem(error, 'the recipe', Recipe)}") from None
    candidates = [match for one in recipe.candidates for match in _matching(one, path)]
    for what, names in (("candidates", [c.name for c in candidates]), ("agents", [a.name for a in recipe.agents])):
        if repeated := [name for name, number in Counter(names).items() if number > 1]:
            raise UserError(f"{path}: {what}: the name {repeated[0]!r} is used twice: give each its own")
    return recipe.model_copy(update={"candidates": candidates})


_WILDCARD = re.compile(r"[*?[]")


def _matching(candidate: Candidate, recipe: Path) -> list[Candidate]:
    """A candidate for each model folder that matches its path; the matched parts are appended to its name."""
    if not _WILDCARD.search(candidate.path):
        return [candidate]
    pattern = Path(candidate.path)
    folders = sorted(
        config.parent for config in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor) / "config.json"))
    )
    if not folders:
        raise UserError(f"{recipe}: no model folder matches {candidate.path}, the path of candidate {candidate.name!r}")
    indices = [index for index, part in enumerate(pattern.parts) if _WILDCARD.search(part)]
    return [
        candidate.model_copy(
            update={
                "name": "-".join([candidate.name, *(folder.parts[index] for index in indices)]),
                "path": str(folder),
            }
        )
        for folder in folders
    ]
