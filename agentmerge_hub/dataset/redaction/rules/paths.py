"""User names in paths: home folders, cluster scratch, ``~name``, Windows profiles and shares."""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule

_NAME = r"(?P<value>(?!(?:shared|public|runner|user|default|all users)\b)[\w.-]*\w)"

_FIRST_DOT_LAST = (
    r"(?!(?:com|org|net|io|edu|gov|www|lib|java|python|node)\.)[A-Za-z]{2,20}\.(?!(?:bin|bak|cfg|conf|csv|data|dist|egg|example|git|gz|html?|img|ini|io|iso|js|json|local|lock|log|lst|md|old|orig|out|pdf|pkl|png|py|repo"
    r"|service|sh|sock|socket|so|sql|tar|tgz|tmp|toml|txt|venv|wants|xml|ya?ml|zip|list|com|org|net|edu|apple|google|android|app|framework|dir|cache|store|test)\b)"
    r"[A-Za-z]{3,20}"
)
"""A folder with the name of a person, e.g. ``jane.doe``, wherever it is."""

_PATH_START = (
    r"(?:(?<![\w.%)\]}~-])|(?<=\\[abfnrtv])|(?<=-[A-Z])|(?<=\.\.)|(?<=~)"
    r"|(?:file|s?ftp|scp|ssh|rsync|smb|nfs|afp|s3[an]?|gs|gcs|hdfs|viewfs|abfss?|wasbs?|dbfs|oss|r2|vscode[\w-]{0,30}):/{1,2}[\w.@:+-]{0,200})"
)
"""Start of a file path: not behind the host or an earlier part of a web address, such as ``/now/home/tab``."""

_MOUNT = (
    r"(?:/(?:[A-Za-z]|mnt|media|data\d*|export|var|nfs\w{0,20}|net|network|efs|fsx|gpfs|lustre|beegfs|ceph\w{0,4}|juicefs|jfs|pfs|nas\w{0,4}|eos|weka\w{0,4}|panfs|scratch\w{0,10}|storage|srv|cygdrive|hpc\w{0,4}|lfs|dfs|hdd\w{0,4}|local|mount"
    r"|vol\w{0,10}|usr|private|Volumes|host|run|opt|autofs|afs|cluster|remote|rootfs|p|work|project|shared|s3|bucket)"
    r"(?:/[\w.@$+ -]{1,40}){0,2}?)?"
)
"""Where home folders are mounted, e.g. ``/mnt/nfs``."""

_HOMES = r"(?:home\d{0,2}|homes|Users|users|(?<=[a-z\d]/)user)"

_SCRATCH = (
    r"(?:(?:network|net|global|cluster|mnt|data\d?|p|shared|local|cfs|nvme\d?|nfs\d?|storage|home|vol\d?)/){0,2}"
    r"(?:\w{0,3}scratch\w{0,8}|(?<=[a-z\d]/)projects?|fsx|lustre\w{0,6}|gpfs\w{0,6}|beegfs\w{0,6}|ceph\w{0,4}|juicefs|jfs|pfs|panfs|nas\d{0,2}|eos|weka\w{0,4}|moosefs|bigdata|efs|checkpoints?|work\d?|nobackup)"
)
"""Roots of cluster file systems, below which folders are named after users."""

_SCRATCH_SUBFOLDER = r"(?:/(?:users?|home|homes|scratch\d?|fs\d?|data|projects?|[A-Za-z]|[a-z]{2}\d{0,2}))"

