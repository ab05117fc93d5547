"""Expert likelihood: the figures equal a plain computation, and spans cover an answer."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    RecurrentGemmaConfig,
    RwkvConfig,
)

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import model_loading
from agentmerge_hub.training.likelihood import results, scoring
from agentmerge_hub.training.likelihood.answer_spans import SPANS, spans
from agentmerge_hub.training.likelihood.score_likelihood import LikelihoodArgs, score_likelihood


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "<think>\nOh\n</think>\n\n<action>\nfill('é1', 'x')\n</action>",
            [("\nOh\n", "think"), ("fill", "action_name"), ("'é1'", "bid"), ("'x'", "arguments")],
        ),
        (
            "<action>\nclick('1')\nclick(bid='22', button='right')\n</action>",
            [
                ("click", "action_name"), ("'1'", "bid"),
                ("click", "action_name"), ("'22'", "bid"), ("'right'", "arguments"),
            ],
        ),
        (
            "<action>\nfill('1', 'a\u2028é\x0c')\nclick('2')\n</action>",  # characters at which str.splitlines ends a line
            [
                ("fill", "action_name"), ("'1'", "bid"), ("'a\u2028é\x0c'", "arguments"),
                ("click", "action_name"), ("'2'", "bid"),
            ],
        ),
        ("<action>\npress here\n</action>", [("press here", "arguments")]),
    ],
)  # fmt: skip
def test_spans_of_an_answer(answer: str, expected: list[tuple[str, str]]) -> None:
    assert [(answer[begin:end], span) for begin, end, span in spans(answer)] == expected


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"out": "x.csv"}, "x.csv: the scores are a Parquet file: name it with -o, e.g. x.parquet"),
        ({"out": "/proc/new/x.parquet"}, "/proc cannot hold new files: choose another path"),
        ({"out": "file/x.parquet"}, "file: a part of the path is a file"),
        ({"model": "TRACES"}, "traces has no config.json: it is not a model folder"),
        ({"dataset": "MODEL"}, "model is a model folder, not a dataset that `agentmerge build` wrote"),
    ],
)
def test_mistakes_are_said_before_the_model_is_loaded(
    tiny_model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    monkeypatch.setattr(model_loading, "load_model", None)
    folders = {"TRACES": str(traces), "MODEL": str(tiny_model)}
    given = {"model": str(tiny_model), "dataset": str(traces), "out": "scores.parquet"} | options
    given = {option: folders.get(value, value) for option, value in given.items()}
    with pytest.raises(UserError, match=re.escape(says)):
        score_likelihood(LikelihoodArgs(given["model"], given["dataset"]), Path(given["out"]))
    assert not list(tmp_path.glob("*.parquet"))


def test_an_error_while_the_scores_are_written_names_their_file(
    tiny_model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: pa.Table, path: Path) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(results, "write", full)
    out = tmp_path / "scores.parquet"
    with pytest.raises(UserError, match=f"^{out}: no space is left on the disk"):
        score_likelihood(LikelihoodArgs(str(tiny_model), str(traces), splits=["inter_task"], limit=1), out)


def span_of_each_token(answer: str, ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Of an answer that clicks; a token belongs to the first character of it that is not format."""
    names = ["format"] * len(answer)
    for pattern, name in ((r"<think>(.*)</think>", "think"), (r"(click)\(", "action_name"), (r"('\d+')\)", "bid")):
        if found := re.search(pattern, answer, re.DOTALL):
            names[found.start(1) : found.end(1)] = [name] * len(found[1])
    spans_of_tokens, place = [], 0
    for text in map(tokenizer.decode, ids):
        assert (answer + tokenizer.eos_token)[place:].startswith(text)
        covered = names[place : place + len(text)]
        spans_of_tokens.append(next((name for name in covered if name != "format"), "format"))
        place += len(text)
    return spans_of_tokens


