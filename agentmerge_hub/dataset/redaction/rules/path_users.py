"""Which folders of a path are named after users, by its root; and whether the path is one of a machine or of a web site.

A web site's path follows a key such as ``url=`` or ``href=``, or has a word of web addresses in place of the user.
"""

import re
from collections.abc import Iterator, Sequence

from agentmerge_hub.dataset.redaction.rules.path_words import (
    CLUSTER_ROOTS,
    CONTAINERS,
    HOME_ROOTS,
    HOMES,
    MOUNTS,
    NOBODY,
    ORDINARY,
    PROGRAMS,
    SYSTEM_ROOTS,
    WEB_WORDS,
)

FIRST_DOT_LAST = re.compile(
    r"(?!(?:com|org|net|io|edu|gov|www|lib|java|python|node)\.)[A-Za-z]{2,20}\.(?!(?:bin|bak|cfg|conf|csv|data|dist|egg|example|git|gz|html?|img|ini|io|iso|js|json|local|lock|log|lst|md|old|orig|out|pdf|pkl|png|py|repo"
    r"|service|sh|sock|socket|so|sql|tar|tgz|tmp|toml|txt|venv|wants|xml|ya?ml|zip|list|com|org|net|edu|apple|google|android|app|framework|dir|cache|store|test|aspx?|php|jsp|css|jpe?g|gif|svg|webp|ico|mp4|ckpt|safetensors|gguf|parquet|jsonl)$)"
    r"[A-Za-z]{3,20}",
    re.IGNORECASE,
)
"""A folder with the name of a person, e.g. ``jane.doe``, wherever it is."""

_ACCOUNT = re.compile(r"[a-z]{2,}[a-z_]{0,18}\d{0,4}|[a-z]\d{3,8}")
"""What accounts look like below roots that hold other folders too."""
_ONE_WORD = re.compile(r"(?!tmp|temp)[a-z]{3,12}\d{0,4}")
_NUMBERED = re.compile(r"[a-z]{3,20}[._-]?\d{1,4}")
_SHARE = re.compile(r"share|team|group|dept|file|data|public|common|proj")
"""Parts of a share's name that show that it is of many users."""
_FILE = re.compile(r"\.[A-Za-z]\w{1,8}$")
_WEB_ACTIONS = frozenset(
    {"edit", "new", "issues", "board", "boards", "settings", "pulls", "merge_requests", "wiki", "login", "sign_in", "checkout", "cart", "details", "history", "orders"}
)  # fmt: skip
_ANY_HOMES = re.compile(r"\w{0,8}homes?\d{0,2}|home[._-]\w{1,12}|Users|people|staff|students?|faculty|u")
_ANY_SCRATCH = re.compile(r"[\w-]{0,12}scratch\w{0,4}|lustre|gpfs|nfs")
_WEB_KEY = re.compile(
    r"(?:\b(?:url|uri|href|src|action|formaction|link|route|endpoint|cite|poster|next|redirect\w{0,12}|return_?(?:url|to)|referr?er|data-[\w-]{1,30})['\"]?\s?[:=]\s?['\"]?"
    r"|\]\(|\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\s|\bgoto\(['\"])(?:\.{1,2}/?)*$",
    re.IGNORECASE,
)
"""What is before the path of a web address."""
_DOMAIN = re.compile(r"[A-Z]{2,}[A-Z0-9-]*|[\w-]+\.(?:local|corp|lan|com|edu|org|net|int)")
"""A domain of accounts, between the folder of homes and that of the user."""
_SHARE_SCHEME = re.compile(r"(?:smb|afp|cifs|nfs):", re.IGNORECASE)
_SECOND_NAME = re.compile(r" [\w.-]{1,30}(?=/)")
"""The rest of a folder's name with a space, which ends the path."""
_MAX_GROUPS = 4
"""Folders with the names of groups and users, one below the other."""
_MAX_HOMES = 4
"""Folders before the one that holds the homes."""


