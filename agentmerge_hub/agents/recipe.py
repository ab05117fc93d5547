"""A study's recipe: who acts, on which tasks and seeds, with what flags. YAML in, checked values out."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import ADVANCED, BASIC, Flags


def _seeds(value: Any) -> Any:
    """``0-24`` is 0, 1 … 24; lists and the word ``default`` stay."""
    if isinstance(value, str) and value != "default":
        first, dash, last = value.partition("-")
        return list(range(int(first), int(last) + 1)) if dash else [int(first)]
    return [value] if isinstance(value, int) else value


def _flags(value: Any) -> Any:
    """``preset: advanced`` or ``basic`` fills in what is not named."""
    if isinstance(value, dict) and "preset" in value:
        presets = {"advanced": ADVANCED, "basic": BASIC}
        if value["preset"] not in presets:
            raise ValueError(f"no preset {value['preset']!r}: use advanced or basic")
        return presets[value["preset"]].model_dump() | {k: v for k, v in value.items() if k != "preset"}
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Strict):
    """Who answers: the scripted expert, a model folder, or a model that an endpoint serves."""

    name: str = Field(description="In agent names and tables.")
    method: str = Field(
        "", description="How the model came about: instruct, instruct-fine-tuned, model-soup, agentmerge …"
    )
    path: str = Field("", description="Model folder to serve; with wildcards, every folder that matches: runs/base-*.")
    model: str = Field("", description="Name at the recipe's endpoint, where there is no folder.")
    revision: str = Field("", description="Revision of a served model, for the record.")
    scripted: bool = Field(False, description="The scripted expert, for MiniWoB.")
    tokenizer: str = Field("", description="Folder or Hub id; the model's own by default.")

    @model_validator(mode="after")
    def _one_source(self) -> "Candidate":
        if sum(map(bool, (self.path, self.model, self.scripted))) != 1:
            raise ValueError(f"candidate {self.name!r} needs exactly one of path, model, scripted")
        return self


class AgentConfig(_Strict):
    """How it is asked."""

    name: str = Field(description="In agent names and tables.")
    flags: Annotated[Flags, BeforeValidator(_flags)] | None = Field(None, description="For the agents of this package.")
    generic: str = Field("", description="A preset of AgentLab's own GenericAgent instead, e.g. FLAGS_LLAMA3_70B.")

    @model_validator(mode="after")
    def _one_way(self) -> "AgentConfig":
        if (self.flags is None) == (not self.generic):
            raise ValueError(f"agent {self.name!r} needs flags, or generic, and not both")
        return self


class Group(_Strict):
    """Episodes: each task with each seed."""

    split: str = Field(description="In the results: train, inter_task or cross_task.")
    tasks: list[str] = Field([], description="Names with or without the benchmark's prefix; all of them if empty.")
    browsergym_split: Literal["train", "valid", "test", ""] = Field(
        "", description="Only tasks of this split of BrowserGym's."
    )
    seeds: Annotated[list[int] | Literal["default"], BeforeValidator(_seeds)] = Field(
        "default", description="``0-24``, a list, or ``default`` for those of the benchmark."
    )


class Recipe(_Strict):
    """A whole study."""

    name: str = Field(description="Of the study.")
    benchmark: str = Field("miniwob", description="A benchmark registered with BrowserGym, e.g. workarena_l1.")
    candidates: list[Candidate] = Field(min_length=1, description="Who answers.")
    agents: list[AgentConfig] = Field(min_length=1, description="How each is asked.")
    episodes: list[Group] = Field(min_length=1, description="Groups of tasks and seeds, for each candidate and agent.")
    window: int = Field(8192, description="Tokens of prompt and answer.")
    answer: int = Field(1024, description="Tokens kept for the answer.")
    temperature: float = Field(0.0, description="0 takes the likeliest token.")
    max_retry: int = Field(4, description="Times an answer that cannot be read is asked for again.")
    max_steps: int | None = Field(None, description="Steps an episode may take; the benchmark's by default.")
    endpoint: str = Field("", description="OpenAI-compatible base URL; model folders are served here if empty.")
    api_key_variable: str = Field("", description="Environment variable that holds the endpoint's key.")
    engine: Literal["auto", "vllm", "transformers", "llama.cpp"] = Field(
        "auto", description="What serves model folders; llama.cpp the GGUF file in each."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="What the served models compute in; auto is the engine's choice."
    )
    engine_arguments: list[Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(
        [],
        description="What the engine is started with besides, e.g. [--continuous-batching] or [--tensor-parallel-size, 8].",
    )
    jobs: int = Field(1, ge=1, description="Episodes at once.")
    backend: Literal["local", "ray"] = Field("local", description="Where they run: processes here, or Ray.")
    ray_address: str = Field("", description="A Ray cluster's address; its machines share the output folder.")
    max_hours: float | None = Field(None, gt=0, description="Budget: after so many hours no episode is begun.")
    max_tokens: int | None = Field(
        None, gt=0, description="Budget: tokens asked and answered, over all runs of the study."
    )
    step_seconds: float = Field(120, gt=0, description="A step that takes longer is given up as hung.")
    retries: int = Field(1, ge=0, description="Times a crashed episode is run again before it counts as crashed.")
    screenshots: bool = Field(False, description="Save screenshots; AgentXray shows them.")
    wait_after_action: float | None = Field(
        None,
        ge=0,
        description="Seconds a page gets after an action before it is observed; BrowserGym's default is 0.5.",
    )
    slow_mo: int | None = Field(
        None, ge=0, description="Milliseconds between two moves of the mouse or keys; MiniWoB's default is 100."
    )


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: if it is not there, is no YAML, or a value is wrong, or no folder matches; the sentence names the key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the recipe {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the recipe"
        raise UserError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    return recipe.model_copy(
        update={"candidates": [found for one in recipe.candidates for found in _matching(one, path)]}
    )


_WILD = re.compile(r"[*?[]")


def _matching(candidate: Candidate, recipe: Path) -> list[Candidate]:
    """A candidate for each model folder that its path matches, named after what the wildcards stand for."""
    if not _WILD.search(candidate.path):
        return [candidate]
    pattern = Path(candidate.path)
    folders = sorted(
        config.parent for config in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor) / "config.json"))
    )
    if not folders:
        raise UserError(f"{recipe}: no model folder matches {candidate.path}, the path of candidate {candidate.name!r}")
    wild = [place for place, part in enumerate(pattern.parts) if _WILD.search(part)]
    return [
        candidate.model_copy(
            update={"name": "-".join([candidate.name, *(folder.parts[place] for place in wild)]), "path": str(folder)}
        )
        for folder in folders
    ]
