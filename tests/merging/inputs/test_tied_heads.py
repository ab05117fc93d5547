"""A head is stored or tied as config.json says, and a spec treats a tied one as the embeddings: else one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.merge import merge, merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs

HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"
ROLES = ("base", "agent", "instruct")


@pytest.fixture
def tied(tmp_path: Path, llama: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, role in enumerate(ROLES):
        llama(Path(role), seed=seed, tied=True, layers=1, hidden=16)


SETTINGS = MergeSettings(reply=False, quick=True)


def job(weight: Any = 0.5, method: str = "task_arithmetic", out: str = "out") -> MergeJob:
    models = [{"model": f"./{name}", "parameters": {"weight": weight}} for name in ("agent", "instruct")]
    config = {"merge_method": method, "base_model": "./base", "models": models, "dtype": "float32"}
    text = yaml.safe_dump(config | {"tokenizer_source": "./instruct"}) + "# seed: 1\n"
    return MergeJob(specs.parse(text, "spec"), Path(out), "spec")


def run(weight: Any = 0.5, method: str = "task_arithmetic") -> dict[str, torch.Tensor]:
    merge_one(job(weight, method), SETTINGS)
    return load_file("out/model.safetensors")


def change(role: str, edit: Callable[[dict[str, torch.Tensor]], object], **config: object) -> None:
    weights = load_file(f"{role}/model.safetensors")
    edit(weights)
    save_file(weights, f"{role}/model.safetensors", metadata={"format": "pt"})
    path = Path(role, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def test_a_filter_cannot_part_a_tied_head_from_the_embeddings(tied: None) -> None:
    parted, said = (
        [{"filter": "lm_head", "value": 0.0}, {"value": 0.5}],
        "a filter of the spec gives the head another weight",
    )
    with pytest.raises(UserError, match=f"{said} than {EMBEDDINGS}"):
        run(parted)
    first, second = merge([job(out="first"), job(parted, out="second")], SETTINGS)  # of the same models
    assert first.problem is None and said in str(second.problem)
    same = [{"filter": "lm_head", "value": 0.0}, {"filter": "embed_tokens", "value": 0.0}, {"value": 0.5}]
    assert HEAD not in run(same)


def test_a_tied_head_that_every_model_stores(tied: None) -> None:
    for role in ROLES:
        change(role, lambda weights: weights.update({HEAD: weights[EMBEDDINGS].clone()}))
    merged = run()
    assert merged[HEAD].equal(merged[EMBEDDINGS])
    with pytest.raises(UserError, match="dare_linear would draw other random numbers for each"):
        run(method="dare_linear")
    with pytest.raises(UserError, match="a filter of the spec gives the head another weight"):
        run([{"filter": "lm_head", "value": 0.0}, {"value": 0.5}])
    for role in ROLES:
        change(role, lambda weights: weights[HEAD].add_(1))
    with pytest.raises(UserError, match=f"base stores {HEAD} with other values than {EMBEDDINGS}"):
        run()


@pytest.mark.parametrize("stored", [EMBEDDINGS, HEAD])
def test_an_untied_model_that_stores_one_of_both(tied: None, stored: str) -> None:
    for role in ROLES:
        change(role, lambda weights: weights.update({stored: weights.pop(EMBEDDINGS)}), tie_word_embeddings=False)
    missing = HEAD if stored == EMBEDDINGS else EMBEDDINGS
    with pytest.raises(UserError, match=f"does not store {missing}, and its config.json does not tie it"):
        run()
