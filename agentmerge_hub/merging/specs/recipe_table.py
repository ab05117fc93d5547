"""The table of merge recipes, generated from their own first lines. `python -m agentmerge_hub.merging.specs.recipe_table` rewrites it."""

from pathlib import Path

from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.formula import formula_of
from agentmerge_hub.package_data import data_folder

_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"


def table(recipes: Path) -> str:
    """One line a recipe of a folder, in Markdown."""
    lines = ["| recipe | formula | when | base model | `--set` | runs in |", "|---|---|---|---|---|---|"]
    for path in sorted(recipes.glob("*.yml")):
        spec = specs.read(path)
        title, when, base = (line.removeprefix("# ").partition(": ")[2] for line in spec.text.splitlines()[:3])
        names = [name for name, value in spec.names.items() if not isinstance(value, str)]
        names += ["seed"] if spec.seed is not None else []
        where = "mergekit" if formula_of(spec) is None else "one streaming pass"
        cells = [f"[{spec.method}]({path.name})", title, when, base, ", ".join(names), where]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def page(text: str, recipes: Path) -> str:
    """A README with its table as it should be."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table(recipes)}\n{_END}{after}"


if __name__ == "__main__":
    _recipes = data_folder("recipes") / "merge"
    write_text(_recipes / "README.md", page((_recipes / "README.md").read_text(encoding="utf-8"), _recipes))
