"""The tiny Llama and how its weights begin.

Finding a word again and copying what stands beside it takes attention heads that a model of this size needs tens of
millions of tokens to grow from random weights. They begin half-grown here: first-layer heads look one, two, three …
tokens back, later heads compare like with like and pass on what they find (the idea of Trockman and Kolter, Mimetic
Initialization of Self-Attention Layers, 2023). Everything is trained afterwards.
"""

import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN, LAYERS, HEADS, MLP = 128, 4, 4, 384
_FAST = 6
"""Rotary frequencies, fastest first, that tell positions a few tokens apart from each other."""


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
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    begin(model)
    return model


@torch.no_grad()
def begin(model: LlamaForCausalLM) -> None:
    """Set attention weights as the module's docstring says."""
    size = HIDDEN // HEADS
    embedding = model.model.embed_tokens.weight
    embedding[:, 0] = 0.1  # one component common to all tokens: what a head uses that looks at positions alone
    common = (0.1 / embedding.pow(2).mean(-1).sqrt()).mean().item()
    frequencies = 1 / model.config.rope_parameters["rope_theta"] ** (torch.arange(0, size, 2) / size)
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        near_identity(attention.v_proj.weight)
        near_identity(attention.o_proj.weight)
        if number == 0:
            # A subspace of its own for what stood before: a random rotation instead of the identity.
            attention.o_proj.weight.copy_(0.3 * torch.linalg.qr(torch.randn(HIDDEN, HIDDEN))[0])
            strength = math.sqrt(4 * math.sqrt(size) / _FAST) / common
            for head in range(HEADS):
                look_back(attention, head * size, size, head + 1, frequencies, strength)
        else:
            match = torch.randn(HIDDEN, HIDDEN) / math.sqrt(HIDDEN)
            match[:, 0] = 0
            attention.q_proj.weight.copy_(match)
            attention.k_proj.weight.copy_(match)


def near_identity(weight: torch.Tensor) -> None:
    weight.copy_(0.3 * torch.eye(len(weight)) + 0.02 * torch.randn_like(weight))


def look_back(attention, row: int, size: int, distance: int, frequencies: torch.Tensor, strength: float) -> None:
    """A head whose query at position i points, by rotary phase, at the key of position i - distance."""
    query, key = attention.q_proj.weight[row : row + size], attention.k_proj.weight[row : row + size]
    for fast in range(_FAST):
        phase = -distance * frequencies[fast]
        key[fast, 0] = strength
        query[fast, 0] = strength * torch.cos(phase)
        query[fast + size // 2, 0] = strength * torch.sin(phase)
