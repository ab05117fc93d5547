"""`agentmerge gguf`: a model folder → a GGUF file beside its weights, for llama.cpp, made by llama.cpp's own converter."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.agents.serving.model_folder import check_model_folder, is_adapter
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.gguf.compare import compare

FORMATS = ("bf16", "f16", "q8_0")
_PROGRAM = "convert-hf-to-gguf"
_UNKNOWN_TOKENIZER = "BPE pre-tokenizer was not recognized"


def convert(folder: Path, number_format: str) -> Path:
    """Write ``model-FORMAT.gguf`` into a model folder and add it to the folder's manifest.

    Raises:
        UserError: if the folder holds no whole model, the converter is missing or fails, or its file has other weights.
    """
    check_model_folder(str(folder))
    if is_adapter(folder):
        raise UserError(f"{folder} is an adapter: merge it into its base model first, with `agentmerge merge`.")
    out = folder / f"model-{number_format}.gguf"
    if out.exists():
        raise UserError(f"{out} exists already: remove it to convert the model again.")
    program = Path(sys.executable).with_name(_PROGRAM)
    found = str(program) if program.is_file() else shutil.which(_PROGRAM)
    if found is None:
        raise UserError(f"The program `{_PROGRAM}` is not installed: pip install 'agentmerge-hub[gguf]'.")
    part = folder / f".{out.name}.part"
    command = [
        found,
        str(folder),
        "--outtype",
        number_format,
        "--outfile",
        str(part),
        "--model-name",
        folder.resolve().name,
    ]
    try:
        done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
        if done.returncode or not part.is_file():
            raise UserError(f"{_PROGRAM} cannot convert {folder}: {_reason(done.stderr)}")
        if findings := compare(folder, part):
            raise UserError(f"{_PROGRAM} wrote another model than {folder}: {findings[0]}")
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    if (folder / manifest.NAME).is_file():
        manifest.update_output(folder, out.name)
    return out


def _reason(stderr: str) -> str:
    """What the converter's last line says, without the exception's name."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no message"]
    if _UNKNOWN_TOKENIZER in lines[-1]:
        return "llama.cpp does not know its tokenizer, only those of published models; serve the folder with vLLM or transformers"
    return re.sub(r"^[\w.]*(?:Error|Exception): ", "", lines[-1])[:300]
