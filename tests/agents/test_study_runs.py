"""Studies in a real browser: collected, continued, scored, and robust against failures."""

import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pyarrow.parquet as pq
import pytest
import yaml

from agentmerge_hub import manifest
from agentmerge_hub.agents.study import studies
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.locks import lock_folder
from agentmerge_hub.prompt import answer
from agentmerge_hub.records import RESULT_SCHEMA
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes

pytestmark = pytest.mark.browser


def rows(out: Path) -> list[dict]:
    table = pq.read_table(out / "results.parquet")
    assert table.schema.equals(RESULT_SCHEMA)
    return table.to_pylist()


def press_first_button(messages: list[dict]) -> str:
    found = re.search(r"\[(\w+)\] button", messages[1]["content"])
    return answer(f"click('{found[1]}')", "There is one button.")


def test_the_expert_collects_and_an_interrupted_study_continues(write_recipe, tmp_path: Path) -> None:
    flags = yaml.safe_load(write_recipe().read_text())["agents"][0]["flags"]
    agents = [{"name": "advanced", "flags": flags | {"preset": "advanced"}}, {"name": "basic", "flags": flags}]
    episodes = [
        {"split": "train", "browsergym_split": "train", "tasks": ["click-collapsible", "enter-text"], "seeds": "1-2"}
    ]
    recipe = write_recipe(agents=agents, episodes=episodes, jobs=2)
    out = tmp_path / "traces"
    assert studies.run_collect(recipe, out) == {"done": 8, "crashed": 0, "missing": 0}
    read = [read_episode(found) for found in find_episodes([out])]
    assert [episode.reward for episode in read] == [1.0] * 8
    advanced = next(e for e in read if e.agent == "expert-advanced" and "collapsible" in e.task)
    basic = next(e for e in read if e.agent == "expert-basic" and "collapsible" in e.task)
    assert len(advanced.steps) < len(basic.steps) == 2
    assert advanced.steps[0].thought and basic.steps[0].thought is None
    assert advanced.teacher == "scripted" and advanced.flags["use_thinking"] is True
    assert str(Path.home()) not in advanced.steps[0].messages[1]["content"]

    kept, broken, gone = sorted(path.parent for path in out.glob("*/*/exp_args.pkl"))[:3]
    before = (kept / "summary_info.json").stat().st_mtime_ns
    (broken / "summary_info.json").unlink()
    shutil.rmtree(gone)
    assert studies.run_collect(recipe, out) == {"done": 8, "crashed": 0, "missing": 0}
    assert (kept / "summary_info.json").stat().st_mtime_ns == before
    assert not broken.exists()
    assert len(list(out.glob("*/*/exp_args.pkl"))) == 8 and len(list(out.glob("*/study.pkl.gz"))) == 1
    assert manifest.read(out)["counts"]["done"] == 8

    more = [episodes[0] | {"seeds": "1-3"}]
    again = studies.dry_run(write_recipe(agents=agents, episodes=more, jobs=1), out, "collect")
    assert again.problems == [] and "8 of them done, 4 episodes left to run" in again.lines
    assert studies.dry_run(recipe, out, "evaluate").problems == [
        f"{out} is a study of `collect`: choose another folder for `evaluate`"
    ]
    for changes, difference in (
        ({"episodes": [episodes[0] | {"seeds": "2-3"}]}, "4 episodes .*episodes.train.seeds is '2-3', was '1-2'"),
        ({"episodes": more, "max_steps": 7}, r"8 episodes .*seeds is '1-3', was '1-2'; max_steps is 7, was 3\)"),
        ({"agents": agents[:1], "episodes": more}, r"4 episodes .*agents.basic.* is not set, was"),
    ):
        changed = write_recipe(**{"agents": agents} | changes)
        (problem,) = studies.dry_run(changed, out, "collect").problems
        assert re.search(difference, problem)
        with pytest.raises(UserError, match=difference):
            studies.run_collect(changed, out)
    assert manifest.read(out)["counts"]["done"] == 8 and len(list(out.glob("*/*/exp_args.pkl"))) == 8


