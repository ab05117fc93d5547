"""Settings of a build. Every setting that changes a row is here, in the manifest and in the card."""

import difflib
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmerge_hub.dataset.selection.tasks import categories, task
from agentmerge_hub.errors import UserError, schema_problem
from agentmerge_hub.fit import IMAGE_TOKENS, Window
from agentmerge_hub.licenses.model_licenses import license_of
from agentmerge_hub.prompt import Flags
from agentmerge_hub.prompt.flags import NOT_APPLIED, not_applied
from agentmerge_hub.traces.observation.screenshots import Screenshots, has_marks
from agentmerge_hub.traces.options import ReadOptions

Versions = Annotated[str, Field(pattern="^(both|cot|no_cot)$")]


class Settings(BaseModel):
    """Settings of one build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = 8192
    """Tokens of prompt and answer together."""
    answer: int = 1024
    """Tokens kept free for the answer; longer answers are dropped."""
    agents: tuple[str, ...] = ()
    """Names of the agents whose episodes are taken; empty for all."""
    min_reward: float = Field(1.0, allow_inf_nan=False)
    """Episodes below it are not successes."""
    unscored: bool = False
    """Take episodes of formats that record no outcome as successes."""
    flags: dict[str, Any] = Field(default_factory=dict)
    """Changes to prompt.Flags for prompts that are rendered from saved pages."""
    versions: Versions = "both"
    """Which versions of a step without a recorded prompt are rendered: with its thought, without it, or both."""
    rebuild_prompts: bool = False
    """Render every prompt from the saved page, also where a recorded one exists."""
    site_rule: bool = True
    """Drop episodes of single-site benchmarks (WorkArena, MiniWoB) that opened another site."""
    drop_failed_actions: bool = False
    """Drop steps whose action ended in an error."""
    keep_duplicates: int = Field(1, ge=1)
    """How many samples with the same prompt and answer are kept."""
    hold_out_tasks: tuple[str, ...] = ()
    """Tasks that go to cross_task beside those BrowserGym marks as test."""
    hold_out_categories: tuple[str, ...] = ()
    validation_tasks: tuple[str, ...] = ()
    """Tasks that go to the split validation and to no other, also where BrowserGym marks them as test."""
    benchmark_split: bool = True
    """Whether tasks that BrowserGym marks as test go to cross_task."""
    inter_seeds: tuple[tuple[int, int], ...] = ()
    """Seed ranges, ends included, that go to inter_task; empty for a share of the seeds."""
    inter_share: float = Field(0.1, ge=0, lt=1)
    """Share of (task, seed) that goes to inter_task where no ranges are given."""
    seed: int = 0
    """Random seed of every draw."""
    screenshots: Screenshots = "off"
    """Which screenshots are shown in the prompts and written as the column `image`."""
    image_tokens: int = Field(IMAGE_TOKENS, ge=0)
    """Tokens of the window kept free for a screenshot."""
    keep_html: bool = False
    """Keep the pages' HTML in the config `episodes`. HTML is ten times the size of the tree."""
    licenses: dict[str, str] = Field(default_factory=dict)
    """Teacher → license, for models that licenses.model_licenses does not know."""
    allow: dict[str, str] = Field(default_factory=dict)
    """What redaction keeps, a kind or a text → the reason."""
    failures: bool = False
    """Also write the samples of unsuccessful episodes, as a config of their own."""

    preferences: bool = False
    """Also write preference pairs and labeled answers, as the configs `preferences` and `unpaired`."""
    exclude_pairs: tuple[str, ...] = ()
    """Ids of preference pairs to leave out, as `agentmerge check-pairs` found them."""

    def license_of(self, teacher: str) -> str:
        """The license of a teacher's answers."""
        return self.licenses.get(teacher) or license_of(teacher)

    def for_partial_tables(self) -> dict[str, Any]:
        """The settings that affect partial tables; the others affect only their assembly."""
        return self.model_dump(mode="json", exclude=_ASSEMBLY_SETTINGS)

    def student_window(self) -> Window:
        return Window(self.window, self.answer, self.image_tokens if self.has_screenshots else 0)

    @property
    def has_screenshots(self) -> bool:
        """Whether every sample has a screenshot."""
        return self.screenshots != "off"

    def published(self) -> dict[str, Any]:
        """The settings for manifest and card, without those of screenshots and of unscored episodes where there are none."""
        unused = {"screenshots": not self.has_screenshots, "image_tokens": not self.has_screenshots}
        unused["unscored"] = not self.unscored
        return self.model_dump(mode="json", exclude={name for name, left_out in unused.items() if left_out})

    @property
    def read_options(self) -> ReadOptions:
        """What is read of the traces."""
        page_flags = self.rendering_flags({}, thinking=False).page_flags
        return ReadOptions(self.screenshots, page_flags, self.rebuild_prompts)

    def screenshot_flags(self, recorded: dict[str, Any]) -> dict[str, bool]:
        """Flags of the prompts of an episode that was recorded with other flags."""
        marks = has_marks(self.screenshots, recorded)
        return {"use_screenshot": True, "use_som": marks} if self.has_screenshots else {}

    def rendering_flags(self, defaults: dict[str, Any], *, thinking: bool) -> Flags:
        """Flags of a rendered prompt: the episode's defaults with the changes of these settings. The flags with and without
        chain of thought differ in nothing else."""
        base = defaults | self.flags
        if not thinking:
            base |= {"use_think_history": False}
        return Flags(**base | {"use_thinking": thinking})


