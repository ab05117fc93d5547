"""Requirements of each license on published data and models: Hub identifier, card notices, model name, license text.

model_licenses.py maps models to licenses. This is no legal advice. Each entry was read from the license text; a comment
names the clause.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agentmerge_hub.licenses.hub_ids import HUB_IDS
from agentmerge_hub.licenses.model_licenses import UNKNOWN

_META = "https://www.llama.com/{}/{}/"


@dataclass(frozen=True)
class License:
    """Requirements of one license on a dataset of its model's answers, and on models derived from either."""

    id: str
    """As dataset rows carry it."""
    name: str
    """As the license text names itself."""
    link: str
    hub: str = ""
    """The Hub's identifier, ``other`` if it has none; `id` if empty."""
    policy: str = ""
    """URL of the use policy."""
    notice: str = ""
    """Sentence that the card of a derived model or dataset must contain."""
    answers: str = ""
    """Sentence for a dataset card: requirements on a model trained on the answers."""
    attribution: str = ""
    """Text of the NOTICE file of a derived model."""
    model_prefix: str = ""
    """Required prefix of a derived model's name."""
    copy_of_text: bool = False
    """Whether a derived model must include the license text."""
    answers_derive: bool = False
    """Whether a model trained on the answers counts as derived."""
    answers_improve_only: bool = False
    """Whether its models' answers may improve no models but those under the same license."""

    @property
    def on_hub(self) -> str:
        return self.hub or self.id

    @property
    def permissive(self) -> bool:
        return self.id in ("apache-2.0", "mit")


def _llama(version: str, label: str) -> License:
    # 1.b.i: a copy, "Built with Llama", and the name, which outputs alone demand too; 1.b.iii: the notice; 1.b.iv: the policy.
    name = f"Llama {version} Community License"
    return License(
        f"llama{version}",
        name,
        _META.format(label, "license"),
        policy=_META.format(label, "use-policy"),
        notice="Built with Llama.",
        answers=f"The name of a model that learns from the answers of Llama {version} must start with 'Llama' ({name}).",
        attribution=f"Llama {version} is licensed under the {name}, Copyright © Meta Platforms, Inc. All Rights Reserved.",
        model_prefix="Llama",
        copy_of_text=True,
    )


def _qwen(id: str, name: str, model: str, only: str = "") -> License:
    # 3: a copy, and the notice; 4.b: the words on whatever its models or their outputs made better.
    return License(
        id,
        name,
        f"https://huggingface.co/Qwen/{model}/blob/main/LICENSE",
        hub="other",
        notice=f"Built with Qwen.{only}",
        answers=f"A model that learns from these answers of Qwen has to be shown as 'Built with Qwen' or 'Improved using Qwen'.{only}",
        attribution=f"Qwen is licensed under the {name}, Copyright (c) Alibaba Cloud. All Rights Reserved.",
        copy_of_text=True,
    )