def test_figures_equal_a_plain_computation(tiny_model: Path, traces: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    rows = load_dataset(str(traces), "all", split="inter_task")
    table = scoring.score(model, tokenizer, ChatTemplate(tokenizer), rows, "inter_task", batch=4).to_pylist()
    assert [row["sample_id"] for row in table] == rows["sample_id"]
    for row, figures in zip(rows, table):
        prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        tail = tokenizer(row["completion"][0]["content"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([head + tail])).logits[0]
        logprobs = [logits[len(head) + i - 1].log_softmax(-1)[token].item() for i, token in enumerate(tail)]
        assert figures["n_tokens"] == len(tail)
        assert figures["mean_logprob"] == pytest.approx(sum(logprobs) / len(tail), abs=1e-4)
        assert (figures["think_tokens"] > 0) == row["cot"] and figures["bid_tokens"] > 0
        by_span = {span: [] for span in SPANS}
        for name, logprob in zip(span_of_each_token(row["completion"][0]["content"], tail, tokenizer), logprobs):
            by_span[name].append(logprob)
        for span, values in by_span.items():
            assert figures[f"{span}_tokens"] == len(values)
            mean = pytest.approx(sum(values) / len(values), abs=1e-4) if values else None
            assert figures[f"{span}_logprob"] == mean


def test_memory_is_in_proportion_to_answers_and_the_end_of_turn_is_the_last_token(
    tiny_model: Path, traces: Path
) -> None:
    """Prompts of very different lengths; a template that writes a line break behind every turn."""
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer.chat_template = tokenizer.chat_template.replace("'<|end|>'", "'<|end|>\n'")
    rows = load_dataset(str(traces), "all", split="inter_task").to_list()
    for index, row in enumerate(rows):
        row["prompt"][1]["content"] += " 7" * 100 * index
    computed = []
    model.get_output_embeddings().register_forward_hook(lambda _m, _i, output: computed.append(output.numel()))
    split = Dataset.from_list(rows)
    table = scoring.score(model, tokenizer, ChatTemplate(tokenizer), split, "inter_task", batch=6).to_pylist()
    vocabulary = model.config.vocab_size
    for row, figures in zip(rows, table):
        answer = tokenizer(row["completion"][0]["content"], add_special_tokens=False)["input_ids"]
        assert figures["n_tokens"] == len(answer) + 1
    assert sum(computed) <= 6 * (max(figures["n_tokens"] for figures in table) + 1) * vocabulary
    alone = scoring.score(model, tokenizer, ChatTemplate(tokenizer), split, "inter_task", batch=1).to_pylist()
    assert [row["mean_logprob"] for row in alone] == pytest.approx([row["mean_logprob"] for row in table], abs=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        RwkvConfig(hidden_size=16, attention_hidden_size=16, num_hidden_layers=2, context_length=2048),
        RecurrentGemmaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, lru_width=16),
        GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=2048),
    ],
    ids=["rwkv", "recurrent_gemma", "gpt2"],
)  # fmt: skip
def test_padding_changes_no_score(tiny_model: Path, traces: Path, config: PretrainedConfig) -> None:
    """Of models that ignore its mask, which are scored row by row, and of one with learned positions."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    config.vocab_size = len(tokenizer)
    model = AutoModelForCausalLM.from_config(config)
    rows = load_dataset(str(traces), "all", split="inter_task")
    alone, together = (
        scoring.score(model, tokenizer, ChatTemplate(tokenizer), rows, "inter_task", batch=batch)["mean_logprob"]
        for batch in (1, 6)
    )
    assert alone.to_pylist() == pytest.approx(together.to_pylist(), abs=1e-5)


def test_a_model_that_always_agrees_matches_greedily(tiny_model: Path, traces: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    rows = load_dataset(str(traces), "all", split="inter_task").select([0])
    ids = tokenizer(
        tokenizer.apply_chat_template(rows[0]["prompt"] + rows[0]["completion"], tokenize=False),
        add_special_tokens=False,
        return_tensors="pt",
    )["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    (figures,) = scoring.score(model, tokenizer, ChatTemplate(tokenizer), rows, "inter_task").to_pylist()
    assert figures["greedy_match"] and figures["greedy_action_match"] and figures["geometric_mean_probability"] > 0.5
