"""The recipe of a study: candidates, agent configs, tasks and seeds. Reads YAML, returns validated models."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from agentmerge_hub.agents.recipes.file import read_mapping
from agentmerge_hub.agents.recipes.values import Name, check_folder_name, parse_flags, parse_seeds
from agentmerge_hub.errors import UserError, schema_problem
from agentmerge_hub.files.folder_kinds import is_model
from agentmerge_hub.fit import IMAGE_TOKENS, Window
from agentmerge_hub.prompt import Flags


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
    flags: Annotated[Flags, BeforeValidator(parse_flags)] | None = Field(
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
    seeds: Annotated[list[int] | Literal["default"], BeforeValidator(parse_seeds)] = Field(
        "default", description="``0-24``, a list, or ``default`` for the benchmark's own."
    )


class Recipe(_Strict):
    """A study."""

    name: Annotated[Name, AfterValidator(check_folder_name)] = Field(description="Name of the study.")
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
    max_retry: int = Field(
        4,
        ge=0,
        description="Most retries after an answer that cannot be parsed; for `generic` the most answers, as AgentLab counts.",
    )
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
    """A candidate for each folder of a model or adapter that matches its path; the matched parts are appended to its name. As in
    a shell, a wildcard matches no hidden folder: one that is being written is hidden."""
    if not _WILDCARD.search(candidate.path):
        return [candidate]
    pattern = Path(candidate.path)
    if "**" in pattern.parts:
        raise UserError(f"{recipe}: candidate {candidate.name!r}: its path has **, write a * for each level of folders")
    folders = [
        folder
        for folder in sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
        if is_model(folder)
        and not any(part.startswith(".") and _WILDCARD.match(like) for part, like in zip(folder.parts, pattern.parts))
    ]
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
