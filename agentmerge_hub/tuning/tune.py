"""Learns the λ of a merge on validation tasks. Input: a spec, a dataset, instructions. Output: a spec, and a manifest beside it.

Nothing is merged: models are read, and every forward pass mixes their weights. The spec appears when everything is finished; a run
that was killed continues when the same command is run again.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from transformers.utils import logging

from agentmerge_hub import __version__, manifest
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import content_hash, locks
from agentmerge_hub.files.atomic_write import temporary_name, write_text
from agentmerge_hub.files.scratch import scratch_folder
from agentmerge_hub.merging import api
from agentmerge_hub.merging.inputs.input_hashes import input_file_hashes
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, open_inputs
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader
from agentmerge_hub.merging.inputs.tied_heads import check_heads
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.sizes import size_text
from agentmerge_hub.training.model_loading import check_rows, tokenizer_at
from agentmerge_hub.training.rows import tokenize
from agentmerge_hub.tuning import validation_rows
from agentmerge_hub.tuning.endpoints import Endpoints, endpoints_of, mixtures_of, read_mixture
from agentmerge_hub.tuning.fit import Fit, fit
from agentmerge_hub.tuning.fit_state import FitStateFile
from agentmerge_hub.tuning.generated_instructions import generate
from agentmerge_hub.tuning.instructions import load_instructions
from agentmerge_hub.tuning.interpolation import as_loaded, interpolated_model, load_model
from agentmerge_hub.tuning.lambda_groups import LambdaGroups, lambda_groups
from agentmerge_hub.tuning.objective import Objective, RowSet, Sample, samples_of
from agentmerge_hub.tuning.settings import TuneSettings
from agentmerge_hub.tuning.tuned_spec import tuned_text, verdict

STAGE = "tune"


@dataclass(frozen=True)
class Tuned:
    """A learned λ."""

    out: Path
    groups: LambdaGroups
    fit: Fit

    @property
    def verdict(self) -> list[str]:
        """Whether it is better held-out than a constant λ, and whether it overfits, a sentence each."""
        return verdict(self.fit)


@dataclass(frozen=True)
class _Rows:
    """Fitted and held-out rows, and a sentence on each kind."""

    fit: RowSet
    held_out: RowSet
    about: tuple[str, ...]


def tune(
    spec: str | Path,
    data: str,
    out: str | Path,
    values: Mapping[str, str] | None = None,
    settings: TuneSettings | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Tuned:
    """Learn the λ of a spec on the expert answers of validation tasks, and write the spec with it.

    Args:
        spec: mergekit YAML with a value marked ``# lambda``, e.g. ``recipes/merge/agentmerge.yml``.
        data: folder or Hub id of a dataset with a validation split.
        out: the new spec, plain mergekit YAML; ``NAME.manifest.json`` is written beside it.
        values: name → value for names in the spec's comments, e.g. ``{"agent": "runs/mine"}``.
        settings: how λ is learned.
        report: receives sentences on rows and memory before the work starts.

    Raises:
        UserError: if the spec is not linear in λ, the rows are not for validation, a model does not fit, or `out` is something
            that this function did not write.
    """
    settings, out, started = settings or TuneSettings(), Path(out), time.time()
    settings.check()
    record = out.with_name(f"{out.stem}.manifest.json")
    with os_errors_as_sentences(out):
        _check_replaceable(out, record)
        parsed, where = api.read_spec(Path(spec), values), str(spec)
        mergekit_schema.validate(parsed, where)
        logging.disable_progress_bar()
        disable_progress_bar()
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            locks.lock_file(out.with_name(f".{out.name}.lock"), out, STAGE),
            scratch_folder("adapters") as scratch,
        ):
            inputs = open_inputs(parsed, scratch, settings.adapter_base)
            endpoints = endpoints_of(parsed, where, inputs)
            loaded = _loaded(inputs, settings)
            grouped = endpoints_of(parsed, where, loaded)
            groups = lambda_groups(grouped.varying, loaded.architecture, settings.by)
            tokenizer = tokenizer_at(str(inputs.donor))
            template = ChatTemplate(tokenizer, parse_settings(settings.chat_template_kwargs))

            def encode(rows: Dataset) -> list[Sample]:
                return samples_of(tokenize(rows, tokenizer, template, None))

            rows = _load_rows(data, settings, encode)
            objective = _objective(endpoints, groups, inputs, settings, rows)
            for sentence in (*rows.about, _memory(inputs, settings, objective)):
                report(sentence)
            folders = provenance.input_folders(parsed, inputs)
            hashes = {folder: input_file_hashes(folder) for folder in folders.values()}
            state_file = FitStateFile(
                out.with_name(f".{out.name}.state.json"), _identity(parsed.text, settings, hashes, rows)
            )
            if (state := state_file.read()).is_begun:
                report(
                    f"Continues an earlier run of the same settings: {len(state.grid)} of {len(settings.grid)} constants and "
                    f"{state.step} of {settings.steps} steps are done."
                )
            found = fit(
                objective, len(groups.names), rows.fit, rows.held_out, state_file, grid=settings.grid, steps=settings.steps,
                batch=settings.batch, learning_rate=settings.learning_rate, seed=settings.seed,
            )  # fmt: skip
            shown = Path(data).resolve().name if Path(data).is_dir() else data
            about = (f"Data: {shown}, config {settings.config}, split {settings.split}.", *rows.about, _shown(settings))
            text = tuned_text(parsed, where, groups, found, about)
            _check_text(text, out, grouped, groups, found, loaded)
            _write(text, out, record, settings, data, folders, hashes, groups, found, started)
            state_file.remove()
    return Tuned(out, groups, found)


def _loaded(inputs: MergeInputs, settings: TuneSettings) -> MergeInputs:
    """The inputs with the names by which λ is grouped.

    Raises:
        UserError: if mergekit, which merges such a model by filters, may have other names.
    """
    loaded = as_loaded(inputs)
    if loaded is inputs or settings.by == "constant":
        return loaded
    if not (inputs.architecture.defined and loaded.architecture.same_names):
        raise UserError(
            f"the experts of {inputs.architecture.name} are stored one by one, and mergekit has no definition of it by which λ could "
            "differ between its layers: use --by constant"
        )
    return loaded


def _identity(spec: str, settings: TuneSettings, hashes: Mapping[Path, Mapping[str, str]], rows: _Rows) -> str:
    """A hash of everything that a fit depends on: spec, settings, the models' files, and the rows' tokens."""
    parts = [
        spec,
        asdict(settings),
        [content_hash.combined_hash(found) for found in hashes.values()],
        [asdict(rows.fit), asdict(rows.held_out)],
        [__version__, torch.__version__],
    ]
    return content_hash.combined_hash({json.dumps(part): "" for part in parts})


def _check_replaceable(out: Path, record: Path) -> None:
    """Raise UserError if `out` is there and an earlier run did not write it."""
    if out.suffix not in (".yml", ".yaml"):
        raise UserError(f"{out}: the tuned spec is a YAML file, name it e.g. tuned.yml")
    if out.is_dir() or (out.exists() and not record.is_file()):
        raise UserError(f"{out} already exists and `tune` did not make it: choose another path or move it away")


def _load_rows(data: str, settings: TuneSettings, encode: Callable[[Dataset], list[Sample]]) -> _Rows:
    """Expert answers and instructions, each in a fitted and a held-out part that share nothing."""
    rows = validation_rows.load_validation(data, settings.config, settings.split)
    fitted, held, unit = validation_rows.hold_out(rows, settings.held_out, settings.seed)
    units = [str(one) for one in rows["task" if unit == "task" else "episode_id"]]
    held_count = max(1, round(settings.held_out * settings.rows))
    chosen = [
        validation_rows.choose(indices, units, count, settings.seed)
        for indices, count in ((fitted, max(1, settings.rows - held_count)), (held, held_count))
    ]
    numbers = [len({units[index] for index in indices}) for indices in chosen]
    about = [
        f"Rows: {len(chosen[0])} expert answers of {numbers[0]} {unit}s are fitted, {len(chosen[1])} of {numbers[1]} other "
        f"{unit}{'s' if numbers[1] > 1 else ''} are held out."
    ]
    answers = [encode(rows.select(indices)) for indices in chosen]
    instructions: list[list[Sample]] = [[], []]
    if settings.keep_weight:
        if settings.instructions is None:
            general, name = generate(settings.rows, settings.seed), "generated requests"
        else:
            general, name = load_instructions(settings.instructions), Path(settings.instructions).name
            general = general.shuffle(seed=settings.seed).select(range(min(settings.rows, len(general))))
        if len(general) < 2:
            raise UserError(f"--instructions {settings.instructions}: two or more are needed, some are held out")
        count = min(len(general) - 1, max(1, round(settings.held_out * len(general))))
        instructions = [encode(general.select(range(count, len(general)))), encode(general.select(range(count)))]
        about.append(
            f"Instructions: {len(general) - count} of {name} are fitted, {count} are held out; keep weight {settings.keep_weight:g}."
        )
    else:
        about.append(
            "Keep weight 0: λ is fitted to the expert answers alone, and nothing keeps the merge near the instruct model."
        )
    return _Rows(RowSet(answers[0], instructions[0]), RowSet(answers[1], instructions[1]), tuple(about))


def _objective(
    endpoints: Endpoints, groups: LambdaGroups, inputs: MergeInputs, settings: TuneSettings, rows: _Rows
) -> Objective:
    """The objective on the interpolated model; the instruct model is loaded besides only if λ = 0 is not that model."""
    device = torch.device(settings.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    torch.manual_seed(settings.seed)
    model, lambdas = interpolated_model(endpoints, groups, inputs, dtype, device)
    samples = [sample for part in (rows.fit, rows.held_out) for sample in (*part.answers, *part.instructions)]
    check_rows(model, max(len(ids) for ids, _ in samples), max(max(ids) for ids, _ in samples))
    instruct = {inputs.donor_reference: 1.0}
    reference = model
    if settings.keep_weight and any(mixture != instruct for mixture in endpoints.first.values()):
        with TensorReader() as reader:
            reference = load_model(lambda name: read_mixture(name, instruct, inputs, reader), inputs, dtype, device)
    return Objective(model, lambdas, reference, settings.keep_weight)


def _memory(inputs: MergeInputs, settings: TuneSettings, objective: Objective) -> str:
    """What the models take, in a sentence."""
    values = sum(torch.Size(shape).numel() for shape in inputs.shapes.values())
    copies = 2 if objective.reference is objective.model else 3
    width, name = (4, "float32") if settings.device == "cpu" else (2, "bfloat16")
    return (
        f"Memory: {copies} copies of {values / 1e6:,.1f} million values in {name}, {size_text(copies * values * width)}, besides "
        "the activations of one pass."
    )


def _shown(settings: TuneSettings) -> str:
    return (
        f"Settings: λ by {settings.by}, {settings.steps} steps of {settings.batch} rows, learning rate "
        f"{settings.learning_rate:g}, seed number {settings.seed}."
    )


def _check_text(
    text: str, out: Path, endpoints: Endpoints, groups: LambdaGroups, found: Fit, inputs: MergeInputs
) -> None:
    """Check that the written spec gives every tensor the λ that was learned for it."""
    spec = specs.parse(text, str(out))
    mergekit_schema.validate(spec, str(out))
    check_heads(spec, inputs.models, inputs.architecture)
    written = mixtures_of(spec, str(out), inputs)
    for name in inputs.shapes:
        value = found.values[groups.of[name]] if name in groups.of else 0.0
        first, second = endpoints.first[name], endpoints.second[name]
        for model in first.keys() | second.keys() | written[name].keys():
            expected = (1 - value) * first.get(model, 0.0) + value * second.get(model, 0.0)
            if abs(written[name].get(model, 0.0) - expected) > 1e-6:
                raise UserError(f"{out}: the filters of the tuned spec do not reach {name}; use --by constant")


def _write(
    text: str, out: Path, record: Path, settings: TuneSettings, data: str, folders: Mapping[str, Path],
    hashes: Mapping[Path, Mapping[str, str]], groups: LambdaGroups, found: Fit, started: float,
) -> None:  # fmt: skip
    """Write the manifest, then the spec: each whole or not at all."""
    inputs = dict(folders)
    if Path(data).is_dir():
        inputs["dataset"] = Path(data)
    counts = {
        "lambda": dict(zip(groups.names, found.values)),
        "grid": [asdict(point) for point in found.grid],
        "curve": [asdict(point) for point in found.curve],
        "better_than_constant": found.is_better,
        "best_constant": found.best_constant.constant,
    }
    with scratch_folder("tuned") as scratch:
        write_text(scratch / out.name, text)
        config = {"dataset": data, **asdict(settings)}
        if settings.instructions is not None and Path(settings.instructions).is_file():
            config["instructions_sha256"] = content_hash.file_hash(Path(settings.instructions))
        manifest.write(scratch, STAGE, inputs=inputs, config=config, counts=counts, started=started, known=hashes)
        content = (scratch / manifest.NAME).read_text(encoding="utf-8")
    partial = temporary_name(out, "partial")
    try:
        write_text(partial, text)  # before the manifest appears: the disk takes both, or the earlier ones stay
        write_text(record, content)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