LICENSES = {
    license.id: license
    for license in (
        License("apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        License("mit", "MIT License", "https://opensource.org/license/mit"),
        _llama("3.1", "llama3_1"),
        _llama("3.2", "llama3_2"),
        _llama("3.3", "llama3_3"),
        _llama("4", "llama4"),
        # 1.b.i as above with another name; 1.b.v keeps outputs from other models.
        License(
            "llama3",
            "Meta Llama 3 Community License",
            _META.format("llama3", "license"),
            policy=_META.format("llama3", "use-policy"),
            notice="Built with Meta Llama 3.",
            answers="The answers of Meta Llama 3 may improve no language model but Meta Llama 3 and what derives from it.",
            attribution=(
                "Meta Llama 3 is licensed under the Meta Llama 3 Community License, "
                "Copyright © Meta Platforms, Inc. All Rights Reserved."
            ),
            model_prefix="Llama 3",
            copy_of_text=True,
            answers_improve_only=True,
        ),
        # 2.2: the notice; 3.2 and 4.2: research alone, for derivatives and outputs too; 9: not distributed by companies.
        License(
            "mistral-research-license",
            "Mistral AI Research License",
            "https://mistral.ai/licenses/MRL-0.1.md",
            hub="other",
            notice=(
                "For non-commercial research only: the Mistral AI Research License covers Mistral's models, what derives "
                "from them and their outputs, and lets no commercial entity distribute them, even free of charge."
            ),
            attribution="Licensed by Mistral AI under the Mistral AI Research License",
        ),
        # 1.1(e): learning from outputs makes a derivative; 3.1: the restrictions passed on, a copy, the notice.
        License(
            "gemma",
            "Gemma Terms of Use",
            "https://ai.google.dev/gemma/terms",
            policy="https://ai.google.dev/gemma/prohibited_use_policy",
            notice=(
                "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms. This model "
                "derives from it: whoever uses it or passes it on is bound by the use restrictions of section 3.2 of these "
                "terms and by the Gemma Prohibited Use Policy."
            ),
            answers=(
                "A model that learns from the answers of Gemma to perform like it is a Model Derivative under the Gemma Terms "
                "of Use, which then go with it."
            ),
            attribution="Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms",
            copy_of_text=True,
            answers_derive=True,
        ),
        _qwen("qwen", "Qwen LICENSE AGREEMENT", "Qwen2.5-72B-Instruct"),
        _qwen(
            "qwen-research",
            "Qwen RESEARCH LICENSE AGREEMENT",
            "Qwen2.5-3B-Instruct",
            " For non-commercial research and evaluation only.",
        ),
        License(
            "openai-terms-of-use",
            "OpenAI Terms of Use",
            "https://openai.com/policies/terms-of-use/",
            hub="other",
            notice="OpenAI's terms do not let its models' outputs be used to develop models that compete with them.",
        ),
        License(
            "anthropic-commercial-terms",
            "Anthropic Commercial Terms of Service",
            "https://www.anthropic.com/legal/commercial-terms",
            hub="other",
            notice="Anthropic's terms do not let its models' outputs be used to train models that compete with them.",
        ),
        License(
            "gemini-api-terms",
            "Gemini API Additional Terms of Service",
            "https://ai.google.dev/gemini-api/terms",
            hub="other",
            notice="Google's terms do not let the API's outputs be used to develop models that compete with it.",
        ),
    )
}


def ordered(ids: Iterable[str]) -> list[License]:
    """Licenses, non-permissive ones first. An id that is not in the table has no conditions that are known here; one that the Hub
    does not know either is ``other`` with that name."""
    others = {id: License(id, id, "", hub="" if id in HUB_IDS else "other") for id in set(ids) - {"", UNKNOWN}}
    licenses = [LICENSES.get(id) or license for id, license in others.items()]
    return sorted(licenses, key=lambda license: (license.permissive, license.id))


def is_license_id(name: str) -> bool:
    """Whether a text has the form of the Hub's license identifiers and of its ``license_name``."""
    return re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name) is not None


def dataset_notices(ids: Iterable[str]) -> list[str]:
    """Paragraphs for a dataset card on the terms of its answers, one per license."""
    return [license.answers or license.notice for license in ordered(ids) if license.answers or license.notice]


def metadata(ids: Iterable[str], added: License | None = None) -> dict[str, str]:
    """The card's license, license_name and license_link under several licenses at once.

    A permissive license beside a non-permissive one adds nothing; several non-permissive ones all apply.

    Args:
        added: a license that the publisher adds.
    """
    licenses = ordered(ids)
    if added is not None and added not in licenses:
        licenses = sorted([*licenses, added], key=lambda license: license.permissive)
    restrictive = [license for license in licenses if not license.permissive] or licenses[:1]
    if len(restrictive) == 1 and restrictive[0].on_hub != "other":
        return {"license": restrictive[0].on_hub}
    link = next((license.link for license in restrictive if license.link), None)
    name = "-and-".join(license.id for license in restrictive)
    return {"license": "other", "license_name": name} | ({"license_link": link} if link else {})
