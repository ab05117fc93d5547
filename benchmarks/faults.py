"""What a killed or failing run leaves: kills every long stage at random moments, restarts it and compares with an unkilled run.

    python benchmarks/faults.py                              # every stage, 20 kills each; hours on two cores
    python benchmarks/faults.py --stages build merge --kills 4 --seed 1

Half of the moments are spread over the whole run, half over its writing phase; every second kill spares the child processes.
Then, for each stage: a full disk, a read-only disk, two writers, two containers in which both processes have id 1, and another
hash seed, locale, time zone and number of workers. A condition that this machine cannot make is reported as such. Results are in benchmarks/README.md.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fault_stages import Fingerprint, Stage, prepare

STAGES = ("build", "train", "merge", "sweep", "evaluate", "collect", "push", "download")
LIMIT = 1800
"""Seconds after which a run counts as hanging."""


@dataclass
class Clean:
    """An uninterrupted run."""

    fingerprint: Fingerprint
    seconds: float
    first_write: float
    """Seconds until it began to write."""
    n_units: int


@dataclass
class Row:
    """What the kills of a stage left."""

    stage: str
    kills: int = 0
    while_writing: int = 0
    corrupt: int = 0
    lost: int = 0
    """Finished parts that a restart made anew."""
    equal: int = 0
    leftovers: int = 0
    problems: list[str] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keep inputs and runs here")
    parser.add_argument("--no-conditions", action="store_true", help="only kills")
    given = parser.parse_args()
    work = (given.work or Path(tempfile.mkdtemp(prefix="faults-"))).resolve()
    with ExitStack() as servers:
        print("stage     kills (writing)  corrupt  lost parts  resumed equal  leftovers  conditions", flush=True)
        for stage in prepare(work, given.stages, servers):
            clean = run_clean(stage, work)
            row = kill_repeatedly(stage, clean, work, given.kills, random.Random(f"{given.seed} {stage.name}"))
            print(line(row), end="  ", flush=True)
            conditions = [] if given.no_conditions else [f"{name}: {test(stage, clean, work)}" for name, test in TESTS]
            print("; ".join(conditions), flush=True)
            for problem in row.problems or []:
                print(f"          {problem}", flush=True)
    if not given.work:
        shutil.rmtree(work)


def line(row: Row) -> str:
    return (
        f"{row.stage:9} {row.kills:5} ({row.while_writing:3})      {row.corrupt:7}  {row.lost:10}  "
        f"{row.equal:9}/{row.kills}  {row.leftovers:9}"
    )


def run_clean(stage: Stage, work: Path) -> Clean:
    """Run a stage without interruption."""
    folder = new_run(stage, work, "clean")
    began = time.monotonic()
    process = start(stage, folder)
    first_write = None
    while process.poll() is None:
        if first_write is None and stage.has_started(folder):
            first_write = time.monotonic() - began
        time.sleep(0.005)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{stage.name} fails without a kill: {log(folder)}")
    assert not stage.corrupt(folder), stage.corrupt(folder)
    return Clean(stage.fingerprint(folder), seconds, first_write or 0.0, len(stage.units(folder)))


def kill_repeatedly(stage: Stage, clean: Clean, work: Path, kills: int, rng: random.Random) -> Row:
    """Kill a stage `kills` times, each in a run of its own, restart it and compare."""
    row = Row(stage.name, problems=[])
    for number in range(kills):
        folder = new_run(stage, work, f"kill-{number}")
        writing = number % 2 == 1
        length = clean.seconds - clean.first_write if writing else clean.seconds
        strata = (kills + 1) // 2
        moment = length * (number // 2 + rng.random()) / strata
        group = (number // 2 + number) % 2 == 0
        while not (was_writing := kill_once(stage, folder, moment, writing, group)):
            shutil.rmtree(folder)
            folder = new_run(stage, work, f"kill-{number}")
            moment *= 0.8  # it had ended already
        row.kills += 1
        row.while_writing += was_writing == "writing"
        found = stage.corrupt(folder)
        kept = stage.units(folder)
        done = restart(stage, folder)
        now = stage.units(folder) if stage.units(folder) else kept
        lost = [name for name in kept if name in now and now[name] != kept[name]]
        equal = done and stage.fingerprint(folder) == clean.fingerprint
        left = leftovers(folder)
        row.corrupt += bool(found or (done and stage.corrupt(folder)))
        row.lost += len(lost)
        row.equal += equal
        row.leftovers += len(left)
        if found or lost or left or not equal:
            said = "" if done else f"the restart failed: {log(folder)}"
            row.problems.append(f"kill {number} at {moment:.2f} s: {found or ''} {lost or ''} {left or ''} {said}")
            if done and not equal:
                row.problems[-1] += f"differs: {differing(stage.fingerprint(folder), clean.fingerprint)}"
        else:
            shutil.rmtree(folder)
    return row


def kill_once(stage: Stage, folder: Path, moment: float, writing: bool, group: bool) -> str:
    """Start a stage and kill it after `moment` seconds, counted from its first write if `writing`; empty if it had ended."""
    process = start(stage, folder)
    while writing and process.poll() is None and not stage.has_started(folder):
        time.sleep(0.001)
    deadline = time.monotonic() + moment
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(min(0.01, max(0.0, deadline - time.monotonic())))
    if process.poll() is not None:
        return ""
    state = "writing" if stage.has_started(folder) else "before writing"
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()  # its children end by themselves, as after an out-of-memory kill
    process.wait()
    return state


def new_run(stage: Stage, work: Path, name: str) -> Path:
    folder = work / stage.name / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log_file(folder).unlink(missing_ok=True)
    stage.reset()
    return folder


def start(stage: Stage, folder: Path, prefix: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> subprocess.Popen:
    with log_file(folder).open("ab") as output:
        return subprocess.Popen(
            [*prefix, *stage.command, *more],
            cwd=folder,
            env=stage.process_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def restart(stage: Stage, folder: Path) -> bool:
    """Run the same command again to its end; whether it succeeded."""
    log_file(folder).unlink()
    return start(stage, folder).wait(LIMIT) == 0


def log_file(folder: Path) -> Path:
    """Beside a run's folder, whose disk may be full."""
    return folder.with_name(f"{folder.name}.log")


