"""A person reviews a dataset in the browser: decisions survive a kill, struck rows leave the dataset, push reports it."""

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dataset_files import rows
from hub_server import Hub

from agentmerge_hub import manifest

TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')].filter(e => e.offsetParent &&
    [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"""
CONTRAST = """() => {
    const light = color => color.match(/\\d+(\\.\\d+)?/g).slice(0, 3).map(v => v / 255).map(
        v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => { const c = getComputedStyle(e).backgroundColor;
        return c == 'rgba(0, 0, 0, 0)' && e.parentElement ? ground(e.parentElement) : c; };
    return Math.min(...[...document.querySelectorAll('summary, pre, mark, button:enabled, .badge, #keys, #position')].map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05); }));
}"""


Begin = Callable[[], tuple[subprocess.Popen, str]]


@pytest.fixture
def begin(clicks: Path, client_environment: dict[str, str]) -> Iterator[Begin]:
    """Starts a review; gives its process and the URL of its page."""
    processes = []

    def begin() -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-m", "agentmerge_hub.cli", "review", clicks, "--no-browser", "--sample", "100"]
        process = subprocess.Popen(command, env=client_environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        return process, found[0]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def look_and_decide(url: str, finish: bool) -> dict[str, list]:
    """Look at the page at two widths in both schemes; approve the first row, strike the next that holds markup."""
    from playwright.sync_api import expect, sync_playwright

    from agentmerge_hub.agents.browser import chromium

    seen: dict[str, list] = {"problems": [], "contrasts": [], "texts": []}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for width, scheme in ((390, "dark"), (1280, "light")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("console", lambda message: seen["problems"].append(message.text))
            page.on("pageerror", lambda error: seen["problems"].append(str(error)))
            page.goto(url)
            page.wait_for_selector("details.answer")
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            seen["problems"] += page.evaluate(TOO_WIDE)
            seen["texts"].append(page.evaluate(SMALLEST_TEXT))
            seen["contrasts"].append(page.evaluate(CONTRAST))
        seen["progress"] = [page.inner_text("#progress")]
        if finish:
            page.on("dialog", lambda dialog: dialog.accept())
            page.keyboard.press("f")
            page.wait_for_selector("text=Finished")
        else:
            before = page.inner_text("#position")
            page.keyboard.press("a")
            expect(page.locator("#progress")).to_contain_text("1 of")
            expect(page.locator("#position")).not_to_have_text(before)  # keys are ignored until the next row is shown
            while "<script>" not in page.inner_text("#row"):
                before = page.inner_text("#position")
                page.keyboard.press("j")
                expect(page.locator("#position")).not_to_have_text(before)
            page.keyboard.press("n")
            seen["mark"] = [page.inner_text("mark.current")]
            page.keyboard.press("s")
            page.keyboard.type("holds markup, ask jane@corp.test")
            page.keyboard.press("Enter")
            expect(page.locator("#progress")).to_contain_text("2 of")
            seen["title"] = [page.title(), page.locator("#row img, #row script").count()]
        browser.close()
    return seen


@pytest.mark.browser
def test_a_review_in_the_browser(clicks: Path, hub: Hub, run, begin: Begin) -> None:
    pytest.importorskip("playwright.sync_api")
    unstruck = {config: rows(clicks, config) for config in ("all", "cot", "no_cot", "episodes", "preferences")}
    push = ("push", "dataset", clicks, "--repo-id", "acme/clicks", "--collection", "")
    assert "No row was reviewed by a person" in run(*push, "--yes").stdout

    process, url = begin()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seen = pool.apply(look_and_decide, (url, False))
        assert seen["problems"] == [] and min(seen["texts"]) >= 10 and min(seen["contrasts"]) >= 4.5
        assert seen["mark"] == ["kX9pQ2mZ7vLw4TbN"] and seen["title"] == ["Review of clicks", 0]

        process.kill()
        process.wait()
        refused = run(*push, ok=False)
        assert refused.returncode == 1 and "1 rows that were struck are still in it" in refused.stdout

        process, url = begin()
        seen = pool.apply(look_and_decide, (url, True))
        assert seen["progress"][0].startswith("2 of")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "2 of" in said and "1 were struck" in said

    assert manifest.verify(clicks) == []
    left = {config: rows(clicks, config) for config in unstruck}
    struck = next(row for row in unstruck["all"] if "<script>" in row["prompt"][-1]["content"])
    assert left["all"] == [row for row in unstruck["all"] if row != struck]
    assert left["episodes"] == [row for row in unstruck["episodes"] if row["episode_id"] != struck["episode_id"]]
    assert left["preferences"] == [row for row in unstruck["preferences"] if row["episode_id"] != struck["episode_id"]]
    assert len(left["cot"]) == len(left["no_cot"]) and all(row in unstruck["cot"] for row in left["cot"])
    ledger = [row for row in pq.read_table(clicks / "ledger.parquet").to_pylist() if row["rule"] == "struck_in_review"]
    assert [(row["episode_id"], row["step"]) for row in ledger] == [(struck["episode_id"], 0)]
    assert "holds markup" in ledger[0]["detail"] and "jane@corp.test" not in ledger[0]["detail"]
    card = (clicks / "README.md").read_text()
    assert (
        "| `struck_in_review` |" in card
        and f"2 of {len(unstruck['all']) + 1 + len(unstruck['preferences'])} rows" in card
    )
    done = run(*push, "--yes").stdout
    assert "2 of" in done and "1 were struck" in done and "tagged v1.1.0" in done
    assert sorted(hub.store.repos["dataset", "acme/clicks"].tags) == ["v1.0.0", "v1.1.0"]


def test_a_review_without_a_dataset_is_one_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, says in (
        ("empty", "empty is not the finished output of a stage"),
        ("missing", "there is no folder missing"),
    ):
        done = run("review", folder, "--no-browser", ok=False)
        assert done.returncode == 1 and done.stderr.startswith(f"Error: {says}")
