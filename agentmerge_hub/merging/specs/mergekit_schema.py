"""Validation of a spec by mergekit's classes: they accept it, and every key in it has a meaning. Nothing is run here."""

from collections.abc import Iterable, Mapping
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.garbage import collection_paused
from agentmerge_hub.merging.specs.spec import Spec, is_model_place

_SETTING = ("filter", "value")
_UNUSED = ("residual_weight",)
"""Keys that mergekit accepts and never reads."""
_DTYPES = ("float16", "bfloat16", "float32", "float64")


def validate(spec: Spec, where: str) -> None:
    """Raise UserError unless mergekit accepts the spec and every key in it means something.

    mergekit's classes ignore keys that they do not know (`weigth`), and known ones where nothing reads them (`lambda` of one model):
    those are refused here, at every level.
    """
    with collection_paused():
        from mergekit import config as schema
        from mergekit.merge_methods.base import ParameterScope
        from mergekit.merge_methods.registry import get
        from mergekit.tokenizer.config import ModelTokenEmbedding, TokenEmbeddingConfig, TokenizerConfig, ZeroEmbedding
    from pydantic import ValidationError

    _check_references(spec.config, where)
    config = _with_plain_references(spec.config)
    try:
        schema.MergeConfiguration.model_validate(config)
        merger = get(config["merge_method"])
    except ValidationError as error:
        raise UserError(f"{where}: {_problem(error.errors()[0])}") from error
    except (RuntimeError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from error

    method = merger.spec
    scopes = {parameter.name: parameter.scope for parameter in method.parameters}
    trims = getattr(merger, "sparsification_method", "") is not None

    def check_parameters(settings: Any, of_model: bool = False) -> None:
        _check_keys(settings or {}, scopes, method.name, where)
        for name, setting in (settings or {}).items():
            if of_model and scopes[name] == ParameterScope.SHARED:
                raise UserError(
                    f"{where}: {name} is set for one model, and {method.name} has one for all, so that this one would be ignored: set it "
                    "in the `parameters` of the file or slice"
                )
            if name == "density" and not trims:
                raise UserError(
                    f"{where}: {method.name} trims nothing and would ignore density: leave it out, or use ties"
                )
            entries = setting if isinstance(setting, list) else [setting]
            for entry in entries:
                if isinstance(entry, Mapping):
                    _check_keys(entry, _SETTING, "a value with a filter", where)
            if [] in (setting, *(entry.get("value") for entry in entries if isinstance(entry, Mapping))):
                raise UserError(f"{where}: {name} is an empty list: give it at least one number")

    def check_models(models: Any) -> None:
        for entry in models or ():
            _check_keys(entry, schema.InputModelDefinition.model_fields, "a model", where)
            check_parameters(entry.get("parameters"), of_model=True)

    def check_slices(slices: Any) -> None:
        for output in slices or ():
            _check_keys(
                output,
                [key for key in schema.OutputSliceDefinition.model_fields if key not in _UNUSED],
                "a slice",
                where,
            )
            check_parameters(output.get("parameters"))
            if not output.get("sources"):
                raise UserError(f"{where}: a slice has no sources: name a model and its layer_range")
            for source in output["sources"]:
                _check_keys(source, schema.InputSliceDefinition.model_fields, "a slice's source", where)
                check_parameters(source.get("parameters"), of_model=True)
                first, last = source["layer_range"]
                if not 0 <= first < last:
                    raise UserError(
                        f"{where}: layer_range is [{first}, {last}]: it takes the first layer and one after it"
                    )

    _check_keys(config, schema.MergeConfiguration.model_fields, "a spec", where)
    for key in ("dtype", "out_dtype"):
        if config.get(key) is not None and config[key] not in _DTYPES:
            raise UserError(f"{where}: {key} is {config[key]!r}, and should be {', '.join(_DTYPES)}")
    check_parameters(config.get("parameters"))
    check_models(config.get("models"))
    check_slices(config.get("slices"))
    for module in (config.get("modules") or {}).values():
        _check_keys(module, schema.OutputModuleDefinition.model_fields, "a module", where)
        check_parameters(module.get("parameters"))
        check_models(module.get("models"))
        check_slices(module.get("slices"))
    tokenizer = config.get("tokenizer")
    if isinstance(tokenizer, Mapping):
        _check_keys(tokenizer, TokenizerConfig.model_fields, "tokenizer", where)
        for embedding in (tokenizer.get("tokens") or {}).values():
            _check_keys(embedding, TokenEmbeddingConfig.model_fields, "a token", where)
            source = embedding.get("source")
            if isinstance(source, Mapping):
                kind = ModelTokenEmbedding if source.get("kind") == "model_token" else ZeroEmbedding
                _check_keys(source, kind.model_fields, f"a token's source of kind {source.get('kind')}", where)
    for part in (spec.config, *(spec.config.get("modules") or {}).values()):
        models = [str(entry["model"]) for entry in part.get("models") or ()]
        if twice := [model for index, model in enumerate(models) if model in models[:index]]:
            raise UserError(f"{where} lists {twice[0]} twice: leave one of them")
    if not config.get("base_model"):
        raise UserError(f"{where} names no base_model: without one the configuration comes from any of the models")


def _problem(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors, with the place as the file has it."""
    places = [str(part) for part in error["loc"]]
    if "ConditionalParameter" in places:
        place = ".".join(places[: places.index("ConditionalParameter")])
        return f"{place} should be a number, a list of numbers, or entries with filter and value"
    if places[:1] == ["tokenizer"] and "source" in places:
        place = ".".join(places[: places.index("source") + 1])
        more = ", kind: zero, or kind: model_token with a model" if "tokens" in places else ", union or base"
        return f"{place} should be a model{more}"
    return f"{'.'.join(places) or 'the spec'}: {error['msg']}"


def _check_references(value: Any, where: str, key: str = "") -> None:
    """Raise UserError for a model that is written as a mapping, which mergekit takes: it would be read, and neither checked nor
    recorded."""
    if isinstance(value, Mapping):
        if key in ("base_model", "model", "tokenizer_source") or (key == "source" and "kind" not in value):
            raise UserError(f"{where}: {key} is a mapping, and should be a path or Hub id, or MODEL+ADAPTER")
        for inner_key, inner in value.items():
            _check_references(inner, where, inner_key)
    elif isinstance(value, list):
        for inner in value:
            _check_references(inner, where)


def _with_plain_references(value: Any, key: str = "") -> Any:
    """A configuration whose model references are short names: paths may hold `+` and `@`, which mergekit would split."""
    if isinstance(value, Mapping):
        return {inner_key: _with_plain_references(inner, inner_key) for inner_key, inner in value.items()}
    if isinstance(value, list):
        return [_with_plain_references(inner) for inner in value]
    return "./model" if isinstance(value, str) and is_model_place(key, value) else value


def _check_keys(given: Mapping[str, Any], known: Iterable[str], of: str, where: str) -> None:
    for key in given:
        if key not in known:
            raise UserError(f"{where}: {key!r} is unknown: {of} takes {', '.join(sorted(known))}")