def test_a_served_folder_is_scored_and_its_twin_is_not_run_again(
    write_recipe, model_folder: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(model_folder, twin)
    manifest.write(twin, "merge", config={"method": "agentmerge", "lambda": 0.5, "seed": 3})
    candidates = [
        {"name": "tiny", "method": "instruct", "path": str(model_folder)},
        {"name": "twin", "path": str(twin)},
    ]
    out = tmp_path / "results"
    recipe = write_recipe(candidates=candidates, window=2048, answer=16, max_retry=1)
    studies.run_evaluate(recipe, out)
    first, second = rows(out)
    assert (first["model"], second["model"]) == ("tiny", "twin")
    assert first["trace"] == second["trace"] and (out / first["trace"]).is_dir()
    assert first["weights_hash"] == second["weights_hash"] and len(first["weights_hash"]) == 64
    assert first["engine"].startswith("transformers 5.") and first["number_format"] in ("float32", "bfloat16")
    assert (second["method"], second["merge_lambda"], second["run_seed"]) == ("agentmerge", 0.5, 3)
    assert first["status"] == "done" and first["success"] is False
    assert first["error_class"] == "parse" and first["parse_retries"] == 1
    assert first["prompt_tokens"] > 0 and 0 < first["completion_tokens"] <= 32


def test_the_columns_are_right(
    write_recipe, chat_server, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(messages: list[dict]) -> str:
        page = messages[1]["content"]
        if "## Step 0" not in page:
            return answer("click('a324')", "As in the example.")
        return answer("click('99')") if "## Step 1" not in page else press_first_button(messages)

    chat_server.answer = reply
    chat_server.models = []  # the endpoint lists none, and answers as m whatever it is asked for
    candidates = [{"name": "m", "model": "large", "tokenizer": str(tokenizer_folder), "revision": "abc"}]
    recipe = write_recipe(candidates=candidates, endpoint=chat_server.address, answer=64)
    studies.run_evaluate(recipe, tmp_path / "results")
    (row,) = rows(tmp_path / "results")
    assert row["status"] == "done" and row["success"] is True and row["reward"] == 1.0
    assert (row["answers"], row["steps"], row["think_answers"]) == (3, 3, 2)
    assert (row["copied_example_actions"], row["copied_example_off_page"]) == (1, 1)
    assert row["copied_example_first_step"] is True and row["invalid_bid_actions"] == 2
    assert (row["prompt_tokens"], row["completion_tokens"]) == (300, 21)
    assert row["weights_hash"] == "abc" and (row["engine"], row["number_format"]) == ("endpoint", None)
    assert row["category"] == "original" and row["seconds"] > 0
    assert (row["endpoint_model"], row["answered_as"]) == ("large", "m")
    assert "asked for 'large', the endpoint answered as 'm' in 1 episode" in capsys.readouterr().err
    saved = b"".join(
        path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.suffix in (".pkl", ".json")
    )
    assert chat_server.address.encode() not in saved


def test_a_server_that_breaks_on_some_episodes(
    write_recipe, chat_server, tokenizer_folder: Path, tmp_path: Path
) -> None:
    def reply(messages: list[dict]) -> str | tuple[int, str]:
        page = messages[1]["content"]
        if "Click button ONE" in page:
            return answer("noop(1e9)")
        return (200, "<nonsense>") if "Focus into" in page else press_first_button(messages)

    chat_server.answer = reply
    candidates = [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}]
    episodes = [
        {"split": "train", "tasks": ["focus-text", "click-test"], "seeds": [1, 2]},
        {"split": "train", "tasks": ["click-test-2"], "seeds": [1]},
    ]
    agents = [{"name": "basic", "flags": {"preset": "basic", "action_space": "miniwob"}}]
    common = {"candidates": candidates, "agents": agents, "endpoint": chat_server.address, "answer": 64}
    recipe = write_recipe(**common, episodes=episodes, step_seconds=25)
    out = tmp_path / "results"
    assert studies.run_evaluate(recipe, out) == {"done": 3, "crashed": 2, "missing": 0}
    (hang,) = [row for row in rows(out) if row["task"] == "miniwob.click-test-2"]
    assert (hang["reward"], hang["success"], hang["error_class"]) == (0.0, False, "hang")  # the model's own failure
    assert (hang["answers"], hang["prompt_tokens"]) == (1, 100) and hang["endpoint_model"] == "m"
    crashed = [row for row in rows(out) if row["status"] == "crashed"]
    assert [(row["task"], row["reward"], row["error_class"]) for row in crashed] == [
        ("miniwob.focus-text", None, "EndpointError")
    ] * 2
    chat_server.answer = press_first_button_or_box
    assert studies.run_evaluate(recipe, out) == {"done": 5, "crashed": 0, "missing": 0}


def press_first_button_or_box(messages: list[dict]) -> str:
    found = re.search(r"\[(\w+)\] (button|textbox)", messages[1]["content"])
    return answer(f"click('{found[1]}')")


@pytest.fixture
def hanging_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MiniWoB's pages with one that never comes back from a click."""
    original = Path(url2pathname(urlparse(os.environ["MINIWOB_URL"]).path)).parent
    html = tmp_path / "html"
    (html / "miniwob").mkdir(parents=True)
    for path in original.iterdir():
        if path.name != "miniwob":
            (html / path.name).symlink_to(path)
    for path in (original / "miniwob").iterdir():
        (html / "miniwob" / path.name).symlink_to(path)
    page = html / "miniwob" / "focus-text.html"
    text = page.read_text()
    page.unlink()
    page.write_text(
        text.replace("</head>", "<script>addEventListener('mousedown', () => { for (;;) {} })</script></head>")
    )
    monkeypatch.setenv("MINIWOB_URL", (html / "miniwob").as_uri() + "/")


def test_a_page_that_hangs_is_ended(hanging_pages, write_recipe, tmp_path: Path) -> None:
    episodes = [{"split": "train", "tasks": ["focus-text", "click-test"], "seeds": [1]}]
    recipe = write_recipe(episodes=episodes, step_seconds=12, retries=0)
    assert studies.run_collect(recipe, tmp_path / "traces") == {"done": 1, "crashed": 1, "missing": 0}
    (crashed,) = (e for e in map(read_episode, find_episodes([tmp_path / "traces"])) if e.error)
    assert crashed.task == "miniwob.focus-text" and "HungError: no step within 12 seconds" in crashed.error


def test_a_browser_that_is_killed_costs_one_episode_at_most(
    write_recipe, chat_server, tokenizer_folder, tmp_path
) -> None:
    import psutil

    killed = []

    def reply(messages: list[dict]) -> str:
        if not killed:
            killed.extend(p for p in psutil.Process().children(recursive=True) if "chrom" in p.name())
            for process in killed:
                process.kill()
            time.sleep(1)
        return press_first_button(messages)

    chat_server.answer = reply
    candidates = [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}]
    episodes = [{"split": "train", "tasks": ["click-test"], "seeds": [1, 2]}]
    recipe = write_recipe(candidates=candidates, episodes=episodes, endpoint=chat_server.address, answer=64)
    assert studies.run_evaluate(recipe, tmp_path / "results") == {"done": 2, "crashed": 0, "missing": 0}
    assert killed


