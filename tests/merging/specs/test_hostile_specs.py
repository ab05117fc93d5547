"""Specs of unknown origin, paths of every kind, and numbers that are none."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.merge_inputs import split_reference
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.mergekit_schema import validate
from agentmerge_hub.package_data import data_folder

AGENTMERGE = (data_folder("recipes") / "merge" / "agentmerge.yml").read_text()
DARE = (data_folder("recipes") / "merge" / "dare_ties.yml").read_text()


def bomb(levels: int, kind: str) -> str:
    lines = [f"a0: &a0 [{', '.join(['0.5'] * 9)}]" if kind == "list" else "a0: &a0 {k0: 1}"]
    for n in range(1, levels):
        if kind == "list":
            lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
        elif kind == "mapping":
            lines.append(f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}")
        else:
            lines.append(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n  k{n}: 1")
    return AGENTMERGE + "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["list", "mapping", "merge key"])
def test_aliases_that_expand_without_end_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r"its aliases expand to more than 20,000 values"):
        specs.parse(bomb(10, kind), "spec")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AGENTMERGE + f"deep: {'[' * 200}{']' * 200}\n", "nested more than 50 levels"),
        (AGENTMERGE + "dtype: bfloat16\n", "'dtype' is given twice"),
        (AGENTMERGE + "? [dtype]\n: bfloat16\n", "a key is a list or mapping"),
        (AGENTMERGE + " " * 1_000_001, "characters long"),
        (
            AGENTMERGE.replace("lambda: 1.0", "lambda: .nan"),
            r"parameters\.lambda is nan, and should be a finite number",
        ),
        (
            AGENTMERGE.replace("weight: 0.5 # lambda", "weight: [0.1, -.inf]"),
            r"models\.0\.parameters\.weight\.1 is -inf",
        ),
        (AGENTMERGE.replace("weight: 0.5 # lambda", "weight: 'nan'"), "should be a finite number"),
        (AGENTMERGE.replace("weight: 0.5 # lambda", f"weight: {'9' * 400}"), "should be a finite number"),
        (
            AGENTMERGE.replace("weight: 0.5 # lambda", f"weight: -0x{'f' * 5000}"),
            "a number has 5,003 digits, and should be",
        ),
        (DARE.replace("seed: 42", "seed: 99999999999"), "the seed 99999999999 is too large"),
        (DARE.replace("seed: 42", "seed: -1"), "the seed is '-1', and should be a whole number"),
        (DARE.replace("seed: 42", "seed: many"), "the seed is 'many', and should be a whole number"),
        (DARE + "# seed: 7\n", r"names several seeds \(42, 7\)"),
        (AGENTMERGE.replace("weight: 0.5 # lambda", "weight: !!binary aGVsbG8="), "weight is a bytes"),
        (AGENTMERGE.replace("weight: 0.5 # lambda", "weight: 2026-01-01"), "weight is a date"),
    ],
)
def test_a_hostile_spec_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        specs.parse(text, "spec")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_a_value_that_is_set_must_be_finite(value: str) -> None:
    with pytest.raises(UserError, match=f"--set lambda={value}: lambda is a finite number"):
        specs.with_values(specs.parse(AGENTMERGE, "spec"), {"lambda": value}, "spec")


@pytest.mark.parametrize("value", ["1_0", "٠.٥", "0,5", "0x1", "--1", "True", " "])
def test_a_value_that_is_set_must_be_a_number(value: str) -> None:
    with pytest.raises(UserError, match=f"--set lambda={value}: lambda is a number"):
        specs.with_values(specs.parse(AGENTMERGE, "spec"), {"lambda": value}, "spec")


@given(
    path=st.text(st.sampled_from("ab +@#&*:'\"\\-ä漢😀/.,[]{}!%|>?~\x85\u2028"), min_size=1, max_size=200).filter(
        lambda text: text.strip() == text
    )
)
def test_a_path_of_any_letters_and_length_is_set_as_it_is(path: str) -> None:
    spec = specs.with_values(specs.parse(AGENTMERGE, "spec"), {"agent": path, "instruct": path}, "spec")
    assert [entry["model"] for entry in spec.config["models"]] == [path, path]
    assert specs.parse(spec.text, "spec").config == yaml.safe_load(spec.text)


def test_a_folder_whose_name_holds_a_plus_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a+b", "a", "lora", "c+d"):
        Path(name).mkdir()
    assert split_reference("./a+b") == ("./a+b", None)
    assert split_reference("./a+./lora") == ("./a", "./lora")
    assert split_reference("./c+d+./lora") == ("./c+d", "./lora")
    assert split_reference("org/model+org/lora") == ("org/model", "org/lora")


SLICES = """merge_method: linear
base_model: ./b
slices:
- sources:
  - {model: ./a, layer_range: [0, 2], parameters: {weight: 0.5}}
  - {model: ./b, layer_range: [0, 2], parameters: {weight: 0.5}}
  parameters: {normalize: true}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{weight: 0.5}}\n  - {model: ./b", "{weigth: 0.5}}\n  - {model: ./b", "'weigth' is unknown: linear takes"),
        (
            "layer_range: [0, 2], parameters",
            "layer_range: [0, 2], prameters",
            "'prameters' is unknown: a slice's source",
        ),
        ("  parameters: {normalize", "  paramters: {normalize", "'paramters' is unknown: a slice takes"),
        ("{normalize: true}", "{normalise: true}", "'normalise' is unknown: linear takes"),
        (
            "{weight: 0.5}}\n  - {model: ./b",
            "{weight: [{fliter: mlp, value: 1}]}}\n  - {model: ./b",
            "'fliter' is unknown",
        ),
        ("{weight: 0.5}", "{weight: []}", "weight is an empty list"),
        ("{weight: 0.5}", "{weight: [{filter: mlp, value: []}]}", "weight is an empty list"),
        (
            "{weight: 0.5}",
            "{weight: 0.5, normalize: false}",
            "normalize is set for one model, and linear has one for all",
        ),
        ("- sources:", "- residual_weight: 0.5\n  sources:", "'residual_weight' is unknown: a slice takes"),
        ("layer_range: [0, 2]", "layer_range: [2, 0]", r"layer_range is \[2, 0\]: it takes the first layer"),
        ("layer_range: [0, 2]", "layer_range: [-1, 2]", r"layer_range is \[-1, 2\]"),
        ("layer_range: [0, 2]", "layer_range: all", r"slices\.0\.sources\.0\.layer_range: "),
        ("base_model: ./b\n", "base_model: ./b\ndtype: bfloat61\n", "dtype is 'bfloat61', and should be float16"),
        ("base_model: ./b\n", "base_model: ./b\nout_dtype: int8\n", "out_dtype is 'int8', and should be"),
        (
            "base_model: ./b\n",
            "base_model: ./b\nout_dtype: torch.bfloat16\n",
            "out_dtype is 'torch.bfloat16', and should be",
        ),
        (
            "base_model: ./b\n",
            "base_model: ./b\ntokenizer: {tokens: {a: {surce: ./a}}}\n",
            "'surce' is unknown: a token",
        ),
        (
            "base_model: ./b\n",
            "base_model: ./b\ntokenizer: {tokens: {a: {source: {kind: zero, x: 1}}}}\n",
            "'x' is unknown: a token's source of kind zero takes kind",
        ),
        ("model: ./a", "model: {model: ./a, lora: {path: /l}}", "model is a mapping, and should be a path or Hub id"),
        ("base_model: ./b", "base_model: {model: {path: /b}}", "base_model is a mapping"),
        ("base_model: ./b\n", "base_model: ./b\ntokenizer_source: {model: {path: /t}}\n", "source is a mapping"),
        ("base_model: ./b\n", "base_model: ./b\ntokenizer: {source: {model: {path: /t}}}\n", "source is a mapping"),
        (
            "{weight: 0.5}",
            "{weight: [0.5, [1]]}",
            r"parameters\.weight should be a number, a list of numbers, or entries",
        ),
    ],
)
def test_a_mistake_inside_slices_is_refused(old: str, new: str, said: str) -> None:
    validate(specs.parse(SLICES, "spec"), "spec")
    assert old in SLICES
    with pytest.raises(UserError, match=said):
        validate(specs.parse(SLICES.replace(old, new, 1), "spec"), "spec")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("lambda: 0.3", "lambda is set for one model, and task_arithmetic has one for all"),
        ("density: 0.3", "task_arithmetic trims nothing and would ignore density"),
    ],
)
def test_a_parameter_that_nothing_reads_is_refused(own: str, said: str) -> None:
    text = AGENTMERGE.replace("weight: 0.5 # lambda", f"weight: 0.5 # lambda\n      {own}")
    with pytest.raises(UserError, match=said):
        validate(specs.parse(text, "spec"), "spec")


def test_a_slice_without_sources_is_refused() -> None:
    text = SLICES.partition("- sources:")[0] + "- sources: []\n"
    with pytest.raises(UserError, match="a slice has no sources"):
        validate(specs.parse(text, "spec"), "spec")


def test_a_random_method_without_a_seed_gets_one_that_the_text_keeps() -> None:
    bare = specs.parse(re.sub(r"# seed: 42.*\n", "", DARE), "spec")
    assert bare.seed is None
    seeded = specs.with_seed(bare, "spec")
    assert seeded.seed == 42 and seeded.method == "dare_ties" and specs.parse(seeded.text, "spec").seed == 42
    assert specs.with_values(bare, {"seed": "7"}, "spec").seed == 7
    assert specs.with_seed(specs.parse(AGENTMERGE, "spec"), "spec").text == AGENTMERGE
    titleless = specs.with_seed(specs.parse(yaml.safe_dump(bare.config), "spec"), "spec")
    assert (titleless.seed, titleless.method) == (42, "dare_ties")
