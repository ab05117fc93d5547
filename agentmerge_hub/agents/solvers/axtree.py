"""BrowserGym's AXTree text → elements, for the solvers."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LINE = re.compile(rf"^(\t*)(?:\[([a-zA-Z0-9]+)\] )?(\w+)(?: ({_STRING}))?(.*)$", re.DOTALL)
_VALUE = re.compile(rf"(\w+)=({_STRING}|[^,]+)")


@dataclass
class Element:
    """One line of the tree."""

    bid: str
    role: str
    name: str
    value: str
    properties: dict[str, str]
    depth: int
    parent: "Element | None" = None
    children: list["Element"] = field(default_factory=list)

    @property
    def descendants(self) -> Iterator["Element"]:
        """Every element below this one, in page order."""
        for child in self.children:
            yield child
            yield from child.descendants

    @property
    def text(self) -> str:
        """Its name, or the names of the elements below it joined by spaces."""
        return self.name or " ".join(e.name for e in self.descendants if e.name)

    def is_(self, name: str) -> bool:
        """Whether a state such as ``checked`` or ``expanded`` is on."""
        return self.properties.get(name) in ("True", "true")


@dataclass(frozen=True)
class Page:
    """The elements of a page, in page order."""

    elements: tuple[Element, ...]

    @classmethod
    def read(cls, axtree: str) -> "Page":
        """Read a flattened tree; lines that are no element, such as a truncation marker, are skipped."""
        elements: list[Element] = []
        path: list[Element] = []
        for line in axtree.split("\n"):
            match = _LINE.match(line)
            if match is None:
                continue
            tabs, bid, role, name, rest = match.groups()
            element = Element(
                bid or "", role, ast.literal_eval(name) if name else "", *_properties(rest), depth=len(tabs)
            )
            del path[element.depth :]
            if path:
                element.parent = path[-1]
                path[-1].children.append(element)
            path.append(element)
            elements.append(element)
        return cls(tuple(elements))

    def all(self, *roles: str) -> list[Element]:
        """Elements with one of these roles."""
        return [element for element in self.elements if element.role in roles]

    def named(self, name: str, *roles: str) -> Element | None:
        """The first element with this name and, if given, one of the roles; without an exact match, ignoring case."""
        candidates = [e for e in self.elements if e.bid and (not roles or e.role in roles)]
        exact = [e for e in candidates if e.name == name]
        alike = [e for e in candidates if e.name.strip().lower() == name.strip().lower()]
        return next(iter(exact or alike), None)

    @property
    def texts(self) -> list[str]:
        """The static texts."""
        return [element.name for element in self.elements if element.role == "StaticText" and element.name]


def _properties(rest: str) -> tuple[str, dict[str, str]]:
    """The value (of an input) and the named properties at the end of a line; a name without a value such as ``focused`` is True."""
    properties = {name: value.strip("'\"") for name, value in _VALUE.findall(rest)}
    for bare in re.sub(_VALUE, "", rest).split(","):
        if re.fullmatch(r"\w+", bare.strip()):
            properties[bare.strip()] = "True"
    return properties.pop("value", ""), properties
