"""The student's tokenizer and chat template: messages in, exact token counts out. No model is ever loaded."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Message
from agentmerge_hub.segments import segment_patterns

_MAX_CACHED_CHARACTERS = 16_000_000
"""Characters of the segments whose counts are cached: some 60 MB with their dictionary."""


class ChatTokenizer:
    """A fast tokenizer with a chat template, loaded from a local folder or by Hub id."""

    def __init__(self, name: str, chat_template: Path | None = None) -> None:
        """Load it.

        Args:
            name: local folder or Hub id, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.
            chat_template: a Jinja file to use instead of the tokenizer's own.

        Raises:
            UserError: if it does not exist, is not a fast tokenizer, or has no chat template.
        """
        from transformers import AutoTokenizer

        self.name = name
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError, KeyError) as error:
            where = (
                "the folder has no tokenizer files"
                if Path(name).is_dir()
                else "no such folder, and not a Hub id within reach"
            )
            raise UserError(
                f"no tokenizer at {name!r}: {where} (--tokenizer takes a local folder or a Hub id)"
            ) from error
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise UserError(f"the tokenizer of {name!r} has no tokenizer.json: token offsets need a fast tokenizer")
        if chat_template is not None:
            tokenizer.chat_template = Path(chat_template).read_text(encoding="utf-8")
        if not tokenizer.chat_template:
            raise UserError(
                f"the tokenizer of {name!r} has no chat template: use the instruct model's, or --chat-template FILE"
            )
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._patterns = segment_patterns(self._backend)
        self._cached: dict[str, int] = {}
        self._cached_characters = 0

    @property
    def identity(self) -> str:
        """Equal for tokenizers that give the same tokens and render the same text, wherever they were loaded from."""
        return hashlib.sha256(f"{self._backend.to_str()}\0{self._tokenizer.chat_template}".encode()).hexdigest()

    def render(self, messages: Sequence[Message], *, answer_next: bool = True) -> str:
        """Messages as the one text the model reads; `answer_next` opens the assistant's turn at its end."""
        text = self._tokenizer.apply_chat_template(
            [{"role": message["role"], "content": message["content"]} for message in messages],
            tokenize=False,
            add_generation_prompt=answer_next,
        )
        assert isinstance(text, str)
        return text

    def count(self, text: str) -> int:
        """Number of tokens of a rendered text; its special tokens are read as such and none are added."""
        return self.counts([text])[0]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """`count` of many texts, in one batch on all cores.

        Lines and words that were counted before are not tokenized again, where the tokenizer splits them independently
        (`segments`); the numbers are the same.
        """
        if self._cached_characters > _MAX_CACHED_CHARACTERS:
            self._cached.clear()
            self._cached_characters = 0
        return self._summed(texts, self._patterns)

    def _summed(self, texts: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> list[int]:
        """Counts of texts as the sums of their segments' under the first pattern; new segments are counted under the others."""
        if not patterns:
            return self._encoded(texts)
        cached = self._cached
        segmented = [patterns[0].findall(text) for text in texts]
        new = list(set().union(*segmented).difference(cached))
        cached.update(zip(new, self._summed(new, patterns[1:])))
        self._cached_characters += sum(map(len, new))
        return [sum(map(cached.__getitem__, segments)) for segments in segmented]

    def _encoded(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def after_last_special(self, text: str) -> int | None:
        """Offset of the last special token of a rendered text, None if it holds none.

        A special token is split off before anything else, so that the text from there on has the same tokens alone.
        """
        places = [text.rfind(token) for token in self._tokenizer.all_special_tokens]
        return max((place for place in places if place >= 0), default=None)
