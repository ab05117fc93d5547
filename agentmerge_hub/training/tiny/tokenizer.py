"""The tiny models' tokenizer: byte-level BPE whose vocabulary makes an agent's prompt short.

Numbers below 100 are one token each, so that a bid is copied in one step; a word is the same token everywhere, because
spaces are tokens of their own; the long fixed lines of `agentmerge_hub.prompt` are one token each.
"""

import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agentmerge_hub.prompt import EXAMPLE_BID, Flags, render
from agentmerge_hub.records import Observation
from agentmerge_hub.training.tiny import pages, words

SPECIAL = ("<|bos|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>")

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_PIECES = r"\p{L}+|\p{N}{1,2}|[^\p{L}\p{N}]+"
_SHORTEST_FIXED_LINE = 10
_MARKS = ("<action>\n", "\n</action>", "<think>\n", "\n</think>\n", "## Goal:\n", "click('", "fill('", "')", "', '")


def new_tokenizer(seed: int, vocabulary: int = 1792) -> PreTrainedTokenizerFast:
    """Train it on the synthetic pages; the end-of-turn token is the end-of-sequence token."""
    rng = random.Random(seed)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    corpus = ["".join(pages.document(rng)) for _ in range(3000)]
    corpus += [" ".join(map(str, range(100)))] * 2000 + [" ".join([*words.WORDS, *words.GLUE])] * 300
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    bpe.add_tokens([AddedToken(text, normalized=False) for text in (*fixed_lines(), *_MARKS)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=SPECIAL[0], eos_token=SPECIAL[1], pad_token=SPECIAL[2]
    )
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL[3:])})
    fast.chat_template = CHAT_TEMPLATE
    return fast


def fixed_lines() -> list[str]:
    """The long lines that every prompt with the demo's flags repeats, each with its line break."""
    found: dict[str, None] = {}
    for several in (False, True):
        flags = Flags.model_validate(
            {
                "action_space": "click_fill", "use_focused_element": False, "long_description": False,
                "individual_examples": False, "extract_visible_tag": False, "extract_clickable_tag": False,
                "use_thinking": several, "multi_actions": several, "use_think_history": several,
            }
        )  # fmt: skip
        for message in render(Observation("", axtree="-"), [], flags).messages():
            found |= dict.fromkeys(line for line in message["content"].splitlines(keepends=True))
    return [
        line for line in found if len(line) >= _SHORTEST_FIXED_LINE and EXAMPLE_BID + "'" not in line and line[0] != "<"
    ]
