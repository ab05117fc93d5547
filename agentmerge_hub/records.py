"""The types that packages exchange, and the Arrow schemas of what is written to disk.

Traces are read into Episodes; episodes become Samples (rows a trainer takes as they are); evaluation gives one
result row per episode. Nothing here reads or writes a file.
"""

from dataclasses import dataclass, field
from typing import TypedDict

import pyarrow as pa

SCHEMA_VERSION = "1.0.0"
"""Version of the schemas below; a published dataset is tagged ``v`` + this."""


class Message(TypedDict):
    """One chat turn, as chat templates take it."""

    role: str
    content: str


@dataclass(frozen=True)
class Observation:
    """One page as the agent was shown it. An empty string means that the value was not recorded; white space alone becomes one."""

    goal: str
    axtree: str = ""
    html: str = ""
    focused_bid: str | None = None
    """Bid of the focused element; empty where none was focused, None where it was not recorded."""
    last_action: str = ""
    last_action_error: str = ""
    url: str = ""
    title: str = ""
    tabs: str = ""
    """The open tabs as AgentLab's prompt lists them; empty where fewer than two were recorded."""
    axtree_flags: str = ""
    """The `prompt.PageFlags`, as JSON, that the tree was printed with from what the trace holds of it; empty where it is the text that
    the trace holds."""
    screenshot: bytes = b""
    """A PNG file of the page; empty where none was recorded or none was asked for."""

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, str) and value.isspace():
                object.__setattr__(self, name, "")  # as dataclasses set the fields of a frozen class


@dataclass(frozen=True)
class Step:
    """One decision: the page before it, the answer, and the executed action."""

    index: int
    observation: Observation
    answer: str
    """The model's final valid answer, word for word; empty if none was recorded."""
    action: str | None
    """The executed call or calls, one a line; None where BrowserGym finds none or the episode had ended."""
    thought: str | None = None
    messages: tuple[Message, ...] = ()
    """The prompt as recorded (system and user turns only); empty if the trace holds observations alone."""
    prompt_has_screenshot: bool = False
    """Whether the observation's screenshot was the beginning of the first user turn of the recorded prompt."""
    no_screenshot: str = ""
    """Why the step has no screenshot, if one was asked for."""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    executed: str = ""
    """What the agent gave to the environment, word for word, also where `action` is None."""
    parse_retries: int = 0
    refused_answers: tuple[str, ...] = ()
    """Answers that could not be read, before the final one, word for word."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    agent_seconds: float = 0.0


@dataclass(frozen=True)
class Episode:
    """One run of one agent on one (task, seed). `steps` holds decisions only, not the terminal observation."""

    episode_id: str
    """Stable hash of what was read: the same trace has the same id on every machine."""
    source: str
    """Folder of the trace, relative to the root that was read."""
    benchmark: str
    task: str
    seed: int
    agent: str
    teacher: str
    """Model that answered, e.g. ``meta-llama/Llama-3.1-70B-Instruct``; ``scripted`` for a programmed expert."""
    reward: float
    terminated: bool
    truncated: bool
    error: str
    """First line of the crash message, empty if the run ended by itself."""
    complete: bool
    """False where the run left no summary, so that its reward is unknown."""
    scored: bool = True
    """False where the format has no place for an outcome: reward and end are unknown, whatever their fields say."""
    flags: dict = field(default_factory=dict)
    action_space: str = ""
    """Name of the action space, or of BrowserGym's subsets joined by ``+``."""
    date: str = ""
    steps: tuple[Step, ...] = ()
    final_urls: tuple[str, ...] = ()
    """Pages open when the run ended."""
    image_goal: bool = False
    """Whether the goal has images, which no prompt here shows."""
    unmapped: tuple[str, ...] = ()
    """What the recording holds and no field here keeps, e.g. ``screenshots``."""


