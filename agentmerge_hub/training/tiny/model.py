"""The tiny Llama and how its weights begin.

Finding a word again and copying what stands beside it takes attention heads that did not grow from random weights in the
million tokens that a few minutes on a CPU allow. Here they begin half-grown, in an ordinary Llama: the residual stream
starts out in four parts (this token, the one before it, those further before, the next one); first-layer heads look one
to three tokens back and at the latest number, second-layer heads compare those parts and copy what they find, and one
third-layer head points at the line of a tree whose name stood outside it before. So the look-up is partly built in, not
learned; everything is trained afterwards. The idea of beginning attention as what it ends as: Trockman and Kolter, Mimetic Initialization of
Self-Attention Layers, 2023; the heads themselves: Olsson et al., In-context Learning and Induction Heads, 2022.
"""

import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN, LAYERS, HEADS, HEAD, MLP = 192, 3, 4, 64, 384
ROTARY_BASE = 1e8
"""So that the slow two thirds of a head's rotary pairs hardly turn over a page, and can compare tokens far apart."""

_FAST, _SLOW = 6, 11
"""Rotary pairs below _FAST tell neighbouring positions apart; those from _SLOW on compare contents."""

_PART = HIDDEN // 4
HERE, BEFORE, FURTHER, NEXT = (slice(start, start + _PART) for start in range(0, HIDDEN, _PART))
_CONSTANT, _NUMBER, _OUTSIDE = 0, 1, 0
"""A component of HERE that all tokens share: what a head uses that looks at positions alone; and one that numbers share."""


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A float32 Llama with begun weights; draws from torch's global generator."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=HIDDEN,
            intermediate_size=MLP,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=HEAD,
            max_position_embeddings=2048,
            rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
            tie_word_embeddings=False,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    begin(model, tokenizer)
    return model


