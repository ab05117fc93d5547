"""Model files hold no secret in any key, token or number, and are what their names promise."""

import base64
import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks import files as file_checks
from agentmerge_hub.publishing.publish_checks.file_types import MODEL_FILES, texts_of
from agentmerge_hub.publishing.publish_checks.text_extraction import json_texts

CANARY = "hf_" + "Canary0123456789" * 2 + "ab"


class Evil:
    def __reduce__(self) -> tuple:
        return print, ("this pickle ran",)


TOKENIZER = {
    "added_tokens": [{"id": 0, "content": "<|end|>"}],
    "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
}
WEIGHTS = {"a": np.zeros(2, np.float32)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", json.dumps(TOKENIZER | {"model": {"vocab": {CANARY: 1}}}).encode()),
        ("tokenizer.json", json.dumps(TOKENIZER | {"model": {"vocab": [[CANARY, -1.5]]}}).encode()),
        ("tokenizer.json", json.dumps(TOKENIZER | {"added_tokens": [{"content": CANARY}]}).encode()),
        ("tokenizer.json", pickle.dumps(Evil())),
        ("tokenizer.json", b"[]"),
        ("tokenizer.json", json.dumps(TOKENIZER | {"model": "BPE"}).encode()),
        ("tokenizer.json", json.dumps(TOKENIZER | {"added_tokens": [1]}).encode()),
        ("vocab.json", json.dumps({CANARY: 1}).encode()),
        ("merges.txt", f"a b\n{CANARY} c\n".encode()),
        ("config.json", f'{{"a": "{CANARY}", "a": 1}}'.encode()),
        ("config.json", json.dumps({CANARY: 1}).encode()),
        ("config.json", gzip.compress(b"{}", mtime=0)),
        ("config.json", pickle.dumps(Evil())),
        ("tokenizer_config.json", json.dumps({"a": {"auto_map": {"AutoTokenizer": ["x--y.Z", None]}}}).encode()),
        ("README.md", CANARY.encode("utf-16")),
        ("README.md", base64.b64encode(b"key " + CANARY.encode())),
        ("README.md", b"kept in /fsx/jane.roe/runs"),
        ("chat_template.jinja", b'{# "password": "Wq8vRplQ2tm9" #}'),
        ("mergekit_config.yml", b"!!python/object/apply:os.system [ls]"),
        ("mergekit_config.yml", b"base_model: /scratch/jane.roe/base"),
        ("model.safetensors", save(WEIGHTS | {CANARY: np.zeros(1, np.float32)})),
        ("model.safetensors", save(WEIGHTS, {"note": CANARY})),
        ("model.safetensors", save(WEIGHTS) + CANARY.encode()),
        ("model.safetensors", save({"a": np.frombuffer(CANARY.encode(), np.uint8)})),
        ("model.safetensors", pickle.dumps(Evil())),
        ("tokenizer.model", pickle.dumps(Evil())),
        ("LICENSE.py", b"import os\n"),
        ("modeling_x.py", b"import os\n"),
        ("figure.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("notes.html", b"<p>"),
        ("LICENSE", pickle.dumps(Evil())),
    ],
)  # fmt: skip
def test_model_files_with_secrets_or_code_are_refused(name: str, content: bytes) -> None:
    findings = file_checks.check_files({name: content}, MODEL_FILES)
    assert findings and not any(CANARY in finding for finding in findings)


def test_clean_model_files_have_no_finding(tmp_path: Path) -> None:
    files = {
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
        "tokenizer.model": b"\x0a\x0c\x0a\x05<unk>\x15\0\0\0\0",
        "config.json": b'{"eos_token": "<|end_of_text|>", "torch_dtype": "bfloat16"}',
        "chat_template.jinja": b"{# https://demo.example.org/users/sign_in #}{% for message in messages %}{{ message.content }}{% endfor %}",
        "mergekit_config.yml": b"base_model: base # base\nmodels: []\n",
        "model.safetensors": save(WEIGHTS | {"x.position_ids": np.arange(40)}, {"format": "pt"}),
        "vocab.json": json.dumps({chr(code): code for code in range(33, 127)}).encode(),
        "LICENSE": Path(__file__).parents[3].joinpath("LICENSE").read_bytes(),
        "README.md": b"Password fields are filled; see [docs](docs/use.md) and /v1/chat/completions.",
    }
    assert file_checks.check_files(files, MODEL_FILES) == []


CODES = np.frombuffer(CANARY.encode(), np.uint8)


