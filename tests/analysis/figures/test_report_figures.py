"""Figures along training and over λ, and the report of a sweep as a page."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulated_results as simulated
from matplotlib.figure import Figure
from report_pages import Links, csv_rows

from agentmerge_hub.analysis import episodes, error_analysis, selection, tables
from agentmerge_hub.analysis.candidates import short_labels
from agentmerge_hub.analysis.common_episodes import shared_episodes
from agentmerge_hub.analysis.figures import heat_map, learning_curves, scores
from agentmerge_hub.analysis.report import explanations, trace_pages, writer

SPLITS = {"inter_task": 3, "cross_task": 3, "validation": 2}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a sweep: two learning rates, three checkpoints, λ at the last, likelihoods, one copied example."""
    root = tmp_path_factory.mktemp("sweep")
    rows = simulated.study({"instruct": -3.0}, splits=SPLITS, seeds=3)
    for rate in (1e-6, 5e-6):
        for seen in (5120, 10240, 15360):
            setting = {"splits": SPLITS, "seeds": 3, "learning_rate": rate, "samples_seen": seen, "luck": seen}
            copies = {"copied_example_actions": 2, "copied_example_first_step": True} if seen > 5120 else {}
            rows += simulated.study({"instruct_finetuned": -1.0}, **setting, **copies, model=f"tuned-{rate}")
            for weight in (0.3, 0.5) if seen == 15360 else (0.5,):
                rows += simulated.study({"agentmerge": 0.0}, **setting, merge_lambda=weight)
    scored = [
        {
            "split": split,
            "sample_id": str(i),
            "task": f"t{i}",
            "samples_seen": seen,
            "mean_logprob": -5120 / seen - i / 10,
        }
        for seen in (5120, 10240)
        for split in ("inter_task", "cross_task")
        for i in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(scored), root / "tuned.parquet")
    options = writer.Options(draws=200, likelihood=(f"tuned-1e-06={root / 'tuned.parquet'}",))
    writer.write([simulated.write(root / "results", rows)], root / "report", options)
    return root / "report"


