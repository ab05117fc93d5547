"""The student's tokenizer and chat template: messages in, exact token counts out. No model is ever loaded."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import chain, filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError, is_panic
from agentmerge_hub.hub_names import check_name
from agentmerge_hub.records import Message
from agentmerge_hub.segments import piece_pattern, segment_patterns

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

_MAX_BATCH = 4096
"""Texts that are tokenized at once: an encoding takes more memory than its text."""

_MAX_CACHED_CHARACTERS = 16_000_000
"""Characters of the segments whose counts are cached: some 60 MB with their dictionary."""


class TemplateRefused(UserError):
    """The chat template does not take these messages."""


def fast_tokenizer(name: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """A tokenizer of transformers that knows the offsets of its tokens.

    Args:
        name: local folder or Hub id.
        revision: of a Hub id.

    Raises:
        UserError: if it does not exist, needs code of its own, has no tokenizer.json, or a damaged one.
    """
    from transformers import AutoTokenizer

    check_name(name, "tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision or "main", trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(f"the tokenizer of {name!r} needs code of its own, which is never run") from error
        found = Path(name).is_dir()
        where = "the folder has no tokenizer files" if found else "no such folder, and no Hub id within reach"
        raise UserError(f"no tokenizer at {name!r}: {where}: name a local folder or a Hub id that has one") from error
    except Exception as error:  # tokenizers raises nothing else, e.g. at a pattern that is no regular expression
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the tokenizer of {name!r} cannot be loaded ({reason}): restore its files") from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise UserError(f"the tokenizer of {name!r} has no tokenizer.json: token offsets need a fast tokenizer")
    return tokenizer


def encode(tokenizer: "PreTrainedTokenizerBase", texts: str | list[str], **options: Any) -> "BatchEncoding":
    """The tokens of rendered texts, which hold their special tokens; `options` are those of the tokenizer.

    Raises:
        UserError: if the tokenizer fails at a text.
    """
    with _panics_as_sentences(tokenizer.name_or_path):
        return tokenizer(texts, add_special_tokens=False, **options)


@contextlib.contextmanager
def _panics_as_sentences(name: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise UserError(
            f"the tokenizer of {name!r} fails at a text ({' '.join(str(error).split())[:200]}): use the tokenizer of another model"
        ) from error


class ChatTokenizer:
    """A fast tokenizer with a chat template, loaded from a local folder or by Hub id."""

    def __init__(
        self,
        name: str,
        chat_template: Path | None = None,
        chat_template_kwargs: str | None = None,
        *,
        prompts_only: bool = False,
    ) -> None:
        """Load it.

        Args:
            name: local folder or Hub id, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.
            chat_template: a Jinja file to use instead of the tokenizer's own.
            chat_template_kwargs: settings of the template as a JSON object, e.g. ``{"enable_thinking": false}``.
            prompts_only: for an agent, which counts prompts and not answers; see `ChatTemplate`.

        Raises:
            UserError: if it does not exist, is not a fast tokenizer, or has no chat template that keeps the rule of
                `agentmerge_hub.chat_template.rendering`.
        """
        if find_spec("torch") is None:  # transformers would warn of it, and a tokenizer needs none
            os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
        self.name = name
        tokenizer = fast_tokenizer(name)
        if chat_template is not None:
            tokenizer.chat_template = Path(chat_template).read_text(encoding="utf-8")
        if not tokenizer.chat_template:
            raise UserError(
                f"the tokenizer of {name!r} has no chat template: use the instruct model's, or --chat-template FILE"
            )
        self.template = ChatTemplate(tokenizer, parse_settings(chat_template_kwargs), prompts_only=prompts_only)
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special_tokens = tokenizer.all_special_tokens
        self._patterns = segment_patterns(self._backend)
        self._pieces = piece_pattern(self._backend)
        added = (token.content for token in self._backend.get_added_tokens_decoder().values())
        self._added = re.compile("|".join(map(re.escape, added)) or r"(?!)")
        self._cached: dict[str, int] = {}
        self._cached_characters = 0

    @property
    def identity(self) -> str:
        """Equal for tokenizers that give the same tokens and render the same text, wherever they were loaded from."""
        return hashlib.sha256(f"{self._backend.to_str()}\0{self.template.source}".encode()).hexdigest()

    def render(self, messages: Sequence[Message]) -> str:
        """A prompt as the text that the model reads; the assistant's turn is opened at its end.

        Raises:
            TemplateRefused: if the chat template cannot render it, e.g. because it takes no two user turns in a row.
        """
        try:
            return self.template.prompt_text(messages)
        except UserError as error:
            raise TemplateRefused(str(error)) from None

    def count_completion(self, prompt: str, answer: str) -> int:
        """Number of tokens of an answer and its end-of-turn token behind a rendered prompt.

        Raises:
            ValueError: the answer holds the end-of-turn token, or its tokens are not those of the answer verbatim.
            UserError: the tokenizer fails at the text.
        """
        if self.template.end_of_turn in answer:
            raise ValueError(f"the answer holds the end-of-turn token {self.template.end_of_turn}")
        # A special token is split off before anything else, so that the text from the last one on has the same tokens alone.
        start = 0
        for token in self._special_tokens:
            start = max(start, prompt.rfind(token, start))
        tail = prompt[start:]
        encodings = [tail, tail + self.template.completion_text(answer)]
        with _panics_as_sentences(self.name):
            before, whole = (self._backend.encode(text, add_special_tokens=False).ids for text in encodings)
        if problem := self.template.completion_problem(before, whole, answer):
            raise ValueError(problem)
        return len(whole) - len(before)

    def count(self, text: str) -> int:
        """Number of tokens of a rendered text; its special tokens are read as such and none are added."""
        return self.counts([text])[0]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """`count` of many texts, in one batch on all cores.

        Lines and words that were counted before are not tokenized again, where the tokenizer splits them independently
        (`segments`); the numbers are the same.

        Raises:
            UserError: if the tokenizer fails at a text.
        """
        if self._cached_characters > _MAX_CACHED_CHARACTERS:
            self._cached.clear()
            self._cached_characters = 0
        with _panics_as_sentences(self.name):
            return self._summed(texts, self._patterns)

    def _summed(self, texts: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> list[int]:
        """Counts of texts as the sums of their segments' under the first pattern; new segments are counted under the others."""
        if not patterns:
            return self._summed_pieces(texts) if self._pieces and self._patterns else self._encoded(texts)
        cached = self._cached
        segmented = [patterns[0].findall(text) for text in texts]
        new = list(set(filterfalse(cached.__contains__, chain.from_iterable(segmented))))
        cached.update(zip(new, self._summed(new, patterns[1:])))
        self._cached_characters += sum(map(len, new))
        return [sum(map(cached.__getitem__, segments)) for segments in segmented]

    def _summed_pieces(self, texts: Sequence[str]) -> list[int]:
        """Counts of words as the sums of their pieces', for instance of the parts of a URL; in full where a word is not ASCII
        or holds an added token, which is split off before anything else."""
        assert self._pieces is not None
        cached = self._cached
        whole = set(texts) if self._added.search("\0".join(texts)) else {text for text in texts if not text.isascii()}
        pieces = {text: self._pieces.findall(text) for text in texts if text not in whole}
        new = list(set(filterfalse(cached.__contains__, chain(whole, *pieces.values()))))
        cached.update(zip(new, self._encoded(new)))
        self._cached_characters += sum(map(len, new))
        cached.update((text, sum(map(cached.__getitem__, found))) for text, found in pieces.items())
        return [cached[text] for text in texts]

    def _encoded(self, texts: Sequence[str]) -> list[int]:
        texts = list(texts)
        batches = (texts[start : start + _MAX_BATCH] for start in range(0, len(texts), _MAX_BATCH))
        return [
            len(encoding)
            for batch in batches
            for encoding in self._backend.encode_batch_fast(batch, add_special_tokens=False)
        ]

    @cached_property
    def control_tokens(self) -> frozenset[str]:
        """Texts that this tokenizer or its chat template uses to structure a conversation: special tokens, and markers such
        as ``<|user|>`` that the template writes around messages."""
        added = self._backend.get_added_tokens_decoder().values()
        tokens = {token.content for token in added if token.special} | set(self._special_tokens)
        tokens.add(self.template.end_of_turn)
        tokens.update(_MARKER.findall(self.render([Message(role=role, content="x") for role in ("system", "user")])))
        return frozenset(token for token in tokens if len(token) > 2)

    @cached_property
    def _control_pattern(self) -> tuple[tuple[str, ...], re.Pattern[str]]:
        longest_first = sorted(self.control_tokens, key=lambda token: (-len(token), token))
        return tuple({token[:2] for token in longest_first}), re.compile("|".join(map(re.escape, longest_first)))

    def needs_escape(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts may hold something that `escape` changes; quick, and true of other texts too."""
        beginnings, _ = self._control_pattern
        return any(beginning in text for beginning in beginnings for text in texts)

    def escape(self, text: str) -> tuple[str, int]:
        """The text with a space inside everything that would become a control token, and how many there were."""
        beginnings, pattern = self._control_pattern
        count = 0
        while beginnings and any(beginning in text for beginning in beginnings):
            text, found = pattern.subn(lambda match: f"{match[0][0]} {match[0][1:]}", text)
            if not found:
                break
            count += found
        return text, count


_MARKER = re.compile(
    r"<</?[A-Z]{3,20}>>|\[/?[A-Z_]{3,20}\]"  # Llama 2 and Mistral: <<SYS>>, [INST]
    r"|<(?!/?think)[^<>\s]{1,42}>"  # ChatML, Llama 3, Phi, DeepSeek, Gemma, MiniCPM; a thought is part of an answer
)