def log(folder: Path) -> str:
    lines = log_file(folder).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(text.strip() for text in lines[-3:])[-600:]


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders in a run's folder, its caches left out."""
    temporary = (".partial", ".old", ".lock", ".download", ".tmp", ".incomplete")
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return [
        path.as_posix()
        for path in paths
        if path.parts[0] != "cache" and (path.name.endswith(temporary) or path.name.startswith(".mergekit"))
    ]


def differing(one: Fingerprint, other: Fingerprint) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))[:5]


def refused(folder: Path) -> bool:
    """Whether a failed run ended with one sentence and no traceback."""
    text = log_file(folder).read_text(encoding="utf-8", errors="replace")
    return "Error: " in text and "Traceback" not in text


def full_disk(stage: Stage, clean: Clean, work: Path) -> str:
    """A disk with room for half of the output; then the same command with enough room."""
    if not stage.local:
        return "writes no folder"
    folder = new_run(stage, work, "full-disk")
    size = sum(path.stat().st_size for path in (work / stage.name / "clean" / stage.out).rglob("*") if path.is_file())
    if mount(folder, f"size={max(size // 2, 4096)}"):
        said = start(stage, folder).wait(LIMIT) != 0 and refused(folder)
        subprocess.run(["mount", "-o", f"remount,size={20 * size + 2**30}", folder], check=True)
        how = "full"
    else:
        limited = ("bash", "-c", f'ulimit -f {max(size // 2 // 1024, 1)}; exec "$@"', "limited")
        said = start(stage, folder, limited).wait(LIMIT) != 0 and refused(folder)
        how = "file size limit"
    return verdict(stage, clean, folder, said, how)