def test_nothing_is_written_if_no_model_answers(write_recipe, tokenizer_folder: Path, tmp_path: Path) -> None:
    candidates = [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}]
    recipe = write_recipe(candidates=candidates, endpoint="http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match=r"no model answers at the endpoint http://127\.0\.0\.1:9/v1"):
        studies.run_evaluate(recipe, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_second_writer_is_refused(write_recipe, tmp_path: Path) -> None:
    with lock_folder(tmp_path / "traces", "collect"), pytest.raises(UserError, match="is being written by `collect`"):
        studies.run_collect(write_recipe(), tmp_path / "traces")


def test_no_browser_is_one_sentence(write_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMERGE_CHROMIUM", "/no/such/chromium")
    with pytest.raises(UserError, match="AGENTMERGE_CHROMIUM is '/no/such/chromium', which is not a program"):
        studies.run_collect(write_recipe(), tmp_path / "traces")
    assert not (tmp_path / "traces").exists()


def test_a_budget_stops_a_study_which_continues_later(
    write_recipe, chat_server, tokenizer_folder, tmp_path, capsys
) -> None:
    chat_server.answer = press_first_button
    candidates = [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}]
    episodes = [{"split": "train", "tasks": ["click-test"], "seeds": [1, 2, 3]}]
    common = {"candidates": candidates, "episodes": episodes, "endpoint": chat_server.address, "answer": 64}
    out = tmp_path / "results"
    assert studies.run_evaluate(write_recipe(**common, max_tokens=150), out) == {"done": 2, "crashed": 0, "missing": 1}
    assert "max_tokens 150 is used up, 1 episode is left" in capsys.readouterr().err
    assert [row["status"] for row in rows(out)] == ["done", "done", "missing"]
    assert studies.run_evaluate(write_recipe(**common), out) == {"done": 3, "crashed": 0, "missing": 0}


def test_crashed_episodes_that_are_run_again_use_up_the_budget(
    write_recipe, chat_server, tokenizer_folder, tmp_path, capsys
) -> None:
    chat_server.answer = lambda messages: (
        (400, "{}") if "## Step 0" in messages[1]["content"] else answer("click('99')")
    )
    candidates = [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}]
    episodes = [{"split": "train", "tasks": ["click-test"], "seeds": [1, 2]}]
    recipe = write_recipe(
        candidates=candidates, episodes=episodes, endpoint=chat_server.address, answer=64, retries=0, max_tokens=250
    )
    out = tmp_path / "results"
    assert studies.run_evaluate(recipe, out) == {"done": 0, "crashed": 2, "missing": 0}  # 107 tokens each
    assert studies.run_evaluate(recipe, out) == {"done": 0, "crashed": 1, "missing": 1}
    assert "max_tokens 250 is used up, 1 episode is left" in capsys.readouterr().err


def test_generic_agent_is_usable(write_recipe, chat_server, tmp_path: Path) -> None:
    chat_server.answer = lambda messages: answer("click('13')", "There is one button.")
    recipe = write_recipe(
        candidates=[{"name": "m", "model": "m"}],
        agents=[{"name": "generic", "generic": "FLAGS_LLAMA3_70B"}],
        endpoint=chat_server.address,
    )
    studies.run_evaluate(recipe, tmp_path / "results")
    (row,) = rows(tmp_path / "results")
    assert row["status"] == "done" and row["success"] is True and row["think_answers"] == 1
    assert yaml.safe_load(row["flags"])["obs"]["use_html"] is True
    assert "You are an agent" in chat_server.requests[0]["messages"][0]["content"]
    saved = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*.pkl"))
    assert chat_server.address.encode() not in saved


def test_ray_runs_the_same_episodes(write_recipe, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    episodes = [{"split": "train", "tasks": ["click-test", "enter-text"], "seeds": [1]}]
    recipe = write_recipe(episodes=episodes, backend="ray", jobs=1)
    assert studies.run_collect(recipe, tmp_path / "traces") == {"done": 2, "crashed": 0, "missing": 0}
    assert [read_episode(found).reward for found in find_episodes([tmp_path / "traces"])] == [1.0, 1.0]
