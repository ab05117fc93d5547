"""What a YAML file is that was given as a recipe of another kind, by its keys: the kind and the command that reads it."""

from collections.abc import Collection

STUDY = "one of collect and evaluate: run `agentmerge collect` or `agentmerge evaluate` with it"
TRAINING = "one of training: run `accelerate launch -q` with recipes/sft.py or recipes/preference.py and it as --config"

_KINDS = {
    "candidates": STUDY,
    "agents": STUDY,
    "episodes": STUDY,
    "model_name_or_path": TRAINING,
    "dataset_name": TRAINING,
    "learning_rate": TRAINING,
    "merge_method": "a merge spec: run `agentmerge merge`",
    "grid": "a sweep of training runs: run `agentmerge recipes expand`",
}


def other_kind(keys: Collection[str], expected: str) -> str | None:
    """The kind of a file with these keys, as the end of a sentence; None if no key tells another one than `expected`."""
    return next((kind for key, kind in _KINDS.items() if key in keys and kind != expected), None)
