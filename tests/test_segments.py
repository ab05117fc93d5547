"""Counts line by line equal counts of the whole, for every kind of tokenizer; otherwise texts are not split."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tokenizers import CHAT_TEMPLATE, KINDS, REAL, SPECIAL, gpt2, llama, saved
from tokenizers import AddedToken, Tokenizer, pre_tokenizers

from agentmerge_hub.segments import AFTER_BREAK, BEFORE_BREAK, WORDS, segment_patterns
from agentmerge_hub.tokenizer import ChatTokenizer

PIECE = st.sampled_from(
    ["aB", "URL=", "x_1", "?", "\x0b", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t", " ", "  ", "/", "//", "'", "'s", "[a12] ", "12", "3456", "button", "OK", "é",
     "e\u0301", "\u0301", "\u3000", "\x85", "\u2028", "\x1c", "…", "...", "🙂", "<|end|>", "<|start|>", "\\n", "▁", "}", ");\n"]
)  # fmt: skip
TEXT = st.lists(PIECE | st.text(max_size=4), max_size=40).map("".join)


@pytest.fixture(scope="module", params=[*KINDS, "real Llama 3.1"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param in KINDS:
        return saved(KINDS[request.param](), tmp_path_factory.mktemp("tokenizer"), CHAT_TEMPLATE)
    if not REAL:
        pytest.skip("AGENTMERGE_LLAMA_TOKENIZER names no folder")
    return Path(REAL)


@settings(deadline=None, max_examples=300)
@given(texts=st.lists(TEXT, min_size=1, max_size=4))
def test_counts_are_those_of_the_whole_text(folder: Path, texts: list[str]) -> None:
    bare, tokenizer = _loaded(folder)
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    assert tokenizer.counts(texts) == [len(bare.encode(text, add_special_tokens=False)) for text in texts]


_cache: dict[Path, tuple[Tokenizer, ChatTokenizer]] = {}


def _loaded(folder: Path) -> tuple[Tokenizer, ChatTokenizer]:
    if folder not in _cache:
        _cache[folder] = Tokenizer.from_file(str(folder / "tokenizer.json")), ChatTokenizer(str(folder))
    return _cache[folder]


def test_texts_are_split_only_where_it_is_proven_safe() -> None:
    found = {name: segment_patterns(make()) for name, make in KINDS.items()}
    assert found == {
        "gpt2": (BEFORE_BREAK, WORDS),
        "llama": (AFTER_BREAK, WORDS),
        "qwen": (AFTER_BREAK, WORDS),
        "tekken": (AFTER_BREAK, WORDS),
        "runs": (),
        "gemma": (AFTER_BREAK, WORDS),
        "gemma across lines": (),
        "gemma across words": (AFTER_BREAK,),
    }


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("end\n", normalized=False),
        AddedToken("<x>", rstrip=True),
        AddedToken("word", single_word=True),
        AddedToken("two words", normalized=False),
    ],
)
def test_an_added_token_that_spans_segments_forbids_splitting(token: AddedToken) -> None:
    made = gpt2()
    made.add_tokens([token])
    assert segment_patterns(made) == ()


def test_a_tokenizer_that_changes_the_start_of_a_text_forbids_splitting() -> None:
    made = gpt2()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert segment_patterns(made) == ()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    assert segment_patterns(made) == ()


@given(text=TEXT)
def test_segments_joined_are_the_text(text: str) -> None:
    assert "".join(AFTER_BREAK.findall(text)) == text == "".join(BEFORE_BREAK.findall(text))
    assert "".join(WORDS.findall(text)) == text


def test_where_segments_end() -> None:
    lines = "\n".join(f"\t[{n}] button 'x'" for n in range(5))
    assert AFTER_BREAK.findall("a\n  b\n\n c\n\té") == ["a\n", "  b\n\n", " c\n\té", ""]
    assert BEFORE_BREAK.findall("a\n  b\n\n c\té\n") == ["a", "\n  b", "\n\n c\té\n", ""]
    assert len([s for s in AFTER_BREAK.findall(lines) if s]) == len([s for s in BEFORE_BREAK.findall(lines) if s]) == 5
    assert WORDS.findall("\t[a1] tab '',  OK\n ") == ["\t[a1]", " tab", " '',  OK\n ", ""]


def test_repeated_lines_are_not_tokenized_again(tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = ChatTokenizer(str(tokenizer_folder))
    page = "\n".join(f"[{n}] button 'number {n}'" for n in range(50))
    encoded: list[str] = []
    whole = tokenizer._encoded
    monkeypatch.setattr(tokenizer, "_encoded", lambda texts: encoded.extend(filter(None, texts)) or whole(texts))
    first = tokenizer.count(f"{page}\nend {SPECIAL[1]}")
    assert len(encoded) == len(set(encoded)) == 104  # 50 bids, 50 numbers, four other words
    assert tokenizer.count(f"{page}\nend {SPECIAL[1]}") == first and len(encoded) == 104
    tokenizer.count(page.replace("number 7'", "seven'"))
    assert encoded[104:] == [" 'seven'"]


def test_pieces_of_an_address_are_not_tokenized_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = ChatTokenizer(str(saved(llama(), tmp_path, CHAT_TEMPLATE)))
    encoded: list[str] = []
    whole = tokenizer._encoded
    monkeypatch.setattr(tokenizer, "_encoded", lambda texts: encoded.extend(filter(None, texts)) or whole(texts))
    tokenizer.count("[1] link 'x', url='https://host.example/list.do?sys_id=12ab&view=all'")
    encoded.clear()
    tokenizer.count("[2] link 'x', url='https://host.example/list.do?sys_id=34cd&view=all'")
    assert sorted(encoded) == ["2", "34", "cd"]
    text = "[1] link 'a<|end|>b'"
    assert tokenizer.count(text) == len(
        Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text, add_special_tokens=False)
    )
