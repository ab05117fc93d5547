"""Training batches for the tiny models: token ids and loss weights, all of one shape."""

import random
from collections.abc import Callable, Iterator

import torch
from transformers import PreTrainedTokenizerFast

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training.tiny import pages as synthetic
from agentmerge_hub.training.tiny.instructions import instruction
from agentmerge_hub.training.tiny.train import Batch

ROWS, LENGTH = 8, 128
"""Shape of a batch, always the same: CPU kernels are prepared again for every new shape."""

_PAGE_WEIGHT = 0.1
"""Loss weight of a page's own tokens, most of which are unpredictable; what can be looked up above has weight 1."""


def pages(tokenizer: PreTrainedTokenizerFast, rng: random.Random, steps: int) -> Iterator[Batch]:
    """Easy look-ups for the first third of the steps, then all kinds of documents."""
    easy = packed(tokenizer, lambda: synthetic.document(rng, easy=True), _PAGE_WEIGHT)
    for _ in range(int(0.3 * steps)):
        yield next(easy)
    yield from packed(tokenizer, lambda: synthetic.document(rng), _PAGE_WEIGHT)


def chats(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Iterator[Batch]:
    """Chats with the loss on the answers only."""
    template = ChatTemplate(tokenizer)

    def chat() -> tuple[str, str]:
        prompt, completion = instruction(rng)
        return template.prompt_text(prompt), template.completion_text(completion[0]["content"])

    return packed(tokenizer, chat, 0.0)


def packed(tokenizer: PreTrainedTokenizerFast, draw: Callable[[], tuple[str, str]], before: float) -> Iterator[Batch]:
    """Texts with their continuations, packed into rows of one length; what does not fit into a row is dropped.

    Args:
        tokenizer: of the model.
        draw: a text and its continuation.
        before: the loss weight of the text; the continuation's is 1.
    """
    waiting: list[tuple[list[int], list[float]]] = []
    while True:
        ids = torch.full((ROWS, LENGTH), tokenizer.pad_token_id)
        weights = torch.zeros(ROWS, LENGTH)
        for row in range(ROWS):
            taken = 0
            while True:
                if not waiting:
                    waiting = encode(tokenizer, [draw() for _ in range(64)], before)
                tokens, weight = waiting.pop()
                if taken + len(tokens) > LENGTH:
                    if taken:
                        waiting.append((tokens, weight))
                        break
                    continue
                ids[row, taken : taken + len(tokens)] = torch.tensor(tokens)
                weights[row, taken : taken + len(tokens)] = torch.tensor(weight)
                taken += len(tokens)
        yield ids, weights


def encode(
    tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]], before: float
) -> list[tuple[list[int], list[float]]]:
    """Token ids and loss weights of each text with its continuation."""
    heads = tokenizer([head for head, _ in pairs], add_special_tokens=False)["input_ids"]
    tails = tokenizer([tail for _, tail in pairs], add_special_tokens=False)["input_ids"]
    return [(head + tail, [before] * len(head) + [1.0] * len(tail)) for head, tail in zip(heads, tails)]