@dataclass(frozen=True)
class Sample:
    """One training row: a fitted prompt, the expert's answer, and flat metadata. Field order is the schema's."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    sample_id: str
    episode_id: str
    benchmark: str
    task: str
    category: str
    seed: int
    step: int
    n_steps: int
    agent: str
    teacher: str
    license: str
    cot: bool
    action: str
    reward: float | None
    """None where the format records no outcome."""
    n_prompt_tokens: int
    n_completion_tokens: int
    axtree_lines_cut: int
    html_lines_cut: int
    escaped_control_tokens: int = 0
    screenshot: bytes = b""
    """The PNG file that is shown before the text of the user turn; a column `image` of datasets with screenshots only."""


CHAT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

SAMPLE_SCHEMA = pa.schema(
    [
        ("prompt", CHAT),
        ("completion", CHAT),
        ("sample_id", pa.string()),
        ("episode_id", pa.string()),
        ("benchmark", pa.string()),
        ("task", pa.string()),
        ("category", pa.string()),
        ("seed", pa.int64()),
        ("step", pa.int32()),
        ("n_steps", pa.int32()),
        ("agent", pa.string()),
        ("teacher", pa.string()),
        ("license", pa.string()),
        ("cot", pa.bool_()),
        ("action", pa.string()),
        ("reward", pa.float32()),
        ("n_prompt_tokens", pa.int32()),
        ("n_completion_tokens", pa.int32()),
        ("axtree_lines_cut", pa.int32()),
        ("html_lines_cut", pa.int32()),
        ("escaped_control_tokens", pa.int32()),
    ]
)
"""Rows of the configs ``all``, ``cot``, ``no_cot`` and ``failures``: prompt/completion chat rows for TRL. No column is
named messages, text, labels or input_ids, which would change what a trainer takes the row for."""

PREFERENCE_SCHEMA = pa.schema(
    [
        ("prompt", CHAT),
        ("chosen", CHAT),
        ("rejected", CHAT),
        ("pair_id", pa.string()),
        ("origin", pa.string()),
        *(field for field in SAMPLE_SCHEMA if field.name not in ("prompt", "completion", "n_completion_tokens")),
        ("rejected_action", pa.string()),
        ("n_chosen_tokens", pa.int32()),
        ("n_rejected_tokens", pa.int32()),
    ]
)
"""Rows of the config ``preferences``: TRL's columns for DPO, where the rejected answer comes from (`origin`), and the
metadata of the sample whose answer is chosen."""

UNPAIRED_SCHEMA = pa.schema(
    [
        ("prompt", CHAT),
        ("completion", CHAT),
        ("label", pa.bool_()),
        ("origin", pa.string()),
        *(field for field in SAMPLE_SCHEMA if field.name not in ("prompt", "completion")),
    ]
)
"""Rows of the config ``unpaired``: TRL's columns for KTO, where the answer comes from (`origin`), and metadata. `label` is
true for an answer of a successful episode."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A picture as `datasets.Image` stores it. Datasets with screenshots have a column ``image`` of it, which TRL's trainers put
before the text of the first user turn."""

LEDGER_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("episode_id", pa.string()),
        ("step", pa.int32()),
        ("rule", pa.string()),
        ("detail", pa.string()),
    ]
)
"""One row for each file, episode (step null) or sample that did not become a row, with the rule that dropped it."""

RESULT_SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("task", pa.string()),
        ("category", pa.string()),
        ("seed", pa.int64()),
        ("split", pa.string()),
        ("method", pa.string()),
        ("model", pa.string()),
        ("weights_hash", pa.string()),
        ("endpoint_model", pa.string()),
        ("answered_as", pa.string()),
        ("engine", pa.string()),
        ("number_format", pa.string()),
        ("learning_rate", pa.float64()),
        ("samples_seen", pa.int64()),
        ("merge_lambda", pa.float64()),
        ("run_seed", pa.int64()),
        ("merged_runs", pa.string()),
        ("agent", pa.string()),
        ("flags", pa.string()),
        ("status", pa.string()),
        ("reward", pa.float64()),
        ("success", pa.bool_()),
        ("steps", pa.int32()),
        ("error_class", pa.string()),
        ("truncated", pa.bool_()),
        ("answers", pa.int32()),
        ("think_answers", pa.int32()),
        ("parse_retries", pa.int32()),
        ("copied_example_actions", pa.int32()),
        ("copied_example_off_page", pa.int32()),
        ("copied_example_first_step", pa.bool_()),
        ("invalid_bid_actions", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("trace", pa.string()),
    ]
)
"""Evaluation: one row for each planned episode. `status` is ``done``, ``crashed`` or ``missing``; reward and
success are null unless done, so that nothing missing can be averaged as a zero by accident. `merged_runs` are the hashes of the
training runs that a model was merged from, joined by commas; `answered_as` are the names of the models in an endpoint's answers,
where they are not the one that was asked for."""

ENDPOINT = "endpoint"
"""In place of an engine: an address that the recipe gave, behind which anything can be served. The `weights_hash` of such an
episode is the declared revision, not a hash."""
