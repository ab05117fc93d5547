"""What a merged model must be able to do before anyone else loads it. Input: a model folder. Output: one sentence a fault.

The model that gives the merge its tokenizer (the instruct model) is the measure: same shapes, same vocabulary, same chat
template, and a turn that ends in a token that stops generation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub.chat_template.limits import excess
from agentmerge_hub.chat_template.rendering_limits import rendering_limits
from agentmerge_hub.errors import UserError, is_failure
from agentmerge_hub.garbage import collection_paused
from agentmerge_hub.merging.inputs.architecture import Architecture, lookup
from agentmerge_hub.merging.inputs.chat_templates import MORE_FOLDER, default_template, is_same_template
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, TOKENIZER_FILES, config_of, read_json, tensors_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_class import model_class
from agentmerge_hub.merging.inputs.model_configs import plain, too_many_layers
from agentmerge_hub.merging.inputs.safetensors_header import FLOATS, Tensor
from agentmerge_hub.merging.inputs.vocabulary import vocabulary
from agentmerge_hub.traces.limits import LimitExceeded

_QUESTION = [{"role": "user", "content": "Say hello."}]
_ANSWER = {"role": "assistant", "content": "Hello."}
_REPLY_TOKENS = 16


def weight_findings(folder: Path, inputs: MergeInputs, *, by_mergekit: bool) -> list[str]:
    """What is wrong with a merged model's tensors besides their numbers, one sentence each; empty if nothing is.

    Args:
        by_mergekit: mergekit made it, which may store other tensors than its inputs (fused experts).
    """
    named, expected = config_of(folder).get("architectures"), inputs.models[inputs.base].config["architectures"]
    if named != expected:
        return [f"config.json has architectures {plain(named)}, and the inputs give {plain(expected)}"]
    if said := too_many_layers(config_of(folder)):
        return [f"config.json {said}"]
    tensors = tensors_of(folder)
    if by_mergekit and _stored_otherwise(tensors, inputs):
        wrong = _not_loadable(folder, tensors, inputs)
    else:
        wrong = _shapes(tensors, inputs.shapes)
    return [*wrong, *_rows(folder, tensors, inputs.architecture)]


def _stored_otherwise(tensors: Mapping[str, Tensor], inputs: MergeInputs) -> bool:
    return {name: tensor.shape for name, tensor in tensors.items()} != dict(inputs.shapes)


def _shapes(found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is in none of its inputs" for name in found if name not in expected]
    wrong += [f"{name} is stored as {found[name].dtype}" for name in found if found[name].dtype not in FLOATS]
    return wrong + [
        f"{name} is {list(tensor.shape)}, and should be {list(expected[name])}"
        for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name]
    ]


def _not_loadable(folder: Path, tensors: Mapping[str, Tensor], inputs: MergeInputs) -> list[str]:
    """Tensors that transformers misses or does not know when it loads the model; no weights are read."""
    try:
        _, info = _load(folder, device_map="meta")
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError) as error:
        same_layout = tensors.keys() <= inputs.shapes.keys() or tensors.keys() >= inputs.shapes.keys()
        differences = _shapes(tensors, inputs.shapes) if same_layout else []
        return differences or [f"transformers does not load it: {' '.join(str(error).split())[:200]}"]
    return [*_not_loaded(info), *(f"{name} is unknown to transformers" for name in sorted(info["unexpected_keys"]))]


def unfit_weights(folder: Path) -> list[str]:
    """The tensors of a merged model that transformers would fill with random values, one sentence each; no weights are read. Empty
    where it cannot load the model for another reason."""
    try:
        _, info = _load(folder, device_map="meta")
    except Exception:  # what a class raises without a GPU or a package of its own is no fault of the weights
        return []
    return _not_loaded(info)


def _load(folder: Path, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    """A model, and what transformers found when it loaded it, which it does not print itself."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        return model_class(folder).from_pretrained(
            folder, ignore_mismatched_sizes=True, output_loading_info=True, **options
        )
    finally:
        logging.set_verbosity(verbosity)


def _not_loaded(info: Mapping[str, Any]) -> list[str]:
    """The tensors that transformers would fill with random values, a sentence each."""
    mismatched = sorted(info["mismatched_keys"])
    wrong = [f"{name} is {list(found)}, and config.json gives {list(expected)}" for name, found, expected in mismatched]
    others = info["missing_keys"] - {name for name, *_ in mismatched}
    return wrong + [f"{name} is missing" for name in sorted(others)]


def _rows(folder: Path, tensors: Mapping[str, Tensor], architecture: Architecture) -> list[str]:
    size = lookup(config_of(folder), architecture.vocabulary_key)
    return [
        f"config.json says {architecture.vocabulary_key} {plain(size)}, {name} has {tensors[name].shape[0]} rows"
        for name in sorted(architecture.vocabulary & tensors.keys())
        if size is not None and tensors[name].shape[0] != size
    ]


