"""Settings of chat templates (`chat_template_kwargs`): a JSON object in, Jinja assignments at the beginning of a template out."""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, meta

from agentmerge_hub.chat_template.limits import environment
from agentmerge_hub.errors import UserError

_GIVEN = {
    "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "bos_token", "eos_token",
    "pad_token", "unk_token", "raise_exception", "strftime_now", "namespace", "dict", "range",
}  # fmt: skip
"""Variables that transformers sets."""
_SETTING = re.compile(r"\s*\{% set (\w+) = (.+?) %\}")
"""A setting that is written into a saved template."""


def parse_settings(text: str | dict[str, Any] | None, name: str = "chat_template_kwargs") -> dict[str, Any]:
    """`chat_template_kwargs` from the command line (a JSON object) or a recipe (a mapping); empty for None.

    Args:
        text: what was given.
        name: of the option, for the message.

    Raises:
        UserError: if it is not a JSON object.
    """
    try:
        settings = json.loads(text) if isinstance(text, str) else text or {}
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise UserError(f"{name} is {text!r}: write a JSON object, e.g. '{{\"enable_thinking\": false}}'")
    return settings


def settings_source(source: str, settings: Mapping[str, Any], name: str, *, ignore_unread: bool) -> str:
    """Jinja assignments of the settings; empty for none.

    Raises:
        UserError: for a setting that the template does not read, or a value that is no text, number or truth value.
    """
    if not settings:
        return ""
    read, fixed = settings_read(source, name), fixed_settings(source)
    for key, value in fixed.items():  # a saved template: its settings are written into it
        if key in settings and settings[key] != value:
            raise UserError(
                f"the chat template of {name!r} was saved with {key} {json.dumps(value)} and chat_template_kwargs sets "
                f"{json.dumps(settings[key])}: a model is used with the settings that it was trained with; remove it"
            )
    settings = {key: value for key, value in settings.items() if key not in fixed}
    if not settings:
        return ""
    if ignore_unread:  # the server's template may be another one
        settings = {key: value for key, value in settings.items() if key in read}
    for key, value in settings.items():
        if key not in read:
            known = ", ".join(sorted(read)) or "none"
            raise UserError(f"the chat template of {name!r} has no setting {key!r}: it reads {known}")
        if not isinstance(value, str | bool | int | float):
            raise UserError(f"chat_template_kwargs: {key} is {value!r}: write a text, a number, true or false")
    return "".join(f"{{% set {key} = {json.dumps(value)} %}}" for key, value in sorted(settings.items())) + "\n"


def settings_read(source: str, name: str) -> set[str]:
    """Names of the variables that a template reads and transformers does not set."""
    try:
        return meta.find_undeclared_variables(environment().parse(source)) - _GIVEN
    except (TemplateError, RecursionError) as error:
        raise UserError(f"the chat template of {name!r} is not valid Jinja: {error}") from error


def fixed_settings(source: str) -> dict[str, Any]:
    """The settings that `settings_source` wrote at the beginning of a template that was saved."""
    fixed, place = {}, 0
    while match := _SETTING.match(source, place):
        with contextlib.suppress(ValueError):
            fixed[match[1]] = json.loads(match[2])
        place = match.end()
    return fixed
