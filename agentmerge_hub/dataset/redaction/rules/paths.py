"""User names in paths: home folders, shared file systems, mounts, ``~name``, Windows profiles and shares."""

import re

from agentmerge_hub.dataset.redaction.rules.path_users import FIRST_DOT_LAST, users_in_path, users_in_windows_path
from agentmerge_hub.dataset.redaction.rules.rule import Rule

_PATH_START = (
    r"(?:(?<![\w.%)\]}~/-])|(?<=\\[abfnrtv])|(?<=-[A-Z])|(?<=\.\.)|(?<=~)"
    r"|(?P<scheme>(?:file|s?ftp|scp|ssh|rsync|smb|nfs|afp|s3[an]?|gs|gcs|hdfs|viewfs|abfss?|wasbs?|dbfs|oss|r2|vscode[\w-]{0,30}):(?://(?:[\w.@:+-]{0,200}|/{0,3}(?=/))|(?=/[^/]))|(?<![\w:/'\"=])//[A-Za-z][\w-]{1,62}(?=/)))"
)
"""Start of a file path: not behind the host or an earlier part of a web address, such as ``/now/home/tab``."""

_FOLDER = r"/[\w.@+$~-]{1,80}"

_ROOTS = (
    "/home", "home/", "homes/", "home1/", "home2/", "home3/", "home01/", "home02/", "/users/", "/people", "/u/", "/u1/", "/u2/", "/u3/", "/ocean/", "/blue/", "/orange/", "/juice", "/nlp/", "/sps/", "/n/", "/large_experiments/", "/dbfs/", "/h/", "/usr2/", "scratch", "/network", "/fsx", "/lustre", "/gpfs", "/beegfs", "/ceph", "/juicefs", "/jfs", "/pfs", "/panfs",
    "/nas", "/eos", "/weka", "/moosefs", "/bigdata", "/efs", "/checkpoint", "/work", "/nobackup", "/proj", "/group", "/lab", "/nfs", "/hpc", "/raid", "/mnt", "/media",
    "/data", "/volumes/", "/export", "/vol", "/srv", "/storage", "/share", "/local", "/ssd", "/nvme", "/disk", "/hdd", "/afs", "/net/", "/cygdrive/", "/host/", "/rootfs/",
    "/autofs/", "/cluster", "/remote/", "/pool/", "/tank/", "/zfs/", "/lfs/", "/dfs/", "/fs", "/mount/", "/cfs/", "/global/", "/p/", "/s3/", "/bucket/", "/tmp/", "/var/", "/run/",
    "/opt/", "/private/", "/kaggle/", "/cache/", "/spool/", "/root/", "/usr/", "/dev/shm/", "/content/", "/user/", "/ptmp/", "/teamspace/", "/tigress/", "/xdisk/", "/glade/", "/hkfs/", "/wrk", "stor/", "/leonardo_", "/lcrc/", "/nesi/", "cephfs/", "/cpfs", "/playpen", "/usr",
    "/gluster", "/orangefs", "/dcache", "/isilon", "/netapp", "/ddn", "/bucket", "/a/", "/b/", "/c/", "/d/", "/e/",
)  # fmt: skip

PATH_RULES = (
    Rule(
        "home",
        _ROOTS,
        re.compile(rf"{_PATH_START}(?P<path>/(?:Volumes/[\w.-]{{1,40}} [\w. -]{{1,40}}?(?=/)|[\w.@+$~-]{{1,80}})(?:{_FOLDER}){{1,12}})"),
        everywhere=False,
        values=users_in_path,
    ),
    Rule(
        "home",
        ("\\\\", ":\\", ":/"),
        re.compile(
            r"(?:(?<![\w\\])|(?<=\?\\))(?P<path>(?:[A-Za-z]:[\\/]{1,4}|\\{2,8})(?=[\w.$])[\w.$@+~-]{1,63}(?:(?: [\w.$@+~-]{1,40}){1,2}(?=[\\/]))?(?:[\\/]{1,4}[\w.$@+~-]{1,63}(?: [\w.$@+~-]{1,40}){0,2}(?=[\\/])|[\\/]{1,4}[\w.$@+~-]{1,63}){1,12})"
        ),
        hint=re.compile(r":[\\/](?<=[A-Za-z]:.)(?:(?<![\w\\][A-Za-z]:.)|(?<=\?\\[A-Za-z]:.))|\\\\"),  # not that of https://
        everywhere=False,
        values=users_in_windows_path,
    ),
    Rule(  # a share named after its user: \\server\jane$
        "home",
        ("\\\\",),
        re.compile(r"(?<![\w\\])\\{2,8}[\w.-]{1,63}\\{1,4}(?P<value>(?!(?:IPC|ADMIN|print|homes?|users|profiles)\$)[A-Za-z][\w.-]{2,40})\$", re.IGNORECASE),
        everywhere=False,
    ),
    Rule(
        "home", ("~",), re.compile(r"(?<![\w~.])~(?P<value>[A-Za-z_][\w.-]{1,40})(?=/|\\(?=\w))"), everywhere=False
    ),
    Rule(  # a path written with dashes, e.g. as a folder's name: -home-jane-project
        "home", ("-home-", "-users-"), re.compile(r"(?<!\w)-(?:home|Users)-(?P<value>[\w.]*\w)(?=-)", re.IGNORECASE),
        everywhere=False,
    ),
    Rule(  # what programs name after their user: /tmp/pytest-of-jane, /tmp/torchinductor_jane
        "home",
        ("pytest-of-", "hsperfdata_", "torchinductor_", "krb5cc_", "/runtime-", "/mc-", "screen/s-", "screens/s-"),
        re.compile(
            r"(?<=/)(?:pytest-of-|hsperfdata_|torchinductor_|krb5cc_|runtime-|mc-|S-)(?P<value>(?!(?:root|user|runner|ubuntu|jovyan)(?![\w.-]))[A-Za-z][\w.-]{1,40})(?=[/'\"\s,;:)\]]|$)"
        ),
        everywhere=False,
    ),
    Rule(  # a relative path: runs/jane.doe/model
        "home",
        ("scratch/", "home/", "homes/", "users/", "runs/", "models/", "data/", "checkpoint", "work/", "project", "people/", "staff/"),
        re.compile(
            r"(?<![\w/.:@%-])(?:\.{1,2}/){0,3}(?:scratch|homes?|users|people|staff|runs|models|data|checkpoints?|work|projects?)(?:/[\w.-]{1,60}){0,3}?"
            rf"/(?P<value>(?i:{FIRST_DOT_LAST.pattern.replace(')$)', ')(?![A-Za-z]))')}))(?=[/'\"\s,;:)\]]|$)"
        ),
        everywhere=False,
    ),
    Rule(  # the account of a remote login: ssh jane@10.0.0.5
        "home",
        ("ssh ", "sftp ", "scp ", "mosh "),
        re.compile(r"(?<![\w-])(?:ssh|sftp|scp|mosh) (?:-\S{1,20} (?:[\w./~-]{1,60} )?){0,3}(?P<value>(?!(?:git|root|user|admin)@)[A-Za-z][\w.-]{1,40})@(?=[\w.-])"),
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
