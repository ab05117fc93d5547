"""Checks of a spec's `tokenizer:` block before mergekit runs, which finds a wrong model or token only when it is needed.

Input: the spec and the opened models. The rules are mergekit 0.1.5's (`mergekit.tokenizer`). No weights are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.vocabulary import vocabulary
from agentmerge_hub.merging.specs.spec import Spec, models_of, tokenizer_source_of


@dataclass(frozen=True)
class TokenizedModel:
    """What mergekit knows of a model's vocabulary."""

    folder: Path
    """Where its tokenizer is; without one, the base model's is taken."""
    rows: int
    """Of its embeddings."""


def check(spec: Spec, models: Mapping[str, TokenizedModel]) -> int:
    """Check every key of a `tokenizer:` block, and that each model has a row for each of its tokens.

    Args:
        spec: accepted by mergekit's classes (`mergekit_schema`).
        models: by reference.

    Returns:
        The number of rows of the merge's embeddings.

    Raises:
        UserError: at the first mistake.
    """
    block: Any = spec.config.get("tokenizer")
    tokens: Mapping[str, Any] = (block.get("tokens") or {}) if isinstance(block, Mapping) else {}
    merged = models_of(spec)
    base = spec.config.get("base_model") or merged[0]
    known = {name: _tokens(models[name].folder) or _tokens(models[base].folder) for name in models}
    usable = {name: {token for token, id in ids.items() if id < models[name].rows} for name, ids in known.items()}
    source = tokenizer_source_of(spec.config)
    out = set(known[source]) if source in known else set(usable[base])
    if source == "union" or (block is not None and not block.get("source")):
        out |= set().union(*usable.values())
    for name in merged:
        beyond = [token for token, id in known[name].items() if id >= models[name].rows and token in out]
        if beyond and name != base:
            raise UserError(
                f"{name} has the token {beyond[0]!r} with id {known[name][beyond[0]]}, and its embeddings have "
                f"{models[name].rows} rows: remove the token from its tokenizer, or resize its embeddings"
            )
    for token, settings in tokens.items():
        _check_token(f"tokenizer.tokens.{token}", token, settings, {name: usable[name] for name in merged}, models)
    multiple = (block.get("pad_to_multiple_of") if isinstance(block, Mapping) else None) or 1
    return -(-len(out | tokens.keys()) // multiple) * multiple


def _check_token(
    place: str,
    token: str,
    settings: Mapping[str, Any],
    usable: Mapping[str, set[str]],
    models: Mapping[str, TokenizedModel],
) -> None:
    source = settings.get("source")
    if source is None:
        lacking = [name for name, tokens in usable.items() if token not in tokens]
        if lacking or settings.get("force"):
            reason = f"{lacking[0]} has no such token" if lacking else "force needs one"
            raise UserError(f"{place} names no source, and {reason}: name a model, or kind: zero")
        return
    if isinstance(source, Mapping) and source.get("kind") == "zero":
        return
    model, wanted, id = (
        (source, token, None) if isinstance(source, str) else map(source.get, ("model", "token", "token_id"))
    )
    if model not in usable:
        raise UserError(
            f"{place} takes its embedding from {model!r}, which is none of the merged models: {', '.join(usable)}"
        )
    if (wanted is None) == (id is None):
        raise UserError(f"{place} of kind model_token takes either a token or a token_id of {model}")
    if wanted is not None and wanted not in usable[model]:
        raise UserError(f"{place} takes the embedding of {wanted!r} from {model}, which has no such token")
    rows = models[model].rows
    if wanted is None and (isinstance(id, bool) or not isinstance(id, int) or not 0 <= id < rows):
        raise UserError(f"{place}: token_id is {id!r}, and should be a row of {model}, 0 to {rows - 1}")


def _tokens(folder: Path) -> dict[str, int]:
    """Token → id as transformers' class for the model has them, which can add some; empty where there is no tokenizer."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        return {}
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False).get_vocab()
    except Exception:  # the class of a foreign configuration raises what it likes
        return vocabulary(folder)
