"""The tree is printed as BrowserGym prints it."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.traces.observation.axtree import TreeError, flatten_axtree
from agentmerge_hub.traces.pickles.unpickle import loads


def browsergyms(tree: dict, properties: dict | None) -> str:
    obs = pytest.importorskip("browsergym.utils.obs")
    return obs.flatten_axtree_to_str(
        tree,
        properties,
        with_visible=properties is not None,
        with_clickable=properties is not None,
        ignored_roles=["LineBreak", "InlineTextBox"],
    )


def test_real_trees_are_printed_as_browsergym_prints_them(real_traces: Path) -> None:
    compared = 0
    for path in sorted(real_traces.rglob("step_*.pkl.gz")):
        obs = loads(gzip.decompress(path.read_bytes()))["obs"]
        if obs and obs.get("axtree_object"):
            tree, properties = obs["axtree_object"], obs.get("extra_element_properties")
            assert flatten_axtree(tree, properties) == browsergyms(tree, properties)
            assert flatten_axtree(tree, None) == browsergyms(tree, None)
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
        f"a{n}": {"visibility": draw(st.sampled_from([0.0, 0.5, 1.0])), "bbox": None, "clickable": draw(st.booleans()),
                  "set_of_marks": False}
        for n in range(len(nodes))
        if draw(st.booleans())
    }  # fmt: skip
    return {"nodes": nodes}, seen


@given(made=trees())
def test_any_tree_is_printed_as_browsergym_prints_it(made: tuple[dict, dict]) -> None:
    tree, properties = made
    assert flatten_axtree(tree, properties) == browsergyms(tree, properties)


def test_trees_out_of_bounds_are_refused() -> None:
    def node(number: int, *kids: int) -> dict:
        return {"nodeId": str(number), "role": {"value": "a"}, "name": {"value": ""}, "childIds": list(map(str, kids))}

    circle = {"nodes": [node(0, 1, 1), node(1, 0)]}
    assert flatten_axtree(circle, None) == "a ''\n\ta ''"
    deep = {"nodes": [node(n, n + 1) for n in range(20_000)]}
    with pytest.raises(TreeError, match="too large"):
        flatten_axtree(deep, None)
    for odd in (None, {}, {"nodes": 3}, {"nodes": ["x"]}):
        with pytest.raises(TreeError, match="without nodes"):
            flatten_axtree(odd, None)
