"""Prints what a push would publish and what the checks found, and with --yes publishes it."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted
from agentmerge_hub.publishing.hub.client import limit_requests
from agentmerge_hub.publishing.hub.release_text import with_tag
from agentmerge_hub.publishing.hub.state import CARD, Publication
from agentmerge_hub.publishing.hub.upload import preview, publish


def show_and_publish(publication: Publication, findings: list[str], yes: bool, notes: Iterable[str] = ()) -> None:
    """Show the card, the files and the findings; publish if there are none and `yes` is set.

    Args:
        notes: sentences to show in addition.

    Raises:
        UserError: if a check has a finding, or the Hub refuses.
    """
    limit_requests()
    console = Console(soft_wrap=True, highlight=False)
    note = tag = None
    private = publication.private
    if not findings and not yes:
        seen = preview(publication)
        findings, note, tag, private = [*seen.findings], seen.note, seen.tag, seen.private
    _show(console, publication, tag)
    for line in notes:
        console.print(escape(line))
    if findings:
        for finding in findings:
            console.print(f"[red]✗[/red] {escape(finding)}")
        raise UserError(f"{counted(len(findings), 'finding')} above: nothing was sent.")
    console.print("[green]✓[/green] no finding")
    if yes:
        _publish(console, publication)
        return
    if note:
        console.print(f"[yellow]![/yellow] {escape(note)}")
    joins = f", in the collection {publication.collection!r}" if publication.collection else ""
    tagged = f", tagged {tag}" if tag else ""
    visible = "private" if private else "public"
    console.print(
        f"This would be published at {publication.repository.url} ({visible}){tagged}{joins}. Add --yes to publish it."
    )


def _publish(console: Console, publication: Publication) -> None:
    done = publish(publication)
    if done.sent or done.removed:
        console.print(
            f"{done.url}: {len(done.sent)} files sent, {len(done.removed)} removed, tagged {done.tag}, commit {done.commit}"
        )
    else:
        console.print(f"{done.url}: nothing new, tagged {done.tag}, commit {done.commit}")
    if done.collection:
        console.print(f"In the collection {done.collection}")
    if done.warning:
        console.print(f"[yellow]![/yellow] {escape(done.warning)}")


def _show(console: Console, publication: Publication, tag: str | None) -> None:
    card = publication.files.get(CARD)
    if card is not None:
        text = (card if isinstance(card, bytes) else card.read_bytes()).decode("utf-8", "replace")
        console.print(escape(with_tag(text, tag) if tag else text))
    table = Table("file", "bytes", title=f"What would go to {publication.repository}", title_justify="left")
    table.columns[1].justify = "right"
    for name, size in sorted(publication.sizes.items()):
        table.add_row(escape(name), f"{size:,}")
    table.add_row("in all", f"{sum(publication.sizes.values()):,}", style="bold")
    console.print(table)
