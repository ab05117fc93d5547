"""Hashes of the files of a model folder that a merge reads: weights, configuration and tokenizer, in the format that is read.

Other files change nothing: notes, a download cache, and the same weights in other formats (.bin, .gguf, consolidated).
"""

from pathlib import Path

from agentmerge_hub.files import content_hash
from agentmerge_hub.merging.inputs.adapter import WEIGHTS, is_adapter
from agentmerge_hub.merging.inputs.checkpoint import weight_files

_OTHER_FORMATS = (".gguf", ".bin", ".bin.index.json")


def input_file_hashes(folder: Path) -> dict[str, str]:
    """File → sha256.

    Raises:
        UserError: if weights are missing.
    """
    weights = {WEIGHTS} if is_adapter(folder) else {path.name for path in weight_files(folder)}

    def is_read(name: str) -> bool:
        if name.endswith(".safetensors"):
            return name in weights
        return content_hash.is_model_file(name) and not name.endswith(_OTHER_FORMATS)

    return content_hash.file_hashes(folder, is_read, content_hash.file_hash_by_process)


def input_hash(folder: Path) -> str:
    """One sha256 of the files that are read."""
    return content_hash.combined_hash(input_file_hashes(folder))
