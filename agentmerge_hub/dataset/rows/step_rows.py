"""Rows of the config `episodes`: one per decision of an episode, with the untruncated page. Nothing is redacted here."""

import json
from dataclasses import asdict

import pyarrow as pa

from agentmerge_hub.dataset.rows.image_columns import image_value
from agentmerge_hub.dataset.selection.tasks import task
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.records import CHAT, Episode, Step
from agentmerge_hub.traces.observation.screenshots import has_marks

STEP_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("benchmark", pa.string()),
        ("task", pa.string()),
        ("category", pa.string()),
        ("seed", pa.int64()),
        ("agent", pa.string()),
        ("teacher", pa.string()),
        ("license", pa.string()),
        ("flags", pa.string()),
        ("action_space", pa.string()),
        ("date", pa.string()),
        ("reward", pa.float32()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("n_steps", pa.int32()),
        ("step", pa.int32()),
        ("goal", pa.string()),
        ("axtree", pa.string()),
        ("axtree_flags", pa.string()),
        ("html", pa.string()),
        ("focused_bid", pa.string()),
        ("last_action", pa.string()),
        ("last_action_error", pa.string()),
        ("url", pa.string()),
        ("title", pa.string()),
        ("tabs", pa.string()),
        ("thought", pa.string()),
        ("action", pa.string()),
        ("executed", pa.string()),
        ("answer", pa.string()),
        ("recorded_prompt", CHAT),
        ("parse_retries", pa.int32()),
        ("refused_answers", pa.list_(pa.string())),
        ("final_urls", pa.list_(pa.string())),
    ]
)
"""Rows of the config ``episodes``: one per decision, with the untrimmed page, to fit it to another window."""

MAX_ROW_BYTES = 1_900_000
"""The Hub's viewer shows rows below 2 MB: a longer step loses its HTML first, then its recorded prompt."""

STEP_KEYS = pa.schema([("source", pa.string()), ("n_bytes", pa.int64())])


def step_rows(episode: Episode, settings: Settings) -> list[dict]:
    """The rows of an episode, with the columns of STEP_SCHEMA and STEP_KEYS. Its HTML is what a prompt or --keep-html needs."""
    of_episode = {name: getattr(episode, name) for name in STEP_SCHEMA.names if hasattr(episode, name)} | {
        "category": task(episode.task).category,
        "license": settings.license_of(episode.teacher),
        "flags": json.dumps(episode.flags, sort_keys=True),
        "n_steps": len(episode.steps),
        "source": episode.source,
        "reward": episode.reward if episode.scored else None,
        "final_urls": list(episode.final_urls),
        "image_has_marks": has_marks(settings.screenshots, episode.flags),
    }
    rows = []
    for step in episode.steps:
        of_page = asdict(step.observation)
        screenshot = of_page.pop("screenshot")
        size = _size(of_page, step)
        if size > MAX_ROW_BYTES:
            size -= len(of_page["html"].encode())
            of_page["html"] = ""
        of_step = {
            "step": step.index,
            "thought": step.thought,
            "action": step.action,
            "executed": step.executed,
            "answer": step.answer,
            "recorded_prompt": list(step.messages) if size <= MAX_ROW_BYTES else [],
            "parse_retries": step.parse_retries,
            "refused_answers": list(step.refused_answers),
            "image": image_value(screenshot),
            "prompt_has_screenshot": step.prompt_has_screenshot,
            "n_bytes": size + len(screenshot),
        }
        rows.append(of_episode | of_page | of_step)
    return rows


def _size(of_page: dict[str, str | None], step: Step) -> int:
    texts = [*filter(None, of_page.values()), step.answer, *(message["content"] for message in step.messages)]
    return sum(len(text.encode()) for text in texts)
