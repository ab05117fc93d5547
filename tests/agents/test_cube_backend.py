"""backend: cube: the same recipe, agents, prompts and results on CUBE's tasks. One test needs the CUBE environment."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from agentmerge_hub.agents.action_sets import make_action_set
from agentmerge_hub.agents.cube import client, installation
from agentmerge_hub.agents.cube.client import CubeError, CubeWorker
from agentmerge_hub.agents.cube.environment import CubeEnvArgs
from agentmerge_hub.agents.observations import flatten, to_observation
from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.study import studies
from agentmerge_hub.agents.study.preflight import list_problems
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Flags
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes

WORKER = """
import json, sys
page = {
    "chat_messages": [{"role": "assistant", "timestamp": 1.0, "message": "Hi!"}], "goal": "", "goal_object": [],
    "open_pages_urls": ["file:///pages/miniwob/a.html"], "open_pages_titles": ["A"], "active_page_index": [0],
    "url": "file:///pages/miniwob/a.html", "dom_object": {"documents": [], "strings": []},
    "axtree_object": {"nodes": [{"nodeId": "1", "role": {"value": "button"}, "name": {"value": "Go"}, "browsergym_id": "7",
                                "childIds": [], "properties": []}]},
    "extra_element_properties": {"7": {"visibility": 1.0, "bbox": [0, 0, 9, 9], "clickable": True, "set_of_marks": True}},
    "focused_element_bid": "7", "last_action": "", "last_action_error": "", "elapsed_time": [0.5],
}
def send(**message): print(json.dumps(message), flush=True)
send(protocol=1, versions={"miniwob-cube": "1.1.0", "workarena-cube": ""})
for line in sys.stdin:
    message = json.loads(line)
    if message["command"] == "reset":
        if message["seed"] == 13: send(error="no such page", error_class="WorkerError")
        else: send(goal="Press Go.", observation=page, info={})
    elif message["command"] == "step":
        calls = message["code"].splitlines()
        if "click('7')" in calls: send(observation=page, info={}, reward=1.0, terminated=True)
        elif "noop()" in calls: sys.exit("the browser is gone")
        else: send(observation=page, info={}, reward=0.0, terminated=False)
    else: send(reward=0.0)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CubeWorker]:
    """A process that speaks the worker's protocol without CUBE: one button; pressing it ends the task."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setenv("MINIWOB_URL", "file:///pages/miniwob/")
    worker = CubeWorker([sys.executable, str(script)])
    monkeypatch.setattr(client, "shared_worker", lambda: worker)
    yield worker
    worker.close()


def environment(max_steps: int = 9):
    return CubeEnvArgs("miniwob.a", 3, max_steps=max_steps).make_env(
        make_action_set("miniwob_all", True).to_python_code, None
    )


def test_observations_have_the_keys_and_the_text_of_browsergym(worker: CubeWorker) -> None:
    env = environment()
    obs, _ = env.reset(seed=3)
    flags = Flags(extract_visible_tag=True, extract_clickable_tag=True)
    page = to_observation(flatten(dict(obs), flags))
    assert page.axtree.strip() == "[7] button 'Go', clickable, visible"
    assert (page.goal, page.url, page.title, page.focused_bid) == ("Press Go.", "miniwob/a.html", "A", "7")
    assert [message["message"] for message in obs["chat_messages"]] == ["Hi!", "Press Go."]
    obs, reward, terminated, truncated, info = env.step("fly('7')")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert obs["last_action"] == "fly('7')" and obs["last_action_error"].startswith("NameError")
    obs, reward, terminated, truncated, _ = env.step("click('7')")
    assert (reward, terminated, truncated, obs["last_action_error"]) == (1.0, True, False, "")
    assert info["action_exec_stop"] >= info["action_exec_start"]
    env.close()  # the task has ended: no command is left without a reply
    env.reset(seed=4)
    env.close()
    assert worker.alive


def test_an_episode_ends_at_its_most_steps(worker: CubeWorker) -> None:
    env = environment(max_steps=2)
    env.reset(seed=3)
    assert [env.step("fill('7', 'x')")[3] for _ in range(2)] == [False, True]


def test_a_worker_that_fails_or_ends_is_an_error_of_one_sentence(worker: CubeWorker) -> None:
    env = environment()
    with pytest.raises(CubeError, match="WorkerError: no such page"):
        env.reset(seed=13)
    env.close()
    env.reset(seed=3)
    with pytest.raises(CubeError, match="the CUBE worker ended: the browser is gone"):
        env.step("noop()")
    env.close()
    assert not worker.alive
    with pytest.raises(CubeError, match="protocol 2"):
        CubeWorker([sys.executable, "-c", "print('{\"protocol\": 2}')"])
    with pytest.raises(CubeError, match="No module named 'browsergym_of_cube'"):
        CubeWorker([sys.executable, "-c", "import browsergym_of_cube"])


def test_what_cube_cannot_run_is_said_before_the_first_episode(write_recipe, tmp_path, monkeypatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(client, "worker_command", lambda: [sys.executable, str(script)])
    client.installed_versions.cache_clear()
    monkeypatch.setenv("SNOW_INSTANCE_POOL", str(script))
    tasks = {"episodes": [{"split": "x"}]}
    assert list_problems(read(write_recipe(backend="cube"))) == []
    (webarena,) = list_problems(read(write_recipe(backend="cube", benchmark="webarena", **tasks)))
    assert webarena == "backend cube has no tasks of webarena, but of miniwob and workarena: use backend local"
    (missing,) = list_problems(read(write_recipe(backend="cube", benchmark="workarena_l1", **tasks)))
    assert missing.startswith("the CUBE environment has no workarena-cube")
    (ray,) = list_problems(read(write_recipe(backend="cube", ray_address="auto")))
    assert "ray_address" in ray
    client.installed_versions.cache_clear()


def test_a_missing_environment_or_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "FOLDER", ".no-such-folder")
    monkeypatch.delenv(installation.VARIABLE, raising=False)
    monkeypatch.setattr(installation, "PYTHONS", (sys.executable,))
    with pytest.raises(UserError, match="run `make setup-cube`"):
        installation.find_python()
    monkeypatch.setattr(installation, "PYTHONS", ("no-such-python",))
    with pytest.raises(UserError, match=r"needs Python 3\.12 or 3\.13, which is not on this machine"):
        installation.find_python()
    monkeypatch.setenv(installation.VARIABLE, "no-such-python")
    with pytest.raises(UserError, match="not a program"):
        installation.find_python()


@pytest.mark.browser
def test_prompts_and_results_equal_those_of_browsergym(write_recipe, tmp_path: Path, monkeypatch) -> None:
    """Two tasks on both backends. It needs the CUBE environment."""
    try:
        monkeypatch.setenv(installation.VARIABLE, str(installation.find_python()))
    except UserError as error:
        pytest.skip(str(error))
    client.installed_versions.cache_clear()
    tables, prompts = [], []
    for backend in ("local", "cube"):
        flags = {"preset": "advanced", "use_html": True, "use_tabs": True}
        recipe = write_recipe(
            backend=backend,
            agents=[{"name": "adv", "flags": flags}, {"name": "basic", "flags": {"preset": "basic"}}],
            episodes=[{"split": "train", "tasks": ["enter-text", "click-checkboxes"], "seeds": [7]}],
        )
        studies.run_evaluate(recipe, tmp_path / backend)
        rows = pq.read_table(tmp_path / backend / "results.parquet").to_pylist()
        tables.append([{key: value for key, value in row.items() if key not in ("seconds", "trace")} for row in rows])
        episodes = [read_episode(found) for found in find_episodes([tmp_path / backend])]
        prompts.append({(e.task, e.agent, step.index): json.dumps(step.messages) for e in episodes for step in e.steps})
    assert tables[0] == tables[1]
    assert [row["reward"] for row in tables[1]] == [1.0] * 4
    assert prompts[0] == prompts[1] and len(prompts[0]) >= 6
