"""mergekit itself: its judgement of a spec, and a run of it in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.sources import Inputs
from agentmerge_hub.merging.spec import Spec

SPEC = "mergekit_config.yml"
"""The name under which a merged folder keeps the spec it was made with."""


def validate(spec: Spec, where: str) -> None:
    """Raise UserError unless mergekit accepts the spec and every key in it means something.

    mergekit's own classes judge first; keys they would silently ignore (`weigth`) are looked for after that.
    """
    from mergekit.config import InputModelDefinition, MergeConfiguration
    from mergekit.merge_methods.registry import get
    from pydantic import ValidationError

    try:
        MergeConfiguration.model_validate(spec.config)
        method = get(spec.config["merge_method"]).spec
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {place or 'the spec'}: {first['msg']}") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    _known(spec.config, MergeConfiguration.model_fields, "a spec", where)
    parameters = [parameter.name for parameter in method.parameters]
    _known(spec.config.get("parameters") or {}, parameters, method.name, where)
    for entry in spec.config.get("models") or ():
        _known(entry, InputModelDefinition.model_fields, "a model", where)
        _known(entry.get("parameters") or {}, parameters, method.name, where)
    if not spec.config.get("base_model"):
        raise UserError(f"{where} names no base_model: without one the configuration comes from any of the models")


def _known(given: Mapping[str, Any], known: Iterable[str], of: str, where: str) -> None:
    for key in given:
        if key not in known:
            raise UserError(f"{where}: {key!r} is unknown: {of} takes {', '.join(sorted(known))}")


def run(spec: Spec, out: Path, inputs: Inputs) -> None:
    """Run mergekit on a spec: its caches of folders last as long as the process, so it gets one of its own.

    Args:
        out: an existing folder; gets the model, and the spec as it was written.
        inputs: where the spec's models lie.

    Raises:
        UserError: with mergekit's last line if it fails.
    """
    (out / SPEC).write_text(spec.text, encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix=".mergekit.", dir=out.parent) as scratch:
        file = Path(scratch) / SPEC
        file.write_text(yaml.safe_dump(_resolved(spec.config, inputs)), encoding="utf-8")
        command = [sys.executable, "-m", "mergekit.scripts.run_yaml", str(file), str(out), "--quiet"]
        # Its card asks the Hub about every short path, and the merge fails where there is no Hub.
        command += ["--no-write-model-card", "--lora-merge-cache", scratch, "--lora-merge-dtype", "float32"]
        if spec.seed is not None:
            command += ["--random-seed", str(spec.seed)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "0"})
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"mergekit could not merge: {said[-1].strip()}")
    for path in out.iterdir():
        path.chmod(0o644)  # mergekit leaves weights readable by their owner only


def _resolved(value: Any, inputs: Inputs) -> Any:
    """A configuration with each model as the folder it lies in, an adapter as mergekit writes it: BASE+ADAPTER."""
    if isinstance(value, dict):
        return {key: _resolved(inner, inputs) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, inputs) for inner in value]
    if not isinstance(value, str) or value not in inputs.folders:
        return value
    folder = str(inputs.folders[value].absolute())
    return f"{inputs.adapted[value].absolute()}+{folder}" if value in inputs.adapted else folder
