"""`recipes/preference.py`: pairs and labeled answers are trained whole, the model learns them, a run resumes, and mistakes are one
sentence."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import load_dataset
from safetensors.torch import load_file

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune
from agentmerge_hub.training.arguments import parse_args
from agentmerge_hub.training.model_loading import load_model, tokenizer_at
from agentmerge_hub.training.preference import labeled, labeled_likelihood, margins, pairs
from agentmerge_hub.training.preference.arguments import parse_preference_args
from agentmerge_hub.training.preference.method import METHODS

ROOT = Path(__file__).parents[3]


def words(recipe: str, **options: object) -> list[str]:
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return ["--config", str(ROOT / "recipes/preference/tiny" / recipe), *given]


def run(recipe: str, **options: object) -> Path:
    """A run in this process; returns its folder."""
    config = parse_preference_args(words(recipe, **options))
    finetune.run(config, METHODS[config.sft.method])
    return config.output_dir


def settings(model: Path, dataset: Path, out: Path) -> dict[str, object]:
    return {
        "model_name_or_path": model, "tokenizer_name_or_path": model, "dataset_name": dataset, "output_dir": out,
        "learning_rate": 1e-3, "checkpoint_samples": 24, "likelihood_samples": 4,
    }  # fmt: skip


@pytest.fixture(scope="module")
def dpo_run(tiny_model: Path, preferences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by the script, in a process of its own."""
    options = settings(tiny_model, preferences, tmp_path_factory.mktemp("dpo") / "run")
    command = [sys.executable, str(ROOT / "recipes/preference.py"), *words("agent.yaml", **options)]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, timeout=500)
    assert ran.returncode == 0, ran.stderr
    assert f"DPO with beta 0.1; reference model: {tiny_model.name} before this training" in ran.stdout
    return Path(str(options["output_dir"]))


