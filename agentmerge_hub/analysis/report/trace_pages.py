"""One readable page for each episode: goal, then page, thought, action and reward step by step.

Traces are read safely and their secrets replaced; screenshots are copied as they are.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub.analysis import error_analysis, labels
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.common_episodes import Shared
from agentmerge_hub.analysis.episodes import Results, Row, done
from agentmerge_hub.analysis.report import html
from agentmerge_hub.errors import require
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found

FOLDER = "traces"
LISTS = "episodes"
PNG = b"\x89PNG\r\n\x1a\n"
MAX_SCREENSHOT_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Pages:
    """Which episodes have a page, and why others have none."""

    names: dict[str, str]
    """Key of the episode → path of its page, relative to the report."""
    unreadable: int
    left_out: int
    screenshots: int


def key_of(row: Row) -> str:
    """Name of an episode's trace page: a hash of folder and path."""
    return hashlib.sha256(f"{row['folder']}\0{row['trace']}".encode()).hexdigest()[:16]


def write(report: Path, rows: list[Row], most: int) -> Pages:
    """Read every trace: note in its row how often the agent repeated itself, and write pages of the first `most`."""
    names: dict[str, str] = {}
    unreadable = left_out = pictures = 0
    redact: Callable[[Episode], Episode] | None = None
    for row in rows:
        folder = trace_folder(row)
        if folder is None:
            continue
        try:
            episode = read_episode(Found(row["trace"], folder))
        except (Unreadable, OSError):
            unreadable += 1
            continue
        row["longest_repeat"] = error_analysis.longest_repeat([step.action for step in episode.steps])
        if key_of(row) in names:
            continue
        if len(names) >= most:
            left_out += 1
            continue
        redact = redact or _redactor()
        episode = redact(episode)
        name = f"{FOLDER}/{key_of(row)}.html"
        (report / FOLDER).mkdir(exist_ok=True)
        shown = screenshots(folder, report / FOLDER / key_of(row), [step.index for step in episode.steps])
        pictures += len(shown)
        html.write(
            report / name, "trace.html.jinja", row=row, episode=episode, screenshots=shown, answers=_answers(episode)
        )
        names[key_of(row)] = name
    return Pages(names, unreadable, left_out, pictures)


def _redactor() -> Callable[[Episode], Episode]:
    """Replaces secrets in an episode. Loaded for the first page only: a report without traces needs no secret scanner."""
    require("analysis", "betterleaks", "ahocorasick_rs", "stdnum")
    from agentmerge_hub.dataset.redaction.episode import redact_episode
    from agentmerge_hub.dataset.redaction.scanner import LineScanner

    scanner = LineScanner()
    return lambda episode: redact_episode(episode, scanner)[0]


def trace_folder(row: Row) -> Path | None:
    """Folder of an episode's trace; None if it has none, or its path is outside of the results folder."""
    if not row["trace"]:
        return None
    root = Path(row["folder"]).resolve()
    folder = (root / row["trace"]).resolve()
    return folder if folder.is_dir() and folder.is_relative_to(root) else None


def screenshots(folder: Path, out: Path, steps: list[int]) -> dict[int, str]:
    """Copy the PNG screenshots of the steps; other files and larger ones are not copied."""
    shown = {}
    for step in steps:
        path = folder / f"screenshot_step_{step}.png"
        if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_SCREENSHOT_BYTES:
            continue
        with path.open("rb") as file:
            if file.read(len(PNG)) != PNG:
                continue
        out.mkdir(exist_ok=True)
        shutil.copyfile(path, out / f"{step}.png")
        shown[step] = f"{out.name}/{step}.png"
    return shown


def _answers(episode: Episode) -> dict[int, str]:
    """Answers that could not be parsed, by step: the page shows them in full."""
    return {step.index: step.answer for step in episode.steps if step.answer and step.action is None}


def slug(*words: object) -> str:
    """A file name from words that come from outside."""
    text = "_".join(str(word) for word in words if word not in (None, ""))
    clean = re.sub(r"[^A-Za-z0-9.-]+", "_", text)[:80].strip("._")
    return f"{clean}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def write_lists(
    report: Path, results: Results, pages: Pages, candidates: Collection[Candidate] = (), shared: Shared | None = None
) -> None:
    """Pages in ``episodes/``: one for each candidate and split with the episodes behind its rates, and an index of them.

    Args:
        candidates, shared: as for the rates (`error_analysis.counted_episodes`).
    """
    (report / LISTS).mkdir()
    listed = []
    for split in results.splits:
        for candidate, rows in error_analysis.counted_episodes(results, split, candidates, shared).items():
            if not (finished := done(rows)):
                continue
            name = f"{slug(split, *candidate)}.html"
            title = ", ".join([labels.method(candidate.method), *_settings(candidate), labels.split(split)])
            html.write(
                report / LISTS / name,
                "episodes.html.jinja",
                title=title,
                sections=error_analysis.behind(rows),
                pages=pages.names,
                key=key_of,
            )
            listed.append((name, title, len(finished)))
    html.write(report / LISTS / "index.html", "index.html.jinja", listed=listed)


def _settings(candidate: Candidate) -> list[str]:
    settings = [f"{candidate.agent} agent"] if candidate.agent else []
    settings += [f"lr {labels.rate(candidate.learning_rate)}"] if candidate.learning_rate is not None else []
    settings += [f"{candidate.samples_seen:,} samples"] if candidate.samples_seen is not None else []
    return settings + ([f"λ {candidate.merge_lambda:g}"] if candidate.merge_lambda is not None else [])
