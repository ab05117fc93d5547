"""The demo page shows rows of every task, filters them in a real browser, and cannot be changed by what a row holds."""

import html
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import stage_outputs
import yaml
from click.testing import CliRunner

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.publishing.review.decisions import STRUCK, Decisions
from agentmerge_hub.publishing.review.rows import iterate_rows

HOSTILE = "</pre></details><script>document.title = 'changed'</script><img src=x onerror=\"document.title='changed'\">"
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    rows = [stage_outputs.sample(number, task=f"miniwob.t{number // 4}") for number in range(8)]
    turn = {"role": "user", "content": f"{HOSTILE} {'wide' * 200}"}
    action = f"fill('a9', '{HOSTILE}')"
    rows.append(
        stage_outputs.sample(
            9, task="miniwob.hostile", action=action, prompt=[turn], teacher="<b>bold</b>", license="mit"
        )
    )
    stage_outputs.dataset(folder / "traces", rows)
    arguments = [
        "demo-page",
        str(folder / "traces"),
        "-o",
        str(folder / "out"),
        "--repo-id",
        "acme/traces",
        "--rows",
        "2",
    ]
    done = CliRunner().invoke(agentmerge, arguments)
    assert done.exit_code == 0, done.exception
    return folder / "out"


def test_it_is_a_static_space(demo: Path) -> None:
    settings = yaml.safe_load((demo / "README.md").read_text().split("---")[1])
    assert (settings["sdk"], settings["app_file"], settings["datasets"]) == ("static", "index.html", ["acme/traces"])
    assert len(settings["short_description"]) <= 60 and manifest.verify(demo) == []
    page = (demo / "index.html").read_text()
    assert (
        "<script>document" not in page and page.count("<script>") == 1 and "src=" not in page.replace("&lt;img src", "")
    )


def test_a_collapsed_row_shows_its_action(demo: Path) -> None:
    summaries = re.findall(r"<summary>(.*?)</summary>", (demo / "index.html").read_text())
    shown = [html.unescape(re.search(r"<samp>(.*)</samp>", summary)[1]) for summary in summaries]
    actions = (f"fill('a9', '{HOSTILE}')"[:99] + "…", "click('a0')", "click('a4')")
    assert shown == [action for action in actions for _ in range(2)]  # each row is in several splits here
    assert ["with think step" in summary for summary in summaries] == [False] * 2 + [True] * 4


def test_a_secret_in_a_row_is_not_written(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "key hf_" + "Canary0123456789" * 2 + "ab"}
    stage_outputs.dataset(tmp_path / "traces", [stage_outputs.sample(0, prompt=[turn]), stage_outputs.sample(1)])
    done = CliRunner().invoke(agentmerge, ["demo-page", str(tmp_path / "traces"), "-o", str(tmp_path / "out")])
    assert "index.html holds" in str(done.exception) and not (tmp_path / "out").exists()


def test_a_struck_row_is_not_written(tmp_path: Path) -> None:
    traces = stage_outputs.dataset(tmp_path / "traces")
    Decisions(traces).record(next(row for row, _ in iterate_rows(traces)), STRUCK)
    done = CliRunner().invoke(agentmerge, ["demo-page", str(traces), "-o", str(tmp_path / "out")])
    assert "rows that were struck are still in it" in str(done.exception) and not (tmp_path / "out").exists()


def seen_in_chromium(page: str) -> dict:
    """What a reader sees at two widths, after choosing a task and typing a text."""
    from playwright.sync_api import sync_playwright

    from agentmerge_hub.agents.browser import chromium

    seen = {}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for width in (390, 1280):
            tab = browser.new_page(viewport={"width": width, "height": 900})
            requests: list[str] = []
            tab.on("request", lambda request, requests=requests: requests.append(request.url))
            tab.goto(page)
            tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            found = {"all": tab.inner_text("#count"), "too wide": tab.evaluate(TOO_WIDE), "title": tab.title()}
            tab.select_option("select[name=task]", "miniwob.t1")
            found["task"] = tab.inner_text("#count"), tab.locator("details.row:visible").count()
            tab.fill("input[name=text]", "no such text")
            found["text"] = tab.inner_text("#count"), tab.locator("details.row:visible").count()
            seen[width] = found | {"requests": len(requests)}
        browser.close()
    return seen


@pytest.mark.browser
def test_a_reader_filters_it_at_two_widths(demo: Path) -> None:
    pytest.importorskip("playwright.sync_api")
    # A browser started in this process would stay with the workers that later tests fork.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        seen = pool.submit(seen_in_chromium, (demo / "index.html").as_uri()).result()
    expected = {"all": "6 rows", "too wide": [], "title": "traces: rows of each task", "requests": 1}
    assert seen == {width: expected | {"task": ("2 of 6 rows", 2), "text": ("0 of 6 rows", 0)} for width in (390, 1280)}