def users_in_path(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each folder that is named after a user.

    Args:
        match: a path in the group ``path``, its scheme (``file://host``) in the group ``scheme`` if it has one.
    """
    start, path = match.start("path"), match["path"]
    names, places, at = [], [], start
    for name in path.split("/")[1:]:
        names.append(name)
        places.append(at + 1)
        at += 1 + len(name)
    found = _users(names, is_web=not match["scheme"] and is_web_path(match.string, start))
    if match["scheme"] and _SHARE_SCHEME.match(match["scheme"]):
        found |= {number for number, name in enumerate(names[:2]) if _is_account(name) and not _SHARE.search(name)}
    if match["scheme"] and names[0] == "user" and _is_account(names[1]):  # hdfs:///user/jane
        found.add(1)
    for number in sorted(found):
        end = places[number] + len(names[number].rstrip("."))
        if number == len(names) - 1 and (rest := _SECOND_NAME.match(match.string, end)):
            end = rest.end()
        yield places[number], end


def is_web_path(text: str, start: int) -> bool:
    """Whether a path that starts there follows a key of web addresses."""
    return _WEB_KEY.search(text, max(0, start - 60), start) is not None


def users_in_windows_path(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """As `users_in_path`, for a path with backslashes: ``C:\\…``, or a share."""
    names, places = [], []
    for folder in re.finditer(r"[^\\/]+", match["path"]):
        names.append(folder[0])
        places.append(match.start("path") + folder.start())
    is_share = match["path"].startswith("\\")
    found = set(_named_after_persons(names)) | set(_below_homes(names, 0))
    for number in range(1, min(4, len(names))) if is_share and not found else ():
        if _is_account(names[number]) and not _SHARE.search(names[number]):
            found.add(number)
        elif not CONTAINERS.fullmatch(names[number]) and names[number] in ORDINARY:
            break
    yield from ((places[number], places[number] + len(names[number].rstrip("."))) for number in sorted(found))


def _users(names: Sequence[str], is_web: bool) -> set[int]:
    """Numbers of the folders that are named after users."""
    root = names[0]
    if is_web:  # only what is unmistakably an account
        is_home = HOME_ROOTS.fullmatch(root) and len(names) > 1
        return {1} if is_home and (FIRST_DOT_LAST.fullmatch(names[1]) or _NUMBERED.fullmatch(names[1])) else set()
    if HOME_ROOTS.fullmatch(root):
        return set(_below_homes(names, 0)) | set(_named_after_persons(names))
    is_cluster = CLUSTER_ROOTS.fullmatch(root) or _ANY_SCRATCH.fullmatch(root)
    is_mount = MOUNTS.fullmatch(root) or names[:2] == ["run", "media"]
    if not (is_cluster or is_mount or SYSTEM_ROOTS.fullmatch(root)):
        return set(_below_unknown_root(names))
    found = set(_named_after_persons(names)) | set(_below_homes(names, 1))
    found |= set(_behind_user(names)) | set(_in_mail(names)) | set(_in_temporary(names))
    if is_cluster:
        return found | set(_in_cluster(names))
    return found | set(_in_mount(names)) if is_mount and not found else found


def _below_unknown_root(names: Sequence[str]) -> Iterator[int]:
    """Users below a folder of homes or a scratch disk, where the root is a site's own: ``/ihome/lab/jane``."""
    for number, name in enumerate(names[:_MAX_HOMES]):
        if _ANY_SCRATCH.fullmatch(name):
            yield from _in_cluster(names, number + 1)
            return
        if _ANY_HOMES.fullmatch(name):
            below = set(_below_homes(["home", *names[number + 1 :]], 0))
            yield from (
                number + inner
                for inner in below | {2} & set(range(len(names) - number))
                if _is_account(names[number + inner]) or FIRST_DOT_LAST.fullmatch(names[number + inner])
            )
            return
    yield from _behind_user(names)


def _named_after_persons(names: Sequence[str]) -> Iterator[int]:
    return (number for number, name in enumerate(names) if number and FIRST_DOT_LAST.fullmatch(name))


def _below_homes(names: Sequence[str], first: int) -> Iterator[int]:
    """The user behind the folder of all homes, also by first letter or group: ``/home/lab/j/jane``."""
    for number in range(first, min(_MAX_HOMES, len(names) - 1)):
        name = names[number]
        if HOMES.fullmatch(name) or (number == 0 and HOME_ROOTS.fullmatch(name)) or names[:2] == ["run", "user"]:
            break
    else:
        return
    while number + 2 < len(names) and HOMES.fullmatch(names[number + 1]):
        number += 1
    rest = names[number + 1 :]
    user = number + 1
    if re.fullmatch(r"\d{1,5}", rest[0]):  # /run/user/1000/…, /users/1234/…
        if len(rest) > 1 and _is_account(rest[1]):
            yield user + 1
        return
    if len(rest) > 2 and len(rest[0]) == 1 and len(rest[1]) == 2 and rest[2].startswith(rest[1]):  # j/ja/jane
        yield user + 2
        return
    if len(rest) > 2 and _is_initial(rest[1], rest[2]):
        yield from (user, user + 2)
        return
    if len(rest) > 1 and _is_initial(rest[0], rest[1]):
        yield user + 1
        return
    if len(rest) > 1 and re.fullmatch(
        r"homes?|labs?|groups?|staff|students?|people|faculty|members|users|work|research|local", rest[0], re.I
    ):
        if rest[1].lower() not in ORDINARY | WEB_WORDS:
            yield user + 1
        return
    if rest[0].lower() not in WEB_WORDS | NOBODY and (len(rest) > 1 or not _is_page(rest[0])):
        yield user
        if len(rest) > 1 and _DOMAIN.fullmatch(rest[0]) and _is_account(rest[1]):
            yield user + 1


def _is_initial(letter: str, name: str) -> bool:
    return len(letter) == 1 and (name[:1].lower() == letter.lower() or name == "user")


def _in_cluster(names: Sequence[str], first: int = 1) -> Iterator[int]:
    """The folders below a shared file system that are none of programs or data: those of groups and users."""
    if _WEB_ACTIONS & set(map(str.lower, names[first:])):
        return
    found = 0
    for number in range(first, len(names)):
        name = names[number]
        if CONTAINERS.fullmatch(name) or HOMES.fullmatch(name):
            continue
        if name.lower() in ORDINARY | NOBODY or (not found and name.lower() in WEB_WORDS) or found == _MAX_GROUPS:
            return
        if CLUSTER_ROOTS.fullmatch(name):
            continue
        if number == len(names) - 1 and _FILE.search(name):
            return
        yield number
        found += 1


def _behind_user(names: Sequence[str]) -> Iterator[int]:
    """The folder in ``user``, which is also the placeholder of a user: ``/afs/site/user/j/jane``."""
    for number, name in enumerate(names[:-1], 1):
        while name == "user" and len(names[number]) == 1 and number + 1 < len(names):
            number += 1
        if name == "user" and (_is_account(names[number]) or FIRST_DOT_LAST.fullmatch(names[number])):
            yield number


def _in_mail(names: Sequence[str]) -> Iterator[int]:
    """The files of accounts: ``/var/mail/jane``, ``/var/spool/cron/crontabs/jane``."""
    return (
        number
        for number, name in enumerate(names[:-1], 1)
        if name in ("mail", "crontabs") and _is_account(names[number])
    )


def _in_temporary(names: Sequence[str]) -> Iterator[int]:
    """The folder of a user in one for temporary files: ``/tmp/jane/x``. Names of programs, and of more than one word, are left."""
    for number, name in enumerate(names[:3]):
        if name in ("tmp", "shm") and number + 2 < len(names):
            below = names[number + 1]
            if _ONE_WORD.fullmatch(below) and _is_account(below) and below not in PROGRAMS:
                yield number + 1
            return


def _in_mount(names: Sequence[str]) -> Iterator[int]:
    """The first folders below a mount that look like accounts."""
    if _WEB_ACTIONS & set(map(str.lower, names)):
        return
    for number, name in enumerate(names[1:6], 1):
        if CONTAINERS.fullmatch(name) or HOMES.fullmatch(name):
            continue
        if (CLUSTER_ROOTS.fullmatch(name) or _ANY_SCRATCH.fullmatch(name)) and name not in ORDINARY:
            yield from _in_cluster(names, number + 1)
            return
        if not _is_account(name):
            return
        yield number


def _is_account(name: str) -> bool:
    return bool(_ACCOUNT.fullmatch(name)) and name not in ORDINARY and name not in WEB_WORDS and name not in NOBODY


def _is_page(name: str) -> bool:
    return bool(re.search(r"\.(?:html?|aspx?|php|jsp|do|css|js|png|jpe?g|svg|json)$", name, re.IGNORECASE))
