"""HTML pages from the templates of this package. Everything is escaped: names, goals and pages come from outside."""

from functools import cache
from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels


def write(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write the page."""
    path.write_text(_environment().get_template(template).render(**content), encoding="utf-8")


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "method": labels.method,
        "split": labels.split,
        "rate": labels.rate,
        "plain": labels.plain,
        "count": count,
        "time": duration,
    }
    environment.tests["begins"] = str.startswith
    return environment


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """A difference in points, with a true minus sign."""
    return "–" if value is None else f"{100 * value:+.{digits}f}".replace("-", "−")


def between(low: float | None, high: float | None) -> str:
    """An interval in points."""
    return "–" if low is None or high is None else f"{signed(low)} … {signed(high)}"


def least_points(value: float | None) -> str:
    """The smallest difference that a test finds, in whole points from 10 on; ``none`` for None."""
    return "none" if value is None else f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}"


def count(value: int | None) -> str:
    """A whole number with separators, nothing for None."""
    return "" if value is None else f"{value:,}"


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else "1" if value >= 0.9995 else f"{value:.3f}".lstrip("0")


def duration(seconds: float | None) -> str:
    """Seconds as ``12 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
