"""A spec's comments name its values: --set changes those and nothing else."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.formula import coefficients_of, formula_of
from agentmerge_hub.merging.specs.mergekit_schema import validate
from agentmerge_hub.package_data import data_folder

RECIPES = data_folder("recipes") / "merge"


def lines_changed(before: str, after: str) -> int:
    pairs = list(zip(before.splitlines(), after.splitlines(), strict=True))
    return sum(old != new for old, new in pairs)


@example(value=1e-05)
@given(value=st.floats(0, 1).map(lambda value: round(value, 6)))
def test_lambda_and_its_complement_move_together(value: float) -> None:
    spec = specs.read(RECIPES / "agentmerge.yml")
    changed = specs.with_values(spec, {"lambda": str(value)}, "spec")
    weights = [entry["parameters"]["weight"] for entry in changed.config["models"]]
    assert weights[0] == value and abs(sum(weights) - 1) < 1e-12
    assert changed.config["parameters"]["lambda"] == 1.0  # mergekit's own
    assert lines_changed(spec.text, changed.text) == (0 if value == 0.5 else 2)


@example(path="\N{NO-BREAK SPACE}")
@given(path=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_any_path_survives(path: str) -> None:
    spec = specs.with_values(specs.read(RECIPES / "agentmerge.yml"), {"instruct": path}, "spec")
    assert spec.config["models"][1]["model"] == spec.config["tokenizer_source"] == spec.names["instruct"] == path


def test_lists_and_seeds_are_set_too() -> None:
    lines = specs.with_values(specs.read(RECIPES / "lines.yml"), {"lambda_last": "0.9"}, "spec")
    assert [entry["parameters"]["weight"] for entry in lines.config["models"]] == [[0.3, 0.9], [0.7, 0.1]]
    assert specs.with_values(specs.read(RECIPES / "della.yml"), {"seed": "7"}, "spec").seed == 7


def test_a_spec_that_contains_itself_is_refused() -> None:
    with pytest.raises(UserError, match="contains itself"):
        specs.parse("merge_method: linear\nmodels: &all [{model: ./a}, *all]\n", "spec")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mu": "1"}, "no value marked `# mu`: --set takes agent, base, instruct, lambda"),
        ({"lambda": "half"}, "lambda is a number"),
    ],
)
def test_a_wrong_set_is_reported(values: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        specs.with_values(specs.read(RECIPES / "agentmerge.yml"), values, "spec")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0.5 # lambda", "0.5 # 1-lambda"),
        ("0.5 # lambda", "0.5 # (1 – lambda)"),
        ("0.5 # lambda", "0.5 # 1 - λ"),
        ("0.5 # lambda", "0.5 # 1 - Lambda"),
        ("0.5 # lambda: of the agent", "0.5 # 1 - lambda"),
        ("&half 0.5 # lambda", "*half # 1 - lambda"),
        ("[0.3, 0.5, 0.7] # lambda", "0.5 # 1 - lambda"),
        ("[0.3, # lambda\n        0.7]", "0.5 # 1 - lambda"),
        ("{filter: mlp, value: 0.5} # lambda", "0.5 # 1 - lambda"),
    ],
)
def test_a_comment_that_names_a_value_and_binds_none_is_refused(first: str, second: str) -> None:
    text = specs.read(RECIPES / "agentmerge.yml").text
    text = text.replace("0.5 # lambda", first).replace("0.5 # 1 - lambda", second)
    spec = specs.parse(text, "spec")
    with pytest.raises(UserError, match=r"^spec, line \d+: the comment '.*' names lambda and binds no value to it"):
        specs.with_values(spec, {"lambda": "0.25"}, "spec")
    assert (
        specs.with_values(spec, {"agent": "./a"}, "spec").names["agent"] == "./a"
    )  # the comments of other names do not count


def test_remarks_and_aliases_of_a_bound_value_are_none_of_these() -> None:
    text = specs.read(RECIPES / "agentmerge.yml").text
    text = text.replace("0.5 # lambda", "&half 0.5 # lambda").replace("0.5 # 1 - lambda", "*half # lambda")
    text = text.replace("normalize: false", "# lambda, above\n  normalize: false # whatever lambda is").replace(
        "1.0 #", "1.0 # no\n  #"
    )
    weights = specs.with_values(specs.parse(text, "spec"), {"lambda": "0.25"}, "spec").config["models"]
    assert [entry["parameters"]["weight"] for entry in weights] == [0.25, 0.25]
    lines = specs.read(RECIPES / "lines.yml").text.replace("] # lambda_first", " ] # lambda_first")
    assert specs.with_values(specs.parse(lines, "spec"), {"lambda_last": "0.9"}, "spec").names["lambda_last"] == 0.9


def test_a_file_that_is_no_spec_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        specs.read(tmp_path)
    with pytest.raises(UserError, match="has no merge_method"):
        specs.parse("just text", "spec")
    with pytest.raises(UserError, match="is not YAML: month must be"):
        specs.parse("merge_method: linear\nmodels: 2026-13-45\n", "spec")


@pytest.mark.parametrize(
    ("weight", "said"), [("heavy", "weight is 'heavy'"), ([0.5, "x"], "weight is"), (None, "gives no weight for")]
)
def test_a_weight_that_is_no_number_is_reported(weight: object, said: str) -> None:
    text = specs.read(RECIPES / "agentmerge.yml").text
    config = yaml.safe_load(text)
    config["models"][0]["parameters"] = {} if weight is None else {"weight": weight}
    formula = formula_of(specs.parse(yaml.safe_dump(config), "spec"))
    assert formula is not None
    with pytest.raises(UserError, match=said):
        coefficients_of(formula, "model.layers.0.mlp.up_proj.weight", 0.0, "spec")


def test_a_mean_over_weights_that_sum_to_nothing_is_refused() -> None:
    text = specs.read(RECIPES / "model_soup.yml").text
    config = yaml.safe_load(text)
    for entry, weight in zip(config["models"], (0.5, -0.5, 0.0)):
        entry["parameters"] = {"weight": weight}
    formula = formula_of(specs.parse(yaml.safe_dump(config), "spec"))
    assert formula is not None
    with pytest.raises(
        UserError, match=r"the weights of model\.norm\.weight sum to 0, and linear divides by their sum"
    ):
        coefficients_of(formula, "model.norm.weight", 0.0, "spec")


@pytest.mark.parametrize(
    "change",
    [
        {"models": ["a", "b"]},
        {"models": "a"},
        {"parameters": [1]},
        {"merge_method": "slerp"},
        {"dtype": "bfloat16"},
        {"out_dtype": "int8"},
        {"chat_template": "chatml"},
        {"tokenizer_source": "union"},
        {"tokenizer": {"source": "base"}},
        {"slices": []},
        {"base_model": None},
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_mergekit(change: dict) -> None:
    config = yaml.safe_load(specs.read(RECIPES / "agentmerge.yml").text) | change
    assert formula_of(specs.parse(yaml.safe_dump(config), "spec")) is None


_VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(-2, 2), st.sampled_from(["0.5", "half", "base", "", "union"]),
    st.lists(st.floats(0, 1), max_size=3), st.just([{"filter": "mlp", "value": 0.2}, {"value": 0.4}]), st.just({"value": 1}),
    st.just({"source": "./base"}), st.just([{"model": "./agent"}]), st.just({"weight": 1}),
)  # fmt: skip
_KEYS = ["weight", "density", "normalize", "lambda", "int8_mask", "rescale", "weigth"]
_TOP = [
    "base_model",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "slices",
    "modules",
    "models",
]


@given(
    method=st.sampled_from(["agentmerge", "model_soup", "ties", "lines"]),
    top=st.dictionaries(st.sampled_from(_TOP), _VALUE, max_size=2),
    shared=st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=2),
    own=st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=2),
)
@example(method="agentmerge", top={}, shared={}, own={})
def test_what_is_computed_here_mergekits_own_classes_accept(method: str, top: dict, shared: dict, own: dict) -> None:
    """The reader that --quick leaves alone with a spec takes nothing that mergekit would refuse."""
    config = yaml.safe_load(specs.read(RECIPES / f"{method}.yml").text) | deepcopy(top)
    config["parameters"] = (config.get("parameters") or {}) | shared
    if isinstance(config["models"], list) and config["models"] and isinstance(config["models"][0], dict):
        config["models"][0].setdefault("parameters", {}).update(own)
    formula = formula_of(specs.parse(yaml.safe_dump(config), "spec"))
    if formula is None:
        return
    try:
        coefficients_of(formula, "model.layers.0.mlp.up_proj.weight", 0.0, "spec")
    except UserError:
        return
    validate(specs.parse(yaml.safe_dump(config), "spec"), "spec")
