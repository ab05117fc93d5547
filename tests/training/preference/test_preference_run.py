"""`recipes/preference.py`: pairs are trained whole, the model learns them, a run resumes, and mistakes are one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from agentmerge_hub.chat_template import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import answer
from agentmerge_hub.training.model_loading import load_model, tokenizer_at
from agentmerge_hub.training.preference import margins, pairs
from agentmerge_hub.training.preference.arguments import parse_preference_args

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pairs_folder(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of `traces` with another element's call as the rejected answer."""
    folder = tmp_path_factory.mktemp("pairs") / "set"
    (folder / "data").mkdir(parents=True)
    for split in ("train", "inter_task"):
        rows = load_dataset(str(traces), "all", split=split)
        table = [
            {
                "prompt": row["prompt"], "chosen": row["completion"],
                "rejected": [{"role": "assistant", "content": answer("click('a324')")}],
                "pair_id": row["sample_id"], "origin": "copied_example",
            }
            for row in rows
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(table), folder / "data" / f"{split}.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: preferences\n  data_files:\n  - {split: train, path: data/train.parquet}\n"
        "  - {split: inter_task, path: data/inter_task.parquet}\n---\n"
    )
    return folder


def launch(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "recipes/preference.py"), *map(str, options)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)


def test_a_run_prefers_the_chosen_answers_and_finishes_once(
    tiny_model: Path, pairs_folder: Path, tmp_path: Path
) -> None:
    options = [
        "--config", ROOT / "recipes/preference/tiny/agent.yaml", "--model_name_or_path", tiny_model,
        "--tokenizer_name_or_path", tiny_model, "--dataset_name", pairs_folder, "--output_dir", tmp_path / "run",
        "--learning_rate", "1e-3", "--checkpoint_samples", "24", "--likelihood_samples", "4",
    ]  # fmt: skip
    ran = launch(*options)
    assert ran.returncode == 0, ran.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["stage"] == "preference" and manifest["counts"]["samples_seen"] == 40
    assert "- dpo" in (tmp_path / "run" / "README.md").read_text()
    scored = pq.read_table(tmp_path / "run" / "checkpoint-3" / margins.FILE).to_pylist()
    assert {row["origin"] for row in scored} == {"copied_example"} and {row["samples_seen"] for row in scored} == {24}

    tokenizer = tokenizer_at(str(tiny_model))
    template = ChatTemplate(tokenizer)
    held_out = load_dataset(str(pairs_folder), "preferences", split="inter_task")
    before, after = (
        margins.score(load_model(str(folder)), tokenizer, template, held_out, "inter_task")["margin"].to_pylist()
        for folder in (tiny_model, tmp_path / "run")
    )
    assert sum(after) > sum(before)

    again = launch(*options)
    assert again.returncode == 0 and "finished already" in again.stdout
    changed = launch(*options, "--beta", "0.5")
    assert changed.returncode == 1 and "beta" in changed.stderr and "Traceback" not in changed.stderr


def test_nothing_of_a_pair_is_cut(tiny_model: Path, pairs_folder: Path) -> None:
    tokenizer = tokenizer_at(str(tiny_model))
    config = parse_preference_args(
        ["--model_name_or_path", str(tiny_model), "--dataset_name", "x", "--output_dir", "y", "--use_cpu", "true"]
    )
    rows = load_dataset(str(pairs_folder), "preferences", split="inter_task")
    config.sft.max_length = 100_000
    tokenized = pairs.tokenize(rows, tokenizer, ChatTemplate(tokenizer), config)
    for row, ids in zip(rows, tokenized):
        assert tokenizer.decode(ids["chosen_ids"]) == row["chosen"][0]["content"] + tokenizer.eos_token
        assert tokenizer.decode(ids["rejected_ids"]) == row["rejected"][0]["content"] + tokenizer.eos_token
    config.sft.max_length = pairs.longest(tokenized) - 1
    with pytest.raises(UserError, match="max_length"):
        pairs.tokenize(rows, tokenizer, ChatTemplate(tokenizer), config)


@pytest.mark.parametrize(
    ("option", "value"), [("replay_dataset", "x"), ("instruct_rows", "<|eot_id|>"), ("padding_free", "true")]
)
def test_options_without_effect_are_refused(option: str, value: str) -> None:
    with pytest.raises(UserError, match=option):
        parse_preference_args(
            [
                "--model_name_or_path",
                "m",
                "--dataset_name",
                "x",
                "--output_dir",
                "y",
                "--use_cpu",
                "true",
                f"--{option}",
                value,
            ]
        )


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes/preference").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_read(recipe: Path) -> None:
    config = parse_preference_args(["--config", str(recipe), "--use_cpu", "true", "--bf16", "false"])
    assert config.dataset_config == "preferences" and config.sft.activation_checkpointing is not None


@pytest.mark.parametrize("order", ["merge-dpo", "dpo-merge", "dpo-both"])
@pytest.mark.parametrize("size", ["tiny", "llama-3.1-8b"])
def test_every_order_names_files_that_exist(order: str, size: str, tmp_path: Path) -> None:
    script = ROOT / "recipes/preference/orders.sh"
    ran = subprocess.run(
        ["bash", str(script), order, size],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"DRY_RUN": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    words = ran.stdout.split()
    files = [Path(word) for word in words if word.endswith((".py", ".yaml", ".yml"))]
    assert files and all(path.is_file() for path in files)
    assert words.count("merge") == 1 and ran.stdout.count("preference.py") == (2 if order == "dpo-both" else 1)
