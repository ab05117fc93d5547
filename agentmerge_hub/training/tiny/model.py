"""The tiny Llama and the initialization of its weights.

Attention heads that find a word again and copy the token beside it do not grow from random weights in the million tokens
that a few minutes on a CPU allow. Here they are half-built at initialization, in an ordinary Llama: the residual stream
has four parts (this token, the one before it, those further before, the next one); first-layer heads attend one to three
tokens back and to the latest number, second-layer heads compare those parts and copy what they find, and one third-layer
head attends to the line of a tree whose name occurred outside the tree before. So the look-up is partly built in, not
learned; everything is trained afterwards. Initializing attention near what it learns: Trockman and Kolter, Mimetic
Initialization of Self-Attention Layers, 2023; the heads: Olsson et al., In-context Learning and Induction Heads, 2022.
"""

import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaAttention

HIDDEN, LAYERS, HEADS, HEAD, MLP = 192, 3, 4, 64, 384
ROTARY_BASE = 1e8
"""Large, so that the slow two thirds of a head's rotary pairs hardly turn over a page and can compare distant tokens."""

_FAST, _SLOW = 6, 11
"""Rotary pairs below _FAST distinguish neighboring positions; those from _SLOW on compare contents."""

_PART = HIDDEN // 4
HERE, BEFORE, FURTHER, NEXT = (slice(start, start + _PART) for start in range(0, HIDDEN, _PART))
_CONSTANT, _NUMBER, _OUTSIDE = 0, 1, 0
"""Components of HERE: one that all tokens share, for heads that attend by position only, and one that numbers share; and one
of BEFORE that marks tokens that occurred outside a tree."""


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A float32 Llama with initialized weights; draws from torch's global generator."""
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
    initialize_weights(model, tokenizer)
    return model


@torch.no_grad()
def initialize_weights(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Set embeddings and attention as the module's docstring describes."""
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
    attend_to_distance(first, 0, distance=1, sharpness=15.0)
    copy_part(first, 0, HERE, BEFORE, 1.0)
    for distance in (2, 3):
        attend_to_distance(first, distance - 1, distance, sharpness=15.0)
        copy_part(first, distance - 1, HERE, FURTHER, 0.3, rotated=True)
    attend_to_latest_number(first, 3, sharpness=40.0)
    copy_part(first, 3, HERE, FURTHER, 1.0, flags=(_NUMBER,))
    # The token that followed this one at its last occurrence.
    attend_to_equal(second, 0, HERE, BEFORE)
    copy_part(second, 0, HERE, NEXT, 3.0)
    # The bid of the tree line that holds the token before this one.
    attend_to_equal(second, 1, BEFORE, HERE)
    attend_to_distance(second, 1, distance=1, sharpness=-15.0)
    copy_part(second, 1, FURTHER, NEXT, 3.0)
    # The earlier occurrence of this token: what preceded it, and whether it was outside a tree's lines.
    for head in (2, 3):
        attend_to_equal(second, head, HERE, HERE, sharpness=20.0)
        attend_to_distance(second, head, distance=0, sharpness=-15.0)
    copy_part(second, 2, BEFORE, FURTHER, 0.5, rotated=True)
    row = 3 * HEAD
    second.v_proj.weight[row, HERE][_CONSTANT] = 0.33
    second.v_proj.weight[row, FURTHER][_NUMBER] = -0.12
    second.o_proj.weight[BEFORE, row][_OUTSIDE] = 2.0
    # The bid of the tree line with a word that occurred outside the tree before: the element that a text names.
    third.q_proj.weight[HEAD // 2 - 1, HERE][_CONSTANT] = 4.0
    third.k_proj.weight[HEAD // 2 - 1, BEFORE][_OUTSIDE] = 3.0
    third.k_proj.weight[HEAD // 2 - 1, FURTHER][_NUMBER] = 4.0
    quotes = tokenizer(" '", add_special_tokens=False)["input_ids"]  # they are everywhere and identify nothing
    third.k_proj.weight[HEAD // 2 - 1, HERE][2:] = -4.5 * tokens[quotes].sum(0)
    copy_part(third, 0, FURTHER, NEXT, 5.0)


def attend_to_distance(attention: LlamaAttention, number: int, distance: int, sharpness: float) -> None:
    """Make a head attend, by rotary phase, to the key `distance` tokens back, or away from it if `sharpness` is negative."""
    rows = slice(number * HEAD, (number + 1) * HEAD)
    query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    constant = 0.5 * math.sqrt(HIDDEN / 1.25)  # the constant component after the norm
    strength = math.sqrt(abs(sharpness) * math.sqrt(HEAD) / _FAST) / constant
    for pair in range(_FAST):
        phase = -distance * ROTARY_BASE ** (-2 * pair / HEAD)
        key[pair, _CONSTANT] = strength
        query[pair, _CONSTANT] = math.copysign(strength, sharpness) * math.cos(phase)
        query[pair + HEAD // 2, _CONSTANT] = math.copysign(strength, sharpness) * math.sin(phase)


def attend_to_latest_number(attention: LlamaAttention, number: int, sharpness: float) -> None:
    """Make a head attend to the nearest number before: only numbers have such keys, and they lose phase with distance."""
    rows = slice(number * HEAD, (number + 1) * HEAD)
    strength = math.sqrt(sharpness * math.sqrt(HEAD) / 3) / math.sqrt(0.5) / math.sqrt(HIDDEN / 1.25)
    for pair in range(4, 7):
        attention.k_proj.weight[rows][pair, _NUMBER] = strength
        attention.q_proj.weight[rows][pair, _CONSTANT] = strength


def attend_to_equal(
    attention: LlamaAttention, number: int, query_part: slice, key_part: slice, sharpness: float = 12.0
) -> None:
    """Make a head attend to the tokens whose `key_part` is similar to this token's `query_part`."""
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


def copy_part(
    attention: LlamaAttention,
    number: int,
    source: slice,
    target: slice,
    gain: float,
    rotated: bool = False,
    flags: tuple[int, ...] = (),
) -> None:
    """Make a head copy a part of the token that it attends to into a part of this one, under a rotation if `rotated`."""
    rows = slice(number * HEAD, number * HEAD + _PART)
    norm = math.sqrt(HIDDEN / 4)
    value = torch.eye(_PART)
    for flag in {_CONSTANT, _NUMBER} - set(flags):
        value[flag] = 0
    attention.v_proj.weight[rows, source] = value
    rotation = torch.linalg.qr(torch.randn(_PART, _PART))[0] if rotated else torch.eye(_PART)
    attention.o_proj.weight[target, rows] = gain / norm * rotation
