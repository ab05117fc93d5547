"""How every figure looks, and its files: NAME.svg and NAME.png for print; the report holds a light and a dark SVG."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INK, FAINT, EMPTY = "#1c1f24", "#d8dbe0", "#eceef1"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07a00", "#3a9bd1")
"""After Okabe and Ito's palette, which colour-blind readers can tell apart."""

DARK = dict(
    zip(
        (INK, FAINT, EMPTY, *SERIES),
        ("#e6e8eb", "#3a3f47", "#2a2e35", "#56b4e9", "#ff8a3d", "#2fc79a", "#e39ac6", "#e6b33e", "#9fd3f5"),
    )
)
"""What each colour becomes on a dark page: the dark SVG is the light one with these exchanged."""

MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
"""Series differ in marker and dash too, for print without colour."""

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


@dataclass(frozen=True)
class Picture:
    """A figure for the report: two SVG data addresses, a caption, and what it shows in words."""

    name: str
    light: str
    dark: str
    caption: str
    alternative: str


def draw(
    folder: Path, name: str, caption: str, alternative: str, paint: Callable[[Any], None], size: tuple[float, float]
) -> Picture:
    """Paint a figure and write its files.

    Args:
        folder: where NAME.svg (transparent) and NAME.png (on white) go.
        paint: draws on an empty matplotlib Figure, in the colours above.
        size: width and height in inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=200, facecolor="white")
    svg = out.getvalue().decode()
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    return Picture(name, _address(svg), _address(_darkened(svg)), caption, alternative)


def _darkened(svg: str) -> str:
    return re.sub("|".join(DARK), lambda found: DARK[found.group()], svg)


def _address(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
