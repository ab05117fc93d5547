"""Chat templates: messages in, the prompt's text and the completion's text out, the same in every stage. No torch.

Dataset build, preflight, training, likelihood and the acting agent render with `ChatTemplate`. The rule that it keeps:
the prompt holds the system and user text; the completion is the answer verbatim and the token that ends the turn, and
nothing else. The template renders prompts and names its end-of-turn token, but never an answer, so that a template that
rewrites answers (DeepSeek-R1 drops thoughts, Qwen 3 adds empty ones) changes nothing that is trained. Where a template
has no system role, the system text is placed at the beginning of the first user turn; where it opens a thought in every
prompt and has no setting against it (DeepSeek-R1), the opening is left out. A template that cannot keep the rule is refused.

    template = ChatTemplate(tokenizer, {"enable_thinking": False})
    text = template.prompt_text(messages) + template.completion_text(answer)    # what is counted, trained and scored
    sent = template.messages(messages)                                          # for a server with its own template

`template.source` is the template with the settings and the system rule written into it. Training saves it with the model,
so that any server renders the same prompts from plain messages.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from agentmerge_hub.chat_template.limits import excess
from agentmerge_hub.chat_template.rendering_limits import rendering_limits
from agentmerge_hub.chat_template.settings import settings_read, settings_source
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Message
from agentmerge_hub.traces.limits import LimitExceeded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM, _USER, _ANSWER = "Rules of the probe.", "Question of the probe?", "Answer of the probe!"
_USE_ANOTHER = "use another with --chat-template FILE, in a recipe chat_template_path"
_DAYS = (date(2001, 2, 3), date(2022, 11, 28))
"""They differ in year, month, day and weekday."""
_RANDOM = re.compile(r"\|\s*random\b|\blipsum\(")
_EMPTY_THOUGHT = re.compile(r"\s*(<think>\s*</think>\s*)?")
_EMPTY_THOUGHT_AT_END = re.compile(r"<think>\s*</think>\s*$")
"""What a template may write between the prompt and an answer: it is left out of training, as serving leaves it out."""

_THINKING = re.compile(r"\b(enable_thinking|thinking)\b(?!>)")
"""Settings that say whether the model thinks."""
_WITHOUT_THOUGHT = (
    "{{% set rendered %}}{}{{% endset %}}{{{{ rendered[:-8] if rendered.endswith('<think>\n') else "
    "rendered[:-7] if rendered.endswith('<think>') else rendered }}}}"
)
"""A template that opens a thought in every prompt, as DeepSeek-R1's, without that: answers write their own thoughts or none."""

_FOLD_SYSTEM = (
    "{% if messages | length > 1 and messages[0]['role'] == 'system' and messages[1]['role'] == 'user' %}"
    "{% set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}] "
    "+ messages[2:] %}{% endif %}"
)


def _clock(day: date) -> str:
    """Jinja before a template that then runs on this day."""
    written = "".join(f".replace('%{letter}', '{day:%{letter}}')" for letter in "aAbBcdDeFgGhHIjmMpSTuUVwWxXyYzZ")
    return "{% macro strftime_now(format) %}{{ format.replace('%-', '%')" + written + " }}{% endmacro %}"