def safetensors(header: str, data: bytes = bytes(4)) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + data


def test_texts_in_keys_and_numbers_of_model_files_are_found() -> None:
    entry = '"dtype": "F32", "shape": [1], "data_offsets": [0, 4]'
    metadata = f'"__metadata__": {{"a": "{CANARY}"}}'
    weights = {
        "a key twice": safetensors(f'{{{metadata}, "__metadata__": {{}}, "w": {{{entry}}}}}'),
        "a key twice in the metadata": safetensors(
            f'{{"__metadata__": {{"a": "{CANARY}", "a": ""}}, "w": {{{entry}}}}}'
        ),
        "a tensor twice": safetensors(f'{{"w": {{{entry}}}, "w": {{{entry}}}}}'),
        "an extra key": safetensors(f'{{"w": {{{entry}, "note": "{CANARY}"}}}}'),
        "a shape": safetensors(f'{{"w": {{"dtype": "F32", "shape": [0, {CODES[0]}], "data_offsets": [0, 0]}}}}', b""),
        "integers": save({"w": CODES.astype(np.int64)}),
        "positions": save({"w.position_ids": CODES.astype(np.int64)}),
        "bytes": save({"w.position_ids": CODES}),
        "float32": save({"w": np.concatenate([np.full(40, 0.01), CODES]).astype(np.float32)}),
        "float16, far apart": save({"w": np.stack([CODES, np.zeros(len(CODES))], 1).astype(np.float16)}),
        "bfloat16": safetensors(
            f'{{"w": {{"dtype": "BF16", "shape": [{len(CODES)}], "data_offsets": [0, {2 * len(CODES)}]}}}}',
            (CODES.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes(),
        ),
        "characters in place of weights": save({"w": np.frombuffer(b"\0\1" + CANARY.encode() + bytes(1), np.float32)}),
    }
    files = {f"model-{number:05}-of-00012.safetensors": data for number, data in enumerate(weights.values(), 1)}
    for number, value in enumerate(
        (CODES.tolist(), CODES.astype(float).tolist(), dict(enumerate(CODES.tolist())), [[c] for c in CODES.tolist()],
         list(CANARY), list(map(str, CODES)), " ".join(map(str, CODES)), ", ".join(map(hex, CODES)))
    ):  # fmt: skip
        files[f"additional/{number}.json"] = json.dumps({"note": value}).encode()
    files["mergekit_config.yml"] = b"note: !!binary |\n" + b"".join(
        b"  " + base64.b64encode(CANARY.encode())[start : start + 12] + b"\n" for start in range(0, 52, 12)
    )
    files["README.md"] = b"A note: " + base64.b32encode(CANARY.encode())
    scores = b"".join(b"\x0a\x05\x15" + np.float32(code).tobytes() for code in CODES)
    files["tokenizer.model"] = scores
    types = MODEL_FILES | {r"additional/\d\.json": json_texts}
    findings = file_checks.check_files(files, types)
    assert [name for name in files if not any(finding.startswith(name) for finding in findings)] == []
    assert not any(CANARY in finding for finding in findings)


PROGRAM = "import os\n\nos.system('ls')\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, PROGRAM) for name in ("LICENSE", "LICENSE-1.txt", "NOTICE", "NOTICE.md", "README.md", "chat_template.jinja", "vocab.txt",
                                       "vocab.json", "merges.txt", "mergekit_config.yml", ".eval_results/x.yaml", "config.json")),
        ("LICENSE", "Permission is granted under this license, without warranty; copyright Acme.\n\n" + PROGRAM),
        ("LICENSE", "#!/bin/sh\n# license, copyright, permission, warranty\nls\n"),
        ("LICENSE", "My diary: today I wrote to a friend.\n"),
        ("chat_template.jinja", "{% for message in messages %}{{ ''.__class__.__mro__ }}{% endfor %}"),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ messages['__class__'] }}"})),
        ("chat_template.jinja", "{% for m in messages %}{{ m | attr('_' * 2 ~ 'class') }}{% endfor %}"),
        ("chat_template.jinja", "{% for m in messages %}{{ m['__cl' ~ 'ass__'] }}{% endfor %}"),
        ("merges.txt", "three parts here\n"),
        ("config.json", '"import os"'),
        ("README.md", "#!/usr/bin/env python\nprint(1)\n"),
    ],
)  # fmt: skip
def test_program_text_under_the_name_of_another_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(UserError, match=name):
        list(texts_of(name, text.encode(), MODEL_FILES))
