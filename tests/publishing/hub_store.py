"""What a Hub keeps: repositories of content-addressed files in commits, large objects, tags, collections, accounts.

In memory, and without a word of HTTP; hub_server.py speaks for it.
"""

import fnmatch
import hashlib
import re
import threading
from dataclasses import dataclass, field

LFS_PATTERNS = ("*.parquet", "*.safetensors", "*.bin", "*.pt", "*.arrow", "*.gz", "*.zip", "*.png", "tokenizer.json")
LFS_BYTES = 10 * 2**20
NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?")


class Refused(Exception):
    """A request the Hub answers with an error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class File:
    """One version of one file. Large files stand in git as a pointer to an object named by its sha256."""

    content: bytes
    lfs: bool
    told: int | None = None
    """Size that listings tell, where it is not the content's."""

    @property
    def size(self) -> int:
        return len(self.content) if self.told is None else self.told

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        stored = self.content
        if self.lfs:
            head = "version https://git-lfs.github.com/spec/v1"
            stored = f"{head}\noid sha256:{self.sha256}\nsize {len(self.content)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    files: dict[str, File]


@dataclass
class Repo:
    """A model or dataset repository with one branch, main."""

    kind: str
    id: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    head: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    """Number of an open pull request → its commit."""
    readers: tuple[str, ...] | None = None
    """Accounts with access to the files of a gated repository; None if it is not gated."""

    def commit(self, title: str, files: dict[str, File]) -> Commit:
        listing = "".join(f"{path}{file.git_oid}" for path, file in sorted(files.items()))
        text = f"{self.kind}{self.id}{self.head}{title}{listing}"
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), self.head or None, title, files)
        self.commits[made.oid] = made
        self.head = made.oid
        return made

    def resolve(self, revision: str) -> Commit:
        revision = revision.removeprefix("refs/heads/")
        oid = self.head if revision == "main" else self.tags.get(revision, revision)
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str = "main") -> list[Commit]:
        commit: Commit | None = self.resolve(revision)
        found = []
        while commit:
            found.append(commit)
            commit = self.commits[commit.parent] if commit.parent else None
        return found


@dataclass(frozen=True)
class Account:
    name: str
    role: str = "write"
    """Of the token: ``read``, ``write`` or ``fineGrained``."""
    orgs: tuple[str, ...] = ()
    role_in_orgs: str = "write"
    scopes: tuple[tuple[str, ...], ...] = ()
    """Of a fine-grained token: (type of the entity, its name, permissions …)."""
    groups: tuple[str, ...] = ()
    """Roles in resource groups of the organizations."""
    created: tuple[str, ...] = ()
    """Repositories that a contributor created and so may write to."""

    @property
    def org_roles(self) -> dict[str, str]:
        return dict.fromkeys(self.orgs, self.role_in_orgs)

    @property
    def resource_groups(self) -> list[dict[str, str]]:
        return [{"name": f"group {number}", "role": role} for number, role in enumerate(self.groups)]

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *self.orgs)

    def may_write(self, namespace: str, repo_id: str | None = None) -> bool:
        """Whether the Hub lets it write to a repository, or create one in the namespace."""
        role = "admin" if namespace == self.name else self.org_roles.get(namespace, "none")
        if role not in ("contributor", "write", "admin") or (
            role == "contributor" and repo_id and repo_id not in self.created
        ):
            return False
        if self.role == "fineGrained":
            return any(name in (namespace, repo_id) and "repo.write" in granted for _, name, *granted in self.scopes)
        return self.role == "write"


class Store:
    """All of a Hub's state. Methods raise Refused where the Hub would answer with an error."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.collections: dict[str, dict] = {}
        self.renamed: dict[str, str] = {}
        """Earlier id of a repository → the one that requests are redirected to."""

    def repo(self, kind: str, repo_id: str, account: Account | None) -> Repo:
        """The repository, if it exists and may be read; the Hub does not tell these two apart."""
        repo = self.repos.get((kind, repo_id))
        if repo and (not repo.private or (account and repo_id.split("/")[0] in account.namespaces)):
            return repo
        if account is None:
            # The Hub leaves the code out here, and its client recognises the address, but only under https.
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        raise Refused(404, "Repository not found", "RepoNotFound")

    def writable(self, kind: str, repo_id: str, account: Account | None) -> Repo:
        repo = self.repo(kind, repo_id, account)
        self.check_may_write(repo_id.split("/")[0], account, repo_id)
        return repo

    def check_may_write(self, namespace: str, account: Account | None, repo_id: str | None = None) -> None:
        if account is None:
            raise Refused(401, "Invalid username or password.")
        if namespace not in account.namespaces:
            raise Refused(403, f"You don't have the rights to create under the namespace {namespace!r}")
        if not account.may_write(namespace, repo_id):
            raise Refused(403, "you must use a write token to write to a repository")

    def create(self, kind: str, repo_id: str, private: bool, account: Account | None) -> Repo:
        namespace, name = repo_id.split("/")
        self.check_may_write(namespace, account)
        if not NAME.fullmatch(name):
            raise Refused(400, f"Invalid repository name {name!r}")
        if (kind, repo_id) in self.repos:
            raise Refused(409, f"You already created this {kind} repo")
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, private)
        attributes = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS)
        repo.commit("initial commit", {".gitattributes": File(attributes.encode(), lfs=False)})
        return repo

    def upload_mode(self, path: str, size: int, sample: bytes) -> str:
        """How a file has to come: large, binary and listed kinds as LFS objects, the rest inside the commit."""
        listed = any(fnmatch.fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in LFS_PATTERNS)
        return "lfs" if listed or size > LFS_BYTES or b"\0" in sample else "regular"

    def put_object(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refused(400, "The object's content does not match its name")
        self.objects[oid] = content

    def collection(self, slug: str) -> dict:
        if slug not in self.collections:
            raise Refused(404, "Collection not found")
        return self.collections[slug]
