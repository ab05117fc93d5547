"""The base model's packed.gguf: its tensors' names, and its weights as float32.

    python packed_weights.py FOLDER     # writes FOLDER/model.safetensors from FOLDER/packed.gguf

The same file gives the same bytes on any machine.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader, quants
from safetensors.numpy import save_file

PACKED = "packed.gguf"

LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def stored_name(name: str) -> str:
    """A tensor's name in the model folder."""
    if name in WHOLE:
        return WHOLE[name]
    _, number, part, _ = name.split(".")
    return f"model.layers.{number}.{LAYER[part]}.weight"


def unpack(folder: Path) -> None:
    """Write model.safetensors. Gemma adds 1 to the weights of its norms; GGUF files hold the sum."""
    weights = {}
    for tensor in GGUFReader(folder / PACKED).tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weights[stored_name(tensor.name)] = values - np.float32(1) if values.ndim == 1 else values
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
