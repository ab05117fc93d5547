"""Which scanner finds how many planted secrets, how many false alarms it raises on real pages, and how fast it is.

    python benchmarks/scanners.py [--seeds 3]

The planted secrets are those of tests/dataset/planted_secrets.py; the pages are the distinct lines of the real traces in
$AGENTMERGE_REAL_TRACES (or ../shared/real-traces), of which everything that redaction finds is taken out first. Scanners
that are not installed are left out. Redaction uses our rules and Betterleaks; the check before publishing uses our rules and
Kingfisher. benchmarks/README.md has a measured table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from agentmerge_hub.dataset.redaction import scanner
from agentmerge_hub.dataset.redaction.detector import detect
from agentmerge_hub.dataset.redaction.private_keys import private_key_spans
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import find_episodes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dataset"))
from planted_secrets import planted_secrets

REAL = Path(os.environ.get("AGENTMERGE_REAL_TRACES", Path(__file__).parents[2] / "shared" / "real-traces"))

Scan = Callable[[list[str]], list[list[str]]]
"""Texts → the values found in each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    planted = [secret for seed in range(seeds) for secret in planted_secrets(seed)]
    credentials = [secret for secret in planted if secret[0] in ("credentials", "session", "token")]
    lines = page_lines()
    megabytes = sum(len(line.encode(errors="replace")) for line in lines) / 1e6
    print(
        f"{len(credentials)} credentials and tokens, {len(planted)} secrets in all, {len(lines)} lines ({megabytes:.1f} MB)"
    )
    print("| scanner | tokens found | all found | lines with a false alarm | MB/s |\n|---|---:|---:|---:|---:|")
    for name, scan in scanners().items():
        tokens, every = (found(scan, texts) for texts in (credentials, planted))
        started = time.perf_counter()
        alarms = sum(map(bool, scan(lines)))
        seconds = time.perf_counter() - started
        print(f"| {name} | {tokens:.0%} | {every:.0%} | {alarms} | {megabytes / seconds:.1f} |", flush=True)


def found(scan: Scan, planted: list[tuple[str, str, str]]) -> float:
    """Share of the secrets that are inside a found value."""
    values = scan([text for _, text, _ in planted])
    return sum(any(s in v or v in s for v in vs if len(v) > 3) for vs, (_, _, s) in zip(values, planted)) / len(planted)


def page_lines() -> list[str]:
    """Distinct lines of the real pages without what redaction replaces."""
    lines: dict[str, None] = {}
    for episode in find_episodes([REAL]):
        try:
            steps = read_episode(episode).steps
        except Unreadable:
            continue
        for step in steps:
            lines |= dict.fromkeys((step.observation.axtree or "").split("\n"))
    return [line for line, findings in zip(lines, scanner.scan_lines(list(lines))) if not findings]


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
