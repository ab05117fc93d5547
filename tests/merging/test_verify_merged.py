"""A plain mergekit-yaml output is proven from its inputs, gets its manifest, and is caught when a value is off."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder


def mergekit_yaml(file: Path, out: Path, *options: str) -> Path:
    """What a user types."""
    subprocess.run([str(Path(sys.executable).with_name("mergekit-yaml")), str(file), str(out), *options], check=True)
    return out


@pytest.fixture(scope="module")
def made(family: Path) -> Path:
    recipe = specs.read(data_folder("recipes") / "merge" / "agentmerge.yml")
    values = {"base": "./base", "agent": "./agent", "instruct": "./instruct", "lambda": "0.4"}
    file = family / "agentmerge.yml"
    file.write_text(specs.with_values(recipe, values, "recipe").text)
    with contextlib.chdir(family):
        return family / mergekit_yaml(file, Path("merged"))


@pytest.fixture
def merged(made: Path, here: Path) -> Path:
    return Path(shutil.copytree(made, here / "merged"))


def test_a_plain_merge_is_proven_and_gets_its_lineage(merged: Path) -> None:
    first = verify(merged, {}, began=time.time())
    assert first.first and first.tensors == 21 and isinstance(first.reply, str)
    written = manifest.read(merged)
    assert written["config"]["method"] == "agentmerge" and written["config"]["lambda"] == 0.4
    assert set(written["inputs"]) == {"base", "agent", "instruct"} and written["run"]["seconds"] is not None
    assert written["inputs"]["agent"]["sha256"] == content_hash.folder_hash(Path("agent"))
    assert (merged / "generation_config.json").read_bytes() == Path("instruct/generation_config.json").read_bytes()
    assert not verify(merged, {}).first


def record_run(folder: str, **prompts: object) -> None:
    """The manifest of a run of 640 samples, on prompts with these settings."""
    manifest.write(Path(folder), "sft", config={"samples_seen": 640, "prompts": prompts})


def test_the_prompt_settings_of_the_training_are_carried_and_compared(merged: Path) -> None:
    prompts = {"window": 2048, "flags": {"use_html": True}, "different_flags": [], "packages": {"agentlab": "0.4.2"}}
    record_run("agent", **prompts)
    record_run("instruct", window=512)  # which was not trained on traces
    assert verify(merged, {}, reply=False).first
    content = manifest.read(merged)
    assert content["config"]["prompts"] == prompts and not verify(merged, {}, reply=False).first
    changed = content["config"] | {"prompts": prompts | {"flags": {"use_html": False}}}
    (merged / manifest.NAME).write_text(json.dumps(content | {"config": changed}))
    with pytest.raises(UserError, match=r"its manifest says prompts = .*, and the manifest of what was merged"):
        verify(merged, {}, reply=False)
    del changed["prompts"]
    (merged / manifest.NAME).write_text(json.dumps(content | {"config": changed}))
    with pytest.raises(UserError, match="its manifest does not say prompts, and the manifest of what was merged says"):
        verify(merged, {}, reply=False)


def test_a_soup_carries_what_its_runs_agree_on(here: Path) -> None:
    flags = {"use_html": True, "use_tabs": False, "use_som": False}
    record_run("agent", window=2048, answer=64, flags=flags | {"use_thinking": True}, different_flags=["use_tabs"])
    record_run("instruct", window=2048, answer=128, flags=flags | {"use_thinking": False}, different_flags=[])
    recipe = specs.read(data_folder("recipes") / "merge" / "model_soup.yml")
    runs = {name: f"./{run}" for name, run in zip(recipe.names, ("agent", "instruct", "agent"))}
    merge_one(MergeJob(specs.with_values(recipe, runs, "recipe"), Path("soup"), "spec"), MergeSettings(reply=False))
    assert manifest.read(Path("soup"))["config"]["prompts"] == {
        "window": 2048,
        "flags": {"use_html": True, "use_som": False},
        "different_flags": ["use_tabs", "use_thinking"],
    }
    verify(Path("soup"), reply=False)


def test_a_changed_value_is_found_and_named(merged: Path) -> None:
    weights = load_file(merged / "model.safetensors")
    weights["model.norm.weight"][3] += 0.5
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.norm\.weight differs in 1 of 32 values, by at most 0\.5"):
        verify(merged, {})
    assert not (merged / manifest.NAME).exists() and not (merged / "generation_config.json").exists()


def test_another_lambda_or_another_input_is_found(merged: Path) -> None:
    with pytest.raises(UserError, match=r"model\.embed_tokens\.weight differs"):
        verify(merged, {"lambda": "0.5"})
    verify(merged, {})
    weights = load_file("agent/model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, "agent/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="the agent model at agent is not the one that was merged"):
        verify(merged, {})


def test_a_finished_merge_that_was_changed_is_told(merged: Path) -> None:
    verify(merged, {}, reply=False)
    (merged / "config.json").write_text((merged / "config.json").read_text() + "\n")
    with pytest.raises(
        UserError, match=r"config\.json was changed since it was written \(if mergekit-yaml wrote there"
    ):
        verify(merged, {})


def test_a_missing_input_says_how_to_point_at_it(merged: Path) -> None:
    Path("agent").rename("moved")
    with pytest.raises(UserError, match=r"no model at .\./agent.*--set"):
        verify(merged, {})
    assert verify(merged, {"agent": "moved"}).first


def test_values_that_are_not_finite_are_found(here: Path, merged: Path) -> None:
    weights = load_file(merged / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.norm\.weight holds 1 values that are not finite"):
        verify(merged, {})


def test_a_lost_chat_template_is_found(merged: Path) -> None:
    (merged / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="its chat template is not that of instruct"):
        verify(merged, {})


def test_a_chat_template_that_fills_the_memory_is_refused(merged: Path) -> None:
    for folder in (Path("agent"), Path("instruct"), merged):
        (folder / "chat_template.jinja").write_text("{{ messages[0].role * 10**10 }}")
    with pytest.raises(UserError, match="the chat template of instruct takes more than 1 GiB of memory"):
        verify(merged)


@pytest.mark.parametrize("method", ["ties", "dare_ties"])
def test_other_methods_are_proven_too(here: Path, method: str) -> None:
    recipe = specs.read(data_folder("recipes") / "merge" / f"{method}.yml")
    values = {name: f"./{name}" for name in ("base", "agent", "instruct") if name in recipe.names}
    Path("spec.yml").write_text(specs.with_values(recipe, values, "recipe").text)
    options = ["--random-seed", "42"] if recipe.seed else []
    merged = mergekit_yaml(Path("spec.yml"), Path("merged"), *options)
    assert verify(merged, {}, reply=False).first
    weights = load_file(merged / "model.safetensors")
    weights["lm_head.weight"][5, 7] += 1
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    (merged / manifest.NAME).unlink()
    with pytest.raises(UserError, match=r"lm_head\.weight differs in 1 of"):
        verify(merged, {})
    assert {path.name for path in here.iterdir()} == {"base", "agent", "instruct", "merged", "spec.yml"}


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


TRUNCATION = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}


def drop_token(merged: Path) -> None:
    content = json.loads((merged / "tokenizer.json").read_text())
    content["added_tokens"][0]["lstrip"] = not content["added_tokens"][0]["lstrip"]
    (merged / "tokenizer.json").write_text(json.dumps(content))


def add_template(merged: Path) -> None:
    (merged / "additional_chat_templates").mkdir()
    (merged / "additional_chat_templates/tool_use.jinja").write_text("do as I say")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda merged: change_json(merged / "config.json", rms_norm_eps=0.5), "config.json has rms_norm_eps 0.5, and"),
        (
            lambda merged: change_json(merged / "config.json", eos_token_id=9),
            "config.json has eos_token_id 9, and the inputs give 1",
        ),
        (lambda merged: change_json(merged / "config.json", dtype="float32"), "config.json says dtype float32"),
        (
            lambda merged: (
                shutil.copy("instruct/generation_config.json", merged)
                and change_json(merged / "generation_config.json", temperature=9.0)
            ),
            "generation_config.json has other values than that of instruct: temperature",
        ),
        (drop_token, "tokenizer.json has another added_tokens"),
        (
            lambda merged: change_json(merged / "tokenizer_config.json", pad_token="<|end|>"),
            "tokenizer_config.json has another pad_token than that of instruct",
        ),
        (
            lambda merged: (merged / "modeling_custom.py").write_text("import os"),
            "modeling_custom.py belongs to no merge",
        ),
        (lambda merged: (merged / "more.safetensors").write_bytes(b""), "more.safetensors belongs to no merge"),
        (
            lambda merged: (merged / "preprocessor_config.json").write_text("{}"),
            "preprocessor_config.json is not that of",
        ),
        (
            lambda merged: change_json(merged / "config.json", quantization_config={"quant_method": "bitsandbytes"}),
            "config.json has quantization_config.quant_method bitsandbytes, which none of its inputs has",
        ),
        (
            lambda merged: change_json(merged / "config.json", auto_map={"AutoModel": "other/repo--modeling.Model"}),
            "config.json has auto_map.AutoModel other/.*, which none of its inputs has",
        ),
        (
            lambda merged: change_json(merged / "tokenizer_config.json", padding_side="left", model_max_length=5),
            "tokenizer_config.json has another model_max_length, padding_side",
        ),
        (
            lambda merged: change_json(merged / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer"),
            "tokenizer_config.json has another tokenizer_class",
        ),
        (add_template, "its further chat templates are not those of instruct"),
        (lambda merged: ((merged / ".hidden").mkdir(), (merged / ".hidden/a.py").write_text("")), "a.py belongs to no merge"),
        (lambda merged: change_json(merged / "config.json", attn_implementation="x/y"), "config.json has attn_implementation x/y"),
        (lambda merged: change_json(merged / "config.json", _attn_implementation="eager"), "config.json has _attn_imple"),
        (lambda merged: change_json(merged / "config.json", rope_theta=3.0), "config.json has rope_theta 3.0, which none"),
        (lambda merged: change_json(merged / "config.json", configuration_files=["config.4.json"]), "configuration_files"),
        (lambda merged: change_json(merged / "config.json", num_hidden_layers=10**10), "config.json says num_hidden_layers 1000"),
        (lambda merged: change_json(merged / "config.json", architectures=5), "config.json has architectures 5, and"),
        (
            lambda merged: (merged / "config.json").write_text('{"rms_norm_eps": 5,' + (merged / "config.json").read_text()[1:]),
            r"config\.json cannot be read as JSON: .rms_norm_eps. is given twice",
        ),
        (
            lambda merged: save_file(
                {name: tensor.view(torch.int16) for name, tensor in load_file(merged / "model.safetensors").items()},
                merged / "model.safetensors",
            ),
            "is stored as I16",
        ),
        (lambda merged: (merged / "generation_config.json").symlink_to("../written"), "generation_config.json is no file, but"),
        (lambda merged: change_json(merged / "config.json", torch_dtype="float64"), "says torch_dtype float64, and the"),
        (
            lambda merged: change_json(merged / "tokenizer_config.json", split_special_tokens=True, auto_map={"a": "b"}),
            "tokenizer_config.json has another auto_map, split_special_tokens than that",
        ),
        (
            lambda merged: change_json(merged / "tokenizer.json", truncation=TRUNCATION),
            "tokenizer.json has another truncation than that of instruct",
        ),
        (lambda merged: (merged / "vocab.json").write_text("{}"), "vocab.json is in none of its inputs"),
        (lambda merged: (merged / "params.json").write_text("{}"), "params.json makes loaders look for weights"),
        (lambda merged: (merged / "more").symlink_to("../agent"), "more is no file, but a link that leads to none"),
        (
            lambda merged: save_file(load_file(merged / "model.safetensors"), merged / "model.safetensors", {"format": "mlx"}),
            "model.safetensors has the metadata {.format.: .mlx.}",
        ),
    ],
    ids=["config", "eos", "dtype", "generation", "tokenizer", "special token", "code", "weights", "processor",
         "quantization", "remote code", "tokenizer settings", "tokenizer class", "tool template", "hidden code", "kernel",
         "internal kernel", "older key", "another config", "layers", "class", "given twice", "integers", "dangling link", "older dtype", "tokenizer code", "truncation", "vocabulary",
         "other loaders", "link", "metadata"],
)  # fmt: skip
def test_every_file_is_compared_with_the_inputs(merged: Path, change: Callable[[Path], object], said: str) -> None:
    change(merged)
    with pytest.raises(UserError, match=said):
        verify(merged, {}, reply=False)
    assert not (merged / manifest.NAME).exists() and not (merged.parent / "written").exists()


def test_notes_beside_inputs_and_a_finished_card_change_nothing(merged: Path) -> None:
    verify(merged, {}, reply=False)
    Path("base/README.md").write_text("# The base model")
    Path("agent/.cache/huggingface").mkdir(parents=True)
    Path("agent/.cache/huggingface/download.json").write_text("{}")
    Path("agent/trainer_state.json").write_text("{}")
    Path("agent/tokenizer_notes.md").write_text("It was not changed.")
    for name in ("consolidated.safetensors", "model.gguf", "pytorch_model.bin"):  # the same weights in other formats
        Path("base", name).write_bytes(b"other")
    (merged / "figure.png").write_bytes(b"")
    (merged / "README.md").write_text("# A merge\n\nEvaluated on validation tasks.")
    change_json(merged / "config.json", transformers_version="4.0", _name_or_path="elsewhere")
    manifest.update_output(merged, "config.json")
    verdict = verify(merged, {}, reply=False)
    claims = ("agentmerge_hub", "run", "versions")
    assert not verdict.first
    files = ("README.md", "figure.png", "config.json: _name_or_path elsewhere", "config.json: transformers_version 4.0")
    assert verdict.unchecked == (*files, *(f"manifest.json: {claim}" for claim in claims))
    (merged / manifest.NAME).unlink()
    renamed = (merged / specs.SPEC_FILE).read_text().replace("# agentmerge:", "# ties:", 1)
    (merged / specs.SPEC_FILE).write_text(f"{renamed}# The best of them on validation tasks\n")
    content = json.loads((merged / "config.json").read_text())
    (merged / "config.json").write_text(json.dumps({key: content[key] for key in content.keys() - {"hidden_act"}}))
    defaults = "config.json: hidden_act (left to the defaults of transformers)"
    assert verify(merged, {}, reply=False).unchecked == (
        *files, defaults, "mergekit_config.yml: the name ties", "mergekit_config.yml: comments",
    )  # fmt: skip


def test_further_templates_are_merged_and_compared(here: Path) -> None:
    Path("instruct/additional_chat_templates").mkdir()
    Path("instruct/additional_chat_templates/tool_use.jinja").write_text("tools")
    recipe = specs.read(data_folder("recipes") / "merge" / "agentmerge.yml")
    local = specs.with_values(recipe, {name: f"./{name}" for name in ("base", "agent", "instruct")}, "recipe")
    merge_one(MergeJob(local, Path("merged"), "spec"), MergeSettings(reply=False))
    template = Path("merged/additional_chat_templates/tool_use.jinja")
    assert template.read_text() == "tools" and not verify(Path("merged"), reply=False).first
    Path("merged/manifest.json").unlink()
    template.write_text("other tools")
    with pytest.raises(UserError, match="its further chat templates are not those of instruct"):
        verify(Path("merged"), reply=False)


def test_a_template_may_lack_the_line_break_that_jinja_leaves_out(merged: Path) -> None:
    template = merged / "chat_template.jinja"
    text = template.read_text().rstrip("\n")
    for end, before in (("", "\n"), ("\n", "")):
        Path("instruct/chat_template.jinja").write_text(text + before)
        Path("agent/chat_template.jinja").write_text(text + end)
        template.write_text(text + end)
        assert verify(merged, reply=False).first
        (merged / manifest.NAME).unlink()
    for other in (f"{text}\n\n", f"{text} ", f"\n{text}"):  # these are in every prompt
        template.write_text(other)
        with pytest.raises(UserError, match="its chat template is not that of instruct"):
            verify(merged, reply=False)
    template.write_text(text)
    Path("agent/chat_template.jinja").write_text(f"{text}\n\n")
    with pytest.raises(UserError, match=r"the chat template of \./agent is not that of \./instruct"):
        verify(merged, reply=False)


def test_a_gguf_file_is_not_checked_and_has_to_be_in_the_manifest(merged: Path) -> None:
    gguf = merged / "model-bf16.gguf"
    gguf.write_bytes(b"GGUF")
    with pytest.raises(
        UserError, match=r"model-bf16\.gguf is in no manifest: remove it, and make it with `agentmerge gguf`"
    ):
        verify(merged, reply=False)
    gguf.unlink()
    verify(merged, reply=False)
    gguf.write_bytes(b"GGUF")
    with pytest.raises(UserError, match="is in no manifest"):
        verify(merged, reply=False)
    manifest.update_output(merged, gguf.name)  # as `agentmerge gguf` does
    unchecked = verify(merged, reply=False).unchecked
    assert "model-bf16.gguf (`agentmerge push model` compares its weights)" in unchecked
    gguf.write_bytes(b"other")
    with pytest.raises(UserError, match=r"model-bf16\.gguf was changed since it was written"):
        verify(merged, reply=False)


def test_what_the_manifest_claims_is_compared(merged: Path) -> None:
    verify(merged, {}, reply=False)
    content = manifest.read(merged)
    agent = content["inputs"]["agent"]
    forgeries: list[tuple[str, dict[str, object], str]] = [
        ("config", {"lambda": 0.9}, r"says lambda = 0\.9, and mergekit_config\.yml 0\.4"),
        ("config", {"learning_rate": 1e-6, "samples_seen": 9}, "says learning_rate = 1e-06, which neither"),
        ("config", {"mergekit": "9.9"}, "says mergekit 9.9 in `config` and"),
        ("counts", {"parameters": 7}, "says 7 parameters"),
        ("counts", {"parameters": float(content["counts"]["parameters"])}, r"says \d+\.0 parameters"),
        ("counts", {"score": 1.0}, "`counts` of its manifest has score, which no merge writes"),
        ("inputs", {"other": agent}, "names the input other"),
        ("inputs", {"agent": agent | {"name": "Llama-405B"}}, "names the agent model Llama-405B, and"),
        (
            "inputs",
            {"agent": agent | {"stage": "sft"}},
            "says stage = sft of the agent model, and agent has no manifest",
        ),
        ("run", {"cost": 3}, "`run` of its manifest has cost"),
        ("outputs", {"config.json": content["outputs"]["config.json"] | {"bytes": 1}}, "says config.json has 1 bytes"),
    ]
    for section, claim, said in forgeries:
        (merged / manifest.NAME).write_text(json.dumps(content | {section: content[section] | claim}))
        with pytest.raises(UserError, match=f"its manifest.*{said}|{said}"):
            verify(merged, {}, reply=False)
    for changed, said in (
        (content | {"score": 1}, "its manifest has score"),
        (content | {"stage": "sft"}, "says stage sft"),
        (
            content | {"counts": {key: content["counts"][key] for key in ("tensors", "parameters")}},
            "has no reply in `counts`",
        ),
        (content | {"run": {"finished": "", "seconds": float("inf")}}, "run.seconds = inf, which is no duration"),
        (content | {"inputs": {role: content["inputs"][role] for role in ("base", "instruct")}}, "not name the agent"),
        (content | {"versions": []}, "`versions` is not an object"),
        (content | {"outputs": {}}, r"its manifest does not list config\.json"),
        (content | {"agentmerge_hub": ["1"]}, "says agentmerge_hub = 1, which is no text"),
    ):
        (merged / manifest.NAME).write_text(json.dumps(changed))
        with pytest.raises(UserError, match=said):
            verify(merged, {}, reply=False)
