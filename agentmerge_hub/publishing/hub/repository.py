"""Access to the Hub: repository ids, accounts, file listings, and errors as one sentence."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from huggingface_hub import HfApi, RepoFile, constants, errors

from agentmerge_hub.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota and a file-size limit."""


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub: ``kind`` is ``model`` or ``dataset``, ``id`` is ``ORG/NAME``."""

    kind: str
    id: str

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        return self.id.split("/")[1]

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    def __str__(self) -> str:
        return f"the {self.kind} {self.id}"


def check_id(repo_id: str) -> str:
    """`repo_id` as it is, if the Hub allows such a name; UserError otherwise."""
    parts = repo_id.split("/")
    allowed = len(parts) == 2 and all(_NAME.fullmatch(part) and not re.search(r"--|\.\.", part) for part in parts)
    if not allowed or repo_id.endswith(".git") or len(repo_id) > 96:
        raise UserError(
            f"{repo_id!r} is not a name the Hub allows: write ORG/NAME with letters, digits, '-', '_' and '.', "
            "neither first nor last '-' or '.', without '--' or '..', at most 96 characters in all."
        )
    return repo_id


def check_account(api: HfApi, namespace: str) -> None:
    """Raise UserError unless the token in use may write to `namespace`, as far as the Hub reports it."""
    account = api.whoami()
    role = account.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise UserError(
            f"The token of {account['name']} can only read: make one with write access at "
            f"{constants.ENDPOINT}/settings/tokens and set HF_TOKEN to it, or run `hf auth login`."
        )
    may = [account["name"], *(org["name"] for org in account.get("orgs", []))]
    if namespace not in may:
        raise UserError(f"{account['name']} cannot publish under {namespace!r}: use one of {', '.join(may)}.")


def files_on_hub(api: HfApi, repository: Repository, revision: str) -> dict[str, str]:
    """Path → identity of each file: the sha256 of a large file, the git blob's sha1 of a small one."""
    tree = api.list_repo_tree(repository.id, repo_type=repository.kind, revision=revision, recursive=True)
    return {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in tree if isinstance(f, RepoFile)}


@contextmanager
def sentences(repository: Repository, then: str) -> Iterator[None]:
    """Turn errors of the Hub, the network and the disk inside the block into one UserError.

    Args:
        then: the state of the work and what to do next, e.g. ``"nothing was published"``.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        for cause in causes(error):
            if sentence := _sentence(cause, repository):
                raise UserError(f"{sentence}; {then}.") from error
        raise


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sentence(error: BaseException, repository: Repository) -> str | None:
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "No Hugging Face token was found: run `hf auth login`, or set HF_TOKEN to a token with write access"
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated: ask for access at {repository.url}, with the account of your token"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no such revision: its branches and tags are at {repository.url}/tree/main"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{repository} does not exist, or your token may not see it (`hf auth whoami` shows its account)"
    if isinstance(error, errors.HfHubHTTPError):
        return _status(error, repository)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {constants.ENDPOINT} is not contacted: unset it"
    if isinstance(error, httpx.TransportError):
        return f"The connection to {constants.ENDPOINT} failed ({type(error).__name__}: {error})"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"The disk is full ({error.strerror})"
    if isinstance(error, ValueError) and "metadata in README.md" in str(error):
        return f"The Hub does not accept the card: {' '.join(str(error).split())}"
    return None


def _status(error: errors.HfHubHTTPError, repository: Repository) -> str:
    status = error.response.status_code
    message = error.server_message or error.response.reason_phrase
    if status == 401:
        return "The Hub does not accept the token: run `hf auth login`, or set HF_TOKEN to a valid one"
    if status == 403:
        return (
            f"The token may not write to {repository} ({message}): use one with write access to {repository.namespace}"
        )
    if status in (409, 412):
        return f"{repository} was changed by someone else meanwhile ({message})"
    if status == 429:
        return f"The Hub limits the rate of requests ({message})"
    return f"The Hub answered {status} ({message})"
