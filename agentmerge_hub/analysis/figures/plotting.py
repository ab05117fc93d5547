"""The style of every figure, and its files: NAME.svg and NAME.png for print; a light and a dark SVG in two widths for the report."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INK, FAINT, EMPTY = "#1c1f24", "#d8dbe0", "#eceef1"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07a00", "#3a9bd1")
"""After Okabe and Ito's palette, which color-blind readers can distinguish."""

DARK = dict(
    zip(
        (INK, FAINT, EMPTY, *SERIES),
        ("#e6e8eb", "#3a3f47", "#2a2e35", "#56b4e9", "#ff8a3d", "#2fc79a", "#e39ac6", "#e6b33e", "#9fd3f5"),
    )
)
"""What each color becomes on a dark page: the dark SVG is the light one with these exchanged."""

MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
"""Series differ in marker and dash too, for print without color."""

LOOK: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.hashsalt": "agentmerge",
}


NARROW = 4.0
"""Width in inches of a figure for a narrow screen; its panels are in one column."""


@dataclass(frozen=True)
class Picture:
    """A figure for the report: four SVG data addresses, a caption, and what it shows in words."""

    name: str
    light: str
    dark: str
    narrow: str
    narrow_dark: str
    caption: str
    alternative: str


def draw(
    folder: Path,
    name: str,
    caption: str,
    alternative: str,
    paint: Callable[[Any], None],
    size: tuple[float, float],
    narrow_height: float,
) -> Picture:
    """Paint a figure and write its files.

    Args:
        folder: where NAME.svg (transparent) and NAME.png (on white) go.
        paint: draws on an empty matplotlib Figure, in the colors above; `is_narrow` says which version it draws.
        size: width and height in inches.
        narrow_height: height in inches of the version for a narrow screen, which is NARROW wide.
    """
    svg = _svg(paint, size, folder / f"{name}.png")
    narrow = _svg(paint, (NARROW, narrow_height), None)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    light, dark, small, small_dark = (_address(text) for text in (svg, _darkened(svg), narrow, _darkened(narrow)))
    return Picture(name, light, dark, small, small_dark, caption, alternative)


def is_narrow(figure: Any) -> bool:
    """Whether the figure is the version for a narrow screen."""
    return figure.get_figwidth() <= NARROW


def panels(figure: Any, count: int, **options: Any) -> Any:
    """Axes of `count` panels: in one row, in one column on a narrow screen."""
    shape = (count, 1) if is_narrow(figure) else (1, count)
    return figure.subplots(*shape, squeeze=False, **options).ravel()


def run_means(row: dict[str, Any]) -> list[float]:
    """Mean reward of each training run of a table row with several."""
    return [float(mean) for mean in (row.get("reward_by_run") or "").split()]


def error_of(row: dict[str, Any], name: str = "se") -> float:
    """A standard error to draw: NaN, which draws nothing, where it is unknown."""
    return float("nan") if row[name] is None else row[name]


def start_at_zero(axis: Any, rows: list[dict[str, Any]]) -> None:
    """Start the axis of rewards at 0, unless a reward is below."""
    if min((value for row in rows for value in (row["reward"], *run_means(row))), default=0) >= 0:
        axis.set_ylim(bottom=0)


def draw_runs(axis: Any, x: float, row: dict[str, Any], color: str) -> None:
    """Mean of each training run behind a point at `x`, as dots slightly right of it."""
    from matplotlib.transforms import offset_copy

    means = run_means(row)
    moved = offset_copy(axis.transData, fig=axis.figure, x=5, units="points")
    if means:  # dots with a transformation of their own do not count for the limits of the axis
        axis.update_datalim([(x, mean) for mean in means])
    (dots,) = axis.plot(
        [x] * len(means), means, ".", color=color, markersize=5, alpha=0.8, transform=moved, clip_on=False
    )
    dots.set_in_layout(False)


def _svg(paint: Callable[[Any], None], size: tuple[float, float], png: Path | None) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        if png is not None:
            figure.savefig(png, dpi=200, facecolor="white")
    return out.getvalue().decode()


def _darkened(svg: str) -> str:
    return re.sub("|".join(DARK), lambda found: DARK[found.group()], svg)


def _address(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
