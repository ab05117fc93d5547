"""The tree is printed as BrowserGym prints it, with all of the flags that decide what its text holds."""

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.prompt import PageFlags
from agentmerge_hub.traces.observation.axtree import TreeError, flatten_axtree
from agentmerge_hub.traces.pickles.unpickle import loads

EVERY_FLAGS = [
    PageFlags(
        extract_coords=coords,
        filter_visible_elements_only=visible,
        filter_with_bid_only=with_bid,
        filter_som_only=marked,
    )
    for coords in ("False", "center", "box")
    for visible, with_bid, marked in itertools.product((False, True), repeat=3)
]


def browsergyms(tree: dict, properties: dict | None, flags: PageFlags) -> str:
    """The tree as AgentLab lets BrowserGym print it."""
    obs = pytest.importorskip("browsergym.utils.obs")
    return obs.flatten_axtree_to_str(
        tree,
        properties,
        with_visible=properties is not None,
        with_clickable=properties is not None,
        with_center_coords=flags.extract_coords == "center",
        with_bounding_box_coords=flags.extract_coords == "box",
        filter_visible_only=flags.filter_visible_elements_only,
        filter_with_bid_only=flags.filter_with_bid_only,
        filter_som_only=flags.filter_som_only,
        ignored_roles=["LineBreak", "InlineTextBox"],
    )


def test_real_trees_are_printed_as_browsergym_prints_them(real_traces: Path) -> None:
    compared = 0
    for path in sorted(real_traces.rglob("step_*.pkl.gz")):
        obs = loads(gzip.decompress(path.read_bytes()))["obs"]
        if obs and obs.get("axtree_object"):
            tree, properties = obs["axtree_object"], obs.get("extra_element_properties")
            for flags in EVERY_FLAGS:
                assert flatten_axtree(tree, properties, flags) == browsergyms(tree, properties, flags)
            assert flatten_axtree(tree, None, PageFlags()) == browsergyms(tree, None, PageFlags())
            compared += 1
    if not compared:
        pytest.skip("the real traces hold no accessibility trees")


NAME = st.sampled_from(["", " ", "Send", "it's", 'a "b"', "line\nbreak", "\u00e9"])
VALUE = st.sampled_from([True, False, "", "x", 3, 0.5])
PROPERTY = st.builds(
    lambda name, value: {"name": name, "value": {"type": "x", "value": value}},
    st.sampled_from(["focused", "required", "level", "checked", "expanded", "url", "atomic"]),
    VALUE,
)

BBOX = st.none() | st.lists(st.integers(-2000, 2000) | st.floats(-2000, 2000) | st.just(0.5), min_size=4, max_size=4)


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict, dict]:
    """A tree of up to ten nodes, each a child of an earlier one, and properties of some elements."""
    nodes: list[dict] = []
    for number in range(draw(st.integers(1, 10))):
        node = {"nodeId": str(number), "childIds": [], "properties": draw(st.lists(PROPERTY, max_size=2))}
        node["role"] = {
            "value": draw(st.sampled_from(["button", "generic", "StaticText", "LineBreak", "InlineTextBox"]))
        }
        if draw(st.booleans()):
            node["name"] = {"value": draw(NAME)}
        if draw(st.booleans()):
            node["value"] = {"value": draw(VALUE)}
        if draw(st.booleans()):
            node["browsergym_id"] = f"a{number}"
        if nodes:
            draw(st.sampled_from(nodes))["childIds"].append(str(number))
        nodes.append(node)
    seen = {
        f"a{n}": {"visibility": draw(st.sampled_from([0.0, 0.49, 0.5, 1.0])), "bbox": draw(BBOX), "clickable": draw(st.booleans()),
                  "set_of_marks": draw(st.sampled_from([None, False, True]))}
        for n in range(len(nodes))
        if draw(st.booleans())
    }  # fmt: skip
    return {"nodes": nodes}, seen


@given(made=trees(), flags=st.sampled_from(EVERY_FLAGS))
def test_any_tree_is_printed_as_browsergym_prints_it(made: tuple[dict, dict], flags: PageFlags) -> None:
    tree, properties = made
    assert flatten_axtree(tree, properties, flags) == browsergyms(tree, properties, flags)


def test_what_is_no_place_is_not_printed() -> None:
    node = {"nodeId": "1", "role": {"value": "a"}, "name": {"value": ""}, "childIds": [], "browsergym_id": "3"}
    boxes = PageFlags(extract_coords="box")
    for bbox in (None, "1234", [1, 2, 3], [1, 2, 3, "4"], {}, [[1], 2, 3, 4]):
        assert flatten_axtree({"nodes": [node]}, {"3": {"bbox": bbox}}, boxes) == "[3] a ''"
    with pytest.raises(TreeError, match="too many digits"):
        flatten_axtree({"nodes": [node]}, {"3": {"bbox": [10**400, 2, 3, 4]}}, boxes)


def test_trees_out_of_bounds_are_refused() -> None:
    def node(number: int, *kids: int) -> dict:
        return {"nodeId": str(number), "role": {"value": "a"}, "name": {"value": ""}, "childIds": list(map(str, kids))}

    circle = {"nodes": [node(0, 1, 1), node(1, 0)]}
    assert flatten_axtree(circle, None, PageFlags()) == "a ''\n\ta ''"
    deep = {"nodes": [node(n, n + 1) for n in range(20_000)]}
    with pytest.raises(TreeError, match="too large"):
        flatten_axtree(deep, None, PageFlags())
    for odd in (None, {}, {"nodes": 3}, {"nodes": ["x"]}):
        with pytest.raises(TreeError, match="without nodes"):
            flatten_axtree(odd, None, PageFlags())
