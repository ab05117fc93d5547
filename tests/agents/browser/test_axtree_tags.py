"""A tree saved with tags and coordinates renders as BrowserGym prints it without them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.agents.browser.agentlab_api import flatten_axtree_to_str
from agentmerge_hub.prompt import Flags, render
from agentmerge_hub.records import Observation

names = st.lists(
    st.sampled_from(["a", " ", ",", "'", '"', "\\", "\n", "=", "]", "é", ", visible", "x, clickable"]), max_size=6
)
names = names.map("".join)


@given(
    nodes=st.lists(
        st.tuples(
            st.sampled_from(["button", "generic", "textbox", "StaticText"]), names, st.none() | names, st.booleans()
        ),
        max_size=6,
    )
)
@pytest.mark.parametrize(
    ("visible", "clickable", "saved_coords", "coords"),
    [
        (visible, clickable, *coords)
        for visible, clickable in itertools.product([True, False], repeat=2)
        for coords in (("False", "False"), ("center", "center"), ("box", "box"), ("center", "False"), ("box", "False"))
    ],
)
def test_equals_browsergym(nodes, visible: bool, clickable: bool, saved_coords: str, coords: str) -> None:
    tree = {"nodes": [{"nodeId": "0", "role": {"value": "RootWebArea"}, "name": {"value": "Page"}, "childIds": []}]}
    for index, (role, name, value, focused) in enumerate(nodes, 1):
        tree["nodes"][0]["childIds"].append(str(index))
        node = {"nodeId": str(index), "role": {"value": role}, "name": {"value": name}, "childIds": []}
        node |= {"value": {"value": value}} if value is not None else {}
        node |= {"properties": [{"name": "focused", "value": {"value": True}}]} if focused else {}
        tree["nodes"].append(node | ({} if role == "StaticText" else {"browsergym_id": f"a{index}"}))
    seen = {"visibility": 1.0, "bbox": [0, 0, 1, 1], "clickable": True, "set_of_marks": False}
    properties = {f"a{index}": seen for index in range(1, len(nodes) + 1)}
    form = {"center": "with_center_coords", "box": "with_bounding_box_coords"}

    def printed(shows_coords: str, **tags: bool) -> str:
        return flatten_axtree_to_str(
            tree, properties, **tags, **({form[shows_coords]: True} if shows_coords in form else {})
        )

    full = printed(saved_coords, with_visible=True, with_clickable=True)
    expected = printed(coords, with_visible=visible, with_clickable=clickable)
    flags = Flags(extract_visible_tag=visible, extract_clickable_tag=clickable, extract_coords=coords)
    assert render(Observation("goal", full), [], flags).block("axtree") == expected.strip("\n")
