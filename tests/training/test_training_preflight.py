"""The preflight: padding as the trainer makes it, packs, memory and disk; and what is replayed."""

import hashlib
import json
import re
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers
from datasets import Dataset
from huggingface_hub import ModelCard
from transformers import AutoTokenizer

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import arguments, finetune, model_card, model_loading, rows
from agentmerge_hub.training.preflight import built_template, memory_estimate, run_plan, token_counts
from agentmerge_hub.training.rows import IGNORED
from agentmerge_hub.training.trainer import new_trainer

RECIPE = Path(__file__).parents[2] / "recipes/sft/tiny/base-all.yaml"


def config(model: Path, traces: Path, out: Path, **options: object) -> arguments.RunConfig:
    settings = {
        "model_name_or_path": model, "tokenizer_name_or_path": model, "dataset_name": traces, "output_dir": out,
        "num_train_epochs": 1, "per_device_train_batch_size": 4, "checkpoint_samples": 16, "logging_steps": 1,
    } | options  # fmt: skip
    return arguments.parse_args(
        ["--config", str(RECIPE), *(text for key, value in settings.items() for text in (f"--{key}", str(value)))]
    )


@pytest.mark.parametrize("strategy", ["random", "group_by_length", "sequential"])
def test_padding_is_what_the_trainer_pads(tiny_model: Path, traces: Path, tmp_path: Path, strategy: str) -> None:
    run = config(tiny_model, traces, tmp_path / "out", train_sampling_strategy=strategy, per_device_train_batch_size=2)
    tokenizer, template = model_loading.load_tokenizer(run)
    dataset = rows.tokenize(rows.load_split(str(traces), "all", "train"), tokenizer, template, 1024)
    expected = run_plan.make_plan(dataset, run).padding
    seen = tokens = 0
    for batch in new_trainer(run, tokenizer, dataset, []).get_train_dataloader():
        seen += batch["attention_mask"].numel()
        tokens += int(batch["attention_mask"].sum())
    # The trainer shuffles with another generator; in order it is exact.
    assert expected == pytest.approx(1 - tokens / seen, abs=1e-9 if strategy == "sequential" else 0.03)


def test_tokens_are_counted_in_the_order_of_the_rows() -> None:
    ids = [[1, 2, 3], [7], [4, 9, 5, 6], [2, 2]]
    labels = [[IGNORED, 2, 3], [IGNORED], [IGNORED, IGNORED, 5, 6], [2, 2]]
    order = [2, 0, 3, 1]
    rows = Dataset.from_dict({"input_ids": ids, "labels": labels})
    counts = token_counts.count_tokens(rows.select(order))
    assert counts.lengths.tolist() == [4, 3, 2, 1] and counts.trained.tolist() == [2, 2, 2, 0]
    assert counts.largest_id == 9
    values = [value for column in (ids, labels) for row in order for value in column[row]]
    packed = struct.pack(f"<{len(values)}i", *values)
    assert counts.sha256 == hashlib.sha256(packed).hexdigest()
    # A run on labeled answers is another run where one of them has the other label.
    labeled = rows.add_column("label", [True, False, True, True]).select(order)
    assert token_counts.count_tokens(labeled).sha256 == hashlib.sha256(packed + bytes([1, 1, 1, 0])).hexdigest()