def read_only(stage: Stage, clean: Clean, work: Path) -> str:
    """A disk that cannot be written; then the same command when it can."""
    if not stage.local:
        return "writes no folder"
    folder = new_run(stage, work, "read-only")
    if not mount(folder, "size=2g"):
        return "not possible here"
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    failed = start(stage, folder).wait(LIMIT) != 0
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    return verdict(stage, clean, folder, failed and refused(folder), "read-only")


def two_writers(stage: Stage, clean: Clean, work: Path, prefix: tuple[str, ...] = ()) -> str:
    """A second run of the same command while the first one writes."""
    if not stage.local:
        return "writes no folder"
    folder = new_run(stage, work, "two-writers")
    first = start(stage, folder, prefix)
    while first.poll() is None and not stage.has_started(folder):
        time.sleep(0.001)
    os.killpg(first.pid, signal.SIGSTOP)  # however fast it is
    second = folder.with_name("second-writer")
    with log_file(second).open("wb") as output:
        code = subprocess.run(
            [*prefix, *stage.command], cwd=folder, env=stage.process_environment(folder), stdout=output, stderr=output
        ).returncode
    os.killpg(first.pid, signal.SIGCONT)
    ended = first.wait(LIMIT)
    if code and not (refused(second) and "is being written by" in log_file(second).read_text(encoding="utf-8")):
        return f"WRONG, the second writer: {log(second)}"
    if ended or stage.fingerprint(folder) != clean.fingerprint or stage.corrupt(folder) or leftovers(folder):
        return f"WRONG, the first writer: {log(folder)} {leftovers(folder)}"
    return "second refused" if code else "both ended well"


def both_pid_1(stage: Stage, clean: Clean, work: Path) -> str:
    """The same in two PID namespaces, as in containers: a kill and a restart, and two writers."""
    inside = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        return "not possible here"
    folder = new_run(stage, work, "pid-1")
    process = start(stage, folder, inside)
    while process.poll() is None and not stage.has_started(folder):
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log_file(folder).unlink()
    done = start(stage, folder, inside).wait(LIMIT) == 0
    if not done or stage.fingerprint(folder) != clean.fingerprint or leftovers(folder):
        return f"WRONG: {log(folder)} {leftovers(folder)}"
    return f"restart equal, {two_writers(stage, clean, work, inside)}"


def other_environment(stage: Stage, clean: Clean, work: Path) -> str:
    """Another hash seed, locale, time zone and number of workers."""
    folder = new_run(stage, work, "other-environment")
    other = ("PYTHONHASHSEED=12345", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0", "LC_ALL=C", "TZ=Pacific/Kiritimati")
    ended = start(stage, folder, ("env", *other), stage.variant).wait(LIMIT)
    if ended or stage.corrupt(folder):
        return f"WRONG: {log(folder)}"
    found = differing(stage.fingerprint(folder), clean.fingerprint)
    return f"WRONG: differs in {found}" if found else "equal"


def mount(folder: Path, options: str) -> bool:
    """Mount a small disk in memory on a folder; False where that is not allowed."""
    return not subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode


def verdict(stage: Stage, clean: Clean, folder: Path, said: bool, how: str) -> str:
    """After a failed run: it ended in a sentence, nothing is corrupt, and it succeeds when the cause is gone."""
    try:
        text, found = log(folder), stage.corrupt(folder)
        if not said or found:
            return f"WRONG when {how}: {text} {found or ''}"
        if not restart(stage, folder) or stage.fingerprint(folder) != clean.fingerprint or leftovers(folder):
            return f"WRONG after {how}: {log(folder)} {leftovers(folder)}"
        return "one sentence, then equal"
    finally:
        subprocess.run(["umount", folder], capture_output=True)


TESTS: list[tuple[str, Callable[[Stage, Clean, Path], str]]] = [
    ("full disk", full_disk), ("read-only disk", read_only), ("two writers", two_writers), ("both pid 1", both_pid_1),
    ("other environment", other_environment),
]  # fmt: skip


if __name__ == "__main__":
    main()
