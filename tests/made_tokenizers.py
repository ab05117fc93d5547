"""Tokenizers of the kinds that students have, trained here on the project's own files: what differs is how they split."""

import json
import os
import shutil
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] | trim }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|bos|>", "<|end|>", "<|pad|>", "<|start|>"]
REAL = os.environ.get("AGENTMERGE_LLAMA_TOKENIZER", "")
"""Folder of the real Llama-3.1 tokenizer: the same tests run on it where it is there."""


def split_by(regex: str) -> pre_tokenizers.PreTokenizer:
    """Pieces of a pattern, their bytes as letters."""
    split = pre_tokenizers.Split(Regex(regex), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2() -> Tokenizer:
    """As GPT-2 and SmolLM2."""
    made = Tokenizer(models.BPE())
    digits, rest = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    return _trained(made)


def llama() -> Tokenizer:
    """As Llama 3 and its descent."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = split_by(LLAMA_3)
    return _trained(made)


def qwen() -> Tokenizer:
    """As Qwen 2 and 3: digits are pieces of their own."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = split_by(LLAMA_3.replace("{1,3}", ""))
    return _trained(made)


def tekken() -> Tokenizer:
    """As Mistral's tekken: pieces end where capital letters begin, and slashes may follow line breaks."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = split_by(TEKKEN)
    return _trained(made)


def runs() -> Tokenizer:
    """Letters, numbers, and all that stands between them, line breaks too: lines are not independent."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = split_by(r"\p{L}+|\p{N}{1,2}|[^\p{L}\p{N}]+")
    return _trained(made)


def gemma(pieces: str | None = r"[^▁\n]+|▁+|\n+") -> Tokenizer:
    """As Gemma: SentencePiece's byte-pair encoding over the whole text, spaces as ▁; no token it learns reaches from one of
    the `pieces` into the next."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), "isolated") if pieces else None
    return _as_gemma(_trained(made, [*SPECIAL, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]))


def _as_gemma(made: Tokenizer) -> Tokenizer:
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return made


def _trained(made: Tokenizer, special: list[str] | None = None) -> Tokenizer:
    made.decoder = decoders.ByteLevel()
    alphabet = [] if special else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=special or SPECIAL, initial_alphabet=alphabet, show_progress=False,
        max_token_length=16,
    )  # fmt: skip
    made.train_from_iterator(
        [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("*.py")], trainer
    )
    return made


def saved(made: Tokenizer, folder: Path, chat_template: str) -> Path:
    """A folder that ChatTokenizer loads."""
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>")
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return folder


def with_pattern(source: Path, folder: Path, pattern: str) -> Path:
    """A copy of a tokenizer that splits text at a pattern."""
    shutil.copytree(source, folder)
    path = folder / "tokenizer.json"
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pre_tokenizer": split}))
    return folder


SLOW, SLOW_TEXT = "(x+x+)+y", "x" * 60
"""A pattern that takes so long on a text that the tokenizer panics."""

KINDS = {
    "gpt2": gpt2,
    "llama": llama,
    "qwen": qwen,
    "tekken": tekken,
    "runs": runs,
    "gemma": gemma,
    "gemma across words": lambda: gemma(r"[^\n]+|\n+"),
    "gemma across lines": lambda: gemma(None),
}
