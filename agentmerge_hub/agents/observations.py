"""BrowserGym's observation → flattened text → `records.Observation`. No machine path stays in what is returned."""

import io
import os
from dataclasses import replace
from typing import Any

import numpy as np

from agentmerge_hub.agents.browser.agentlab_api import (
    flatten_axtree_to_str,
    flatten_dom_to_str,
    overlay_som,
    prune_html,
)
from agentmerge_hub.prompt import Flags
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.observation.observations import read_observation

_RAW = ("axtree_object", "dom_object", "extra_element_properties")


def flatten(obs: dict[str, Any], flags: Flags) -> dict[str, Any]:
    """The observation with the page as text and, for `use_som`, a screenshot with marks. The raw trees are dropped: nothing
    reads them later and they are large."""
    kept = {name: value for name, value in obs.items() if name not in _RAW}
    properties = obs["extra_element_properties"]
    printing = {
        "with_visible": flags.extract_visible_tag,
        "with_clickable": flags.extract_clickable_tag,
        "with_center_coords": flags.extract_coords == "center",
        "with_bounding_box_coords": flags.extract_coords == "box",
        "filter_visible_only": flags.filter_visible_elements_only,
        "filter_with_bid_only": flags.filter_with_bid_only,
        "filter_som_only": flags.filter_som_only,
    }
    kept["axtree_txt"] = flatten_axtree_to_str(obs["axtree_object"], properties, **printing)
    if flags.use_html:
        kept["pruned_html"] = prune_html(flatten_dom_to_str(obs["dom_object"], properties, **printing))
    if flags.use_som:
        kept["screenshot_som"] = overlay_som(obs["screenshot"], extra_properties=properties)
    return {name: _strip_pages_folder(value) for name, value in kept.items()}


def _strip_pages_folder(value: Any) -> Any:
    """Remove the local folder of MiniWoB's pages: ``file:///…/miniwob/click-test.html`` → ``miniwob/click-test.html``."""
    if isinstance(value, str):
        return value.replace(os.environ["MINIWOB_URL"].removesuffix("miniwob/"), "")
    if isinstance(value, tuple):
        return tuple(_strip_pages_folder(item) for item in value)
    return value


def to_observation(obs: dict[str, Any], flags: Flags | None = None) -> Observation:
    """The flattened observation in the form that `prompt.render` takes, with a screenshot if the flags ask for one. It is read
    as recorded observations are: what is absent is left out of the prompt."""
    index = obs.get("active_page_index")
    plain = obs | ({} if index is None else {"active_page_index": np.atleast_1d(index).tolist()})
    observation = read_observation(plain, goal="", page_flags=None)
    return replace(observation, screenshot=_png(obs, flags)) if flags and flags.use_screenshot else observation


def _png(obs: dict[str, Any], flags: Flags) -> bytes:
    """The screenshot as a PNG file, with the same pixels as the file that AgentLab saves beside the step."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(obs["screenshot_som" if flags.use_som else "screenshot"]).save(buffer, "PNG")
    return buffer.getvalue()
