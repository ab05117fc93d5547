"""The same traces give the same bytes: resumed, extended, with other workers, on Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dataset_files import data_hashes, run
from made_traces import write_episode, write_study
from planted_secrets import planted_secrets

from agentmerge_hub.errors import UserError


def test_the_same_bytes_from_new_traces_from_two_workers_and_from_scratch(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces, out = tmp_path / "traces", tmp_path / "out"
    build = ("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    write_study(traces, range(0, 12, 2))
    assert "36 newly read" in run(*build)
    write_study(traces, range(1, 12, 2))
    assert "36 newly read" in run(*build)
    grown = data_hashes(out)
    assert "0 newly read" in run(*build)
    assert data_hashes(out) == grown
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "another cache"))
    assert "72 newly read" in run(*build, "--workers", 2)
    assert data_hashes(out) == grown


def test_a_killed_build_resumes(tmp_path: Path, tokenizer_folder: Path, own_cache: Path) -> None:
    traces, out = write_study(tmp_path / "traces", range(32)), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "agentmerge_hub.cli",
        "build",
        traces,
        "-o",
        out,
        "--tokenizer",
        tokenizer_folder,
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(own_cache.glob("parts/*/part-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    finished = sum(len(json.loads(path.read_text())) for path in own_cache.glob("parts/*/part-*/part.json"))
    assert 0 < finished < 192
    assert f"{192 - finished} newly read" in run("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    resumed = data_hashes(out)
    for path in own_cache.glob("parts/*/part-*/part.json"):
        path.write_text("damaged")
    assert "192 newly read" in run("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    assert data_hashes(out) == resumed


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray with the usual priority: its workers would get no time on a busy machine."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.mark.usefixtures("ray")
def test_ray_makes_the_same_bytes(built: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    out = tmp_path / built.name
    build = ("build", built.parent / "traces", "-o", out, "--tokenizer", tokenizer_folder)
    assert "72 newly read" in run(*build, "--workers", 2, "--ray")
    assert data_hashes(out) == data_hashes(built)


@pytest.mark.usefixtures("ray")
def test_a_ray_worker_without_the_traces_gives_one_sentence(tmp_path: Path, tokenizer_folder: Path) -> None:
    from agentmerge_hub.dataset.parallel.ray_workers import run_on_ray
    from agentmerge_hub.dataset.parallel.workers import WorkerConfig
    from agentmerge_hub.dataset.settings import Settings
    from agentmerge_hub.traces.find import Found

    elsewhere = [Found("run", tmp_path / "only on another machine")]
    with pytest.raises(
        UserError, match=r"cannot find .*only on another machine: with --ray the traces .* shared disk"
    ) as caught:
        list(run_on_ray(WorkerConfig(Settings(), str(tokenizer_folder)), [elsewhere], 1))
    assert "\n" not in str(caught.value)


def test_hash_seed_locale_time_zone_and_workers_do_not_change_the_bytes(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed, (kind, text, _) in enumerate(planted_secrets()[::4]):
        page = f"[10] button 'OK {seed}'\n[11] StaticText 'below'\n{text}"
        obs = {"axtree_txt": page, "goal": f"Press OK {seed} for {text}"}
        write_episode(
            tmp_path / "t",
            "miniwob.click-dialog",
            seed,
            flags=None,
            obs=obs,
            action="click('10')",
            name=f"{kind} {seed}",
        )
    outputs = []
    environments = (("1", "C", "UTC", "1"), ("2", "C.UTF-8", "Asia/Tokyo", "2"))
    for number, (hash_seed, locale, zone, workers) in enumerate(environments):
        out = tmp_path / f"out-{number}"
        environment = {
            "PYTHONHASHSEED": hash_seed,
            "LC_ALL": locale,
            "TZ": zone,
            "AGENTMERGE_CACHE": str(tmp_path / f"cache-{number}"),
        }
        program = [
            sys.executable,
            "-m",
            "agentmerge_hub.cli",
            "build",
            tmp_path / "t",
            "-o",
            out / "traces",
            "--tokenizer",
            tokenizer_folder,
        ]
        done = subprocess.run(
            [*program, "--workers", workers], env=os.environ | environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        outputs.append(data_hashes(out / "traces"))
    assert outputs[0] == outputs[1]
