"""Trace pages: readable, without secrets, no more than --traces allows."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import simulated_results as simulated
from report_pages import Links

from agentmerge_hub.analysis.report import trace_pages, writer

EPISODE = "miniwob-agentlab/2025-01-22_11-03-29_GenericAgent-gpt-4o-mini_on_miniwob.click-checkboxes_7"


def test_a_trace_becomes_a_readable_page(real_traces: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(real_traces / EPISODE, results / "traces" / "one")
    (results / "traces" / "one" / "screenshot_step_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    (results / "traces" / "one" / "screenshot_step_1.png").write_bytes(b"<svg onload=alert(1)>")
    rows = simulated.study({"agentmerge": 0.0, "instruct": 0.0}, splits={"cross_task": 2}, seeds=2)
    rows[0]["trace"] = "traces/one"
    rows[1]["trace"] = "../../outside"
    rows[2]["trace"] = "traces/gone"
    simulated.write(results, rows)
    (tmp_path / "outside").mkdir()
    writer.write([results], tmp_path / "report", writer.Options(draws=200))
    (page,) = (tmp_path / "report" / "traces").glob("*.html")
    text = page.read_text()
    assert "miniwob.cross-task-0" in text and "Select" in text and "click(" in text
    assert "The page as the agent saw it" in text
    shown = [address for address in Links(page).addresses if address.endswith(".png")]
    assert {(page.parent / address).is_file() for address in shown} == {True}
    assert len(list(page.parent.rglob("*.png"))) == 1
    listed = "".join(path.read_text() for path in (tmp_path / "report" / "episodes").glob("*.html"))
    assert f"../traces/{page.name}" in listed
    assert pq.read_table(tmp_path / "report" / "behaviour.parquet").column("loop").to_pylist().count(None) == 1


def test_pages_hold_no_secret_of_the_trace(real_traces: Path, tmp_path: Path) -> None:
    name = "2025-01-02_12-23-54_DemoAgentArgs_on_workarena.servicenow.order-development-laptop-p-c_5"
    results = tmp_path / "results"
    shutil.copytree(real_traces / "workarena" / name, results / "traces" / "one")
    (tmp_path / "report").mkdir()
    pages = trace_pages.write(tmp_path / "report", [simulated.episode(trace="traces/one", folder=results)], most=1)
    (page,) = (tmp_path / "report" / path for path in pages.names.values())
    assert "Development" in page.read_text()
    assert "service-now.com" not in page.read_text()


def test_no_more_trace_pages_than_the_option_allows(real_traces: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(real_traces / EPISODE, results / "traces" / "one")
    rows = [simulated.episode(method=m, seed=s, trace="traces/one", folder=results) for m in "ab" for s in range(2)]
    for number, row in enumerate(rows):
        shutil.copytree(real_traces / EPISODE, results / "traces" / str(number))
        row["trace"] = f"traces/{number}"
    (tmp_path / "report").mkdir()
    pages = trace_pages.write(tmp_path / "report", rows, most=3)
    assert (len(pages.names), pages.left_out, pages.unreadable) == (3, 1, 0)
    assert all("longest_repeat" in row for row in rows)