PATH_RULES = (
    Rule(
        "home",
        ("/home", "/users/", "/user/"),
        re.compile(rf"{_PATH_START}{_MOUNT}/{_HOMES}/(?:([A-Za-z])/(?=\1))?{_NAME}", re.IGNORECASE),
        everywhere=False,
    ),
    Rule(
        "home",
        ("scratch", "/projects/", "/project/", "/fsx", "/lustre", "/gpfs", "/beegfs", "/efs", "/checkpoint", "/work", "/nobackup",
         "/ceph", "/juicefs", "/jfs", "/pfs", "/panfs", "/nas", "/eos", "/weka", "/moosefs", "/bigdata"),
        re.compile(
            rf"{_PATH_START}/{_SCRATCH}(?:{_SCRATCH_SUBFOLDER}(?=/)){{0,2}}"
            r"/(?!(?:shared|public|users?)\b)(?P<value>[\w.-]*\w(?:/[\w.-]*\w)?)(?=[/'\"\s,;:)\]]|$)",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(  # a folder named after a person under any root
        "home",
        ("/tmp/", "/var/", "/run/", "/opt/", "/mnt/", "/media/", "/data", "/storage", "/workspace", "/srv/", "/private/", "/kaggle/", "/local",
         "/ssd", "/nvme", "/raid", "/disk", "/vol", "/export", "/share", "/cache", "/spool", "/root/", "/usr/", "/dev/shm", "/content/", "/project"),
        re.compile(
            rf"{_PATH_START}/(?:tmp|var|run|opt|mnt|media|data\w{{0,10}}|storage\w{{0,10}}|workspaces?|srv|private|kaggle|local\w{{0,8}}|ssd\d?|nvme\w{{0,6}}|raid\d?"
            rf"|disk\w{{0,4}}|vol\w{{0,6}}|exports?|shared?|cache|spool|root|usr|dev/shm|content|projects?)(?:/[\w.@$+-]{{1,60}}?){{0,6}}/(?P<value>{_FIRST_DOT_LAST})(?=[/'\"\s,;:)\]]|$)",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(  # folders by first letter: /home/lab/j/jane
        "home",
        tuple(f"/{letter}/{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
        re.compile(
            rf"{_PATH_START}/(?:home\d?|network|net|data\d?|mnt|nfs\d?|\w{{0,3}}scratch|users?|export|cluster|storage|afs|work|people|staff)"
            r"(?:/[\w.-]{1,40}){0,3}/([A-Za-z])/(?P<value>\1[\w.-]*\w)",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(  # home folders of a site by letter: /home/lab/j/jane
        "home",
        ("/home",),
        re.compile(rf"{_PATH_START}/homes?\d?/[\w.-]{{1,40}}/[A-Za-z]/{_NAME}", re.IGNORECASE),
        everywhere=False,
    ),
    Rule(  # members of a group's project folder: /project/def-lab/jane
        "home",
        ("/project",),
        re.compile(
            rf"{_PATH_START}/projects?/(?:(?:def|rrg|rpp|ctb|aip)-[\w.-]{{1,40}}|[\w-]{{1,40}}(?=/[a-z]+\.[a-z]+(?:[/\s'\"]|$)))/{_NAME}",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(
        "home",
        ("/u/", "/h/", "/usr2/", "/var/mail/", "/var/spool/mail/", "/var/spool/cron/", "/afs/"),
        re.compile(
            rf"{_PATH_START}/(?:u|h|usr2|var/mail|var/spool/(?:mail|cron/crontabs|cron)|afs/[\w.-]{{1,60}}/users?(?:/\w){{0,2}})"
            rf"/{_NAME}",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(
        "home", ("~",), re.compile(r"(?<![\w~.])~(?P<value>[A-Za-z_][\w.-]{1,40})(?=/|\\(?=\w))"), everywhere=False
    ),
    Rule(
        "home",
        ("\\users\\", "/users/", "\\users$", "\\home$", "\\homes$", "\\profiles$", "\\documents and settings\\", "\\home\\", "\\homes\\", "\\profiles\\", "\\redirected"),
        re.compile(
            r"(?:[A-Za-z]:|(?<![\w\\])\\{2,8}[\w.$-]{1,63}(?:\\{1,4}[\w.$ -]{1,63}){0,2}?)[\\/]{1,4}"
            r"(?:Users|Documents and Settings|homes?|profiles|redirected\w{0,12})\$?[\\/]{1,4}"
            r"(?P<value>(?!(?:public|default|all users)\b)[\w.-]*\w)",
            re.IGNORECASE,
        ),
        everywhere=False,
    ),
    Rule(  # a share named after its user: \\server\jane$
        "home",
        ("\\\\",),
        re.compile(r"(?<![\w\\])\\{2,8}[\w.-]{1,63}\\{1,4}(?P<value>(?!(?:IPC|ADMIN|print)\$)[A-Za-z][\w.-]{2,40})\$"),
        everywhere=False,
    ),
    Rule(  # a path written with dashes, e.g. as a folder's name: -home-jane-project
        "home", ("-home-", "-users-"), re.compile(r"(?<!\w)-(?:home|Users)-(?P<value>[\w.]*\w)(?=-)", re.IGNORECASE),
        everywhere=False,
    ),
    Rule(  # the account of a remote path: jane@login1:/scratch
        "home",
        ("@",),
        re.compile(
            r"(?<![\w.+-])(?P<value>(?!(?:git|root|user|admin)@)[A-Za-z][\w.-]{1,40})@[A-Za-z][\w.-]{1,63}:(?=[~/](?!/))"
        ),
        everywhere=False,
    ),
)  # fmt: skip
