"""Trim a prompt to a token budget, exactly: whole lines go from the end of the AXTree, then of the HTML.

The budget counts every token of the rendered chat prompt under the student's tokenizer. The fewest lines that fit are
cut; a mark says how many went. The dataset and the acting agent use the same function and the same budget.
"""

from dataclasses import dataclass, field

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Prompt
from agentmerge_hub.tokenizer import ChatTokenizer

CUT_ORDER = ("axtree", "html")


class DoesNotFit(ValueError):
    """The prompt is over the budget even with no line of the page left."""


@dataclass(frozen=True)
class Window:
    """A student's context window, in tokens: what the prompt may take and what is kept free for the answer."""

    total: int = 8192
    answer: int = 1024

    def __post_init__(self) -> None:
        if not 0 < self.answer < self.total:
            raise UserError(f"a window of {self.total} tokens leaves no prompt beside an answer of {self.answer}")

    @property
    def prompt(self) -> int:
        return self.total - self.answer


@dataclass(frozen=True)
class Fitted:
    """A prompt within its budget."""

    prompt: Prompt
    n_tokens: int
    lines_cut: dict[str, int] = field(default_factory=dict)
    """Lines cut by block name; absent where none was."""


def fit(prompt: Prompt, tokenizer: ChatTokenizer, max_tokens: int, n_tokens: int | None = None) -> Fitted:
    """Cut whole lines from the end of the page until the prompt takes at most `max_tokens`.

    Args:
        prompt: a rendered or recorded prompt.
        tokenizer: the student's.
        max_tokens: budget of the rendered prompt, the opening of the assistant's turn included.
        n_tokens: size of the prompt as it is, where it is already known from a batch count.

    Raises:
        DoesNotFit: with the number of tokens it would need.
    """
    if n_tokens is None:
        n_tokens = tokenizer.count(tokenizer.render(prompt.messages()))
    lines_cut: dict[str, int] = {}
    for name in CUT_ORDER:
        if n_tokens <= max_tokens:
            break
        if text := prompt.block(name):
            kept, prompt, n_tokens = _cut(prompt, name, text, tokenizer, max_tokens)
            lines_cut[name] = text.count("\n") + 1 - kept
    if n_tokens > max_tokens:
        raise DoesNotFit(f"{n_tokens} tokens without any line of the page; the budget is {max_tokens}")
    return Fitted(prompt, n_tokens, lines_cut)


def _cut(prompt: Prompt, name: str, text: str, tokenizer: ChatTokenizer, max_tokens: int) -> tuple[int, Prompt, int]:
    """The largest number of lines of a block that fits (0 if none does), the prompt cut to it, and its tokens."""
    lines = text.split("\n")
    cost = _line_costs(prompt, name, lines, tokenizer)

    def keep(k: int) -> tuple[Prompt, int]:
        cut = prompt.with_block(name, "\n".join([*lines[:k], _mark(len(lines) - k)]))
        return cut, tokenizer.count(tokenizer.render(cut.messages()))

    # A first guess from the token offsets of the whole prompt, then exact counts: tokens may merge across the cut, so the
    # guess can be off by a few tokens, never by much.
    bare, n_bare = keep(0)
    if n_bare > max_tokens:
        return 0, bare, n_bare
    kept, room = 0, max_tokens - n_bare
    while kept < len(lines) - 1 and cost[kept] <= room:
        room -= cost[kept]
        kept += 1
    best, n_best = keep(kept) if kept else (bare, n_bare)
    while n_best > max_tokens:
        kept -= 1
        best, n_best = keep(kept)
    while kept < len(lines) - 1 and n_best + cost[kept] - _MERGE_SLACK <= max_tokens:
        longer, n_longer = keep(kept + 1)
        if n_longer > max_tokens:
            break
        kept, best, n_best = kept + 1, longer, n_longer
    return kept, best, n_best


_MERGE_SLACK = 4
"""By how many tokens a line may be cheaper than its own tokens: merges with its neighbours and a shorter mark."""


def _mark(n: int) -> str:
    return f"... ({n} more {'line' if n == 1 else 'lines'} cut)"


def _line_costs(prompt: Prompt, name: str, lines: list[str], tokenizer: ChatTokenizer) -> list[int]:
    """Tokens of each line with its line break, read off one tokenization of the whole prompt."""
    text = tokenizer.render(prompt.messages())
    user = prompt.messages()[-1]["content"].strip()
    before = "".join(block.text for block in prompt.blocks[: [block.name for block in prompt.blocks].index(name)])
    begin = text.rindex(user) + len(before) - (len(before) - len(before.lstrip()))
    offsets = tokenizer.offsets(text)
    costs = []
    for line in lines:
        end = begin + len(line) + 1
        costs.append(offsets.between(begin, end))
        begin = end
    return costs
