"""`agentmerge review`, `agentmerge push`, `agentmerge download` and `agentmerge yank`."""

from pathlib import Path

import click

from agentmerge_hub.errors import require
from agentmerge_hub.publishing.review.command import review
from agentmerge_hub.sizes import size_text

__all__ = ["download", "push", "review", "yank"]


@click.group()
def push() -> None:
    """Publish a dataset or a model on the Hugging Face Hub.

    Without --yes nothing is sent: the files, the card and the findings are shown, and the token, its rights and the
    repository are checked if the Hub can be reached.

    AGENTMERGE_HUB_TIMEOUT sets the seconds that a request to the Hub may take (default 30).
    """


_FOLDER = click.argument("folder", type=click.Path(path_type=Path))
_REPO = click.option("--repo-id", required=True, metavar="ORG/NAME", help="Repository on the Hub.")
_PRIVATE = click.option("--private", is_flag=True, help="Make the repository private if it does not exist yet.")
_COLLECTION = click.option(
    "--collection", default="AgentMerge", show_default=True, help="Title of the collection to add it to; '' for none."
)
_OVERLAY = click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Markdown file with metadata (contact, tags, extra_gated_*) and text to add to the card.",
)
_REPLACE = click.option("--replace-edits", is_flag=True, help="Overwrite files that were edited on the Hub.")
_YES = click.option("--yes", is_flag=True, help="Publish. Without it, only show what would be published.")


@push.command("dataset")
@_FOLDER
@_REPO
@_PRIVATE
@_COLLECTION
@_OVERLAY
@click.option(
    "--session-traces",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Also publish N episodes, spread over the tasks, as session traces, which the Hub's trace viewer shows.",
)
@_REPLACE
@click.option(
    "--screenshots-reviewed",
    is_flag=True,
    help="A person has looked at the dataset's screenshots, which cannot be redacted, and they may be shared.",
)
@_YES
def push_dataset(**options) -> None:
    """Publish FOLDER, a dataset that `agentmerge build` wrote."""
    require("hub", "huggingface_hub", "datasets", "betterleaks", "ahocorasick_rs", "stdnum", "kingfisher")
    from agentmerge_hub.publishing.push_dataset import push_dataset

    push_dataset(**options)


@push.command("model")
@_FOLDER
@_REPO
@click.option(
    "--base-model",
    "base_models",
    multiple=True,
    metavar="ORG/NAME",
    help="Hub id of a base model. Repeatable; models that were read from the Hub are known. Of a graft, name the model that it is "
    "loaded on last.",
)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="ORG/NAME",
    help="Hub id of the training dataset. Repeatable.",
)
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of that dataset: its rows name the licenses of the teachers.",
)
@click.option("--license", metavar="ID", help="License of base models with an unknown license, as the Hub writes it.")
@click.option("--replay-license", metavar="ID", help="License of the instructions replayed in training.")
@click.option(
    "--license-file",
    "license_files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="License text to publish with the weights. Repeatable.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of `agentmerge evaluate` with its scores.",
)
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME=ORG/DATASET",
    help="Dataset on the Hub whose leaderboard shows the scores of a benchmark, for .eval_results. Repeatable. "
    "[default: the training dataset, if it is one]",
)
@_PRIVATE
@_COLLECTION
@_OVERLAY
@_REPLACE
@_YES
def push_model(**options) -> None:
    """Publish FOLDER: a merged model, a fine-tuning run or one of its checkpoints, or an adapter."""
    require("hub", "huggingface_hub", "datasets", "betterleaks", "ahocorasick_rs", "stdnum", "kingfisher")
    from agentmerge_hub.publishing.push_model import push_model

    push_model(**options)


_TYPE = click.option(
    "--type", "kind", type=click.Choice(["model", "dataset"]), help="Needed only if a model and a dataset have this id."
)