def tokenizer_findings(folder: Path, inputs: MergeInputs) -> list[str]:
    """What is wrong with a merged model's tokenizer and chat template, one sentence each; no weights are needed."""
    donor, tokenizer = inputs.donor, load_tokenizer(folder)
    if _tokenizer_files(folder) != _tokenizer_files(donor) and (wrong := _differences(folder, tokenizer, inputs)):
        return wrong
    template = default_template(tokenizer.chat_template)
    if not template:
        return [f"{donor}, which gives the tokenizer, has no chat template"]
    if reason := excess(template):
        return [f"its chat template {reason}"]
    try:
        with rendering_limits():
            turn = tokenizer.apply_chat_template([*_QUESTION, _ANSWER], tokenize=False)
    except LimitExceeded as error:
        return [f"its chat template {error} to render a conversation"]
    except Exception as error:  # templates raise what they like: raise_exception, jinja2 errors, TypeError
        return [f"its chat template fails: {' '.join(str(error).split())[:200]}"]
    stops = end_tokens(folder, tokenizer)
    if not stops:
        return ["it names no end-of-sequence token"]
    if _ANSWER["content"] not in turn:
        return ["its chat template leaves out the assistant's answer"]
    if not any(stop in turn[turn.rindex(_ANSWER["content"]) :] for stop in stops):
        return [f"its turns do not end in a token that stops it: the chat template writes none of {', '.join(stops)}"]
    return []


def _tokenizer_files(folder: Path) -> dict[str, bytes]:
    """Name → content of what makes a tokenizer and its chat templates."""
    more = (f"{MORE_FOLDER}/{path.name}" for path in (folder / MORE_FOLDER).glob("*.jinja"))
    return {name: (folder / name).read_bytes() for name in (*TOKENIZER_FILES, *more) if (folder / name).is_file()}


def _differences(folder: Path, tokenizer: Any, inputs: MergeInputs) -> list[str]:
    """What the tokenizer does not have as the donor has it."""
    donor, union = inputs.donor, inputs.rows.aligned_by_mergekit
    expected, found = vocabulary(donor), vocabulary(folder)
    if not (expected.keys() <= found.keys() if union else found == expected):  # a union has more tokens
        return [f"its vocabulary is not that of {donor}"]
    source = load_tokenizer(donor)
    template, source_template = default_template(tokenizer.chat_template), default_template(source.chat_template)
    if source_template and not is_same_template(template, source_template):
        return [f"its chat template is not that of {donor}"]
    if not union and _named(tokenizer.chat_template) != _named(source.chat_template):
        return [f"its further chat templates are not those of {donor}"]
    return []


def _named(templates: Any) -> dict[str, str]:
    return {name: text.removesuffix("\n") for name, text in templates.items()} if isinstance(templates, dict) else {}


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder's tokenizer.json.

    Raises:
        UserError: if transformers cannot load it.
    """
    with collection_paused():
        from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # files of unknown origin raise whatever their values lead to
        raise UserError(f"the tokenizer of {folder} cannot be loaded: {' '.join(str(error).split())[:200]}") from error


def end_tokens(folder: Path, tokenizer: Any) -> list[str]:
    """The tokens that stop generation: of generation_config.json, else config.json, else the tokenizer."""
    path = folder / GENERATION
    config = read_json(path) if path.is_file() else {}
    ids = config.get("eos_token_id", config_of(folder).get("eos_token_id", tokenizer.eos_token_id))
    ids = ids if isinstance(ids, list) else [ids]
    return [tokenizer.convert_ids_to_tokens(id) for id in ids if isinstance(id, int) and 0 <= id < len(tokenizer)]


def reply(folder: Path) -> str:
    """The model's answer to a greeting, at most 16 tokens: it loads and generates. Special tokens are left out, unless the
    model writes nothing else before it ends its turn.

    Raises:
        UserError: if it cannot be loaded whole, or run.
    """
    import torch

    tokenizer = load_tokenizer(folder)
    try:
        model, info = _load(folder, dtype="auto")
        if wrong := _not_loaded(info):
            raise UserError(f"transformers would fill weights of {folder} with random values: {'; '.join(wrong[:3])}")
        with rendering_limits():
            prompt = tokenizer.apply_chat_template(_QUESTION, add_generation_prompt=True, tokenize=False)
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            tokens = model.eval().generate(
                **inputs, max_new_tokens=_REPLY_TOKENS, do_sample=False, temperature=None, top_p=None, top_k=None
            )
    except UserError:
        raise
    except BaseException as error:
        # Classes of transformers raise what they like, e.g. TypeError where an image is missing.
        if not is_failure(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{folder} cannot answer a greeting ({reason}): --no-reply leaves this out") from error
    written = tokens[0, inputs["input_ids"].shape[1] :]
    text = tokenizer.decode(written, skip_special_tokens=True)
    return text if text or len(written) < 2 else tokenizer.decode(written)
