"""From traces to a folder that `load_dataset` reads: every row is proven, every drop is named, the bytes are repeatable."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from made_traces import write_episode, write_study

from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import ADVANCED, BASIC, html_bids, tree_bids
from agentmerge_hub.tokenizer import ChatTokenizer


def run(*arguments: object) -> str:
    result = CliRunner().invoke(agentmerge, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(folder: Path, config: str, split: str = "*") -> list[dict]:
    return [
        row
        for path in sorted(folder.glob(f"data/{config}/{split}-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def ledger(folder: Path) -> list[tuple[str, str]]:
    return [(row["rule"], row["source"]) for row in pq.read_table(folder / "ledger.parquet").to_pylist()]


def data_hashes(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("built")
    os.environ["AGENTMERGE_CACHE"] = str(root / "cache")
    write_study(root / "traces")
    run("build", root / "traces", "-o", root / "workarena-traces", "--tokenizer", tokenizer_folder)
    return root / "workarena-traces"


def test_every_config_loads_by_name(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    monkeypatch.chdir(built.parent)
    sizes = {}
    for config in ("all", "cot", "no_cot", "episodes"):
        loaded = load_dataset("workarena-traces", config)
        assert set(loaded) == {"train", "inter_task", "cross_task"}
        sizes[config] = {split: data.num_rows for split, data in loaded.items()}
        card = yaml.safe_load((built / "README.md").read_text().split("---")[1])
        (info,) = (info for info in card["dataset_info"] if info["config_name"] == config)
        told = {split["name"]: (split["num_examples"], split["num_bytes"]) for split in info["splits"]}
        there = {name: (d.num_rows, d.info.splits[name].num_bytes) for name, d in loaded.items()}
        assert told == there
        assert info["download_size"] == loaded["train"].info.download_size
    assert sizes["cot"] == sizes["no_cot"]
    assert sum(sizes["all"].values()) == 72 and sizes["all"]["cross_task"] == 24


def test_every_row_is_trainable(built: Path, tokenizer_folder: Path) -> None:
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    for row in rows(built, "all"):
        prompt = tokenizer.count(tokenizer.render(row["prompt"]))
        whole = tokenizer.count(tokenizer.render([*row["prompt"], *row["completion"]], answer_next=False))
        assert (row["n_prompt_tokens"], row["n_completion_tokens"]) == (prompt, whole - prompt)
        assert prompt <= 7168 and whole - prompt <= 1024
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert row["cot"] == ("<think>" in row["completion"][0]["content"])
        assert row["license"] == "apache-2.0" and row["teacher"] == "scripted"


def test_the_manifest_holds_every_file(built: Path) -> None:
    from agentmerge_hub.manifest import verify

    assert verify(built) == []


def test_the_lineage_begins_with_the_study_that_collected(tmp_path: Path, tokenizer_folder: Path) -> None:
    from agentmerge_hub import content_hash, manifest

    write_study(tmp_path / "traces")
    manifest.write(tmp_path / "traces", "collect", config={"recipe": "demo"})
    run("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    (study,) = manifest.read(tmp_path / "out")["inputs"].values()
    assert study["stage"] == "collect" and study["sha256"] == content_hash.folder_hash(tmp_path / "traces")


def test_cot_and_no_cot_are_equal_task_by_task(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(9):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=ADVANCED)
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=BASIC)
        write_episode(tmp_path / "t", "miniwob.click-option", seed, flags=BASIC)
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--inter-share", 0)
    assert {config: len(rows(tmp_path / "out", config)) for config in ("all", "cot", "no_cot")} == {
        "all": 17,
        "cot": 4,
        "no_cot": 4,
    }
    assert {row["task"] for row in rows(tmp_path / "out", "no_cot")} == {"miniwob.click-dialog"}


def test_steps_without_a_recorded_prompt_become_both_versions(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(3):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, flags=None)
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--inter-share", 0)
    with_, without = rows(tmp_path / "out", "cot"), rows(tmp_path / "out", "no_cot")
    assert len(with_) == len(without) == 3
    assert with_[0]["completion"][0]["content"].startswith("<think>\nThe goal names")
    assert without[0]["completion"][0]["content"] == f"<action>\n{without[0]['action']}\n</action>"
    assert with_[0]["teacher"] == "scripted"


def test_every_drop_has_its_rule(tmp_path: Path, tokenizer_folder: Path) -> None:
    root = tmp_path / "t"
    task = "miniwob.click-dialog"
    write_episode(root, task, 0, name="good")
    write_episode(root, task, 1, name="failed", reward=0.0)
    write_episode(root, task, 2, name="crashed", summary={"err_msg": "TimeoutError: gone"})
    write_episode(root, task, 3, name="truncated", summary={"terminated": False})
    write_episode(
        root,
        task,
        4,
        name="elsewhere",
        obs={"url": "https://a.org/", "open_pages_urls": ["https://a.org/", "https://b.org/"]},
    )
    write_episode(root, task, 5, name="no such element", action="click('999')")
    write_episode(root, task, 6, name="cut away", action="click('2050')", extra_lines=2000)
    write_episode(root, task, 7, name="cut but kept", extra_lines=2000)
    write_episode(root, task, 8, name="long answer", action=f"fill('10', '{'word ' * 2000}')")
    (write_episode(root, task, 9, name="broken") / "step_1.pkl.gz").write_bytes(b"no pickle")
    (write_episode(root, task, 10, name="no summary") / "summary_info.json").unlink()
    write_episode(root, task, 0, name="zz good again")
    write_episode(root, task, 0, name="zz good, other file", summary={"note": "differs"})
    write_episode(root, task, 11, name="vast goal", goal="word " * 20000)
    write_episode(root, task, 12, name="no goal", flags=None, obs={"goal": "", "goal_object": []})
    write_episode(root, task, 13, name="no page", flags=None, obs={"axtree_txt": ""})
    write_episode(root, task, 14, name="not in the space", flags=None, action="goto('http://a')")
    write_episode(root, task, 15, name="another action", executed="click('10')")
    output = run(
        "build", root, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--window", 4096, "--answer", 512
    )
    assert dict((source, rule) for rule, source in ledger(tmp_path / "out")) == {
        "failed": "unsuccessful",
        "crashed": "crashed",
        "truncated": "not_validated",
        "elsewhere": "left_site",
        "no such element": "bid_not_on_page",
        "cut away": "bid_cut_away",
        "long answer": "answer_too_long",
        "broken": "unreadable",
        "no summary": "no_summary",
        "zz good again": "duplicate_episode",
        "zz good, other file": "duplicate",
        "vast goal": "does_not_fit",
        "no goal": "no_goal",
        "no page": "no_page",
        "not in the space": "outside_action_space",
        "another action": "answer_mismatch",
    }
    assert "1 unreadable" in output
    kept = {row["seed"]: row for row in rows(tmp_path / "out", "all")}
    assert set(kept) == {0, 7} and len(rows(tmp_path / "out", "all")) == len(rows(tmp_path / "out", "episodes")) == 2
    assert kept[0]["axtree_lines_cut"] == 0
    assert f"({kept[7]['axtree_lines_cut']} more lines cut)" in kept[7]["prompt"][1]["content"]
    assert kept[7]["n_prompt_tokens"] <= 3584


def test_failures_are_a_config_of_their_own(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed, reward=seed % 2)
    write_episode(tmp_path / "t", "miniwob.click-dialog", 1, reward=0.0, name="a failure with the same step")
    run("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--failures")
    assert len(rows(tmp_path / "out", "all")) == 2 and len(rows(tmp_path / "out", "failures")) == 3
    assert {row["reward"] for row in rows(tmp_path / "out", "all")} == {1.0}
    assert {row["reward"] for row in rows(tmp_path / "out", "failures")} == {0.0}


def test_the_same_bytes_from_new_traces_from_two_workers_and_from_scratch(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces, out = tmp_path / "traces", tmp_path / "out"
    build = ("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    write_study(traces, range(0, 12, 2))
    assert "36 read now" in run(*build)
    write_study(traces, range(1, 12, 2))
    assert "36 read now" in run(*build)
    grown = data_hashes(out)
    assert "0 read now" in run(*build)
    assert data_hashes(out) == grown
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "another cache"))
    assert "72 read now" in run(*build, "--workers", 2)
    assert data_hashes(out) == grown


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, tokenizer_folder: Path, own_cache: Path) -> None:
    traces, out = write_study(tmp_path / "traces", range(60)), tmp_path / "out"
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
    assert 0 < finished < 360
    assert f"{360 - finished} read now" in run("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    resumed = data_hashes(out)
    for path in own_cache.glob("parts/*/part-*/part.json"):
        path.write_text("damaged")
    assert "360 read now" in run("build", traces, "-o", out, "--tokenizer", tokenizer_folder)
    assert data_hashes(out) == resumed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{empty}"], "no traces in"),
        (["{nowhere}"], "no folder"),
        (["{traces}", "--tokenizer", "{empty}"], "no tokenizer at"),
        (["{traces}", "--window", "300", "--answer", "100"], "no sample is left .*does_not_fit"),
        (["{traces}", "--window", "100", "--answer", "100"], "leaves no prompt"),
        (["{traces}", "--min-reward", "2"], "no sample is left .*unsuccessful"),
        (["{traces}", "--agent", "expert-advance"], "no sample is left .*other_agent"),
        (["{traces}", "--flag", "use_htm=true"], "use_htm"),
        (["{traces}", "--inter-seeds", "many"], "--inter-seeds many"),
        (["{traces}", "--allow", "email"], "write WHAT=REASON"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, tokenizer_folder: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    places = {name: tmp_path / name for name in ("empty", "nowhere", "traces")}
    filled = [argument.format(**places) for argument in arguments]
    if "--tokenizer" not in filled:
        filled += ["--tokenizer", tokenizer_folder]
    before = sorted(path.name for path in tmp_path.iterdir() if path.name != "cache")
    with pytest.raises(UserError, match=says) as caught:
        run("build", "-o", tmp_path / "out", *filled)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == before


def test_what_another_made_is_never_replaced(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="did not make it"):
        run("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    assert (tmp_path / "out/thesis.tex").read_text() == "mine"


def test_inspect_shows_what_a_person_wants_to_read(built: Path) -> None:
    listing = run("inspect", built)
    assert "miniwob.click-dialog" in listing and "72 samples" in listing
    row = rows(built, "all")[0]
    shown = run("inspect", built, "--episode", row["episode_id"])
    for part in (row["action"], "The goal names", f"{row['n_prompt_tokens']} prompt", "cut: nothing", "Click"):
        assert part in shown
    assert row["sample_id"] in run("inspect", built, "--row", "0", "--split", "cross_task")
    with pytest.raises(UserError, match="no row 9999"):
        run("inspect", built, "--row", "9999")


def test_real_traces_become_rows(real_traces: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    run("build", real_traces, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--window", 16384)
    samples = rows(tmp_path / "out", "all")
    assert len(samples) > 150 and {row["benchmark"] for row in samples} == {"workarena", "miniwob", "webarena"}
    assert len(rows(tmp_path / "out", "cot")) == len(rows(tmp_path / "out", "no_cot")) > 50
    for row in samples:
        page = row["prompt"][1]["content"]
        called = [argument for argument in row["action"].split("'")[1:2] if row["action"].startswith(("click", "fill"))]
        assert set(called) <= tree_bids(page) | html_bids(page)
    dropped = {rule for rule, _ in ledger(tmp_path / "out")}
    assert {"crashed", "no_summary", "unsuccessful", "bid_not_on_page"} <= dropped


def test_the_card_tells_every_column_rule_and_figure(built: Path) -> None:
    from agentmerge_hub.dataset.rules import EPISODE_RULES, SAMPLE_RULES
    from agentmerge_hub.records import SAMPLE_SCHEMA

    card = (built / "README.md").read_text()
    for name in SAMPLE_SCHEMA.names:
        assert f"`{name}`" in card
    samples = rows(built, "all")
    tokens = sum(row["n_prompt_tokens"] + row["n_completion_tokens"] for row in samples)
    assert f"72 samples, {tokens:,} tokens" in card
    assert "| scripted | [Apache License 2.0]" in card and "license: apache-2.0" in card
    assert (built / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert not EPISODE_RULES.keys() & SAMPLE_RULES.keys()
    assert str(built.parent) not in card + (built / "manifest.json").read_text()


def test_an_unknown_teacher_takes_the_license_that_is_given(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, model="our-own-model")
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    run(*build)
    assert rows(tmp_path / "out", "all")[0]["license"] == "unknown"
    run(*build, "--license", "our-own-model=mit")
    assert rows(tmp_path / "out", "all")[0]["license"] == "mit"
    assert "license: mit" in (tmp_path / "out/README.md").read_text()


def test_equal_samples_are_kept_where_asked_for(tmp_path: Path, tokenizer_folder: Path) -> None:
    for number in range(5):
        write_episode(tmp_path / "t", "miniwob.click-dialog", 0, name=f"run {number}", summary={"number": number})
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    run(*build)
    assert len(rows(tmp_path / "out", "all")) == 1
    run(*build, "--keep-duplicates", 3)
    assert len(rows(tmp_path / "out", "all")) == 3
    assert [rule for rule, _ in ledger(tmp_path / "out")] == ["duplicate"] * 2


def test_one_agents_episodes_are_taken_alone(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_study(tmp_path / "t", range(4))
    write_episode(tmp_path / "t", "miniwob.click-option", 9, flags=BASIC, reward=0.0)
    build = ("build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder, "--failures")
    run(*build, "--agent", "expert-advanced")
    assert {row["agent"] for row in rows(tmp_path / "out", "*")} == {"expert-advanced"}
    assert [rule for rule, _ in ledger(tmp_path / "out")] == ["other_agent"] * 13


def test_ray_makes_the_same_bytes(tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    traces = write_study(tmp_path / "traces", range(12))
    build = ("build", traces, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    run(*build, "--workers", 1)
    here = data_hashes(tmp_path / "out")
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "another cache"))
    assert "72 read now" in run(*build, "--workers", 2, "--ray")
    assert data_hashes(tmp_path / "out") == here


def test_a_ray_worker_that_cannot_see_the_traces_is_one_sentence(tmp_path: Path, tokenizer_folder: Path) -> None:
    pytest.importorskip("ray")
    from agentmerge_hub.dataset.settings import Settings
    from agentmerge_hub.dataset.workers import Work, run_on_ray
    from agentmerge_hub.traces.find import Found

    elsewhere = [Found("run", tmp_path / "only on another machine")]
    with pytest.raises(
        UserError, match=r"sees no .*only on another machine: with --ray the traces .* shared disk"
    ) as caught:
        list(run_on_ray(Work(Settings(), str(tokenizer_folder)), [elsewhere], 1))
    assert "\n" not in str(caught.value)


def test_a_build_needs_neither_torch_nor_a_browser_package(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0)
    program = (
        "import sys\n"
        "for name in ('torch', 'trl', 'mergekit', 'agentlab', 'browsergym', 'bgym', 'ray', 'playwright'):\n"
        "    sys.modules[name] = None\n"
        "from agentmerge_hub.cli import main\n"
        "main()\n"
    )
    arguments = ["build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 samples of 1 episodes" in done.stdout