def test_packed_rows_are_counted_as_samples(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "packed"
    finetune.run(config(tiny_model, traces, out, packing=True, max_length=1024, per_device_train_batch_size=1))
    packs = int(re.search(r"tokens in (\d+) packs", capsys.readouterr().out)[1])
    manifest = json.loads((out / "manifest.json").read_text())
    assert packs < 20 and manifest["counts"]["steps"] == packs
    assert manifest["config"]["samples_seen"] == 40
    seen = [json.loads(path.read_text())["config"]["samples_seen"] for path in out.glob("checkpoint-*/manifest.json")]
    assert len(seen) == 2 and all(count % 16 <= 40 // packs + 1 for count in seen)


def test_packs_are_counted_in_the_order_in_which_they_are_made(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    run = config(tiny_model, traces, tmp_path / "out", packing=True, max_length=1024, shuffle_dataset=True)
    tokenizer, _ = model_loading.load_tokenizer(run)
    lengths = sorted(50 + 7919 * number % 650 for number in range(2000))  # packs are made of a thousand rows at a time
    ids = [[number % 50] * length for number, length in enumerate(lengths)]
    dataset = Dataset.from_dict({"input_ids": ids, "labels": ids})
    planned = run_plan.make_plan(dataset, run).batches.items
    assert planned == len(new_trainer(run, tokenizer, dataset, []).train_dataset)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"max_steps": 10_000_000, "checkpoint_samples": 1},
            r"out will take [\d.]+ TB for [\d,]+ checkpoints .*: free some, raise checkpoint_samples, or set save_total_limit: 1",
        ),
        ({"packing": True, "packing_strategy": "wrapped"}, "wrapped cuts rows"),
    ],
)
def test_what_stops_a_run(tiny_model: Path, traces: Path, tmp_path: Path, options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        finetune.run(config(tiny_model, traces, tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("checkpoints", "says"),
    [
        (0, "will take 9,000.0 TB for the model, and its disk has .*: free some, or set output_dir to another disk"),
        (1, "for 1 checkpoint and the model, .*: free some, or set output_dir to another disk"),
    ],
)
def test_a_full_disk_is_answered_with_what_helps(tmp_path: Path, checkpoints: int, says: str) -> None:
    with pytest.raises(UserError, match=f"{says}$"):
        memory_estimate.check_disk(memory_estimate.Estimate(0, (), 9e15, checkpoints), tmp_path / "out")


def test_keeping_the_newest_checkpoints_takes_less_disk(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    options = {"max_steps": 10_000_000, "checkpoint_samples": 1, "save_total_limit": 2, "preflight": True}
    finetune.run(config(tiny_model, traces, tmp_path / "out", **options))


def test_too_little_memory_is_a_warning(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    finetune.run(config(tiny_model, traces, tmp_path / "out", packing=True, max_length=10**7, preflight=True))
    assert re.search(r"Warning: the run takes about [\d.,]+ [GT]B of memory a process", capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["LlamaConfig", "Glm4Config", "Phi3Config"])
def test_a_gate_that_is_fused_with_the_other_branch_takes_no_more_memory(kind: str) -> None:
    settings = {
        "hidden_size": 16,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
    }
    small = getattr(transformers, kind)(**settings, num_key_value_heads=2, vocab_size=8, pad_token_id=0)
    model = transformers.AutoModelForCausalLM.from_config(small)
    assert memory_estimate._mlp_width(model.model.layers[0], small) == 96


def test_bfloat16_is_advised_against_where_the_cpu_has_no_instructions_for_it(
    tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    sft = config(tiny_model, traces, tmp_path / "out", bf16=True).sft
    assert "set bf16 to false" in memory_estimate.bfloat16_warning(sft, "AVX2")
    assert memory_estimate.bfloat16_warning(sft, "AVX512") is None
    sft = config(tiny_model, traces, tmp_path / "out", bf16=False).sft
    assert memory_estimate.bfloat16_warning(sft, "AVX2") is None


def test_processes_without_gpus_print_one_plan_and_train_nothing(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    preflight, training = (config(tiny_model, traces, tmp_path / "out", preflight=only) for only in (True, False))
    monkeypatch.setenv("WORLD_SIZE", "8")  # as fsdp.yaml sets it, also where there are no GPUs
    for rank, plans in (("0", 1), ("7", 0)):
        monkeypatch.setenv("RANK", rank)
        finetune.run(preflight)
        assert capsys.readouterr().out.count("Preflight: ") == plans
    with pytest.raises(UserError, match=r"^8 processes were launched without a GPU for each"):
        finetune.run(training)


def test_replayed_rows_are_trained_and_reported(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    general = tmp_path / "general"
    general.mkdir()
    general_rows = [
        {
            "prompt": [{"role": "user", "content": f"Say {word}."}],
            "completion": [{"role": "assistant", "content": word}],
        }
        for word in ("one", "two", "three", "four", "five")
    ]
    pq.write_table(pa.Table.from_pylist(general_rows), general / "train.parquet")
    out = tmp_path / "replay"
    finetune.run(config(tiny_model, traces, out, replay_dataset=general, replay_ratio=0.1))
    assert "44 rows, 4 of them replayed" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["config"]["replay_ratio"] == 0.1 and manifest["counts"]["replayed_rows"] == 4
    assert manifest["counts"]["rows"] == manifest["config"]["samples_seen"] == 44
    assert manifest["inputs"]["replay"]["name"] == "general"

    card = ModelCard.load(out / "README.md")
    assert card.data.tags and card.data.library_name == "transformers" and card.data.license == "unknown"
    assert manifest["inputs"]["dataset"]["sha256"] in card.text and manifest["inputs"]["replay"]["sha256"] in card.text
    assert "| replay | general, 0.1 rows" in card.text.replace("replayed |", "replay |")
    everything = json.loads((out / "run.json").read_text())["every_setting"]
    assert everything["sft"]["warmup_steps"] == 0.05 and everything["options"]["replay_ratio"] == 0.1


def test_a_card_of_models_on_the_hub() -> None:
    settings = {
        "model": "meta-llama/Llama-3.1-8B", "dataset": "org/workarena-traces", "dataset_config": "all", "lora_r": 64, "completion_only_loss": True, "method": "sft",
        "replay_dataset": None, "learning_rate": 1e-4, "max_steps": -1, "freeze": ["embed_tokens"],
    }  # fmt: skip
    counts = {"rows": 3, "rows_sha256": "0f", "ends_turn": 0.25, "samples_seen": 3}
    made = ModelCard(model_card.draft("run", settings, {}, counts))
    assert made.data.base_model == "meta-llama/Llama-3.1-8B" and made.data.license == "llama3.1"
    assert made.data.datasets == ["org/workarena-traces"] and "lora" in made.data.tags
    assert "probability of 0.250" in made.text and "| freeze | `embed_tokens` |" in made.text and "-1" not in made.text


def test_the_template_of_the_build_is_compared(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    run = config(tiny_model, tmp_path / "set", tmp_path / "out")
    template = model_loading.load_tokenizer(run)[1]

    def compare(**entry: object) -> str | None:
        (tmp_path / "set").mkdir(exist_ok=True)
        built = template.manifest | entry
        manifest.write(tmp_path / "set", "build", config={"chat_template": built})
        return built_template.compare(run, template)

    assert compare() is None
    with pytest.raises(UserError, match=r"built with chat_template_kwargs .*enable_thinking.* and the run has none"):
        compare(sha256="another", settings={"enable_thinking": False})
    assert "another chat template" in (compare(sha256="another", template_sha256="another") or "")


def test_a_tokenizer_is_padded_with_the_token_named(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    run = config(tiny_model, traces, tmp_path / "out", padding_token="<|system|>")
    assert model_loading.load_tokenizer(run)[0].pad_token == "<|system|>"
    with pytest.raises(UserError, match="padding_token '<none>' is not a token"):
        model_loading.load_tokenizer(config(tiny_model, traces, tmp_path / "out", padding_token="<none>"))
    assert AutoTokenizer.from_pretrained(tiny_model).pad_token == "<|pad|>"
