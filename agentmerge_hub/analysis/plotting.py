"""How every figure looks, and its files: NAME.svg and NAME.png for print, and a light and a dark SVG for the report."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Theme:
    """Colours of one appearance. `series` is Okabe and Ito's palette, which colour-blind readers can tell apart."""

    name: str
    ink: str
    faint: str
    series: tuple[str, ...]
    colormap: str
    empty: str


LIGHT = Theme(
    "light",
    "#1c1f24",
    "#d8dbe0",
    ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07A00", "#3A9BD1"),
    "cividis",
    "#eceef1",
)
DARK = Theme(
    "dark",
    "#e6e8eb",
    "#3a3f47",
    ("#56B4E9", "#FF8A3D", "#2FC79A", "#E39AC6", "#E6B33E", "#9FD3F5"),
    "cividis",
    "#2a2e35",
)

MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
"""Series differ in marker and dash too, for print without colour."""


@dataclass(frozen=True)
class Picture:
    """A figure for the report: two SVG data addresses, a caption, and the table that holds its numbers."""

    name: str
    light: str
    dark: str
    caption: str
    alternative: str


def draw(
    folder: Path,
    name: str,
    caption: str,
    alternative: str,
    paint: Callable[[Any, Theme], None],
    size: tuple[float, float],
) -> Picture:
    """Paint a figure in both themes and write its files.

    Args:
        folder: where NAME.svg and NAME.png go (the light one, on white).
        paint: draws on an empty matplotlib Figure in the colours of a theme.
        size: width and height in inches.
    """
    pictures = {}
    for theme in (LIGHT, DARK):
        pictures[theme.name] = _svg(paint, theme, size, transparent=True)
    (folder / f"{name}.svg").write_bytes(_svg(paint, LIGHT, size, transparent=False))
    (folder / f"{name}.png").write_bytes(_render(paint, LIGHT, size, format="png", dpi=200, transparent=False))
    address = {key: "data:image/svg+xml;base64," + base64.b64encode(svg).decode() for key, svg in pictures.items()}
    return Picture(name, address["light"], address["dark"], caption, alternative)


def _svg(paint: Callable, theme: Theme, size: tuple[float, float], *, transparent: bool) -> bytes:
    return _render(paint, theme, size, format="svg", transparent=transparent, metadata={"Date": None})


def _render(paint: Callable, theme: Theme, size: tuple[float, float], **save: Any) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    look = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.ink,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "axes.facecolor": "none" if save["transparent"] else "white",
        "svg.hashsalt": "agentmerge",
    }
    with matplotlib.rc_context(look):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure, theme)
        out = io.BytesIO()
        figure.savefig(out, **save)
    return out.getvalue()
