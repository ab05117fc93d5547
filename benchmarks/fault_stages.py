"""The stages that faults.py kills: their inputs, commands, outputs, and what is compared.

Inputs are the smallest that run every part of a stage; each stage reads what an earlier one wrote.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "publishing"), str(ROOT / "tests" / "dataset")]

EPISODES = {
    "benchmark": "miniwob",
    "candidates": [{"name": "expert", "scripted": True}],
    "agents": [{"name": "basic", "flags": {"preset": "basic", "action_space": "click_fill"}}],
    "episodes": [{"split": "train", "tasks": ["click-test", "enter-text"], "seeds": "0-2"}],
    "slow_mo": 0,
    "wait_after_action": 0.05,
    "max_steps": 3,
    "jobs": 2,
}
"""The scripted expert plays, so that no model has to be served."""

Fingerprint = dict[str, str]
"""Name → hash of what has to be equal after a kill."""


@dataclass(frozen=True)
class Stage:
    """A command that is run in an empty folder, and how its output is judged."""

    name: str
    command: list[str]
    fingerprint: Callable[[Path], Fingerprint]
    """Of the finished output in a run's folder, without times."""
    corrupt: Callable[[Path], list[str]]
    """What is half written although it looks finished, a sentence each."""
    units: Callable[[Path], dict[str, int]]
    """Finished parts that a next run keeps (checkpoints, episodes, batches): name → inode."""
    out: str = "out"
    started: Callable[[Path], bool] | None = None
    """Whether the stage has begun to write; by default, whether anything is at its output or beside it."""
    environment: dict[str, str] = field(default_factory=dict)
    variant: tuple[str, ...] = ()
    """Options that must not change the output."""
    local: bool = True
    """Whether the output is a folder; push writes to a hub."""
    reset: Callable[[], None] = lambda: None
    """Called before each run in a new folder."""

    def has_started(self, folder: Path) -> bool:
        if self.started:
            return self.started(folder)
        out = folder / self.out
        beside = any(path.name.startswith(f".{self.out}.") for path in folder.iterdir())
        return beside or (out.is_dir() and any(out.iterdir()))

    def process_environment(self, folder: Path) -> dict[str, str]:
        """Environment of a run; its caches are its own, so that none helps another."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
        return kept | {
            "AGENTMERGE_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "cache/hf"), "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
        } | self.environment  # fmt: skip


def prepare(work: Path, names: list[str], servers: ExitStack) -> Iterator[Stage]:
    """Make the inputs that are missing under `work`, and yield the named stages in order."""
    inputs = work / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    makers = {
        "build": _build, "train": _train, "merge": _merge, "sweep": _sweep, "collect": _study, "evaluate": _study,
        "push": _push, "download": _download,
    }  # fmt: skip
    for name in names:
        if makers[name] in (_push, _download):
            yield makers[name](inputs, servers)
        elif makers[name] is _study:
            yield _study(inputs, name)
        else:
            yield makers[name](inputs)


def _agentmerge(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "agentmerge_hub.cli", *map(str, arguments)]


def _traces(inputs: Path) -> Path:
    from made_traces import write_episode

    from agentmerge_hub.prompt import ADVANCED, BASIC

    traces = inputs / "traces"
    if not traces.exists():
        partial = inputs / "traces.partial"
        shutil.rmtree(partial, ignore_errors=True)
        short = {"action_space": "click_fill", "long_description": False, "individual_examples": False}
        for number in range(40):
            for flags in (ADVANCED, BASIC):
                write_episode(
                    partial, f"miniwob.task-{number % 5}", number, flags=flags.model_copy(update=short), extra_lines=2
                )
        partial.rename(traces)
    return traces


def _models(inputs: Path) -> Path:
    """base, agent and instruct: random, of one architecture, with a tokenizer and a chat template."""
    models = inputs / "models"
    if not models.exists():
        import torch

        from agentmerge_hub.training.tiny.model import new_model
        from agentmerge_hub.training.tiny.tokenizer import new_tokenizer

        torch.manual_seed(0)
        partial = inputs / "models.partial"
        shutil.rmtree(partial, ignore_errors=True)
        tokenizer = new_tokenizer(0)
        model = new_model(tokenizer)
        for role in ("base", "agent", "instruct"):
            with torch.no_grad():
                for weight in model.parameters():
                    weight += 0.01 * torch.randn_like(weight)
            model.save_pretrained(partial / role)
            tokenizer.save_pretrained(partial / role)
        partial.rename(models)
    return models


def _dataset(inputs: Path) -> Path:
    if not (inputs / "dataset").exists():
        stage = _build(inputs)
        command = [argument if argument != "out" else str(inputs / "dataset") for argument in stage.command]
        environment = stage.process_environment(inputs)
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return inputs / "dataset"


def _build(inputs: Path) -> Stage:
    traces, models = _traces(inputs), _models(inputs)
    command = _agentmerge(
        "build", traces, "-o", "out", "--tokenizer", models / "instruct", "--window", 1024, "--answer", 128
    )
    return Stage("build", command, files, changed, _parts, variant=("--workers", "1"))


def _parts(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in folder.glob("cache/parts/*/part-*/part.json")}


def _train(inputs: Path) -> Stage:
    settings = {
        "model_name_or_path": _models(inputs) / "base", "tokenizer_name_or_path": _models(inputs) / "instruct",
        "dataset_name": _dataset(inputs), "dataset_config": "all", "output_dir": "out", "max_steps": 12,
        "num_train_epochs": 1, "per_device_train_batch_size": 4, "checkpoint_samples": 16, "max_length": 1024,
        "likelihood_samples": 4,
    }  # fmt: skip
    recipe = ROOT / "recipes/sft/tiny/base-all.yaml"
    command = [sys.executable, str(ROOT / "recipes/sft.py"), "--config", str(recipe)]
    command += [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return Stage("train", command, _weights, changed, _checkpoints)


def _weights(folder: Path) -> Fingerprint:
    """Weights, configuration and tokenizer of the run and of each checkpoint; logs and optimizer files hold times."""
    from agentmerge_hub.files.content_hash import file_hashes, is_model_file

    return file_hashes(folder / "out", lambda name: is_model_file(name.rpartition("/")[2]))


def _checkpoints(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in folder.glob("out/checkpoint-*/manifest.json")}


def _merge(inputs: Path) -> Stage:
    spec, roles = ROOT / "recipes/merge/agentmerge.yml", _roles(inputs)
    return Stage("merge", _agentmerge("merge", spec, "-o", "out", "--quick", *roles), files, changed, lambda _: {})


def _sweep(inputs: Path) -> Stage:
    spec, roles = ROOT / "recipes/merge/agentmerge.yml", _roles(inputs)
    command = _agentmerge("sweep", spec, "-o", "out", "--quick", "--lambda", "0.2:0.8:0.3", *roles)
    return Stage("sweep", command, files, changed, _merged)


def _roles(inputs: Path) -> list[object]:
    models = _models(inputs)
    return [text for role in ("base", "agent", "instruct") for text in ("--set", f"{role}={models / role}")]


def _merged(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in folder.glob("out/*/manifest.json")}


def _study(inputs: Path, verb: str) -> Stage:
    recipe = inputs / f"{verb}.yaml"
    recipe.write_text(yaml.safe_dump({"name": verb, **EPISODES}), encoding="utf-8")
    return Stage(verb, _agentmerge(verb, recipe, "-o", "out"), _episodes, changed, _finished_episodes)


def _episodes(folder: Path) -> Fingerprint:
    """What the agent saw, thought and did in each episode, and its row of the results; not when and how long."""
    from agentmerge_hub.traces.episode import read_episode
    from agentmerge_hub.traces.find import find_episodes

    found: Fingerprint = {}
    for place in find_episodes([folder / "out"]):
        episode = read_episode(place)
        steps = [(step.observation.axtree, step.thought, step.action) for step in episode.steps]
        found[f"{episode.agent} {episode.task} {episode.seed}"] = _hash([episode.reward, steps])
    if (results := folder / "out/results.parquet").is_file():
        import pyarrow.parquet as pq

        for row in pq.read_table(results).drop_columns(["seconds", "trace"]).to_pylist():
            found[f"row {row['agent']} {row['task']} {row['seed']}"] = _hash(row)
    return found


def _finished_episodes(folder: Path) -> dict[str, int]:
    paths = folder.glob("out/**/summary_info.json")
    return {path.parent.name: path.stat().st_ino for path in paths if path.stat().st_size}


def _push(inputs: Path, servers: ExitStack) -> Stage:
    """To a hub on this machine that speaks the Hub's HTTP API; it is empty at the start of each run and keeps its address, which
    the card names."""
    import hub_server

    dataset, hub = _dataset(inputs), servers.enter_context(hub_server.running())

    def reset() -> None:
        for kept in (hub.store.repos, hub.store.objects, hub.store.collections, hub.requests):
            kept.clear()

    def sent(_: Path) -> Fingerprint:
        repo = hub.store.repos["dataset", "acme/traces"]
        contents = {name: file.content for name, file in repo.resolve("main").files.items()}
        contents["manifest.json"] = json.dumps(_without_times(json.loads(contents["manifest.json"]))).encode()
        tags = {f"tag {name}": str(oid == repo.head) for name, oid in repo.tags.items()}
        return tags | {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    def half(_: Path) -> list[str]:
        repo = hub.store.repos.get(("dataset", "acme/traces"))
        names = set(repo.resolve("main").files) - {".gitattributes"} if repo else set()
        listed = set(json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))["outputs"])
        return [f"{name} is missing on the hub" for name in sorted(listed - names)] if names else []

    command = _agentmerge("push", "dataset", dataset, "--repo-id", "acme/traces", "--yes")
    started = lambda _: any(method != "GET" for method, _, _ in hub.requests)  # noqa: E731
    return Stage(
        "push", command, sent, half, lambda _: {}, started=started, environment=_client(hub), local=False, reset=reset
    )


def _download(inputs: Path, servers: ExitStack) -> Stage:
    import hub_server

    hub = servers.enter_context(hub_server.running())
    environment = _client(hub)
    push = _agentmerge("push", "dataset", _dataset(inputs), "--repo-id", "acme/traces", "--yes")
    subprocess.run(push, check=True, env=os.environ | environment, stdout=subprocess.DEVNULL)
    command = _agentmerge("download", "acme/traces", "-o", "out")
    return Stage("download", command, files, changed, _downloaded, environment=environment)


def _client(hub: object) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_alice", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "*",
    }  # fmt: skip


def _downloaded(folder: Path) -> dict[str, int]:
    """Files that were fetched whole, where they are before the folder appears."""
    return {path.name: path.stat().st_ino for path in folder.glob(".out.download/**/*.parquet")}


def files(folder: Path) -> Fingerprint:
    """Every file of the output; manifests without their times."""
    found: Fingerprint = {}
    for path in sorted((folder / "out").rglob("*")):
        if path.is_file():
            name, content = path.relative_to(folder / "out").as_posix(), path.read_bytes()
            if path.name == "manifest.json":
                content = json.dumps(_without_times(json.loads(content))).encode()
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def changed(folder: Path) -> list[str]:
    """Differences between every manifest in the output and its files: an output with a manifest has to be whole."""
    from agentmerge_hub import manifest

    marked = sorted((folder / "out").rglob("manifest.json"))
    return [f"{path.parent.relative_to(folder)}: {text}" for path in marked for text in manifest.verify(path.parent)]


def _without_times(content: object) -> object:
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if key not in ("run", "seconds")}
    return [_without_times(value) for value in content] if isinstance(content, list) else content


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
