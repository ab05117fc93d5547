"""A mistake in a spec's `tokenizer:` block is found before mergekit runs, whatever the key."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs


def run(tokenizer: Any, **more: Any) -> None:
    models = [{"model": f"./{name}", "parameters": {"weight": 0.5}} for name in ("agent", "instruct")]
    config = {"merge_method": "task_arithmetic", "base_model": "./base", "models": models, "dtype": "float32", **more}
    config |= {"tokenizer": tokenizer} if tokenizer is not None else {}
    spec = specs.parse(yaml.safe_dump(config), "spec")
    merge_one(MergeJob(spec, Path("out"), "spec"), MergeSettings(reply=False, quick=True))


def of_token(**source: Any) -> dict[str, Any]:
    return {"source": {"kind": "model_token", **source}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "./agent"}, r"tokens\.<new> takes the embedding of '<new>' from \./agent, which has no such token"),
        ({"source": "./other"}, r"from '\./other', which is none of the merged models: \./base, \./agent, \./instruct"),
        ({}, r"names no source, and \./base has no such token: name a model, or kind: zero"),
        (of_token(model="./agent", token="<gone>"), "takes the embedding of '<gone>' from"),
        (of_token(model="./other", token="a"), r"from '\./other', which is none of the merged models"),
        (of_token(model="./agent", token_id=2000), r"token_id is 2000, and should be a row of \./agent, 0 to 1999"),
        (of_token(model="./agent", token_id=True), "token_id is True, and should be a row"),
        (of_token(model="./agent"), "takes either a token or a token_id"),
        (of_token(model="./agent", token="a", token_id=3), "takes either a token or a token_id"),
        (
            {"source": {"kind": "nought"}},
            r"tokenizer\.tokens\.<new>\.source should be a model, kind: zero, or kind: model_",
        ),
        ({"source": 5}, r"tokenizer\.tokens\.<new>\.source should be a model"),
    ],
)
def test_a_mistake_in_a_token(here: Path, settings: dict[str, Any], said: str) -> None:
    before = set(here.iterdir())
    with pytest.raises(UserError, match=said):
        run({"source": "./instruct", "tokens": {"<new>": settings}})
    assert set(here.iterdir()) == before


def test_other_keys(here: Path) -> None:
    for multiple in (0, True, -8):
        with pytest.raises(UserError, match=r"pad_to_multiple_of is .* should be a whole number above 0"):
            run({"source": "union", "pad_to_multiple_of": multiple})
    with pytest.raises(UserError, match=r"chat_template 'chatml' is not that of \./instruct"):
        run(None, tokenizer_source="./instruct", chat_template="chatml")
    with pytest.raises(UserError, match=r"tokenizer\.source should be a model, union or base"):
        run({"source": None})
    config = json.loads(Path("agent/config.json").read_text())
    Path("agent/config.json").write_text(json.dumps(config | {"vocab_size": 1990}))
    with pytest.raises(UserError, match=r"\./agent has the token .* with id 199\d, and its embeddings have 1990 rows"):
        run({"source": "union"}, tokenizer_source=None)