def test_a_sweep_is_drawn_along_training_and_over_lambda(sweep: Path) -> None:
    for name in (
        "curves_instruct_finetuned_advanced",
        "merged_along_training_advanced",
        "lambda",
        "behaviour_1",
        "scores",
    ):
        assert ElementTree.parse(sweep / f"{name}.svg").getroot().tag.endswith("svg")
        assert (sweep / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'id="figure-{name}"' in (sweep / "report.html").read_text()
    assert "AgentMerge (λ 0.5) against instruct fine-tuned along training" in (sweep / "report.html").read_text()


def test_methods_whose_names_give_one_file_name_have_a_figure_each(tmp_path: Path) -> None:
    rows = [
        simulated.episode(method=method, samples_seen=seen, learning_rate=1e-6, model=f"{method}{seen}", reward=float(seen > 80), seed=seed)
        for method in ("soup α", "soup β") for seen in (80, 160) for seed in (1, 2)
    ]  # fmt: skip
    results = episodes.read([simulated.write(tmp_path / "results", rows)])
    along = learning_curves.table(results, selection.choose(results).candidates)
    pictures = learning_curves.learning_curves(tmp_path, along, [])
    assert [picture.name for picture in pictures] == ["curves_soup___advanced", "curves_soup___advanced_2"]
    assert ["soup α" in picture.caption for picture in pictures] == [True, False]


def test_points_of_a_line_are_scored_on_the_same_episodes(tmp_path: Path) -> None:
    setting = {"method": "agentmerge", "learning_rate": 1e-6, "samples_seen": 20}
    rewards = {0.3: (1.0,), 0.5: (1.0, 0.0), 0.7: (0.0, 0.0)}
    rows = [
        simulated.episode(**setting, merge_lambda=weight, seed=seed, reward=reward)
        for weight, scored in rewards.items()
        for seed, reward in enumerate(scored)
    ]
    rows += [simulated.episode(seed=seed, reward=0.0, learning_rate=1e-4, samples_seen=9) for seed in range(3)]
    rows += [simulated.episode(method="agent", learning_rate=1e-6, samples_seen=20, seed=1, reward=1.0)]
    early = setting | {"samples_seen": 10, "merge_lambda": 0.5}
    rows += [simulated.episode(**early, seed=1, reward=1.0)]
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", writer.Options(draws=200))
    curve = csv_rows(tmp_path / "report" / "lambda_curve.csv")
    assert [(float(row["merge_lambda"]), float(row["reward"]), int(row["n"])) for row in curve] == [
        (0.0, 0.0, 1), (0.3, 1.0, 1), (0.5, 1.0, 1), (0.7, 0.0, 1),
    ]  # fmt: skip
    along = csv_rows(tmp_path / "report" / "along_training.csv")
    assert [(row["method"], row["samples_seen"], float(row["reward"])) for row in along] == [
        ("agentmerge", "10", 1.0), ("agentmerge", "20", 0.0), ("instruct", "", 0.0),
    ]  # fmt: skip


def test_every_figure_has_a_dark_and_a_narrow_version(sweep: Path) -> None:
    page = (sweep / "report.html").read_text()
    figures = page.count("<figure")
    assert figures > 5 and page.count("prefers-color-scheme: dark)" + chr(34)) == 2 * figures
    addresses = Links(sweep / "report.html").addresses[:4]
    assert len(set(addresses)) == 4 and all(address.startswith("data:image/svg") for address in addresses)
    assert "geometric-mean token probability" in page


def test_the_report_can_be_sent_alone_and_links_in_its_folder_lead_somewhere(sweep: Path) -> None:
    assert all(address.startswith("data:") for address in Links(sweep / "report.html").addresses)
    pages = list(sweep.glob("episodes/*.html"))
    assert (sweep / "episodes" / "index.html") in pages and len(pages) > 5
    for page in pages:
        for address in Links(page).addresses:
            name, _, place = address.partition("#")
            assert (page.parent / name).is_file(), f"{page.name} → {address}"
            assert not place or place in Links(page.parent / name).ids


def test_the_first_screen_is_the_answer_and_the_differences(sweep: Path) -> None:
    page = (sweep / "report.html").read_text()
    answer, figure, table = (page.index(text) for text in ('class="answer"', 'id="figure-differences"', "<table"))
    assert answer < figure < table
    assert "No verdict on AgentMerge against instruct fine-tuned as methods" in page


def test_a_choice_at_another_checkpoint_has_its_ring(tmp_path: Path) -> None:
    rows = []
    for seen, weights in ((100, (0.3, 0.5, 0.7)), (200, (0.5,))):
        for weight in weights:
            rows += [
                simulated.episode(
                    method="agentmerge", split=split, task=f"miniwob.{split}", seed=seed, merge_lambda=weight, samples_seen=seen,
                    reward=float(seed < (4 if seen == 200 else 2)),
                )
                for split in ("validation", "cross_task") for seed in range(5)
            ]  # fmt: skip
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", writer.Options(draws=200))
    curve = csv_rows(tmp_path / "report" / "lambda_curve.csv")
    assert {(row["samples_seen"], row["line"]) for row in curve if row["chosen"] == "True"} == {("200", "100")}
    assert "a ring marks the λ that was chosen" in (tmp_path / "report" / "report.html").read_text()


def test_rates_of_copied_examples_are_counted_over_answers_and_over_episodes(sweep: Path) -> None:
    rows = pq.read_table(sweep / "behaviour.parquet").to_pylist()
    tuned = {r["samples_seen"]: r for r in rows if r["method"] == "instruct_finetuned" and r["split"] == "cross_task"}
    assert tuned[5120]["copied"] == 0
    assert tuned[15360]["copied"] == pytest.approx(2 / 3)
    assert tuned[15360]["copied_first"] == 1
    assert tuned[15360]["loop"] is None


def test_the_error_of_a_rate_is_the_spread_it_has_over_studies() -> None:
    random = np.random.default_rng(0)
    measure = next(m for m in error_analysis.MEASURES if m.name == "copied")
    rates, errors = [], []
    for _ in range(800):
        answers = random.integers(1, 9, 40)
        copied = random.binomial(answers, random.beta(1, 3, 40))
        rate, error = error_analysis._rate(
            [{"copied_example_actions": c, "answers": n} for c, n in zip(copied, answers)], measure
        )
        rates.append(rate)
        errors.append(error)
    assert np.mean(np.square(errors)) == pytest.approx(np.var(rates), rel=0.12)


def test_the_page_says_what_goes_along_with_the_difference(sweep: Path) -> None:
    page = (sweep / "report.html").read_text()
    assert "example copied 0% against 67%" in page and "copied at step 0 0% against 100%" in page


def test_categories_are_named_only_where_they_differ_beyond_their_error() -> None:
    def found(gains: dict[str, list[float]]) -> list[str]:
        about = {"agent": "", "learning_rate": None, "samples_seen": None, "merge_lambda": None, "split": "cross_task"}
        by_task = [
            about | {"method": method, "category": category, "task": f"{category}{number}", "reward": reward}
            for category, values in gains.items() for number, gain in enumerate(values)
            for method, reward in (("agentmerge", 0.2 + gain), ("instruct_finetuned", 0.2))
        ]  # fmt: skip
        row = {f"{key}_{side}": about.get(key) for key in about for side in "ab"} | about
        row |= {"method_a": "agentmerge", "method_b": "instruct_finetuned", "pairs": 9}
        return explanations.sentences([row], [], by_task)

    assert found({"form": [0.5, 0.6, 0.4], "list": [0.0, 0.1, -0.1]}) == [
        "AgentMerge against instruct fine-tuned (cross-task): +50 points in form (3 tasks), +0 in list (3 tasks)."
    ]
    assert found({"form": [0.7, -0.3, 0.1], "list": [0.4, -0.6, 0.0]}) == []
    assert found({"form": [0.6], "list": [0.0, 0.1, -0.1]}) == []


def test_loops_are_runs_of_the_same_action() -> None:
    assert error_analysis.longest_repeat([]) == 0
    assert error_analysis.longest_repeat([None, None, None]) == 0
    assert error_analysis.longest_repeat(["a", "a", None, "a", "b", "b", "b"]) == 3


TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')].filter(
    e => [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"""
CELLS_SHOWN = """() => [...document.querySelectorAll('details td')].every(cell => cell.checkVisibility())"""
SCALE = """() => Math.min(...[...document.querySelectorAll('figure img')].map(i => i.clientWidth / i.naturalWidth))"""


@pytest.mark.browser
def test_the_report_is_legible_at_three_widths(sweep: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = pytest.importorskip("agentmerge_hub.agents.browser.chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for width in (390, 768, 1280):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto((sweep / "report.html").as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(TOO_WIDE) == []
            assert page.evaluate(SMALLEST_TEXT) >= 10
            assert page.evaluate(SCALE) >= 0.8  # the smallest text of a figure has 7 points, 9.3 px
            assert page.evaluate("document.querySelector('figure').getBoundingClientRect().top") < 400
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
        assert not page.evaluate(CELLS_SHOWN)
        page.emulate_media(media="print")
        assert page.evaluate(CELLS_SHOWN)
        browser.close()


def test_rates_are_contrasted_on_the_episodes_that_are_compared(tmp_path: Path) -> None:
    """Both models think on the two seeds that both have; the first never thinks on four more."""
    rows = [
        simulated.episode(
            method=method, task=f"t{task}", seed=seed, model=method, reward=float(task % 2), think_answers=3 if seed < 2 else 0
        )
        for method, seeds in (("agentmerge", 6), ("instruct_finetuned", 2)) for task in range(6) for seed in range(seeds)
    ]  # fmt: skip
    results = episodes.read([simulated.write(tmp_path / "results", rows)])
    candidates = selection.choose(results).candidates
    shared, _ = shared_episodes(results, candidates)
    behaviour = error_analysis.table(results, candidates, shared)
    all_agree = (12, 1.0, None)  # no error: episodes that all agree show no spread
    assert [(row["episodes"], row["think"], row["think_se"]) for row in behaviour] == [all_agree, all_agree]
    trace_pages.write_lists(tmp_path, results, trace_pages.write(tmp_path, results.rows, 0), candidates, shared)
    lists = [page.read_text() for page in (tmp_path / "episodes").glob("cross_task*.html")]
    assert len(lists) == 2 and all("12 of 12 episodes" in text for text in lists)


def test_rates_of_few_episodes_make_no_contrast() -> None:
    def found(episodes: int) -> list[str]:
        about = {"agent": "", "learning_rate": None, "samples_seen": None, "merge_lambda": None, "split": "cross_task"}
        row = {f"{key}_{side}": about.get(key) for key in about for side in "ab"} | about
        row |= {"method_a": "agentmerge", "method_b": "instruct_finetuned", "pairs": 9}
        nothing = {m.name: 0.0 for m in error_analysis.MEASURES} | {
            f"{m.name}_se": 0.0 for m in error_analysis.MEASURES
        }
        behaviour = [
            about | nothing | {"method": method, "episodes": episodes, "think": think, "think_se": 0.0 if episodes > 1 else None}
            for method, think in (("agentmerge", 1.0), ("instruct_finetuned", 0.0))
        ]  # fmt: skip
        return explanations.sentences([row], behaviour, [])

    assert [len(found(episodes)) for episodes in (1, 2, 3, 4, 40)] == [0, 0, 0, 1, 1]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved during the test."""
    figures: list[Figure] = []
    keep = Figure.savefig

    def savefig(figure: Figure, *args: object, **options: object) -> None:
        figures.append(figure)
        keep(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_rewards_below_zero_are_inside_the_figures(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [
        simulated.episode(method=method, task=f"t{task}", seed=seed, model=f"{method}{samples}", samples_seen=samples, reward=-0.5 - 0.1 * task)
        for method in ("agentmerge", "instruct_finetuned") for samples in (1, 2) for task in range(3) for seed in range(2)
    ]  # fmt: skip
    results = episodes.read([simulated.write(tmp_path / "results", rows)])
    names = short_labels(results.by_candidate())
    scores.scores(tmp_path, tables.table1(results), names, "", "")
    assert drawn and all(
        axis.get_xlim()[0] < -0.65 < -0.5 < axis.get_xlim()[1] for figure in drawn for axis in figure.axes
    )
    drawn.clear()
    learning_curves.merged_against(tmp_path, learning_curves.table(results, []), "agentmerge", "instruct_finetuned")
    assert drawn and all(axis.get_ylim()[0] < -0.6 for figure in drawn for axis in figure.axes)


def test_what_models_do_along_training_is_drawn_at_one_lambda(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [
        simulated.episode(method="agentmerge", samples_seen=seen, merge_lambda=weight, model=f"{seen}-{weight}", seed=seed, think_answers=think)
        for seen, weight, think in ((80, 0.5, 3), (160, 0.5, 3), (160, 0.7, 0)) for seed in (1, 2)
    ]  # fmt: skip
    out = tmp_path / "report"
    writer.write([simulated.write(tmp_path / "results", rows)], out, writer.Options(draws=100, traces=0))
    axes = [axis for figure in drawn for axis in figure.axes if axis.get_title("left") == "think"]
    assert axes and all(list(axis.lines[0].get_ydata()) == [100, 100] for axis in axes)
    assert "AgentMerge (λ 0.5), advanced agent, cross-task: what it does" in (out / "report.html").read_text()


def test_an_unknown_error_is_not_drawn_as_none(tmp_path: Path, drawn: list[Figure]) -> None:
    """One method has one task, so that no error over new tasks is known; the other has three."""
    rows = [
        simulated.episode(method=method, task=f"t{task}", seed=seed, reward=float((task + seed) % 2))
        for method, tasks in (("agentmerge", 1), ("instruct_finetuned", 3)) for task in range(tasks) for seed in range(3)
    ]  # fmt: skip
    results = episodes.read([simulated.write(tmp_path / "results", rows)])
    scores.scores(tmp_path, tables.table1(results), short_labels(results.by_candidate()), "", "")
    widths = [
        float(np.ptp(path.vertices[:, 0]))
        for figure in drawn for axis in figure.axes for lines in axis.collections for path in lines.get_paths()
    ]  # fmt: skip
    assert widths and all(width > 0 or np.isnan(width) for width in widths) and np.isnan(widths).any()


def test_thousands_of_tasks_have_no_figure_by_task(tmp_path: Path) -> None:
    about = {
        "agent": "",
        "method": "agent",
        "learning_rate": None,
        "samples_seen": None,
        "merge_lambda": None,
        "split": "cross_task",
    }
    rows = [about | {"category": f"c{task % 2}", "task": f"t{task}", "n": 1, "reward": -0.5} for task in range(2000)]
    assert [picture.name for picture in heat_map.for_each_agent(tmp_path, rows)] == ["by_category"]


@pytest.mark.parametrize("error_class", ["hang", "overflow", "parse", ""])
def test_only_episodes_that_used_all_their_steps_ran_out_of_them(error_class: str) -> None:
    row = simulated.episode(error_class=error_class, truncated=True)
    counts = {m.name: m.count(row) for m in error_analysis.MEASURES if m.name in ("out_of_steps", "early")}
    assert counts["out_of_steps"] == (error_class == "") and counts["early"] == 0


def test_what_the_results_do_not_hold_is_in_no_rate() -> None:
    """A column that a table lacks, the traces of loops, the bids of a page that was not recorded: no rate, instead of 0 %."""
    known = simulated.episode(answers=4, invalid_bid_actions=1, think_answers=2)
    unknown = simulated.episode(seed=1, answers=4, invalid_bid_actions=None, think_answers=None, truncated=None)
    for rows, invalid, think, early in (([known, unknown], 0.25, 0.5, 1.0), ([unknown], None, None, None)):
        (row,) = error_analysis.table(episodes.Results(rows, ()))
        assert (row["invalid_bid"], row["think"], row["early"], row["loop"]) == (invalid, think, early, None)
        numbers = {measure.name: number for measure, _, number in error_analysis.behind(rows)}
        assert (numbers["invalid_bid"], numbers["loop"]) == (len(rows) - 1, 0)
