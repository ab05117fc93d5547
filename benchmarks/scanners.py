"""Which scanner finds how many planted secrets, how many false alarms it raises on real pages, and how fast it is.

    python benchmarks/scanners.py [--seeds 3]
    python benchmarks/scanners.py --redacted 40

The planted secrets are those of tests/dataset/planted_secrets.py; the pages are the distinct lines of the real traces in
$AGENTMERGE_REAL_TRACES (or ../shared/real-traces). A false alarm is a line in which a scanner finds anything but what the
pages hold of secrets and personal data (`REAL_SECRETS`, listed by hand). Scanners that are not installed are left out.
Redaction uses our rules and Betterleaks; the check before publishing uses our rules and Kingfisher. Speed is in CPU time,
because a machine is seldom alone. With --redacted it redacts the episodes as a build does, counts the lines that change
and those that change wrongly, and prints N changed lines of each kind of placeholder, drawn at random, to read.
benchmarks/README.md has the measured tables.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from agentmerge_hub.dataset.redaction import scanner
from agentmerge_hub.dataset.redaction.detector import detect
from agentmerge_hub.dataset.redaction.episode import redact_episode
from agentmerge_hub.dataset.redaction.private_keys import private_key_spans
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import find_episodes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dataset"))
from planted_secrets import planted_secrets

REAL = Path(os.environ.get("AGENTMERGE_REAL_TRACES", Path(__file__).parents[2] / "shared" / "real-traces"))

REAL_SECRETS = re.compile(
    r"dev\d{6}\.service-now\.com|ec2-18-223-217-129\.us-east-2\.compute\.amazonaws\.com|(?<![0-9a-f])[0-9a-f]{72}(?![0-9a-f])|ghQWqqGFafC1PPt3"
    r"|[\w.]+@(?:gmail|yahoo|hotmail)\.com|\(555\) 229-3326|(?<=/home/)t(?=/)|^t$"
)
"""Hosts of instances, session keys, a form's key, customers' addresses and phone, the account of a home folder."""
_MENU = re.compile(r"(?:button|image) '([A-Z][\w ]+?)(?:: available| is Available)'")
PLACEHOLDERS = re.compile(
    r"instance\.example\.com|user-[0-9a-f]{3}@example\.com|User [0-9a-f]{3}|redacted-[a-z]+-[0-9a-f]{3}|(?<=/home/)user(?=/)"
)

Scan = Callable[[list[str]], list[list[str]]]
"""Texts → the values found in each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--redacted", type=int, metavar="N", help="redact the real pages; print N changed lines of each kind"
    )
    args = parser.parse_args()
    if args.redacted is not None:
        redacted(args.redacted)
        return
    seeds = args.seeds
    planted = [secret for seed in range(seeds) for secret in planted_secrets(seed)]
    credentials = [secret for secret in planted if secret[0] in ("credentials", "session", "token")]
    lines = page_lines()
    megabytes = sum(len(line.encode(errors="replace")) for line in lines) / 1e6
    print(
        f"{len(credentials)} credentials and tokens, {len(planted)} secrets in all, {len(lines)} lines ({megabytes:.1f} MB)"
    )
    print(
        "| scanner | tokens found | all found | lines with a false alarm | MB per CPU second |\n|---|---:|---:|---:|---:|"
    )
    for name, scan in scanners().items():
        tokens, every = (found(scan, texts) for texts in (credentials, planted))
        started = cpu_seconds()
        values = scan(lines)
        seconds = cpu_seconds() - started
        alarms = sum(any(is_false(value) for value in in_line) for in_line in values)
        print(f"| {name} | {tokens:.0%} | {every:.0%} | {alarms:,} | {megabytes / seconds:.2f} |", flush=True)


def found(scan: Scan, planted: list[tuple[str, str, str]]) -> float:
    """Share of the secrets that are inside a found value."""
    values = scan([text for _, text, _ in planted])
    return sum(any(s in v or v in s for v in vs if len(v) > 3) for vs, (_, _, s) in zip(values, planted)) / len(planted)


def is_false(value: str) -> bool:
    """Whether a found value is, and holds, none of the pages' secrets."""
    names = account_names()
    return not (REAL_SECRETS.search(value) or any(name in value or value in name for name in names if len(value) > 3))


def page_lines() -> list[str]:
    """Distinct lines of the real pages."""
    return list(dict.fromkeys(line for text in page_texts() for line in text.split("\n")))


def page_texts() -> Iterator[str]:
    for episode in episodes():
        for step in episode.steps:
            yield from (step.observation.axtree or "", step.observation.html or "", step.observation.goal, step.answer)