@click.command()
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("-r", "--revision", help="Branch, tag or commit, e.g. v1.0.0. [default: the newest]")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder to write. [default: Hugging Face's cache]")
@_TYPE
@click.option("--allow-withdrawn", is_flag=True, help="Fetch a release that its publisher has withdrawn.")
@click.option(
    "--skip-unlisted", is_flag=True, help="Leave out files that the manifest does not list, instead of failing."
)
def download(
    repo_id: str, revision: str | None, out: Path | None, kind: str | None, allow_withdrawn: bool, skip_unlisted: bool
) -> None:
    """Fetch the files of a published model or dataset and check each against its manifest.

    A repository with other files is refused: a loader may read them. AGENTMERGE_HUB_TIMEOUT sets the seconds that a
    request to the Hub may take (default 30).
    """
    require("hub", "huggingface_hub")
    from agentmerge_hub.publishing.hub.client import limit_requests
    from agentmerge_hub.publishing.hub.download import download
    from agentmerge_hub.publishing.hub.repository import listed

    limit_requests()
    done = download(repo_id, kind, revision, out, allow_withdrawn, skip_unlisted)
    if done.unlisted:
        click.echo(f"not in the manifest, and not downloaded: {listed(done.unlisted)}", err=True)
    if done.card_edited:
        click.echo("README.md was edited on the Hub after it was published", err=True)
    click.echo(
        f"{done.folder}: the {done.kind} {repo_id} at {done.commit[:12]}, {done.n_files} files, "
        f"{size_text(done.n_bytes)}, all equal to its manifest"
    )


@click.command()
@click.argument("repo_id", metavar="ORG/NAME")
@click.argument("release", metavar="TAG")
@click.option("--reason", required=True, help="Why it is withdrawn; the card and `agentmerge download` show it.")
@click.option("--squash", is_flag=True, help="Also remove the release and its tag from the repository's history.")
@_TYPE
@click.option("--yes", is_flag=True, help="Do it. Without it, only show what would be done.")
def yank(repo_id: str, release: str, reason: str, squash: bool, kind: str | None, yes: bool) -> None:
    """Withdraw the release TAG of a published model or dataset: its card warns of it and `download` refuses it."""
    require("hub", "huggingface_hub")
    from agentmerge_hub.publishing.hub.client import limit_requests
    from agentmerge_hub.publishing.hub.download import find_kind
    from agentmerge_hub.publishing.hub.repository import Repository, check_id
    from agentmerge_hub.publishing.hub.yank import yank

    limit_requests()
    repository = Repository(kind or find_kind(check_id(repo_id), "nothing was changed"), check_id(repo_id))
    click.echo(yank(repository, release, reason, squash, yes))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--type",
    "number_format",
    type=click.Choice(["bf16", "f16", "q8_0"]),
    default="q8_0",
    show_default=True,
    help="Number format of the weights.",
)
def gguf(folder: Path, number_format: str) -> None:
    """Convert the model FOLDER to a GGUF file beside its weights, for llama.cpp.

    `agentmerge evaluate` and `agentmerge serve` with the engine llama.cpp read it, and `agentmerge push model` publishes it. Its
    weights and its tokenizer are compared with those of the folder.
    """
    require("gguf", "gguf", "numpy")
    from agentmerge_hub.publishing.gguf.convert import convert

    out = convert(folder, number_format)
    click.echo(f"{out}: {size_text(out.stat().st_size)}, the weights of {folder} in {number_format}")


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--repo-id", metavar="ORG/NAME", help="The dataset on the Hub, for links.")
@click.option("--rows", type=click.IntRange(min=1), default=3, show_default=True, help="Rows of each task.")
def demo_page(dataset: Path, out: Path, repo_id: str | None, rows: int) -> None:
    """Write one static HTML page with a few rows of each task of DATASET, and the README.md of a static Space.

    Publish it with `hf upload ORG/SPACE OUT . --repo-type space --exclude manifest.json`.
    """
    require("hub", "huggingface_hub", "datasets", "betterleaks", "ahocorasick_rs", "stdnum", "kingfisher")
    from agentmerge_hub.publishing.demo.page import PAGE, write_demo
    from agentmerge_hub.publishing.hub.repository import check_id

    number = write_demo(dataset, out, check_id(repo_id) if repo_id else None, rows)
    click.echo(f"{out / PAGE}: {number} rows of {dataset}")
