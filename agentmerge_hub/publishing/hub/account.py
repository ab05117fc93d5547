"""Whether the token in use may publish to a repository, judged from the Hub's answers before anything is sent.

A classic token has a role. A fine-grained one lists permissions for each user, organization or repository. Roles in an
organization: https://huggingface.co/docs/hub/organizations-security; its resource groups can give more for some repositories.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.errors import OTHER_SERVER
from agentmerge_hub.publishing.hub.repository import Repository

_WRITE = re.compile(r"repo\.(?:\w+\.)*write")
"""Permissions of a fine-grained token that let it write to a repository, e.g. ``repo.write``."""
_OWNERS = ("user", "org")


def check_account(api: HfApi, repository: Repository) -> bool:
    """Raise UserError unless the token may write to the repository, as far as the account says.

    Returns:
        Whether the token may also create the repository.
    """
    account = _mapping(api.whoami())
    if not (name := account.get("name")):
        raise UserError(f"{constants.ENDPOINT} does not say whose token this is: {OTHER_SERVER}.")
    namespace = repository.namespace
    token = _mapping(_mapping(account.get("auth")).get("accessToken"))
    change = f"make one with write access at {constants.ENDPOINT}/settings/tokens and set HF_TOKEN to it, or run `hf auth login`"
    if token.get("role") == "read":
        raise UserError(f"The token of {name} can only read: {change}.")
    written = [entity for entity, permissions in _scopes(token) if any(map(_WRITE.fullmatch, permissions))]
    owned = any(e.get("type") in _OWNERS and e.get("name") == namespace for e in written)
    named = any(e.get("type") == repository.kind and e.get("name") == repository.id for e in written)
    if token.get("role") == "fineGrained" and not owned and not named:
        raise UserError(
            f"The fine-grained token of {name} may not write to {repository}: give it write access to the contents of the "
            f"repositories of {namespace} at {constants.ENDPOINT}/settings/tokens."
        )
    orgs = {str(org.get("name")): org for org in map(_mapping, account.get("orgs") or [])}
    roles = {name: "admin"} | {owner: org.get("roleInOrg") for owner, org in orgs.items()}
    if namespace not in roles and not owned and not named:
        writable = ", ".join(owner for owner, role in roles.items() if role != "read")
        raise UserError(f"{name} cannot publish under {namespace!r}: use one of {writable}.")
    reads = roles.get(namespace) == "read"
    groups = [_mapping(group).get("role") for group in orgs.get(namespace, {}).get("resourceGroups") or []]
    if reads and not set(groups) & {"contributor", "write", "admin"}:
        raise UserError(
            f"{name} can only read in {namespace}: ask an admin of it for the role contributor or write, or use another "
            "--repo-id."
        )
    return not reads and (owned or not named)


def check_write_access(api: HfApi, repository: Repository) -> None:
    """Ask the Hub whether the token may write to a repository that exists: a contributor may write to repositories of their own.

    Raises:
        HfHubHTTPError: if it may not.
    """
    try:
        api.auth_check(repository.id, repo_type=repository.kind, write=True)
    except RepositoryNotFoundError:
        raise
    except HfHubHTTPError as error:
        if error.response.status_code != 404:  # a Hub without this request answers 404
            raise


def _scopes(token: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], list[str]]]:
    """(entity, permissions) of a fine-grained token."""
    for scope in _mapping(token.get("fineGrained")).get("scoped") or []:
        yield _mapping(_mapping(scope).get("entity")), [str(name) for name in _mapping(scope).get("permissions") or []]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