@torch.no_grad()
def begin(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Set embeddings and the attention of the first two layers as the module's docstring says."""
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
    tokens = torch.nn.functional.normalize(torch.randn(len(embedding), _PART - 2))
    embedding.normal_(std=0.01)
    embedding[:, _CONSTANT] = 0.5
    embedding[:, HERE][:, 2:] = tokens
    head.normal_(std=0.01)
    head[:, NEXT][:, 2:] = tokens

    embedding[tokenizer.convert_tokens_to_ids([str(number) for number in range(100)]), _NUMBER] = 1.0

    first, second, third = (layer.self_attn for layer in model.model.layers)
    for attention in (first, second, third):
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            projection.weight.normal_(std=0.002)
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.normal_(std=0.002)
    # The token before, the two before that, and the latest number: in a line of a tree, its bid.
    look(first, 0, distance=1, sharpness=15.0)
    copy(first, 0, HERE, BEFORE, 1.0)
    for distance in (2, 3):
        look(first, distance - 1, distance, sharpness=15.0)
        copy(first, distance - 1, HERE, FURTHER, 0.3, turned=True)
    latest_number(first, 3, sharpness=40.0)
    copy(first, 3, HERE, FURTHER, 1.0, flags=(_NUMBER,))
    # What followed this token the last time it stood here.
    compare(second, 0, HERE, BEFORE)
    copy(second, 0, HERE, NEXT, 3.0)
    # The bid of the line where the token before this one stands in a tree.
    compare(second, 1, BEFORE, HERE)
    look(second, 1, distance=1, sharpness=-15.0)
    copy(second, 1, FURTHER, NEXT, 3.0)
    # Where this token stood before: after what, and whether outside a tree's lines.
    for head in (2, 3):
        compare(second, head, HERE, HERE, sharpness=20.0)
        look(second, head, distance=0, sharpness=-15.0)
    copy(second, 2, BEFORE, FURTHER, 0.5, turned=True)
    row = 3 * HEAD
    second.v_proj.weight[row, HERE][_CONSTANT] = 0.33
    second.v_proj.weight[row, FURTHER][_NUMBER] = -0.12
    second.o_proj.weight[BEFORE, row][_OUTSIDE] = 2.0
    # The bid of the line in which a word stands that stood outside before: the element a text speaks of.
    third.q_proj.weight[HEAD // 2 - 1, HERE][_CONSTANT] = 4.0
    third.k_proj.weight[HEAD // 2 - 1, BEFORE][_OUTSIDE] = 3.0
    third.k_proj.weight[HEAD // 2 - 1, FURTHER][_NUMBER] = 4.0
    quotes = tokenizer(" '", add_special_tokens=False)["input_ids"]  # they stand everywhere and say nothing
    third.k_proj.weight[HEAD // 2 - 1, HERE][2:] = -4.5 * tokens[quotes].sum(0)
    copy(third, 0, FURTHER, NEXT, 5.0)


def look(attention: torch.nn.Module, number: int, distance: int, sharpness: float) -> None:
    """A head whose query points, by rotary phase, at the key `distance` tokens back, or away from it if negative."""
    rows = slice(number * HEAD, (number + 1) * HEAD)
    query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    constant = 0.5 * math.sqrt(HIDDEN / 1.25)  # the constant component after the norm
    strength = math.sqrt(abs(sharpness) * math.sqrt(HEAD) / _FAST) / constant
    for pair in range(_FAST):
        phase = -distance * ROTARY_BASE ** (-2 * pair / HEAD)
        key[pair, _CONSTANT] = strength
        query[pair, _CONSTANT] = math.copysign(strength, sharpness) * math.cos(phase)
        query[pair + HEAD // 2, _CONSTANT] = math.copysign(strength, sharpness) * math.sin(phase)


def latest_number(attention: torch.nn.Module, number: int, sharpness: float) -> None:
    """A head that attends to the nearest number before: keys that only numbers have, losing phase with distance."""
    rows = slice(number * HEAD, (number + 1) * HEAD)
    strength = math.sqrt(sharpness * math.sqrt(HEAD) / 3) / math.sqrt(0.5) / math.sqrt(HIDDEN / 1.25)
    for pair in range(4, 7):
        attention.k_proj.weight[rows][pair, _NUMBER] = strength
        attention.q_proj.weight[rows][pair, _CONSTANT] = strength


def compare(
    attention: torch.nn.Module, number: int, query_part: slice, key_part: slice, sharpness: float = 12.0
) -> None:
    """A head that attends to the tokens whose `key_part` is like this token's `query_part`."""
    slow = [*range(_SLOW, HEAD // 2), *range(HEAD // 2 + _SLOW, HEAD)]
    rows = torch.tensor([number * HEAD + row for row in slow])
    match = torch.linalg.qr(torch.randn(_PART, len(slow)))[0].T  # [slow, part]
    match[:, [_CONSTANT, _NUMBER]] = 0
    length = HIDDEN / 4 * len(slow) / _PART  # squared, of a part after the norm
    match *= math.sqrt(sharpness * math.sqrt(HEAD) / length)
    for projection, part in ((attention.q_proj, query_part), (attention.k_proj, key_part)):
        block = projection.weight[rows]
        block[:, part] = match
        projection.weight[rows] = block


def copy(
    attention: torch.nn.Module, number: int, source: slice, to: slice, gain: float, turned: bool = False, flags=()
) -> None:
    """What a head passes on: a part of the token it attends to, into a part of this one, under a rotation if `turned`."""
    rows = slice(number * HEAD, number * HEAD + _PART)
    norm = math.sqrt(HIDDEN / 4)
    value = torch.eye(_PART)
    for flag in {_CONSTANT, _NUMBER} - set(flags):
        value[flag] = 0
    attention.v_proj.weight[rows, source] = value
    rotation = torch.linalg.qr(torch.randn(_PART, _PART))[0] if turned else torch.eye(_PART)
    attention.o_proj.weight[to, rows] = gain / norm * rotation
