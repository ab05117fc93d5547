"""Read what a report wrote: its tables and the links of its pages."""

import csv
from html.parser import HTMLParser
from pathlib import Path


class Links(HTMLParser):
    """Every address and every id of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [found[key] for key in ("href", "src", "srcset") if found.get(key)]
        self.ids |= {found["id"]} if found.get("id") else set()


def csv_rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
