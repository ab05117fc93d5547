"""A license that a publisher adds to the derived terms of a dataset or a model, and what contradicts those terms.

Identifiers: https://huggingface.co/docs/hub/repositories-licenses
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from agentmerge_hub.licenses.license_terms import LICENSES, License, ordered

_PERMISSIVE = frozenset(
    [
        "apache-2.0",
        "mit",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "isc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "ecl-2.0",
        "etalab-2.0",
        "ms-pl",
        "ncsa",
        "odc-by",
        "openmdw-1.0",
        "pddl",
        "postgresql",
        "unlicense",
        "wtfpl",
        "zlib",
    ]
)
_SHARE_ALIKE = frozenset(
    [
        "agpl-3.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cdla-sharing-1.0",
        "epl-1.0",
        "epl-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "mpl-2.0",
        "odbl",
        "ofl-1.1",
        "osl-3.0",
    ]
)
"""Licenses that let nobody add further conditions."""
_RESTRICTED = frozenset(
    [
        "bigcode-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "c-uda",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nd-4.0",
        "creativeml-openrail-m",
        "fair-noncommercial-research-license",
        "h-research",
        "intel-research",
        "openrail",
        "openrail++",
    ]
)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


def parse(metadata: Mapping[str, Any]) -> License | None:
    """The license that ``license``, ``license_name`` and ``license_link`` name; None if they are not set.

    Raises:
        ValueError: with a clause that says which of them breaks the Hub's rules.
    """
    id, name, link = (metadata.get(key) for key in ("license", "license_name", "license_link"))
    if id is None and name is None and link is None:
        return None
    if id != "other":
        if id not in _PERMISSIVE | _SHARE_ALIKE | _RESTRICTED | LICENSES.keys():
            raise ValueError(
                f"license {id!r}, which is no license of the Hub for what one adds: write `license: other` with license_name and "
                "license_link"
            )
        if name is not None or link is not None:
            raise ValueError(f"license_name or license_link beside license {id}: they belong to `license: other`")
        return LICENSES.get(str(id)) or License(str(id), str(id), "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("license other without a license_name of lower-case letters, digits, '-' and '.'")
    if name in _PERMISSIVE | _SHARE_ALIKE | _RESTRICTED | LICENSES.keys():
        raise ValueError(f"license other with the name of a license of the Hub: write `license: {name}`")
    if not isinstance(link, str) or not re.fullmatch(r"https://\S+|LICENSE(?:-\d+)?", link):
        raise ValueError(
            "license other without a license_link: an https address, or LICENSE for the file of --license-file"
        )
    return License(name, name, link, hub="other")


def contradiction(added: License, derived: Collection[str]) -> str | None:
    """Why a license cannot be added to derived terms, as a clause; None if it can."""
    if added.id in derived:
        return None
    if added.id in LICENSES and not added.permissive:
        return f"the {added.name} is the license of models that this one was not made of"
    binding = [license for license in ordered(derived) if license.id not in _PERMISSIVE]
    names = ", ".join(license.name for license in binding)
    if binding and added.id in _PERMISSIVE:
        return f"{added.id} grants what the derived terms do not ({names})"
    if binding and (added.id in _SHARE_ALIKE or any(license.id in _SHARE_ALIKE for license in binding)):
        closed = added.id if added.id in _SHARE_ALIKE else names
        return f"{closed} lets no other terms be added, and both would apply: {names} and {added.id}"
    return None
