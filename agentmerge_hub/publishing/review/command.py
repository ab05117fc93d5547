"""`agentmerge review`."""

import html
import webbrowser
from pathlib import Path

import click

from agentmerge_hub.errors import UserError, require


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--sample", "size", type=click.IntRange(1), default=50, show_default=True, help="Number of rows to draw.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the draw.")
@click.option("--no-browser", is_flag=True, help="Only print the page's URL, e.g. to open it through an SSH tunnel.")
@click.option("--apply", "only_apply", is_flag=True, help="Apply the recorded decisions without opening the page.")
@click.option("--list", "only_list", is_flag=True, help="List what is approved, struck and open, and change nothing.")
def review(dataset: Path, size: int, seed: int, no_browser: bool, only_apply: bool, only_list: bool) -> None:
    """Read a sample of DATASET's rows in the browser, and approve or strike each before it is published.

    Rows are drawn more likely where the secret scanners were unsure, and of rare tasks. Every decision is written at once to
    DATASET.review.json, beside the dataset, and the same command resumes. When the page's Finish button is pressed, or with
    --apply, struck rows leave the dataset, and ledger, card and manifest are made anew; `agentmerge push` and the card then
    say how much was reviewed.
    """
    require("hub", "huggingface_hub", "datasets", "betterleaks", "ahocorasick_rs", "stdnum", "matplotlib")
    from agentmerge_hub import manifest
    from agentmerge_hub.publishing.review.apply import apply_review
    from agentmerge_hub.publishing.review.decisions import Decisions, lock_decisions
    from agentmerge_hub.publishing.review.listing import list_decisions
    from agentmerge_hub.publishing.review.summary import review_command

    manifest.read(dataset)
    if only_list:
        if only_apply:
            raise click.UsageError("give --list or --apply, not both")
        for line in list_decisions(dataset):
            click.echo(line)
        return
    with lock_decisions(dataset):
        if only_apply:
            decisions = Decisions(dataset)
            if not any(decisions.items()):
                raise UserError(f"no decision on {dataset} is recorded: run `{review_command(dataset)}` first")
        else:
            from agentmerge_hub.publishing.review.session import ReviewSession

            session = ReviewSession(dataset, size, seed)
            _serve(session, no_browser)
            decisions = session.decisions
        counts = apply_review(dataset, decisions)
    click.echo(f"{dataset}: {counts}")


def _serve(session, no_browser: bool) -> None:
    """Serve the page until Finish is pressed."""
    from threading import Thread

    from agentmerge_hub.files.scratch import scratch_folder
    from agentmerge_hub.publishing.review.server import ReviewServer

    with ReviewServer(session) as server, scratch_folder("review") as folder:
        Thread(target=server.serve_forever, daemon=True).start()
        click.echo(
            f"{len(session.sample)} of {session.n_rows} rows, {session.n_undecided} without a decision: {server.url}\n"
            f"Decisions are kept in {session.decisions.path}. Press Finish on the page to apply them."
        )
        if not no_browser:
            # The browser's arguments are visible to other accounts of this machine: they must not hold the token.
            page = folder / "open.html"
            page.touch(mode=0o600)
            page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(server.url)}">', encoding="utf-8")
            if not webbrowser.open(page.as_uri()):
                click.echo("No browser was found: open the URL by hand.", err=True)
        server.finished.wait()
        server.shutdown()
