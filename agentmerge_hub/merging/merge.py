"""Run merges: checked before the first byte, computed in one pass where they can be, checked again, then made visible.

Specs and model folders enter; one finished folder a merge leaves, or none.
"""

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from math import prod
from pathlib import Path

from tqdm import tqdm

from agentmerge_hub import content_hash, output_folder
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import by_mergekit, card, check, lineage, stream
from agentmerge_hub.merging.checkpoint import BYTES
from agentmerge_hub.merging.formula import OUT_DTYPES, formula_of
from agentmerge_hub.merging.shards import Shards
from agentmerge_hub.merging.sources import Inputs, open_inputs
from agentmerge_hub.merging.spec import Spec, donor_of, references_of, tokenizer_source_of

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "chat_template.jinja", check.GENERATION,
)  # fmt: skip
"""What a model folder holds of its tokenizer and of how it generates."""


Hashes = Mapping[Path, Mapping[str, str]]
"""Folder → file → sha256."""


@dataclass(frozen=True)
class Wanted:
    """One merge to run."""

    spec: Spec
    out: Path
    where: str
    """The spec's file, for messages."""


@dataclass(frozen=True)
class Done:
    """One merge that was run."""

    out: Path
    reply: str | None
    problem: str | None = None
    """Why it was not kept; None if it was."""


def merge(wanted: Sequence[Wanted], *, reply: bool = True, quick: bool = False) -> list[Done]:
    """Run merges; those of the linear family and ties together, in one pass over all their inputs.

    Args:
        wanted: merges of models of one architecture.
        reply: load each finished model and let it answer.
        quick: no reply, and specs that are computed here are judged by their reader alone, which takes less than mergekit's
            own classes do; importing those takes as long as merging half a billion values.

    Returns:
        One entry a merge, in their order; one that fails its last checks is told of and not kept.

    Raises:
        UserError: before anything is written, if a spec or an input is wrong or the disk is too small; or during the
            pass, which leaves none of its merges behind.
    """
    started = time.time()
    for one in wanted:
        output_folder.check_replaceable(one.out, lineage.STAGE)
        if not quick or formula_of(one.spec) is None:
            by_mergekit.validate(one.spec, one.where)
    inputs = _open(wanted)
    _room(wanted, inputs)
    with contextlib.ExitStack() as stack:
        # Files are hashed for the manifests while the pass runs; the merges go to the disk while they are checked.
        beside = stack.enter_context(ThreadPoolExecutor(3))
        known = beside.submit(_hashes, [folder for own in inputs for folder in own.folders.values()])
        doors = [contextlib.ExitStack() for _ in wanted]
        folders = []
        for one, door in zip(wanted, doors):
            stack.push(door)
            folders.append(door.enter_context(output_folder.new_folder(one.out, lineage.STAGE)))
        with _full_disk():
            _write_weights(wanted, inputs, folders)
            taken = [known, beside.submit(_weights_hashes, folders), beside.submit(_flush, folders)]
            return [
                _finish(one, own, folder, door, taken, reply=reply and not quick, started=started)
                for one, own, folder, door in zip(wanted, inputs, folders, doors)
            ]


def _open(wanted: Sequence[Wanted]) -> list[Inputs]:
    """The inputs of each merge; merges of the same models share them."""
    opened: dict[tuple[object, ...], Inputs] = {}
    found = []
    for spec in (one.spec for one in wanted):
        key = (
            *references_of(spec),
            donor_of(spec),
            spec.config.get("base_model"),
            bool(tokenizer_source_of(spec.config)),
        )
        if key not in opened:
            opened[key] = open_inputs(spec)
        found.append(opened[key])
    return found


def _room(wanted: Sequence[Wanted], inputs: Sequence[Inputs]) -> None:
    """Raise UserError unless the disk takes every merge."""
    needed = 0
    for one, own in zip(wanted, inputs):
        dtype = OUT_DTYPES.get(one.spec.config.get("out_dtype") or one.spec.config.get("dtype") or "float32", "F32")
        needed += sum(prod(shape) for shape in own.shapes.values()) * BYTES[dtype]
    place = next(path for path in (wanted[0].out.absolute(), *wanted[0].out.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{place} has {free / 1e9:.1f} GB free, and the merge takes {needed / 1e9:.1f}: free some space"
        )


@contextlib.contextmanager
def _full_disk():
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                "the disk is full: what was unfinished is not kept, free some space and run it again"
            ) from error
        raise


