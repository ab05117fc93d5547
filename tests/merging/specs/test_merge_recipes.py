"""Every recipe runs in plain mergekit and does what its first line says."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file

from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.formula import formula_of
from agentmerge_hub.merging.specs.mergekit_schema import validate
from agentmerge_hub.merging.specs.recipe_table import page
from agentmerge_hub.package_data import data_folder

RECIPES = data_folder("recipes") / "merge"
ALL = sorted(RECIPES.rglob("*.yml"))
METHODS = sorted(path.stem for path in RECIPES.glob("*.yml"))
RANDOM = ("dare_ties", "della")
HAS_NORMALIZE = {"task_arithmetic", "linear", "ties", "dare_ties", "della", "breadcrumbs"}
HAS_DENSITY = {"ties", "dare_ties", "della", "breadcrumbs"}

_number = itertools.count()
Weights = Mapping[str, np.ndarray]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_everything_that_matters_is_explicit(path: Path) -> None:
    spec = specs.read(path)
    validate(spec, path.name)
    config = spec.config
    assert (config["dtype"], config["out_dtype"]) == ("float32", "bfloat16")
    assert {"base_model", "tokenizer_source", "chat_template"} <= set(config)
    method = config["merge_method"]
    assert method not in HAS_NORMALIZE or isinstance(config["parameters"]["normalize"], bool)
    if method in HAS_DENSITY:
        assert all("density" in entry["parameters"] for entry in config["models"])
    assert (spec.seed is not None) == (method in RANDOM)
    lines = spec.text.splitlines()
    assert (
        lines[0].startswith(f"# {path.stem}: ") and lines[1].startswith("# When: ") and lines[2].startswith("# Base: ")
    )
    name = path.relative_to(RECIPES.parent.parent).as_posix()
    assert f"`agentmerge merge {name} -o OUT --dry-run` names in a sentence what is missing" in spec.text


def test_the_table_is_what_the_recipes_say() -> None:
    text = (RECIPES / "README.md").read_text()
    assert text == page(text, RECIPES), "run python -m agentmerge_hub.merging.specs.recipe_table"
    assert all(f"[{method}]({method}.yml)" in text for method in METHODS)


@pytest.fixture(scope="module")
def models(family: Path, llama: Callable[..., Path]) -> dict[str, str]:
    """Role → folder: the family, and two runs from the instruct model."""
    instruct = family / "instruct"
    first = llama(family / "first", seed=5, near=instruct)
    second = llama(family / "second", seed=6, near=instruct)
    roles = {name: str(family / name) for name in ("base", "agent", "instruct")}
    return {**roles, "tuned": str(first), "first": str(first), "second": str(second)}


@pytest.fixture(scope="module")
def plain(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Weights]:
    """A function that runs a recipe in mergekit and gives its tensors, in float32 so that formulas can be checked closely."""

    def run(method: str, **values: str) -> Weights:
        spec = specs.read(RECIPES / f"{method}.yml")
        chosen = {name: models[name] for name in spec.names if name in models} | values
        spec = specs.with_values(spec, chosen, method)
        config = yaml.safe_load(spec.text.replace("out_dtype: bfloat16", "out_dtype: float32"))
        out = tmp_path_factory.mktemp("plain") / f"{next(_number)}"
        options = MergeOptions(write_model_card=False, quiet=True, random_seed=spec.seed)
        run_merge(MergeConfiguration.model_validate(config), str(out), options)
        return tensors(out)

    return run


def tensors(folder: Path | str) -> Weights:
    return {name: tensor.double().numpy() for name, tensor in load_file(Path(folder) / "model.safetensors").items()}


def layer(name: str) -> int | None:
    return int(name.split(".")[2]) if ".layers." in name else None


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)))


def arc(share: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    theta = angle(a, b)
    return (np.sin(share * theta) * a + np.sin((1 - share) * theta) * b) / np.sin(theta)


def kept(delta: np.ndarray, density: float) -> np.ndarray:
    """The largest values of a delta, those at the threshold all."""
    k = max(1, int(density * delta.size))
    return np.where(np.abs(delta) >= np.sort(np.abs(delta), axis=None)[-k], delta, 0)


def winners(deltas: list[np.ndarray], weights: list[float], mean: bool) -> np.ndarray:
    stacked = np.stack([delta * weight for delta, weight in zip(deltas, weights)])
    majority = np.where(stacked.sum(0) >= 0, 1, -1)
    agrees = np.sign(stacked) == majority
    total = (agrees * np.array(weights).reshape(-1, *[1] * deltas[0].ndim)).sum(0)
    summed = (stacked * agrees).sum(0)
    return summed / np.where(total == 0, 1, total) if mean else summed


def crumbs(delta: np.ndarray, density: float, gamma: float) -> np.ndarray:
    order = np.argsort(np.abs(delta), axis=None)
    top, target = int(gamma * delta.size), int(density * delta.size)
    low = max(0, delta.size - target - top)
    result = np.zeros(delta.size)
    result[order[low : low + target]] = delta.reshape(-1)[order[low : low + target]]
    return result.reshape(delta.shape)


def stock(base: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cosine = np.cos(angle(first - base, second - base))
    t = 2 * cosine / (1 + cosine)
    return t * (first + second) / 2 + (1 - t) * base


EXACT: dict[str, Callable[..., np.ndarray]] = {
    "agentmerge": lambda n, base, agent, instruct: base + 0.5 * (agent - base) + 0.5 * (instruct - base),
    "agentmerge_sum": lambda n, base, agent, instruct: agent + instruct - base,
    "agentmerge_keep_embeddings": lambda n, base, agent, instruct: (
        instruct if layer(n) is None and "norm" not in n else (agent + instruct) / 2
    ),
    "lines": lambda n, base, agent, instruct: (share := 0.7 if layer(n) == 1 else 0.3) * agent + (1 - share) * instruct,
    "task_arithmetic": lambda n, base, agent, instruct: base + 0.5 * ((agent - base) + (instruct - base)),
    "wise_ft": lambda n, instruct, tuned: 0.5 * instruct + 0.5 * tuned,
    "model_soup": lambda n, first, second: (first + second) / 2,
    "weighted_soup": lambda n, first, second: (0.7 * first + 0.3 * second) / (0.7 + 0.3),
    "slerp": lambda n, instruct, agent: (
        arc(0.5, agent, instruct) if np.cos(angle(agent, instruct)) < 0.9995 else (agent + instruct) / 2
    ),
    "nuslerp": lambda n, base, agent, instruct: base + arc(0.5, agent - base, instruct - base),
    "model_stock": lambda n, instruct, first, second: stock(instruct, first, second),
}


@pytest.mark.parametrize("method", EXACT)
def test_a_recipe_computes_its_formula(method: str, plain: Callable[..., Weights], models: dict[str, str]) -> None:
    found = plain(method)
    inputs = [tensors(models[name]) for name in specs.read(RECIPES / f"{method}.yml").names if name in models]
    for name, tensor in found.items():
        wanted = EXACT[method](name, *(weights[name] for weights in inputs))
        np.testing.assert_allclose(tensor, wanted, rtol=0, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("method", ["ties", "breadcrumbs"])
def test_a_recipe_that_trims_computes_its_formula(
    method: str, plain: Callable[..., Weights], models: dict[str, str]
) -> None:
    found = plain(method)
    base, agent, instruct = (tensors(models[name]) for name in ("base", "agent", "instruct"))
    for name, tensor in found.items():
        deltas = [agent[name] - base[name], instruct[name] - base[name]]
        if method == "ties":
            wanted = base[name] + winners([kept(delta, 0.2) for delta in deltas], [1, 1], mean=True)
        else:
            wanted = base[name] + sum(0.5 * crumbs(delta, 0.9, 0.01) for delta in deltas)
        # The instruct model is bfloat16: which of its equal deltas are kept at the threshold is the sort's own choice.
        assert np.count_nonzero(np.abs(tensor - wanted) > 2e-6) <= max(3, 0.05 * tensor.size), name


@pytest.mark.parametrize("method", RANDOM)
def test_a_random_recipe_repeats_to_the_bit_and_keeps_its_share(
    method: str, plain: Callable[..., Weights], models: dict[str, str]
) -> None:
    found, again, other = plain(method), plain(method), plain(method, seed="7")
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert any(not np.array_equal(found[name], other[name]) for name in found)
    base = tensors(models["base"])
    name = "model.layers.0.mlp.up_proj.weight"
    changed = np.mean(found[name] != base[name])
    assert 0.7 < changed < 0.8  # 1 - (1 - density)², as both deltas keep half of their values


def test_the_tiny_recipe_is_the_recipe() -> None:
    tiny = specs.read(RECIPES / "tiny" / "agentmerge.yml")
    full = specs.read(RECIPES / "agentmerge.yml")
    paths = {name: str(value) for name, value in tiny.names.items() if isinstance(value, str)}
    assert specs.with_values(full, paths, "full").text == tiny.text.replace("recipes/merge/tiny/", "recipes/merge/")


def test_what_can_be_streamed_is_streamed() -> None:
    streamed = {path.stem for path in RECIPES.glob("*.yml") if formula_of(specs.read(path)) is not None}
    assert streamed == {
        "agentmerge", "agentmerge_sum", "agentmerge_keep_embeddings", "lines", "task_arithmetic", "wise_ft", "model_soup",
        "weighted_soup", "ties",
    }  # fmt: skip


def test_rounding_comes_last(plain: Callable[..., Weights], models: dict[str, str]) -> None:
    """float32 numbers rounded once are what a recipe with out_dtype bfloat16 writes."""
    spec = specs.read(RECIPES / "agentmerge.yml")
    spec = specs.with_values(spec, {name: models[name] for name in ("base", "agent", "instruct")}, "spec")
    out = Path(models["base"]).parent / "rounded"
    run_merge(
        MergeConfiguration.model_validate(spec.config), str(out), MergeOptions(write_model_card=False, quiet=True)
    )
    full = plain("agentmerge")
    for name, tensor in load_file(out / "model.safetensors").items():
        assert torch.equal(tensor, torch.from_numpy(full[name]).float().bfloat16()), name
