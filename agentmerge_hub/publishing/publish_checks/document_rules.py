"""What prose and settings must not hold beside secrets of known forms: local paths and passwords.

Recorded pages are not checked by these rules: they show paths and password fields of the sites themselves.
"""

import re
from collections.abc import Iterator

from agentmerge_hub.dataset.redaction.rules.path_users import FIRST_DOT_LAST, is_web_path
from agentmerge_hub.dataset.redaction.rules.path_words import CLUSTER_ROOTS

_ROOTS = (
    rf"{CLUSTER_ROOTS.pattern}|\w*home\d*|Users|users|u|\w*scratch|data\d*|mnt|media|[Ww]orkspaces?|root|tmp|var|private|Volumes|export|shared?"
    r"|storage|cluster|afs|vol\w*|srv|opt|net|autofs|run|wekafs|cifs|flash|lus|dss|rds|mmfs\d|kaggle/working|content/drive"
)
"""First parts of paths under which people and projects have folders."""

_BELOW_ROOTS = re.compile(
    rf"(?:(?<![\w.:/~%)\]}}>-])|(?<=file://)|(?<=:)|(?<=\W_))/(?i:{_ROOTS})/(?P<rest>[\w.@+~-][^\s'\"`,;<>|)]*)"
)
_LOCAL_PATHS = (
    _BELOW_ROOTS,
    re.compile(r"(?<![\w?(\\])[A-Za-z]:(?:\\{1,2}|/)(?P<rest>[A-Za-z][\w .$-]*(?:\\{1,2}|/)[^\s'\"`,;<>|)]+)"),
    re.compile(r"(?<!\\)(?:\\\\|\\{4})(?P<rest>[A-Za-z][\w.-]+\\{1,2}[\w$.-]{2,}[^\s'\"`,;<>|)]*)"),
    re.compile(r"(?<![\w/.])~(?P<rest>[a-z][\w.-]*/[\w.-]+)"),
    re.compile(  # whatever its root, under a key that names a place: "name_or_path": "/ptmp/jane/model"
        r"\"(?:[\w-]*[_-])?(?:path|dir|directory|folder|file|root|cache)\": \"(?:/|~/|[A-Za-z]:[\\/])(?P<rest>[^\"]*[^\"/\\])\"",
        re.IGNORECASE,
    ),
    re.compile(  # whatever its root, with a folder that is named after a person
        rf"(?<![\w.:/~%)\]}}>-])/(?P<rest>(?:[\w@+~-][\w.@+~-]*/){{1,8}}?(?i:{FIRST_DOT_LAST.pattern.replace(')$)', ')/)')})/\w)"
    ),
)
_PLACEHOLDER = re.compile(r"(?:^|[/\\])(?:user(?:-[0-9a-f]+)?|redacted-[\w-]+)(?:$|[/\\])")

_PASSWORD = re.compile(
    r"(?<![A-Za-z])(?:pass(?:word|wd|phrase|code)?|pwd|secret(?:[_-]?key)?|(?:api|access|private|encryption|signing)[_-]?key"
    r"|(?:auth|access|refresh|api|bearer|client)[_-]?(?:token|secret)|credentials?)['\"]?\s*(?::|=>?)\s*['\"]?"
    r"(?P<value>[^\s'\",;<>{}()\[\]]{6,})",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"redacted|example|placeholder|your|xxx|\*\*\*|\.\.\.|^\$|os\.environ|none$|null$|true$|false$", re.IGNORECASE
)
_CLASSES = (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]")


def document_findings(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of kind and value in a document."""
    for pattern in _LOCAL_PATHS:
        for match in pattern.finditer(text):
            # A card is on no site that has such folders: there, the target of a link or a picture is a file of its author.
            is_target = pattern is _BELOW_ROOTS and text.endswith("](", 0, match.start())
            if not _PLACEHOLDER.search(match["rest"]) and (is_target or not is_web_path(text, match.start())):
                yield "local paths", match[0]
    for match in _PASSWORD.finditer(text):
        value = match["value"]
        if not _NO_VALUE.search(value) and sum(bool(re.search(kind, value)) for kind in _CLASSES) > 1:
            yield "passwords", value
