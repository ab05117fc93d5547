"""Write an 8-bit GGUF file into each model folder, for llama.cpp, which answers fastest on a laptop's CPU.

    python to_gguf.py BASE FOLDER …

The tokenizer and the shape are those of BASE/packed.gguf; the weights and the chat template are
the folder's. llama.cpp's own convert_hf_to_gguf.py does this for any model.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants
from packed_weights import PACKED, WHOLE, stored_name
from safetensors import safe_open

NAME = "model-q8_0.gguf"


def main(base: Path, folders: list[Path]) -> None:
    packed = GGUFReader(base / PACKED)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
