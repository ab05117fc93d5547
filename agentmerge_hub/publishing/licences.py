"""What a licence asks of whoever publishes: how the Hub writes it, what the card has to say, what the model is called.

Which licence a model or a teacher has is dataset.teachers' knowledge. This is no legal advice: it keeps what is
plainly asked for from being forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agentmerge_hub.dataset.teachers import UNKNOWN

_META = "https://www.llama.com/{}/license/"


@dataclass(frozen=True)
class Licence:
    """One licence's demands on a dataset of its model's answers, or on a model made from either."""

    id: str
    """As dataset rows carry it."""
    name: str
    link: str
    hub: str = ""
    """The Hub's identifier, ``other`` where it has none; as `id` if empty."""
    notice: str = ""
    """A sentence the card must carry."""
    attribution: str = ""
    """Text of the NOTICE file that has to go with a derived model."""
    model_prefix: str = ""
    """What the name of a model that was made with it has to begin with."""
    copy_of_text: bool = False
    """Whether its text has to go with a derived model."""

    @property
    def on_hub(self) -> str:
        return self.hub or self.id

    @property
    def permissive(self) -> bool:
        return self.id in ("apache-2.0", "mit")


def _llama(version: str, label: str) -> Licence:
    return Licence(
        f"llama{version}",
        f"Llama {version} Community License",
        _META.format(label),
        notice="Built with Llama.",
        attribution=(
            f"Llama {version} is licensed under the Llama {version} Community License, "
            "Copyright © Meta Platforms, Inc. All Rights Reserved."
        ),
        model_prefix="Llama",
        copy_of_text=True,
    )


LICENCES = {
    licence.id: licence
    for licence in (
        Licence("apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        Licence("mit", "MIT License", "https://opensource.org/license/mit"),
        _llama("3.1", "llama3_1"),
        _llama("3.2", "llama3_2"),
        _llama("3.3", "llama3_3"),
        _llama("4", "llama4"),
        Licence(
            "llama3",
            "Meta Llama 3 Community License",
            _META.format("llama3"),
            notice="Built with Meta Llama 3.",
            attribution=(
                "Meta Llama 3 is licensed under the Meta Llama 3 Community License, "
                "Copyright © Meta Platforms, Inc. All Rights Reserved."
            ),
            model_prefix="Llama 3",
            copy_of_text=True,
        ),
        Licence(
            "mistral-research-license",
            "Mistral AI Research License",
            "https://mistral.ai/licenses/MRL-0.1.md",
            hub="other",
            notice="For research only: the Mistral AI Research License covers Mistral's models, what derives from them and their outputs.",
        ),
        Licence("gemma", "Gemma Terms of Use", "https://ai.google.dev/gemma/terms"),
        Licence(
            "qwen", "Qwen License", "https://huggingface.co/Qwen/Qwen2.5-72B-Instruct/blob/main/LICENSE", hub="other"
        ),
        Licence(
            "openai-terms-of-use",
            "OpenAI Terms of Use",
            "https://openai.com/policies/terms-of-use/",
            hub="other",
            notice="OpenAI's terms do not let its models' outputs be used to develop models that compete with them.",
        ),
        Licence(
            "anthropic-commercial-terms",
            "Anthropic Commercial Terms of Service",
            "https://www.anthropic.com/legal/commercial-terms",
            hub="other",
            notice="Anthropic's terms do not let its models' outputs be used to train models that compete with them.",
        ),
        Licence(
            "gemini-api-terms",
            "Gemini API Additional Terms of Service",
            "https://ai.google.dev/gemini-api/terms",
            hub="other",
            notice="Google's terms do not let the API's outputs be used to develop models that compete with it.",
        ),
    )
}


def ordered(ids: Iterable[str]) -> list[Licence]:
    """Licences, the demanding ones first. One that is not in the table is taken for a Hub identifier without conditions."""
    licences = [LICENCES.get(id) or Licence(id, id, "") for id in set(ids) - {"", UNKNOWN}]
    return sorted(licences, key=lambda licence: (licence.permissive, licence.id))


def metadata(ids: Iterable[str]) -> dict[str, str]:
    """The card's license, license_name and license_link for a model under several terms at once.

    A permissive licence beside a demanding one adds nothing; of several demanding ones all apply.
    """
    licences = ordered(ids)
    demanding = [licence for licence in licences if not licence.permissive] or licences[:1]
    if len(demanding) == 1 and demanding[0].on_hub != "other":
        return {"license": demanding[0].on_hub}
    link = next((licence.link for licence in demanding if licence.link), None)
    name = "-and-".join(licence.id for licence in demanding)
    return {"license": "other", "license_name": name} | ({"license_link": link} if link else {})
