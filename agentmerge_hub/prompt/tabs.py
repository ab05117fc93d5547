"""The list of open tabs, as AgentLab's prompt shows it."""

from collections.abc import Sequence


def list_tabs(urls: Sequence[str], titles: Sequence[str], active: int) -> str:
    """One entry for each tab with its title and URL; empty for fewer than two tabs.

    Args:
        urls: the tabs' addresses, in order.
        titles: their titles.
        active: index of the tab in front.
    """
    if len(urls) < 2:
        return ""
    return "\n".join(
        f"Tab {index}{' (active tab)' if index == active else ''}:\n    Title: {title}\n    URL: {url}\n"
        for index, (url, title) in enumerate(zip(urls, titles))
    )