class ChatTemplate:
    """A tokenizer's chat template with its settings."""

    source: str
    """The Jinja source with `settings` and the system rule written into it."""
    end_of_turn: str
    """The token that ends the assistant's turn; empty with `prompts_only`."""
    folds_system: bool
    """Whether the system text is placed in the first user turn."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        settings: Mapping[str, Any] | None = None,
        *,
        prompts_only: bool = False,
    ) -> None:
        """Find out how the template renders, from a probe.

        Args:
            tokenizer: with a chat template; not changed.
            settings: variables that the template reads (`chat_template_kwargs`), e.g. ``{"enable_thinking": False}``.
            prompts_only: for an agent, which renders no answers: a template that opens every answer with <think>, as those of
                reasoning models do, is accepted, and settings that it does not read are ignored.

        Raises:
            UserError: if there is no template, it does not read a setting, it raises, it takes too much time or memory, or it
                cannot keep the rule.
        """
        self._tokenizer = tokenizer
        self.settings = dict(settings or {})
        self.name = tokenizer.name_or_path or "the tokenizer"
        source = tokenizer.chat_template
        if isinstance(source, dict):
            source = source.get("default")
        if not source:
            raise UserError(f"the tokenizer of {self.name!r} has no chat template: use the instruct model's tokenizer")
        self._check_limits(source)
        self._original_sha256 = hashlib.sha256(source.encode()).hexdigest()
        preamble = settings_source(source, self.settings, self.name, ignore_unread=prompts_only)
        self.source, self.folds_system = preamble + source if preamble else source, False
        if preamble:
            self._check_limits(self.source)
        problem = self._problem()
        if problem:
            self.source, self.folds_system = f"{preamble.rstrip()}{_FOLD_SYSTEM}\n{source}", True
            if self._problem():
                raise UserError(f"the chat template of {self.name!r} {problem}: {_USE_ANOTHER}")
        if not prompts_only and self._opens_thought() and not _THINKING.search(source):
            assigned = preamble.rstrip() if self.source.startswith(preamble.rstrip()) else ""
            self.source = assigned + _WITHOUT_THOUGHT.format(self.source[len(assigned) :].removesuffix("\n"))
        self.end_of_turn = "" if prompts_only else self._find_end_of_turn()
        self._check_repeatable()
        self._dated_without_system = self._writes_date_without_system()

    @property
    def sha256(self) -> str:
        """Equal for templates that render the same text, wherever they come from."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def manifest(self) -> dict[str, Any]:
        """The entry of a stage's manifest: hashes of the source with and without settings, and the settings."""
        return {
            "sha256": self.sha256,
            "template_sha256": self._original_sha256,
            "settings": self.settings,
            "system_in_user_turn": self.folds_system,
        }

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        """Messages as a server with the original template has to receive them: without a system turn if it has no such role."""
        if not self.folds_system or len(messages) < 2 or [each["role"] for each in messages[:2]] != ["system", "user"]:
            return list(messages)
        content = f"{messages[0]['content']}\n\n{messages[1]['content']}"
        return [Message(role="user", content=content), *messages[2:]]

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt as the model reads it, ending with the opening of the assistant's turn.

        Raises:
            UserError: if the template raises, leaves out a text that is no answer, or writes today's date in place of a system text.
        """
        if self._dated_without_system and messages[0]["role"] != "system":
            raise UserError(self._dated("a prompt without a system turn"))
        text = self._render(messages)
        for message in messages:  # earlier answers may be shortened: they are context, as a server renders them
            if message["role"] != "assistant" and message["content"].strip() not in text:
                raise UserError(
                    f"the chat template of {self.name!r} does not keep the text of a {message['role']} turn as it is: "
                    f"{_USE_ANOTHER}"
                )
        return text

    def completion_text(self, answer: str) -> str:
        """The answer verbatim and the end-of-turn token.

        Raises:
            UserError: if the answer holds the end-of-turn token, after which nothing could be generated.
        """
        if self.end_of_turn in answer:
            raise UserError(f"an answer holds {self.end_of_turn}, the token that ends a turn")
        return answer + self.end_of_turn

    def completion_problem(self, prompt: Sequence[int], whole: Sequence[int], answer: str) -> str | None:
        """Why a completion's tokens are not those of the answer verbatim and the end of the turn, None if they are.

        Args:
            prompt: token ids of `prompt_text`.
            whole: token ids of `prompt_text` and `completion_text`.
            answer: the answer.
        """
        if list(whole[: len(prompt)]) != list(prompt):
            return (
                "the tokenizer joins the end of the prompt with the beginning of the answer: use a chat template that ends "
                "prompts with a special token or a line break"
            )
        if whole[-1] != self._tokenizer.convert_tokens_to_ids(self.end_of_turn):
            return f"the tokenizer splits {self.end_of_turn}, the token that ends a turn: remove split_special_tokens"
        # Some tokens of the prompt too, because decoders drop a space at the beginning.
        tail = list(whole[max(0, len(prompt) - 4) :])
        decoded = str(self._tokenizer.decode(tail, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        read, written = (unicodedata.normalize("NFC", each) for each in (decoded, answer + self.end_of_turn))
        if not read.endswith(written):
            return f"the tokenizer does not keep the answer {answer[:80]!r} as it is: its tokens are read as {decoded[-80:]!r}"
        return None

    def _check_limits(self, source: str) -> None:
        if reason := excess(source):
            raise UserError(f"the chat template of {self.name!r} {reason}: {_USE_ANOTHER}")

    def _render(self, messages: Sequence[Message], *, answered: bool = False, before: str = "") -> str:
        try:
            with rendering_limits():
                rendered = self._tokenizer.apply_chat_template(
                    [{"role": message["role"], "content": message["content"]} for message in messages],
                    chat_template=before + self.source,
                    tokenize=False,
                    add_generation_prompt=not answered,
                )
        except LimitExceeded as error:
            raise UserError(f"the chat template of {self.name!r} {error} to render a conversation") from None
        except Exception as error:  # templates raise what they like, SyntaxError too
            raise UserError(
                f"the chat template of {self.name!r} raises an error: {' '.join(str(error).split())}"
            ) from error
        return str(rendered)

    def _problem(self) -> str | None:
        """What is wrong with a prompt of a system and a user turn, None if nothing is."""
        try:
            prompt, whole = self._probe()
        except UserError as error:
            return str(error).split(f"{self.name!r} ", 1)[1]
        if _SYSTEM not in prompt:
            return "drops the system text"
        if _USER not in prompt:
            return "drops the user text"
        if whole.count(_ANSWER) != 1:
            return "does not keep the answer as it is"
        return None

    def _check_repeatable(self) -> None:
        if _RANDOM.search(self.source):
            raise UserError(
                f"the chat template of {self.name!r} draws text at random, so that a run could not be repeated: use a copy of it "
                "without that"
            )
        asked = [Message(role="system", content=_SYSTEM), Message(role="user", content=_USER)]
        if self._writes_date(asked):
            raise UserError(self._dated("every prompt"))

    def _writes_date(self, messages: Sequence[Message]) -> bool:
        """Whether another text is rendered on another day."""
        return "strftime_now" in self.source and len({self._render(messages, before=_clock(day)) for day in _DAYS}) > 1

    def _writes_date_without_system(self) -> bool:
        """Whether it writes today's date in place of a system text, as Mistral Small 3's does."""
        try:
            return self._writes_date([Message(role="user", content=_USER)])
        except UserError:  # it takes no prompt without a system turn, and says so at each
            return False

    def _dated(self, prompts: str) -> str:
        setting = next((name for name in sorted(settings_read(self.source, self.name)) if "date" in name), None)
        fixed = (
            f"fix it with chat_template_kwargs, e.g. {{{setting}: 26 Jul 2024}}"
            if setting
            else "use a copy of it without the date"
        )
        return (
            f"the chat template of {self.name!r} writes today's date into {prompts}, so that a run could not be repeated tomorrow: "
            f"{fixed}"
        )

    def _next_turn(self) -> str:
        """What follows an answer when another user turn comes after it."""
        turns = [("system", _SYSTEM), ("user", _USER), ("assistant", _ANSWER), ("user", _USER)]
        messages = [Message(role=role, content=content) for role, content in turns]
        return self._render(messages, answered=True).partition(_ANSWER)[2].lstrip()

    def _probe(self) -> tuple[str, str]:
        asked = [Message(role="system", content=_SYSTEM), Message(role="user", content=_USER)]
        answer = Message(role="assistant", content=_ANSWER)
        return self._render(asked), self._render([*asked, answer], answered=True)

    def _opens_thought(self) -> bool:
        return self._probe()[0].rstrip().endswith("<think>")

    def _find_end_of_turn(self) -> str:
        prompt, whole = self._probe()
        opening = prompt.partition(_USER)[2]
        before, _, after = whole.partition(_USER)[2].partition(_ANSWER)
        if self._opens_thought():
            raise UserError(
                f"the chat template of {self.name!r} writes <think> before every answer, and the answers of the rows write their "
                "own: set chat_template_kwargs to its setting without thoughts, e.g. {enable_thinking: false}"
            )
        shared = _EMPTY_THOUGHT_AT_END.sub("", opening).rstrip()
        if not before.startswith(shared):
            raise UserError(
                f"the chat template of {self.name!r} opens the assistant's turn with {opening!r} in a prompt and with {before!r} "
                "before an answer, so that a model would be trained on another text than it continues: use another template"
            )
        if not _EMPTY_THOUGHT.fullmatch(before[len(shared) :]):
            raise UserError(
                f"the chat template of {self.name!r} writes {before[len(shared) :]!r} between the prompt and the answer, which a "
                "model would not learn to write: use another template"
            )
        rest = after.lstrip() or self._next_turn()  # GLM ends an answer with the token that opens the next turn
        tokens = {*self._tokenizer.get_added_vocab(), *self._tokenizer.all_special_tokens}
        found = max((token for token in tokens if token and rest.startswith(token)), key=len, default=None)
        if found is None:
            raise UserError(
                f"the chat template of {self.name!r} ends the assistant's turn with {rest[:20]!r}, which is no special token: a "
                "model could not learn to end its turn; use another template"
            )
        return found
