"""The student's tokenizer and chat template: messages in, exact token counts out. No model is ever loaded."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Message


class ChatTokenizer:
    """A fast tokenizer with a chat template, loaded from a local folder or by Hub id."""

    def __init__(self, name: str, chat_template: Path | None = None) -> None:
        """Load it.

        Args:
            name: local folder or Hub id, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.
            chat_template: a Jinja file to use instead of the tokenizer's own.

        Raises:
            UserError: if it is not there, is not a fast tokenizer, or has no chat template.
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

    @property
    def identity(self) -> str:
        """Equal for tokenizers that give the same tokens and render the same text, wherever they were loaded from."""
        return hashlib.sha256(f"{self._backend.to_str()}\0{self._tokenizer.chat_template}".encode()).hexdigest()

    def render(self, messages: Sequence[Message], *, answer_next: bool = True) -> str:
        """Messages as the one text the model reads; `answer_next` opens the assistant's turn at its end."""
        return self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=answer_next
        )

    def count(self, text: str) -> int:
        """Number of tokens of a rendered text; its special tokens are read as such and none are added."""
        return len(self._backend.encode_batch_fast([text], add_special_tokens=False)[0])

    def counts(self, texts: Sequence[str]) -> list[int]:
        """`count` of many texts in one batch on all cores: several times faster than one by one."""
        return [len(encoding) for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def after_last_special(self, text: str) -> int | None:
        """Where the last special token of a rendered text begins, None if it holds none.

        A special token is split off before anything else, so that the text from there on has the same tokens alone.
        """
        places = [text.rfind(token) for token in self._tokenizer.all_special_tokens]
        return max((place for place in places if place >= 0), default=None)

    def offsets(self, text: str) -> "TokenOffsets":
        """Where each token of a rendered text begins, in characters."""
        return TokenOffsets([start for start, _ in self._backend.encode(text, add_special_tokens=False).offsets])


class TokenOffsets:
    """Token positions of one text."""

    def __init__(self, starts: list[int]) -> None:
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts)

    def between(self, begin: int, end: int) -> int:
        """Number of tokens that begin in ``text[begin:end]``."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, begin)
