"""A license that a publisher adds to the derived terms of a dataset or a model, and what contradicts those terms."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from agentmerge_hub.licenses.hub_ids import HUB_IDS, OF_MODELS, PERMISSIVE, SHARE_ALIKE
from agentmerge_hub.licenses.license_terms import LICENSES, License, is_license_id, ordered


def parse(metadata: Mapping[str, Any]) -> License | None:
    """The license that ``license``, ``license_name`` and ``license_link`` name; None if they are not set.

    Raises:
        ValueError: with a clause that says which of them breaks the Hub's rules.
    """
    id, name, link = (metadata.get(key) for key in ("license", "license_name", "license_link"))
    if id is None and name is None and link is None:
        return None
    if id != "other":
        if not isinstance(id, str) or id not in HUB_IDS | LICENSES.keys():
            raise ValueError(
                f"license {id!r}, which is no license of the Hub for what one adds: write `license: other` with license_name and "
                "license_link"
            )
        if name is not None or link is not None:
            raise ValueError(f"license_name or license_link beside license {id}: they belong to `license: other`")
        return LICENSES.get(id) or License(id, id, "")
    if not isinstance(name, str) or not is_license_id(name):
        raise ValueError("license other without a license_name of lower-case letters, digits, '-' and '.'")
    if name in HUB_IDS | LICENSES.keys():
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
    if added.id in OF_MODELS or (added.id in LICENSES and not added.permissive):
        return f"the {added.name} is the license of models that this one was not made of"
    binding = [license for license in ordered(derived) if license.id not in PERMISSIVE]
    names = ", ".join(license.name for license in binding)
    if binding and added.id in PERMISSIVE:
        return f"{added.id} grants what the derived terms do not ({names})"
    if binding and (added.id in SHARE_ALIKE or any(license.id in SHARE_ALIKE for license in binding)):
        closed = added.id if added.id in SHARE_ALIKE else names
        return f"{closed} lets no other terms be added, and both would apply: {names} and {added.id}"
    return None