def episodes() -> Iterator[Episode]:
    for path in find_episodes([REAL]):
        with contextlib.suppress(Unreadable):
            yield read_episode(path)


@cache
def account_names() -> frozenset[str]:
    """Names that the pages' menus show."""
    return frozenset(name for text in page_texts() for name in _MENU.findall(text))


def redacted(shown: int) -> None:
    """Print how many distinct lines redaction changes, how many wrongly, and some of them before and after."""
    line_scanner, changes, lines = LineScanner(), {}, set()
    for episode in episodes():
        after, _ = redact_episode(episode, line_scanner)
        for old, new in zip(episode.steps, after.steps):
            for field in ("axtree", "html", "goal"):
                texts = (getattr(step.observation, field) or "" for step in (old, new))
                for before, now in zip(*(text.split("\n") for text in texts)):
                    lines.add(before)
                    if before != now:
                        changes[before] = now
    wrong = [line for line, now in changes.items() if without_secrets(line) != without_secrets(now)]
    print(
        f"{len(lines):,} distinct lines, {len(changes):,} changed, {len(wrong)} wrongly: {len(wrong) / len(lines):.2%} of all, "
        f"{len(wrong) / max(1, len(changes)):.2%} of the changed"
    )
    by_kind: dict[str, list[str]] = {"wrong": wrong}
    for line, now in sorted(changes.items()):
        for placeholder in {re.sub(r"(?<=[ -])[0-9a-f]{3}\b", "…", found) for found in PLACEHOLDERS.findall(now)}:
            by_kind.setdefault(placeholder, []).append(line)
    for kind, those in by_kind.items():
        print(f"\n{kind}: {len(those):,} lines")
        for line in random.Random(0).sample(those, min(shown, len(those))):
            print(f"- {line.strip()[:240]}\n+ {changes[line].strip()[:240]}")


def without_secrets(line: str) -> str:
    """A line without the pages' secrets and without placeholders: redaction must change nothing else."""
    for name in account_names():
        line = line.replace(name, "")
    return PLACEHOLDERS.sub("", REAL_SECRETS.sub("", line))


def cpu_seconds() -> float:
    """CPU time of this process and of those that it ran."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def scanners() -> dict[str, Scan]:
    chosen: dict[str, Scan] = {
        "our rules": our_rules,
        "Betterleaks": betterleaks,
        "our rules and Betterleaks": redaction,
    }
    if find_spec("kingfisher"):
        chosen["Kingfisher"] = kingfisher
    if find_spec("detect_secrets"):
        chosen["detect-secrets"] = detect_secrets
    return chosen


def redaction(texts: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in texts]
    lines = [(number, line) for number, text in enumerate(texts) for line in text.split("\n")]
    for start in range(0, len(lines), 1000):  # about an episode's
        batch = lines[start : start + 1000]
        for (number, _), findings in zip(batch, scanner.scan_lines([line for _, line in batch])):
            found[number] += [finding.value for finding in findings]
    for number, text in enumerate(texts):
        found[number] += [text[start:end] for start, end in private_key_spans(text)]
    return found


def our_rules(texts: list[str]) -> list[list[str]]:
    with mock.patch.object(scanner, "detect", lambda line: ()):
        return redaction(texts)


def betterleaks(texts: list[str]) -> list[list[str]]:
    return [[text[start:end] for start, end in detect(text)] for text in texts]


def kingfisher(texts: list[str]) -> list[list[str]]:
    """One file a text: 47,000 files would measure the file system, so long lists share a file a thousand texts."""
    from kingfisher import get_binary_path

    size = 1 if len(texts) < 5000 else 1000
    found: list[list[str]] = [[] for _ in texts]
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(texts), size):
            Path(folder, f"{start}.txt").write_text(
                "\n".join(texts[start : start + size]), encoding="utf-8", errors="replace"
            )
        command = [
            get_binary_path(),
            "scan",
            folder,
            "--no-validate",
            "--format",
            "json",
            "--no-update-check",
            "--git-history=none",
        ]
        done = subprocess.run([*command, "--no-dedup"], capture_output=True, text=True, errors="replace")
        report = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"findings":['))
    for entry in report["findings"]:
        finding = entry["finding"]
        start = int(Path(finding["path"]).stem)
        found[start + (finding["line"] - 1 if size > 1 else 0)].append(finding["snippet"])
    return found


def detect_secrets(texts: list[str]) -> list[list[str]]:
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import default_settings

    with default_settings():
        return [
            [secret.secret_value or "" for line in text.split("\n") for secret in scan_line(line)] for text in texts
        ]


if __name__ == "__main__":
    main()
