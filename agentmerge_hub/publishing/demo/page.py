"""`agentmerge demo-page`: a dataset → one static HTML page with a few rows of each task, and the README.md of a static Space.

The page loads nothing from elsewhere; every text of a row is escaped. It is checked for secrets like a dataset before it is written.
"""

import html
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import constants
from jinja2 import Environment, PackageLoader, StrictUndefined

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.parquet_reading import read_table
from agentmerge_hub.publishing.publish_checks.dataset_folder import Splits, dataset_name, splits_of
from agentmerge_hub.publishing.publish_checks.files import check_files, check_folder
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, document_texts, read_bytes
from agentmerge_hub.publishing.review.summary import review_findings

STAGE = "demo-page"
PAGE = "index.html"
_COLUMNS = ["sample_id", "benchmark", "task", "step", "n_steps", "teacher", "cot", "action", "prompt", "completion"]


def write_demo(dataset: Path, out: Path, repo_id: str | None, rows_per_task: int) -> int:
    """Write the folder `out` and return the number of rows on its page.

    Args:
        dataset: a folder of `agentmerge build`.
        repo_id: of the dataset on the Hub, for links and the loading example.

    Raises:
        UserError: if `dataset` is no finished dataset, a check finds a secret or a struck row, or `out` cannot be written.
    """
    started = time.time()
    findings = [*check_folder(dataset, ["build"]), *review_findings(dataset)]
    content = manifest.read(dataset)
    splits = splits_of(dataset)
    rows = sorted(_rows(splits, rows_per_task), key=lambda row: (row["task"], row["sample_id"]))
    files = {PAGE: _page(dataset_name(dataset), repo_id, rows), "README.md": _readme(dataset_name(dataset), repo_id)}
    findings += check_files(files, {r"README\.md": document_texts, r"index\.html": _page_texts}, _allowed(content))
    if findings:
        more = f", and {len(findings) - 1} more findings" if len(findings) > 1 else ""
        raise UserError(f"{findings[0]}{more}: nothing was written.")
    with output_folder.new_folder(out, STAGE, [dataset]) as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        config = {"repo_id": repo_id, "rows_per_task": rows_per_task}
        manifest.write(
            folder, STAGE, inputs={"dataset": dataset}, config=config, counts={"rows": len(rows)}, started=started
        )
    return len(rows)


def _rows(splits: Splits, number: int) -> Iterator[dict[str, Any]]:
    """A few rows of each task of the config `all`: those with the smallest ids, which are hashes."""
    of_task: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    for (config, split), paths in splits.items():
        for path in paths if config == "all" else ():
            for row in read_table(path, columns=["task", "sample_id"]).to_pylist():
                of_task[row["task"]].append((row["sample_id"], split, path))
    wanted: dict[tuple[Path, str], set[str]] = defaultdict(set)
    for samples in of_task.values():
        for sample_id, split, path in sorted(samples)[:number]:
            wanted[path, split].add(sample_id)
    for (path, split), ids in wanted.items():
        table = read_table(path, columns=_COLUMNS, filters=[("sample_id", "in", ids)])
        yield from (row | {"split": split} for row in table.to_pylist())


def _page(name: str, repo_id: str | None, rows: list[dict[str, Any]]) -> bytes:
    environment = Environment(
        loader=PackageLoader("agentmerge_hub.publishing.demo", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("index.html.jinja").render(
        name=name,
        repo_id=repo_id,
        link=f"{constants.ENDPOINT}/datasets/{repo_id}" if repo_id else None,
        rows=rows,
        tasks=sorted({row["task"] for row in rows}),
        splits=sorted({row["split"] for row in rows}),
    )
    return text.encode()


def _readme(name: str, repo_id: str | None) -> bytes:
    """The README.md of a static Space: https://huggingface.co/docs/hub/spaces-config-reference."""
    settings: dict[str, Any] = {
        "title": name,
        "colorFrom": "indigo",
        "colorTo": "blue",
        "sdk": "static",
        "app_file": PAGE,
    }
    settings |= {"pinned": False, "short_description": "Rows of a dataset of web agents"}
    settings |= {"datasets": [repo_id]} if repo_id else {}
    block = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return f"---\n{block}---\n\nA few rows of each task of the dataset {repo_id or name}.\n".encode()


def _page_texts(name: str, content: Content) -> Iterator[Text]:
    """The page's text as it is read, which a scanner does not see in the escaped form."""
    yield Text(name, html.unescape(read_bytes(content).decode("utf-8")))


def _allowed(content: Mapping[str, Any]) -> dict[str, str]:
    return dict(content["config"].get("allow", {}))