def _write_weights(wanted: Sequence[Wanted], inputs: Sequence[Inputs], folders: Sequence[Path]) -> None:
    together: list[stream.Merge] = []
    with contextlib.ExitStack() as stack:
        for one, own, folder in zip(wanted, inputs, folders):
            formula = formula_of(one.spec)
            if formula is None:
                by_mergekit.run(one.spec, folder, own)
                continue
            shards = Shards(folder, own.shapes, formula.out_dtype)
            stack.callback(shards.close)
            together.append(stream.Merge(formula, one.where, shards.write))
            _copy_around(one.spec, own, folder, formula.out_dtype)
        if together:
            shapes, layers = inputs[0].shapes, inputs[0].layers
            tensors = {reference: found for own in inputs for reference, found in own.tensors.items()}
            total = sum(prod(shape) for shape in shapes.values())
            with tqdm(total=total, unit="value", unit_scale=True, desc="merge", leave=False, disable=None) as bar:
                stream.run(together, tensors, shapes, layers, bar.update)


def _copy_around(spec: Spec, inputs: Inputs, folder: Path, dtype: str) -> None:
    """What stands around the weights: config.json, the tokenizer, the spec."""
    config = {key: value for key, value in inputs.config.items() if key not in ("torch_dtype", "_name_or_path")}
    config["dtype"] = next(name for name, stored in OUT_DTYPES.items() if stored == dtype)
    if "vocab_size" in config:
        embeddings = inputs.shapes.get("model.embed_tokens.weight")
        config["vocab_size"] = embeddings[0] if embeddings else config["vocab_size"]
    donor = inputs.donor_config
    # Where a turn begins and ends is the tokenizer's: the base model's config would stop at another token.
    config |= {key: donor[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in donor}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in TOKENIZER_FILES:
        if (inputs.donor / name).is_file():
            shutil.copyfile(inputs.donor / name, folder / name)
    (folder / by_mergekit.SPEC).write_text(spec.text, encoding="utf-8")


def _hashes(folders: Sequence[Path]) -> Hashes:
    return {folder: content_hash.file_hashes(folder) for folder in dict.fromkeys(folders)}


def _weights_hashes(folders: Sequence[Path]) -> Hashes:
    return {
        folder: {path.name: content_hash.file_hash(path) for path in folder.glob("*.safetensors")} for folder in folders
    }


def _flush(folders: Sequence[Path]) -> Hashes:
    """Bring written weights to the disk. No hashes come of it, but an error of the disk does."""
    for path in (path for folder in folders for path in folder.glob("*.safetensors")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return {}


def _finish(
    one: Wanted,
    inputs: Inputs,
    folder: Path,
    door: contextlib.ExitStack,
    hashes: Sequence[Future[Hashes]],
    *,
    reply: bool,
    started: float,
) -> Done:
    """Check a written model, give it its card and manifest, and let it appear."""
    try:
        check.copy_generation_config(folder, inputs.donor)
        wrong = check.findings(folder, inputs)
        if wrong:
            raise UserError(f"the merge is not usable: {'; '.join(wrong)}")
        answer = check.reply(folder) if reply else None
    except UserError as error:
        wait(hashes)  # files that are being read stay until they are
        door.__exit__(type(error), error, error.__traceback__)
        return Done(one.out, None, str(error).replace(str(folder), str(one.out)))
    roles = lineage.roles_of(one.spec)
    (folder / "README.md").write_text(card.draft(one.out.name, one.spec, roles), encoding="utf-8")
    counts = {"tensors": len(inputs.shapes), "parameters": sum(map(prod, inputs.shapes.values())), "reply": answer}
    known = {path: found for future in hashes for path, found in future.result().items()}
    lineage.write_manifest(folder, one.spec, inputs.folders, counts=counts, started=started, known=known)
    door.close()
    return Done(one.out, answer)
