"""Does preference optimization make the demo's merged model name invalid bids and copy the prompt's example less often?

    python benchmarks/preferences.py DEMO WORK [--seeds 0-4] [--epochs 6] [--set learning_rate=1e-4 …]

DEMO is the folder that recipes/demo.sh made; of it, pair/ and traces/ are read. For each seed a base model is fine-tuned and
merged (before), and the merged model learns from preference pairs (after); both act on the demo's evaluation episodes. Runs are
kept in WORK: the same command continues, and with more seeds it adds them. Prints rates with their spread over seeds, and the
paired difference with a 95 % interval by the crossed analysis of runs and tasks that `agentmerge analyse` uses.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from agentmerge_hub.analysis import comparisons, episodes

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
BEFORE, AFTER = "agentmerge", "agentmerge-dpo"

Share = Callable[[episodes.Row], float]
"""A figure of one episode, between 0 and 1."""


def share_of_answers(column: str) -> Share:
    return lambda row: (row[column] or 0) / max(row["answers"] or 0, 1)


MEASURES: dict[str, Share] = {
    "invalid bid": share_of_answers("invalid_bid_actions"),
    "example copied": share_of_answers("copied_example_actions"),
    "success": lambda row: float(row["success"]),
}


def main() -> None:
    """Run what is missing, seed by seed, then print the table of all finished seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", default="0-4", help="FIRST-LAST")
    parser.add_argument("--epochs", type=int, default=6, help="of supervised fine-tuning; the demo's are 6")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="options of recipes/preference.py")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    build(options.demo.resolve(), work)
    finished = []
    for seed in range(int(first), int(last or first) + 1):
        finished.append(one_seed(work, seed, options.epochs, options.set))
        print(table(finished), flush=True)


def run(*words: object, cwd: Path) -> None:
    """Run a command in a folder; its output goes to log.txt there."""
    with (cwd / "log.txt").open("a") as log:
        done = subprocess.run([*map(str, words)], cwd=cwd, stdout=log, stderr=log, env=os.environ | ENVIRONMENT)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed: see {cwd / 'log.txt'}")


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
AGENTMERGE = (sys.executable, "-m", "agentmerge_hub.cli")


def build(demo: Path, work: Path) -> None:
    """The demo's dataset with preference pairs, and the demo's pair of models."""
    if not (work / "pair").exists():
        (work / "pair").symlink_to(demo / "pair")
    if not (work / "workarena-traces/manifest.json").is_file():
        words = ("--tokenizer", "pair/instruct", "--window", 1024, "--answer", 128, "--keep-duplicates", 20)
        run(*AGENTMERGE, "build", demo / "traces", "-o", "workarena-traces", *words, "--preferences", cwd=work)


def one_seed(work: Path, seed: int, epochs: int, settings: list[str]) -> Path:
    """Fine-tune, merge, learn from preferences, evaluate before and after. Returns the folder of the results."""
    folder = work / f"seed-{seed}"
    folder.mkdir(exist_ok=True)
    chosen = json.dumps({"epochs": epochs, "set": settings})
    finished = folder / "settings.json"
    if finished.is_file() and finished.read_text() == chosen:
        return folder / "results"
    for name in ("pair", "workarena-traces"):
        if not (folder / name).exists():
            (folder / name).symlink_to(work / name)
    sft = ("--config", RECIPES / "sft/tiny/base-all.yaml", "--seed", seed, "--num_train_epochs", epochs)
    run(sys.executable, RECIPES / "sft.py", *sft, cwd=folder)
    if not (folder / "merged/agentmerge/manifest.json").is_file():
        run(*AGENTMERGE, "merge", RECIPES / "merge/tiny/agentmerge.yml", "-o", "merged/agentmerge", cwd=folder)
    words = [word for pair in settings for word in (f"--{pair.partition('=')[0]}", pair.partition("=")[2])]
    dpo = ("--config", RECIPES / "preference/tiny/merged.yaml", "--seed", seed, *words)
    run(sys.executable, RECIPES / "preference.py", *dpo, cwd=folder)
    recipe = yaml.safe_load((RECIPES / "evaluate/demo.yaml").read_text(encoding="utf-8"))
    recipe["candidates"] = [
        {"name": "before", "method": BEFORE, "path": "merged/agentmerge", "run_seed": seed},
        {"name": "after", "method": AFTER, "path": "runs/tiny-merged-dpo", "run_seed": seed},
    ]
    (folder / "evaluate.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    run(*AGENTMERGE, "evaluate", "evaluate.yaml", "-o", "results", cwd=folder)
    finished.write_text(chosen)
    return folder / "results"


def table(folders: list[Path]) -> str:
    """A Markdown table: for each measure and split the means over seeds with their range, and the paired difference."""
    results = episodes.read(folders)
    lines = [
        f"{len(folders)} seeds, {len(results.rows)} episodes",
        "| split | measure | before | after | after ÷ before | after − before |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for split in results.splits:
        of_method = {
            method: [row for row in results.rows if row["split"] == split and row["method"] == method]
            for method in (BEFORE, AFTER)
        }
        for name, measure in MEASURES.items():
            before, after = (by_seed(rows, measure) for rows in of_method.values())
            mean_before, mean_after = statistics.mean(before), statistics.mean(after)
            ratio = f"{mean_after / mean_before:.2f}" if mean_before else "–"
            scored = {
                method: [row | {"reward": measure(row)} if row["status"] == "done" else row for row in rows]
                for method, rows in of_method.items()
            }
            compared = comparisons.compare(scored[AFTER], scored[BEFORE], split)
            lines.append(f"| {split} | {name} | {shown(before)} | {shown(after)} | {ratio} | {difference(compared)} |")
    return "\n".join(lines)


def by_seed(rows: list[episodes.Row], measure: Share) -> list[float]:
    return [statistics.mean(map(measure, episodes.done(run))) for run in episodes.by_run(rows).values()]


def shown(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def difference(compared: dict) -> str:
    text = f"{compared['difference']:+.3f}"
    if compared["low"] is None:
        return text
    about = "" if compared["about_methods"] else ", these models only"
    return f"{text} ({compared['low']:+.3f} to {compared['high']:+.3f}{about})"


if __name__ == "__main__":
    main()
