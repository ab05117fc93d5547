"""Truncate a prompt to a token budget, exactly: remove whole lines from the end of the AXTree, then of the HTML.

The budget counts every token of the rendered chat prompt under the student's tokenizer. As few lines as possible are
removed; a truncation marker gives their number, with those that were missing before. The dataset and the acting agent use
the same function and the same budget.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Prompt
from agentmerge_hub.prompt.truncation import truncated_lines, truncation_marker
from agentmerge_hub.tokenizer import ChatTokenizer

IMAGE_TOKENS = 1500
"""Tokens kept free for a screenshot unless a setting says otherwise: enough for 1280×720 pixels in models that take a token
for 28×28 pixels (Qwen2.5-VL: 46 · 26 = 1,196)."""

TRUNCATION_ORDER = ("axtree", "html")

CHARACTERS_PER_TOKEN, FREE_CHARACTERS = 64, 4_000_000
"""Bounds a page before it is tokenized, which takes up to 100 bytes of memory a character. Pages have 2 to 5 characters a
token; a window of a million tokens shows 4 million characters of them."""


class DoesNotFit(ValueError):
    """The prompt is over the budget even with no line of the page left."""


@dataclass(frozen=True)
class Window:
    """A student's context window, in tokens: what the prompt's text may take and what is kept free for the answer and for
    a screenshot."""

    total: int = 8192
    answer: int = 1024
    image: int = 0

    def __post_init__(self) -> None:
        if not (self.answer > 0 and self.image >= 0 and self.answer + self.image < self.total):
            beside = f" and an image of {self.image}" if self.image else ""
            raise UserError(
                f"a window of {self.total} tokens leaves no prompt beside an answer of {self.answer}{beside}"
            )

    @property
    def prompt(self) -> int:
        return self.total - self.answer - self.image


@dataclass(frozen=True)
class Fitted:
    """A prompt within its budget."""

    prompt: Prompt
    text: str
    """The prompt as the model reads it."""
    n_tokens: int
    truncated_lines: dict[str, int] = field(default_factory=dict)
    """Removed lines by block name, from the prompt's truncation markers; no entry where none was removed."""
    escaped: int = 0
    """Texts of the prompt that would have become control tokens of the student's template."""


def fit(prompt: Prompt, tokenizer: ChatTokenizer, max_tokens: int) -> Fitted:
    """Remove whole lines from the end of the page until the prompt takes at most `max_tokens`.

    Text that would become a control token of the student's template is escaped first: a page must not end a turn.

    Args:
        prompt: a rendered or recorded prompt.
        tokenizer: the student's.
        max_tokens: budget of the rendered prompt, the opening of the assistant's turn included.

    Raises:
        DoesNotFit: with the number of tokens it would need.
        TemplateRefused: as ChatTokenizer.render.
    """
    prompt, escaped = _escape(_bounded(prompt, max_characters(max_tokens)), tokenizer)
    whole, text = prompt, tokenizer.render(prompt.messages())
    n_tokens = tokenizer.count(text)
    for name in TRUNCATION_ORDER:
        if n_tokens > max_tokens and prompt.block(name):
            prompt, n_tokens = _truncate(prompt, name, n_tokens, tokenizer, max_tokens)
    if n_tokens > max_tokens:
        raise DoesNotFit(f"{n_tokens} tokens without any line of the page; the budget is {max_tokens}")
    if prompt is not whole:
        text = tokenizer.render(prompt.messages())
    removed = {name: truncated_lines(prompt.block(name).rpartition("\n")[2]) for name in TRUNCATION_ORDER}
    return Fitted(prompt, text, n_tokens, {name: n for name, n in removed.items() if n}, escaped)


def max_characters(max_tokens: int) -> int:
    """The most characters of a text that is counted against a budget of tokens; a longer one is over it."""
    return max(FREE_CHARACTERS, CHARACTERS_PER_TOKEN * max_tokens)


def _bounded(prompt: Prompt, limit: int) -> Prompt:
    """The prompt with each block of the page cut to at most `limit` characters of whole lines, and its truncation marker."""
    n_other = len(prompt.system) + sum(len(block.text) for block in prompt.blocks if block.name not in TRUNCATION_ORDER)
    if n_other > limit:
        raise DoesNotFit(f"{n_other} characters without any line of the page, which are not counted in tokens")
    for name in TRUNCATION_ORDER:
        text = prompt.block(name)
        if len(text) > limit:
            kept = text[:limit].rpartition("\n")[0]
            lines = text[len(kept) :].removeprefix("\n").split("\n")
            n_before = truncated_lines(lines[-1])
            marker = truncation_marker(len(lines) - bool(n_before) + n_before)
            prompt = prompt.with_block(name, f"{kept}\n{marker}" if kept else marker)
    return prompt


def _escape(prompt: Prompt, tokenizer: ChatTokenizer) -> tuple[Prompt, int]:
    """The prompt without control tokens in its texts, and how many there were."""
    if not tokenizer.needs_escape([prompt.system, *(block.text for block in prompt.blocks)]):
        return prompt, 0
    system, n = tokenizer.escape(prompt.system)
    escaped = [tokenizer.escape(block.text) for block in prompt.blocks]
    n += sum(found for _, found in escaped)
    if not n:
        return prompt, 0
    return Prompt(system, tuple(replace(block, text=text) for block, (text, _) in zip(prompt.blocks, escaped))), n


def _truncate(
    prompt: Prompt, name: str, n_tokens: int, tokenizer: ChatTokenizer, max_tokens: int
) -> tuple[Prompt, int]:
    """A prompt over its budget with the largest number of a block's lines that fits (none if none does), and its tokens.
    Every try is counted in full: tokens may merge across the place of truncation."""
    lines = prompt.block(name).split("\n")
    removed_before = truncated_lines(lines[-1])
    if removed_before:
        lines.pop()
    ends = [0, *accumulate(len(line) + 1 for line in lines)]

    @cache
    def keep(k: int) -> tuple[Prompt, int]:
        shorter = prompt.with_block(name, "\n".join([*lines[:k], truncation_marker(len(lines) - k + removed_before)]))
        return shorter, tokenizer.count(tokenizer.render(shorter.messages()))

    fits, n_fits = 0, keep(0)[1]
    over, n_over = len(lines), n_tokens
    if n_fits > max_tokens:
        return keep(0)
    halve = False
    while over - fits > 1:
        # Where the budget falls between the two, as if all characters took equal shares; every other time the middle.
        share = 0.5 if halve else (max_tokens - n_fits) / (n_over - n_fits)
        place = bisect_right(ends, ends[fits] + share * (ends[over] - ends[fits])) - 1
        tried = min(max(place, fits + 1), over - 1)
        n_tried, before = keep(tried)[1], over - fits
        if n_tried <= max_tokens:
            fits, n_fits = tried, n_tried
        else:
            over, n_over = tried, n_tried
        halve = not halve and over - fits > before // 2
    while over < len(lines) - 1 and keep(over)[1] <= max_tokens + _SHORTER_BY:
        over += 1
        if keep(over)[1] <= max_tokens:
            fits = over
    return keep(fits)


_SHORTER_BY = 4
"""By how many tokens blank lines can make a prompt shorter: they merge with their neighbours, and the marker loses a digit."""
