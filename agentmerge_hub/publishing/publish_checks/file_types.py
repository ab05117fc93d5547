"""The files that are published, by name, with the extractor that reads each type. Every other name is refused."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.gguf_texts import gguf_texts
from agentmerge_hub.publishing.publish_checks.named_texts import (
    card_texts,
    license_texts,
    notice_texts,
    template_texts,
)
from agentmerge_hub.publishing.publish_checks.parquet_texts import parquet_texts
from agentmerge_hub.publishing.publish_checks.png_texts import png_texts
from agentmerge_hub.publishing.publish_checks.safetensors_texts import safetensors_texts
from agentmerge_hub.publishing.publish_checks.session_trace_texts import session_trace_texts
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, json_texts, yaml_texts
from agentmerge_hub.publishing.publish_checks.tokenizer_texts import (
    sentencepiece_texts,
    tokenizer_texts,
    vocabulary_texts,
)

Extractor = Callable[[str, Content], Iterator[Text]]

_COMMON: dict[str, Extractor] = {
    r"README\.md": card_texts,
    r"LICENSE(?:-\d+)?(?:\.txt|\.md)?": license_texts,
    r"NOTICE(?:-\d+)?(?:\.txt|\.md)?": notice_texts,
    r"manifest\.json|withdrawn\.json": json_texts,
}
DATASET_FILES: Mapping[str, Extractor] = _COMMON | {
    r"(?:data/[a-z0-9_-]+/)?[a-z0-9_-]+\.parquet": parquet_texts,
    r"sessions/[A-Za-z0-9_-]+\.jsonl": session_trace_texts,
    r"[a-z0-9_-]+\.png": png_texts,
    r"[a-z0-9_-]+\.json": json_texts,
    r"[a-z0-9_-]+\.ya?ml": yaml_texts,
}
MODEL_FILES: Mapping[str, Extractor] = _COMMON | {
    r"(?:model|adapter_model)(?:-\d{5}-of-\d{5})?\.safetensors": safetensors_texts,
    r"model-[a-z0-9_]+\.gguf": gguf_texts,
    r"tokenizer\.json": tokenizer_texts,
    r"vocab\.json|vocab\.txt|merges\.txt": vocabulary_texts,
    r"tokenizer\.model|spiece\.model": sentencepiece_texts,
    r"(?:config|generation_config|adapter_config|tokenizer_config|special_tokens_map|added_tokens|chat_template)\.json": json_texts,
    r"(?:preprocessor_config|processor_config|(?:model|adapter_model)\.safetensors\.index)\.json": json_texts,
    r"chat_template\.jinja|additional_chat_templates/[a-z0-9_-]+\.jinja": template_texts,
    r"mergekit_config\.yml|\.eval_results/[A-Za-z0-9_.-]+\.yaml": yaml_texts,
}
"""Pattern of the whole path → extractor."""


def texts_of(name: str, content: Content, types: Mapping[str, Extractor]) -> Iterator[Text]:
    """The name and every text of one file.

    Raises:
        UserError: if a file of this name is not published, is a link, or is not what its name promises.
    """
    yield Text(f"the name of {name}", name, document=True)
    extract = next((extract for pattern, extract in types.items() if re.fullmatch(pattern, name)), None)
    if extract is None:
        raise UserError(f"{name} is not a file that is published: remove it")
    if isinstance(content, Path) and content.is_symlink():
        raise UserError(f"{name} is a symbolic link: replace it with the file")
    try:
        yield from extract(name, content)
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from error