TASK_SETTINGS = ("hold_out_tasks", "validation_tasks")
"""Settings that name tasks."""

_ASSEMBLY_SETTINGS = {
    "exclude_pairs", "keep_duplicates", "hold_out_tasks", "hold_out_categories", "validation_tasks", "benchmark_split", "inter_seeds",
    "inter_share", "seed",
}  # fmt: skip


_OPTIONS = {
    "agents": "--agent", "flags": "--flag", "hold_out_tasks": "--hold-out-task", "hold_out_categories": "--hold-out-category",
    "validation_tasks": "--validation-task", "licenses": "--license",
}  # fmt: skip
"""Settings whose option of `agentmerge build` is not called as they are."""


def option_of(setting: str) -> str:
    """The option of `agentmerge build` that sets it, e.g. ``--inter-share``."""
    return _OPTIONS.get(setting, "--" + setting.replace("_", "-"))


def read_settings(**values: Any) -> Settings:
    """Settings from a command line.

    Raises:
        UserError: one sentence for the first value that is wrong; it names the option.
    """
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise UserError(_option_problem(error)) from None
    try:
        settings.student_window()
    except UserError as error:
        raise UserError(f"--window and --answer: {error}") from None
    _check_options(settings)
    for name in settings.flags:
        if name in NOT_APPLIED:
            raise UserError(f"--flag {name}: {not_applied(name)}")
        if name not in Flags.model_fields:
            similar = difflib.get_close_matches(name, Flags.model_fields, 3) or sorted(Flags.model_fields)
            raise UserError(f"--flag {name}: rendered prompts have no such flag: use one of {', '.join(similar)}")
    try:
        settings.rendering_flags({}, thinking=True)
    except ValidationError as error:
        raise UserError(f"--flag {schema_problem(error, 'NAME=VALUE')}") from None
    return settings


def _option_problem(error: ValidationError) -> str:
    """The option, the value and the message of pydantic's first error."""
    first = error.errors()[0]
    name = option_of(str(first["loc"][0])) if first["loc"] else "settings"
    return f"{name} {first['input']}: {first['msg'].removeprefix('Value error, ')}"


def _check_options(settings: Settings) -> None:
    """Refuse unknown held-out names, which would silently hold out nothing, and options that exclude each other. Names of
    other benchmarks are compared with the traces, see `check_names`."""
    for key in TASK_SETTINGS:
        for name in getattr(settings, key):
            if name.split(".")[0] in ("miniwob", "workarena") and not task(name).split:
                raise UserError(
                    f"{option_of(key)} {name}: BrowserGym has no such task; a name is e.g. workarena.servicenow.order-ipad-pro"
                )
    for name in set(settings.hold_out_tasks) & set(settings.validation_tasks):
        raise UserError(f"{name} is in --hold-out-task and --validation-task: a task has one split, remove it from one")
    if settings.preferences and settings.has_screenshots:
        raise UserError("--preferences: preference pairs have no screenshots: build them without --screenshots")
    if chosen := [name for name in ("use_screenshot", "use_som") if name in settings.flags]:
        raise UserError(f"--flag {chosen[0]}: it follows --screenshots: use --screenshots shown, plain or som")
    for name in settings.hold_out_categories:
        if name not in categories():
            raise UserError(
                f"--hold-out-category {name}: there is no such category: use one of {', '.join(sorted(categories()))}"
            )


def check_names(settings: Settings, tasks: Collection[str], agents: Collection[str], teachers: Collection[str]) -> None:
    """Compare the names in the settings with those of the traces.

    Args:
        tasks: of all episodes, also of those that are dropped.
        agents: of all episodes.
        teachers: of all episodes.

    Raises:
        UserError: for an agent or teacher that no episode is of, or a task that no episode is of and BrowserGym does not know
            either.
    """
    named = [("agents", name, "agent", agents) for name in settings.agents]
    named += [("licenses", name, "teacher", teachers) for name in settings.licenses]
    named += [
        (key, name, "task", tasks) for key in TASK_SETTINGS for name in getattr(settings, key) if not task(name).split
    ]
    for key, name, kind, known in named:
        if name not in known:
            some = difflib.get_close_matches(name, known, 3, 0.4) or sorted(filter(None, known))[:3]
            theirs = f"their {kind}s are e.g. {', '.join(some)}" if some else f"they name no {kind}"
            raise UserError(f"{option_of(key)} {name}: no episode of the traces is of this {kind}; {theirs}")
