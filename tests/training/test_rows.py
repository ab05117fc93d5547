"""Rows become tokens with nothing lost, and samples are counted whatever the batch."""

import json
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset, load_dataset
from hypothesis import given
from hypothesis import strategies as st
from made_tokenizers import SLOW, SLOW_TEXT, with_pattern
from tokenizers import AddedToken, normalizers
from torch.utils.data import BatchSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from trl import SFTConfig

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.dataset.rows.image_columns import loadable, with_image
from agentmerge_hub.errors import UserError
from agentmerge_hub.tokenizer import ChatTokenizer, fast_tokenizer
from agentmerge_hub.training import cached_map, rows
from agentmerge_hub.training.likelihood import scoring
from agentmerge_hub.training.preflight.batches import Batches, count_batches
from agentmerge_hub.training.preflight.save_schedule import SaveSchedule


def test_only_the_completion_is_trained_and_all_of_it(tiny_model: Path, traces: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    split = load_dataset(str(traces), "all", split="train")
    for row, made in zip(split, rows.tokenize(split, tokenizer, ChatTemplate(tokenizer), 1024)):
        trained = [token for token, label in zip(made["input_ids"], made["labels"]) if label != rows.IGNORED]
        assert [label for label in made["labels"] if label != rows.IGNORED] == trained
        assert tokenizer.decode(trained) == row["completion"][0]["content"] + tokenizer.eos_token
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
        assert tokenizer.decode(made["input_ids"]) == whole


def test_a_row_that_fills_the_window_is_whole(tiny_model: Path, traces: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    split = load_dataset(str(traces), "all", split="train").select(range(2))
    longest = max(len(row) for row in rows.tokenize(split, tokenizer, ChatTemplate(tokenizer), None)["input_ids"])
    made = rows.tokenize(split, tokenizer, ChatTemplate(tokenizer), longest)
    assert [len(each) for each in made["labels"]] == [len(each) for each in made["input_ids"]]
    with pytest.raises(UserError, match=rf"takes {longest} tokens and max_length is {longest - 1}: raise max_length"):
        rows.tokenize(split, tokenizer, ChatTemplate(tokenizer), longest - 1)


def test_a_tokenizer_that_fails_is_named(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    tokenizer = fast_tokenizer(str(with_pattern(tiny_model, tmp_path / "slow", SLOW)))
    template, model = ChatTemplate(tokenizer), AutoModelForCausalLM.from_pretrained(tiny_model)
    turns = {"prompt": [{"role": "user", "content": SLOW_TEXT}], "completion": [{"role": "assistant", "content": "a"}]}
    split = Dataset.from_list([turns])
    for fails in (
        lambda: rows.tokenize(split, tokenizer, template, None),
        lambda: scoring.score(model, tokenizer, template, split, "inter_task"),
    ):
        with pytest.raises(UserError, match=r"^the tokenizer of '.*slow' fails at a text \(Onig: "):
            fails()


def test_rows_are_tokenized_anew_by_another_version_of_the_program(
    tiny_model: Path, traces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """datasets keeps what a map made by the name of its function, whose checks may be stricter now."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    split = load_dataset(str(traces), "all", split="train")

    def made(program: str) -> tuple[str, str]:
        monkeypatch.setattr(cached_map, "_program_hash", lambda: program)
        tokenized = rows.tokenize(split, tokenizer, ChatTemplate(tokenizer), 1024)
        return tokenized._fingerprint, tokenized.cache_files[0]["filename"]

    assert made("a") == made("a") != made("b")


def test_replay_mixes_at_its_ratio_and_repeats_nothing(traces: Path) -> None:
    agent, general = (load_dataset(str(traces), "all", split=split) for split in ("train", "inter_task"))
    mixed = rows.mix(agent, general, 0.1, seed=0)
    assert len(mixed) == 44 and mixed.column_names == ["prompt", "completion"]
    added = [str(row["prompt"]) + str(row["completion"]) for row in mixed.select(range(40, 44))]
    assert len(added) == 4
    assert all(text in [str(row["prompt"]) + str(row["completion"]) for row in general] for text in added)
    with pytest.raises(UserError, match="takes 40 rows and replay_dataset has 6"):
        rows.mix(agent, general, 1.0, seed=0)


def test_replayed_rows_of_other_datasets(traces: Path) -> None:
    """Their turns have their keys in another order, and more of them; a turn that is more than its text is refused."""
    agent = load_dataset(str(traces), "all", split="train")

    def replayed(**more: object) -> Dataset:
        ask, answer = (
            {"content": "2 + 2?", "name": "", "role": "user"},
            {"content": "4", "name": "", "role": "assistant"},
        )
        return Dataset.from_list([{"completion": [answer | more], "prompt": [ask | dict.fromkeys(more)]}] * 9)

    added = rows.mix(agent, replayed(tool_calls=[], n_tokens=1), 0.1, seed=0)[40:]
    assert added["prompt"] == [[{"role": "user", "content": "2 + 2?"}]] * 4
    assert added["completion"] == [[{"role": "assistant", "content": "4"}]] * 4
    for part in ({"reasoning_content": "Two and two."}, {"tool_calls": [{"name": "add"}]}):
        with pytest.raises(
            UserError, match=rf"replay_dataset, row 0: a turn of the assistant has {next(iter(part))} beside"
        ):
            rows.mix(agent, replayed(**part), 0.1, seed=0)
    with pytest.raises(UserError, match=r"replay_ratio 0\.01 takes no row for the 40"):
        rows.mix(agent, replayed(), 0.01, seed=0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"prompt": "2 + 2?", "completion": "4"}, "row 0: .* no list of turns with role and content"),
        ({"prompt": [{"from": "human", "value": "2 + 2?"}]}, "row 0: .* no list of turns with role and content"),
        (
            {"completion": [{"role": "assistant", "content": "4", "thinking": "Two."}]},
            "row 0: .* has thinking beside its",
        ),
        ({"tools": [{"name": "add"}]}, "has the column tools"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "has the column chat_template_kwargs"),
    ],
)
def test_rows_that_hold_more_than_is_rendered_are_refused(
    tiny_model: Path, tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    row = {"prompt": [{"role": "user", "content": "2 + 2?"}], "completion": [{"role": "assistant", "content": "4"}]}
    pq.write_table(pa.Table.from_pylist([row | changed] * 2), tmp_path / "train.parquet")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    with pytest.raises(UserError, match=says):
        rows.tokenize(rows.load_split(str(tmp_path), None, "train"), tokenizer, ChatTemplate(tokenizer), None)


@given(rows=st.integers(1, 200), batch=st.integers(1, 50), epochs=st.integers(1, 4), samples=st.integers(1, 100))
def test_samples_are_counted_as_batches_are_drawn(rows: int, batch: int, epochs: int, samples: int) -> None:
    counted, seen = [], 0
    epoch = Batches(rows, rows, batch, rows)
    for _ in range(epochs):
        for start in range(0, rows, batch):
            seen += min(batch, rows - start)
            counted.append(seen)
    assert [epoch.samples_seen(step + 1) for step in range(len(counted))] == counted
    assert epoch.samples_seen(epoch.steps_per_epoch * epochs) == rows * epochs
    # A checkpoint is saved by the first step at or after each multiple.
    first = {bisect_left(counted, multiple) + 1 for multiple in range(samples, seen + 1, samples)}
    schedule = SaveSchedule(samples, "no", epoch, 0)
    assert {step for step in range(1, len(counted) + 1) if schedule.is_due(step)} == first
    assert schedule.count(len(counted)) >= len(first)


@given(items=st.integers(1, 60), batch=st.integers(1, 9), processes=st.integers(1, 4), drop=st.booleans())
def test_rows_that_fill_the_last_batches_are_counted(items: int, batch: int, processes: int, drop: bool) -> None:
    sampler = BatchSampler(range(items), batch, drop)
    shards = [BatchSamplerShard(sampler, processes, rank) if processes > 1 else sampler for rank in range(processes)]
    drawn = [index for shard in shards for indices in shard for index in indices]
    settings = SFTConfig(per_device_train_batch_size=batch, dataloader_drop_last=drop, use_cpu=True, bf16=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", str(processes))
        if not drawn:
            with pytest.raises(UserError, match="drops the only batch"):
                count_batches(items, items, settings)
            return
        counted = count_batches(items, items, settings)
    assert len(drawn) == counted.items_per_epoch + counted.repeated
    assert len(set(drawn)) == counted.items_per_epoch


def test_rows_with_screenshots_are_trained_only_as_text_and_only_if_told_so(traces: Path, tmp_path: Path) -> None:
    table = load_dataset(str(traces), "all", split="train").data.table.slice(0, 2).replace_schema_metadata(None)
    schema = loadable(with_image(table.schema, images=True))
    note = "\n## Screenshot:\nThe image before this text shows the page, with a box and the bid around each element.\n"
    as_text = table["prompt"].to_pylist()
    shown = [
        [turn | {"content": f"{turn['content'][:40]}{note}{turn['content'][40:]}"} for turn in prompt]
        for prompt in as_text
    ]
    table = table.set_column(0, "prompt", pa.array(shown, table.schema.field("prompt").type))
    pictures = pa.array([{"bytes": b"any", "path": None}] * 2, schema.field("image").type)
    pq.write_table(table.append_column("image", pictures).cast(schema), tmp_path / "train-0.parquet")
    with pytest.raises(
        UserError, match=r"has screenshots \(column image\).*set text_only.*or train a vision model with `trl sft`"
    ):
        rows.load_split(str(tmp_path), None, "train")
    texts = rows.load_split(str(tmp_path), None, "train", text_only=True)
    assert texts.column_names == table.column_names and texts["prompt"][:] == as_text


def test_a_dataset_that_is_damaged_or_has_no_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train-0.parquet"
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), path)
    with pytest.raises(UserError, match=r"train-0\.parquet has no rows"):
        rows.load_split(str(tmp_path), None, "train")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"train-0\.parquet is not readable Parquet"):
        rows.load_split(str(tmp_path), None, "train")
    path.unlink()
    (tmp_path / "train.json").write_text("{")
    with pytest.raises(UserError, match=r"config None, is not readable \("):
        rows.load_split(str(tmp_path), None, "train")


def test_several_processes_make_the_same_tokens_and_report_the_same_mistakes(tiny_model: Path, traces: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    split, template = load_dataset(str(traces), "all", split="train"), ChatTemplate(tokenizer)
    one, two = (rows.tokenize(split, tokenizer, template, 1024, num_proc=count) for count in (None, 2))
    assert two[:] == one[:] and len(two) == len(split)
    with pytest.raises(UserError, match=r"row \d+ takes \d+ tokens and max_length is 8"):
        rows.tokenize(split, tokenizer, template, 8, num_proc=2)


def _lowercase(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])


def _strip_what_follows(tokenizer: PreTrainedTokenizerFast) -> None:
    """As Phi-3's <|assistant|>."""
    tokenizer.add_tokens([AddedToken("<|assistant|>", rstrip=True, special=True)])


@pytest.mark.parametrize(
    ("change", "kept", "changed", "says"),
    [
        (_lowercase, "fill('7', 'cafe\u0301')", "fill('7', 'Café')", "does not keep the answer .* are read as"),
        (_strip_what_follows, "noop()", "  noop()", "does not keep the answer"),
        (lambda _: {"split_special_tokens": True}, None, "noop()", r"splits <\|end\|>, the token that ends a turn"),
    ],
    ids=["normalizer", "token that strips", "split special tokens"],
)
def test_a_tokenizer_that_changes_an_answer_is_refused_in_every_stage(
    tiny_model: Path, tmp_path: Path, change: Callable, kept: str | None, changed: str, says: str
) -> None:
    """Decomposed accents may be composed: both are the same text."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    settings = change(tokenizer) or {}
    tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    tokenizer, counter = AutoTokenizer.from_pretrained(tmp_path), ChatTokenizer(str(tmp_path))
    prompt, template = [{"role": "user", "content": "press"}], ChatTemplate(tokenizer)

    def stages(answer: str) -> list[Callable]:
        row = {"prompt": prompt, "completion": [{"role": "assistant", "content": answer}]}
        return [
            lambda: rows.tokenize(Dataset.from_list([row]), tokenizer, template, None),
            lambda: scoring._encode(0, row, tokenizer, template),
            lambda: counter.count_completion(counter.render(prompt), answer),
        ]

    for stage in stages(kept) if kept else ():
        stage()
    for stage in stages(changed):
        with pytest.raises((UserError, ValueError), match=says):
            stage()


def test_a_folder_that_was_built_anew_gives_its_new_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its card and its name are the same, as are those of another user's folder."""
    card = "---\nconfigs:\n- config_name: all\n  data_files:\n  - {split: train, path: train.parquet}\n---\n"
    for place, answer in (("one", "first"), ("one", "second"), ("two", "third")):
        folder = tmp_path / place / "workarena-traces"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(card)
        pq.write_table(pa.table({"prompt": ["a"], "completion": [answer]}), folder / "train.parquet")
        monkeypatch.chdir(folder.parent)
        for name in ("workarena-traces", str(folder)):
            assert rows.load_split(name, "all", "train")["completion"][:] == [answer]
