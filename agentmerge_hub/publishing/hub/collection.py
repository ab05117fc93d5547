"""Adds a repository to a collection of its owner. A failure is a warning; after a lost reply, the true state is looked up."""

from collections.abc import Callable
from typing import Any, Literal

from huggingface_hub import Collection, HfApi

from agentmerge_hub.publishing.hub.errors import describe
from agentmerge_hub.publishing.hub.repository import Repository


def add_to_collection(api: HfApi, repository: Repository, title: str, private: bool) -> tuple[str | None, str | None]:
    """Add the repository to the collection of that title, creating it if needed; the collection's URL, or a warning."""
    try:
        collection = _find(api, repository, title) or _create(api, repository, title, private)
        if not _holds(api, repository, collection):
            _add(api, repository, collection)
        return collection.url, None
    except Exception as error:
        sentence = describe(error, repository) or f"{type(error).__name__}: {error}"
        return None, f"{repository} was not added to the collection {title!r}: {sentence}"


def _find(api: HfApi, repository: Repository, title: str) -> Collection | None:
    return next((c for c in api.list_collections(owner=repository.namespace) if c.title == title), None)


def _create(api: HfApi, repository: Repository, title: str, private: bool) -> Collection:
    try:
        return api.create_collection(title, namespace=repository.namespace, private=private)
    except Exception:
        if (made := _look_up(lambda: _find(api, repository, title))) is None:
            raise
        return made


def _holds(api: HfApi, repository: Repository, collection: Collection) -> bool:
    items = api.get_collection(collection.slug).items  # a list of collections has only their first items
    return (repository.kind, repository.id) in {(item.item_type, item.item_id) for item in items}


def _add(api: HfApi, repository: Repository, collection: Collection) -> None:
    kind: Literal["dataset", "model"] = "dataset" if repository.kind == "dataset" else "model"
    try:
        api.add_collection_item(collection.slug, repository.id, kind, exists_ok=True)
    except Exception:
        if not _look_up(lambda: _holds(api, repository, collection)):
            raise


def _look_up(state: Callable[[], Any]) -> Any:
    """The state after a failed request; None if it cannot be read either."""
    try:
        return state()
    except Exception:
        return None