@pytest.fixture(scope="module")
def kto_run(tiny_model: Path, preferences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in this process, with its reference model named."""
    options = settings(tiny_model, preferences, tmp_path_factory.mktemp("kto") / "run")
    return run("merged-kto.yaml", **options, reference_model=tiny_model)


def test_dpo_prefers_the_chosen_answers(dpo_run: Path, tiny_model: Path, preferences: Path) -> None:
    manifest = json.loads((dpo_run / "manifest.json").read_text())
    assert manifest["stage"] == "preference" and manifest["counts"]["samples_seen"] == 40
    assert manifest["config"]["method"] == "dpo" and manifest["config"]["beta"] == 0.1
    assert manifest["config"]["reference_model"] == f"{tiny_model.name} before this training"
    card = (dpo_run / "README.md").read_text()
    assert "- dpo" in card and f"| reference_model | {tiny_model.name} before this training |" in card
    scored = pq.read_table(dpo_run / "checkpoint-3" / margins.FILE).to_pylist()
    assert {row["origin"] for row in scored} == {"copied_example"} and {row["samples_seen"] for row in scored} == {24}

    tokenizer = tokenizer_at(str(tiny_model))
    held_out = load_dataset(str(preferences), "preferences", split="inter_task")
    before, after = (
        margins.score(load_model(str(folder)), tokenizer, ChatTemplate(tokenizer), held_out, "inter_task")["margin"].to_pylist()
        for folder in (tiny_model, dpo_run)
    )  # fmt: skip
    assert sum(after) > sum(before)


def test_kto_separates_desirable_from_undesirable_answers(kto_run: Path, tiny_model: Path, preferences: Path) -> None:
    manifest = json.loads((kto_run / "manifest.json").read_text())
    assert manifest["stage"] == "preference" and manifest["config"]["method"] == "kto"
    assert manifest["config"]["reference_model"] == manifest["inputs"]["reference"]["name"] == tiny_model.name
    assert manifest["counts"]["rows"] == 60 and "- kto" in (kto_run / "README.md").read_text()
    scored = pq.read_table(kto_run / "checkpoint-3" / labeled_likelihood.FILE).to_pylist()
    assert len(scored) == 4 and {row["samples_seen"] for row in scored} == {24}

    tokenizer = tokenizer_at(str(tiny_model))
    held_out = load_dataset(str(preferences), "unpaired", split="inter_task")

    def gap(folder: Path) -> float:
        table = labeled_likelihood.score(
            load_model(str(folder)), tokenizer, ChatTemplate(tokenizer), held_out, "inter_task"
        )
        by_label = table.group_by("label").aggregate([("logprob", "mean")]).to_pylist()
        means = {row["label"]: row["logprob_mean"] for row in by_label}
        return means[True] - means[False]

    assert gap(kto_run) > gap(tiny_model)


def test_a_run_that_diverges(tiny_model: Path, preferences: Path, tmp_path: Path) -> None:
    options = settings(tiny_model, preferences, tmp_path / "run") | {"learning_rate": 1e38, "logging_strategy": "no"}
    with pytest.raises(
        UserError, match=r"the training diverged: after step 3 \S+ holds a NaN or an infinity: lower learning_rate"
    ):
        run("agent.yaml", **options)
    assert not list((tmp_path / "run").glob("*/*.safetensors"))


@pytest.mark.parametrize(("recipe", "finished"), [("agent.yaml", "dpo_run"), ("merged-kto.yaml", "kto_run")])
def test_a_run_resumes_to_the_same_weights_and_finishes_once(
    recipe: str, finished: str, tiny_model: Path, preferences: Path, tmp_path: Path,
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    whole = request.getfixturevalue(finished)
    out = tmp_path / "run"
    # What a run that was killed after its first checkpoint leaves.
    shutil.copytree(whole, out, ignore=lambda folder, names: set(names) - {"run.json", "checkpoint-3"} if folder == str(whole) else ())  # fmt: skip
    options = settings(tiny_model, preferences, out)
    if finished == "kto_run":
        options["reference_model"] = tiny_model
    run(recipe, **options)
    expected, found = load_file(whole / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(expected[name].equal(found[name]) for name in expected)
    run(recipe, **options)
    assert "finished already" in capsys.readouterr().out
    with pytest.raises(UserError, match="beta"):
        run(recipe, **options, beta=0.5)


@pytest.mark.parametrize("recipe", ["agent.yaml", "merged-kto.yaml"])
def test_an_adapter_is_trained_and_merged(recipe: str, tiny_model: Path, preferences: Path, tmp_path: Path) -> None:
    options = settings(tiny_model, preferences, tmp_path / "lora") | {"max_steps": 1, "likelihood_samples": 0}
    out = run(recipe, **options, use_peft="true", lora_r=2, lora_target_modules="all-linear", warmup_steps=0)
    before, after = load_file(tiny_model / "model.safetensors"), load_file(out / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert before.keys() == after.keys() and changed and all("_proj" in name for name in changed)
    reference = json.loads((out / "manifest.json").read_text())["config"]["reference_model"]
    assert reference == f"{tiny_model.name} without the adapter"


def test_a_pass_of_the_reference_does_not_switch_all_layers_on(
    tiny_model: Path, preferences: Path, tmp_path: Path, passes: dict[int, int]
) -> None:
    options = settings(tiny_model, preferences, tmp_path / "run") | {"max_steps": 2, "likelihood_samples": 0}
    options |= {"use_peft": "true", "lora_r": 2, "lora_target_modules": "all-linear", "warmup_steps": 0}
    run("agent.yaml", **options, activation_checkpointing="true", recomputed_layers=1)
    low, *upper = passes.values()
    assert upper and all(count == low / 2 for count in upper)


@pytest.mark.parametrize(
    ("config", "says"),
    [("preferences", "mean margin copied_example"), ("unpaired", "failed_episode"), ("other", "has no config 'other'")],
)
def test_likelihood_scores_pairs_and_labeled_answers(
    config: str, says: str, tiny_model: Path, preferences: Path, tmp_path: Path
) -> None:
    words = ["likelihood", tiny_model, "--dataset", preferences, "--config", config, "--split", "inter_task"]
    done = CliRunner().invoke(agentmerge, [*map(str, words), "-o", str(tmp_path / "scores.parquet")])
    assert says in f"{done.output} {done.exception}"


def test_nothing_of_a_pair_is_cut(tiny_model: Path, preferences: Path) -> None:
    tokenizer = tokenizer_at(str(tiny_model))
    config = parse_preference_args(
        ["--model_name_or_path", str(tiny_model), "--dataset_name", "x", "--output_dir", "y", "--use_cpu", "true"]
    )
    rows = load_dataset(str(preferences), "preferences", split="inter_task")
    config.sft.max_length = 100_000
    tokenized = pairs.tokenize(rows, tokenizer, ChatTemplate(tokenizer), config)
    for row, ids in zip(rows, tokenized):
        assert tokenizer.decode(ids["prompt_ids"]) == ChatTemplate(tokenizer).prompt_text(row["prompt"])
        assert tokenizer.decode(ids["chosen_ids"]) == row["chosen"][0]["content"] + tokenizer.eos_token
        assert tokenizer.decode(ids["rejected_ids"]) == row["rejected"][0]["content"] + tokenizer.eos_token
    assert tokenized.cache_files  # TRL shares the reference log-probabilities among processes beside them
    config.sft.max_length = pairs.longest(tokenized) - 1
    with pytest.raises(UserError, match="max_length"):
        pairs.tokenize(rows, tokenizer, ChatTemplate(tokenizer), config)


def test_labeled_answers_keep_their_prompt_and_label_and_are_exchanged_in_a_batch(
    tiny_model: Path, preferences: Path
) -> None:
    tokenizer = tokenizer_at(str(tiny_model))
    config = parse_preference_args(words("merged-kto.yaml", per_device_train_batch_size=4))
    rows = load_dataset(str(preferences), "unpaired", split="inter_task")  # 9
    tokenized = labeled.tokenize(rows, tokenizer, ChatTemplate(tokenizer), config)

    def texts(ids: dict, answer: str) -> tuple[str, str]:
        return tokenizer.decode(ids["prompt_ids"]), tokenizer.decode(ids[answer]).removesuffix(tokenizer.eos_token)

    given = [
        (ChatTemplate(tokenizer).prompt_text(row["prompt"]), row["completion"][0]["content"], row["label"])
        for row in rows
    ]
    assert sorted((*texts(ids, "completion_ids"), ids["label"]) for ids in tokenized) == sorted(given)
    answers = tokenized["completion_ids"]
    before = [3, 0, 1, 2, 7, 4, 5, 6, 8]  # in batches of 4, 4 and 1
    assert list(tokenized["KL_completion_ids"]) == [answers[index] for index in before]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("replay_dataset", "x"),
        ("instruct_rows", "<|eot_id|>"),
        ("padding_free", "true"),
        ("train_sampling_strategy", "group_by_length"),
    ],
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "ppo"}, "method is 'ppo': set it to dpo or kto"),
        ({"method": "kto", "loss_type": "kto", "loss_weights": "1"}, "no option is called 'loss_weights'"),
        (
            {"dataset_config": "all"},
            "has no column chosen or rejected: rows must have .*; rows such as these are for recipes/sft.py$",
        ),
        ({"dataset_config": "unpaired"}, "; rows such as these are for recipes/preference.py with method: kto$"),
        ({"reference_model": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(
    options: dict, says: str, tiny_model: Path, preferences: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        run("agent.yaml", **settings(tiny_model, preferences, tmp_path / "run") | options)


def test_a_reference_that_reads_other_tokens_is_refused(tiny_model: Path, preferences: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    options = settings(tiny_model, preferences, tmp_path / "run") | {"reference_model": other}
    with pytest.raises(UserError, match=r"the tokenizer of \S+other has another id for '.*' than that of"):
        run("agent.yaml", **options)


def test_fine_tuning_takes_no_labeled_answers(tiny_model: Path, preferences: Path, tmp_path: Path) -> None:
    """The undesirable ones would be learned as the others."""
    options = {"checkpoint_samples": 24, "dataset_config": "unpaired", "preflight": "true"}
    given = settings(tiny_model, preferences, tmp_path / "run") | options
    recipe = ["--config", str(ROOT / "recipes/sft/tiny/base-all.yaml")]
    with pytest.raises(UserError, match="are labeled, and not all are right: train on them with"):
        finetune.run(
            parse_args([*recipe, *(word for key, value in given.items() for word in (f"--{key}", str(value)))])
        )


def test_kto_needs_answers_of_both_labels_and_two_rows_a_batch(
    tiny_model: Path, preferences: Path, tmp_path: Path
) -> None:
    options = settings(tiny_model, preferences, tmp_path / "run")
    with pytest.raises(UserError, match="batch size must be > 1"):
        run("merged-kto.yaml", **options | {"per_device_train_batch_size": 1})
    shutil.copytree(preferences, tmp_path / "one-label")
    rows = pq.read_table(tmp_path / "one-label/data/unpaired/train.parquet")
    pq.write_table(rows.slice(0, 40), tmp_path / "one-label/data/unpaired/train.parquet")
    with pytest.raises(UserError, match="label is True in every row"):
        run("merged-kto.yaml", **options | {"dataset_name": tmp_path / "one-label", "preflight": "true"})


def test_held_out_answers_may_all_be_undesirable(
    tiny_model: Path, preferences: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(preferences, tmp_path / "set")
    path = tmp_path / "set/data/unpaired/inter_task.parquet"
    held_out = pq.read_table(path)
    pq.write_table(held_out.filter(pc.invert(held_out["label"])), path)
    run("merged-kto.yaml", **settings(tiny_model, tmp_path / "set", tmp_path / "run") | {"preflight": "true"})
    assert "Every completion is whole" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes/preference").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_read(recipe: Path) -> None:
    config = parse_preference_args(["--config", str(recipe), "--use_cpu", "true", "--bf16", "false"])
    expected = {"dpo": "preferences", "kto": "unpaired"}
    assert config.dataset_config == expected[config.sft.method] and config.sft.activation_checkpointing is not None
