"""What does not fit together is refused in one sentence, and nothing half-written stays."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.dry_run import estimate
from agentmerge_hub.merging.merge import merge, merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeResult, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.package_data import data_folder

LOCAL = {"base": "./base", "agent": "./agent", "instruct": "./instruct"}


def run(
    method: str = "agentmerge", out: Path = Path("out"), text: str | None = None, *, reply: bool = False
) -> MergeResult:
    spec = specs.parse(text, "spec") if text else specs.read(data_folder("recipes") / "merge" / f"{method}.yml")
    spec = specs.with_values(spec, {name: LOCAL[name] for name in spec.names if name in LOCAL}, "spec")
    return merge_one(MergeJob(spec, out, "spec"), MergeSettings(reply=reply))


@pytest.fixture(autouse=True)
def nothing_new(here: Path) -> Iterator[None]:
    """No test here leaves a file beside what was there."""
    before = set(here.iterdir())
    yield
    assert set(here.iterdir()) == before


def change(folder: str, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(f"{folder}/model.safetensors")
    edit(weights)
    save_file(weights, f"{folder}/model.safetensors", metadata={"format": "pt"})


def configure(folder: str, **values: object) -> None:
    path = Path(folder, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_architecture() -> None:
    configure("agent", architectures=["Qwen2ForCausalLM"])
    with pytest.raises(
        UserError, match=r"agent does not fit \./base: its architectures is Qwen2ForCausalLM, not Llama"
    ):
        run()


def test_another_size(llama: Callable[..., Path]) -> None:
    configure("agent", num_hidden_layers=3)
    with pytest.raises(UserError, match="its num_hidden_layers is 3, not 2"):
        run()


@pytest.mark.parametrize("layers", [1, 3])
def test_another_number_of_layers_than_are_stored(layers: int) -> None:
    for folder in LOCAL:
        configure(folder, num_hidden_layers=layers)
    with pytest.raises(
        UserError, match=rf"config\.json of \./base says {layers} layers?, and 2 are stored: correct it"
    ):
        run()


@pytest.mark.parametrize("folders", [["agent"], ["base", "agent", "instruct"]], ids=["one", "all"])
def test_a_number_of_layers_that_takes_all_memory(folders: list[str]) -> None:
    for folder in folders:
        configure(folder, model_type="qwen2", num_hidden_layers=10**10)
    with pytest.raises(
        UserError, match=r"config\.json of \./\w+ says num_hidden_layers 10000000000, and no model has more"
    ):
        run()


@pytest.mark.parametrize(
    ("values", "lost", "said"),
    [
        ({}, "model.layers.1.self_attn.q_proj.weight", r"random values: model\.layers\.1\.self_attn\.q_proj\.weight is missing"),
        ({"intermediate_size": 96}, None, r"layers\.0\.mlp\.down_proj\.weight is \[32, 64\], and config\.json gives \[32, 96\]"),
        ({"architectures": ["LlamaConfig"]}, None, "transformers has no model class LlamaConfig, which config.json names"),
    ],
)  # fmt: skip
def test_what_no_input_has_and_transformers_needs(values: dict, lost: str | None, said: str) -> None:
    for folder in LOCAL:
        configure(folder, **values)
        change(folder, lambda weights: weights.pop(lost, None))
    with pytest.raises(UserError, match=said):
        run(reply=True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "brand_new"}, "has model_type 'brand_new', which transformers does not know"),
        ({"num_attention_heads": 0}, r"the config\.json of \./base is not accepted by transformers"),
        ({"hidden_act": 5}, r"the config\.json of \./base is not accepted by transformers"),
    ],
)
def test_a_config_that_all_inputs_share_and_transformers_refuses(values: dict, said: str) -> None:
    """Without a trial reply too, before the weights are read: their NaN is not met. A plan says the same."""
    change("agent", lambda weights: weights["model.norm.weight"].__setitem__(3, float("nan")))
    for folder in LOCAL:
        configure(folder, **values)
    with pytest.raises(UserError, match=said):
        run()
    spec = specs.with_values(specs.read(data_folder("recipes") / "merge" / "agentmerge.yml"), LOCAL, "spec")
    with pytest.raises(UserError, match=said):
        estimate(MergeJob(spec, Path("out"), "spec"), MergeSettings(), 500)


def test_a_token_id_of_the_instruct_model_that_transformers_refuses() -> None:
    configure("instruct", pad_token_id="<pad>")
    with pytest.raises(UserError, match=r"the config\.json of \./instruct is not accepted by transformers"):
        run()


def test_a_missing_tensor() -> None:
    change("agent", lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(UserError, match=r"\./agent lacks the tensor model\.norm\.weight"):
        run()


def test_a_tensor_too_many() -> None:
    change("instruct", lambda weights: weights.update(extra=torch.ones(2)))
    with pytest.raises(UserError, match=r"\./instruct has a tensor extra, which \./base lacks"):
        run()


def test_another_shape() -> None:
    change("agent", lambda weights: weights.update({"model.norm.weight": torch.ones(33)}))
    with pytest.raises(UserError, match=r"model\.norm\.weight of \./agent is \[33\], of \./base \[32\]"):
        run()


def test_another_vocabulary() -> None:
    path = Path("agent/tokenizer.json")
    path.write_text(path.read_text().replace('"<|start|>"', '"<|begin|>"'))
    with pytest.raises(
        UserError, match=r"the vocabulary of \./agent is not that of \./instruct: .<.start.>. is token None"
    ):
        run()


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: swap(content["model"]["merges"], 1500, 1700),
        lambda content: content.update(normalizer={"type": "Lowercase"}),
        lambda content: content.update(normalizer=REPLACES),
        lambda content: content.update(pre_tokenizer=content["pre_tokenizer"] | SLOW_PATTERN),
        lambda content: content["added_tokens"][3].update(lstrip=True),
        lambda content: content["added_tokens"][3].update(single_word=True),
    ],
    ids=["merges", "lower case", "a text", "pieces", "blanks before a token", "tokens as whole words"],
)
def test_a_tokenizer_that_splits_text_otherwise(edit: Callable[[dict], object]) -> None:
    """Its ids are those of the instruct model. A base model may have such a tokenizer."""
    change_tokenizer("base", edit)
    run()
    shutil.rmtree("out")
    change_tokenizer("agent", edit)
    with pytest.raises(
        UserError,
        match=r"the tokenizer of \./agent (splits text into other tokens|has other merges), e\.g\. .* \./instruct:",
    ):
        run()


@pytest.mark.parametrize("setting", ["added_tokens_decoder", "split_special_tokens", "tokenizer_class"])
def test_a_setting_beside_the_tokenizer_that_splits_text_otherwise(setting: str) -> None:
    """transformers reads tokenizer_config.json too; what it says like tokenizer.json changes nothing."""
    path = Path("agent/tokenizer_config.json")
    flags = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    token = json.loads(Path("agent/tokenizer.json").read_text())["added_tokens"][3]
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"added_tokens_decoder": {str(token["id"]): token}}))
    run()
    shutil.rmtree("out")
    values = {
        "added_tokens_decoder": {str(token["id"]): flags | {"content": token["content"], "lstrip": True}},
        "split_special_tokens": True,
        "tokenizer_class": "Qwen2Tokenizer",  # which splits digits
    }
    path.write_text(json.dumps(content | {setting: values[setting]}))
    with pytest.raises(UserError, match=r"the tokenizer of \./agent (splits text into other tokens|has other merges)"):
        run()


def test_a_tokenizer_that_cannot_be_compared() -> None:
    Path("agent/tokenizer.json").unlink()
    run()  # it is taken to be that of the others
    shutil.rmtree("out")
    Path("agent/vocab.json").write_text(json.dumps({"click": 0}))
    with pytest.raises(
        UserError, match=r"^\./agent has a vocab\.json and no tokenizer\.json, so that its tokens cannot be"
    ):
        run()


def test_a_tokenizer_that_fails() -> None:
    for folder in LOCAL:
        change_tokenizer(folder, lambda content: content.update(pre_tokenizer=SLOW_PATTERN))
    for folder in ("agent", "instruct"):
        path = Path(folder, "chat_template.jinja")
        path.write_text("x" * 60 + path.read_text())
    with pytest.raises(
        UserError, match=r"^out cannot answer a greeting \(PanicException: .* --no-reply leaves this out"
    ):
        run(reply=True)


def test_a_tokenizer_that_splits_text_alike() -> None:
    """What a training writes into it, how its merges are written, and what it adds around a text are no difference."""
    change_tokenizer("agent", lambda content: content.update(truncation=TRUNCATION, post_processor=None))
    change_tokenizer(
        "agent", lambda content: content["model"].update(merges=[*map(" ".join, content["model"]["merges"])])
    )
    run()
    shutil.rmtree("out")


def swap(values: list, one: int, other: int) -> None:
    values[one], values[other] = values[other], values[one]


REPLACES = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
SLOW_PATTERN = {"type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated", "invert": False}
TRUNCATION = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}


def change_tokenizer(folder: str, edit: Callable[[dict], object]) -> None:
    path = Path(folder, "tokenizer.json")
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_another_chat_template() -> None:
    path = Path("agent/chat_template.jinja")
    path.write_text(path.read_text() + "{{ 'more' }}")
    with pytest.raises(UserError, match=r"the chat template of \./agent is not that of \./instruct"):
        run()


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ raise_exception('no turns here') }}", "its chat template fails: no turns here"),
        (
            "{% for m in messages %}{{ m['role'] }}<|end|>{% endfor %}",
            "its chat template leaves out the assistant's answer",
        ),
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "its turns do not end in a token that stops it"),
    ],
)
def test_a_template_that_no_model_can_chat_with(template: str, sentence: str) -> None:
    """Refused before the weights are computed: their NaN is not met."""
    change("agent", lambda weights: weights["model.norm.weight"].__setitem__(3, float("nan")))
    for folder in ("base", "agent", "instruct"):
        Path(folder, "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=f"the merge is not usable: {sentence}"):
        run()


def test_a_template_that_fills_the_memory() -> None:
    for folder in ("agent", "instruct"):
        Path(folder, "chat_template.jinja").write_text("{{ messages[0].role * 10**10 }}")
    with pytest.raises(
        UserError, match=r"^the chat template of instruct takes more than 1 GiB of memory .*: replace it"
    ):
        run()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["agentmerge", "ties"])
def test_values_that_are_not_finite(value: float, method: str) -> None:
    change("agent", lambda weights: weights["model.norm.weight"].__setitem__(3, value))
    with pytest.raises(UserError, match=r"model\.norm\.weight of \./agent holds values that are not finite"):
        run(method)


@pytest.mark.parametrize("method", ["agentmerge", "ties", "slerp", "nuslerp", "dare_ties", "breadcrumbs"])
def test_a_result_that_overflows_its_type(method: str) -> None:
    """Computed here or by mergekit: infinities are not written."""
    change("agent", lambda weights: weights["model.norm.weight"].__setitem__(3, 1e6))
    text = (data_folder("recipes") / "merge" / f"{method}.yml").read_text()
    with pytest.raises(
        UserError, match=r"model\.norm\.weight .*not finite.*the inputs are finite, the merge overflows"
    ):
        run(text=text.replace("out_dtype: bfloat16", "out_dtype: float16"))


def test_a_nan_that_mergekit_would_write() -> None:
    change("agent", lambda weights: weights["model.norm.weight"].__setitem__(3, float("nan")))
    with pytest.raises(UserError, match=r"model\.norm\.weight of \./agent"):
        run("nuslerp")


def test_an_output_that_is_an_input() -> None:
    before = Path("agent/model.safetensors").read_bytes()
    Path("link").symlink_to("agent")
    for out in (Path("agent"), Path("link"), Path("agent/merged"), Path()):
        with pytest.raises(UserError, match=r"input|already exists"):
            run(out=out)
    Path("link").unlink()
    assert Path("agent/model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("method", "value"), [("lines", None), ("slerp", "t: [0.2, 0.8]"), ("dare_ties", "density: [0.2, 0.8]")]
)
def test_layers_that_cannot_be_found(method: str, value: str | None) -> None:
    """With values by layer, whatever the method and the parameter."""
    for role in LOCAL:
        change(role, lambda weights: weights.update({"odd.7.weight": torch.ones(2)}))
    text = (data_folder("recipes") / "merge" / f"{method}.yml").read_text()
    if value:
        text = re.sub(rf"\b{value.partition(':')[0]}: .*", value, text, count=1)
        assert value in text
    with pytest.raises(UserError, match=r"the layer of odd\.7\.weight cannot be found in LlamaForCausalLM"):
        run(text=text)


def test_a_tensor_that_mergekit_would_leave_out() -> None:
    for role in LOCAL:
        change(role, lambda weights: weights.update({"odd.7.weight": torch.ones(2)}))
    with pytest.raises(UserError, match=r"mergekit could not merge: it would leave out odd\.7\.weight of \./\w+: task"):
        run("slerp")


def test_a_token_that_an_input_lacks() -> None:
    for name in ("base", "agent"):
        path = Path(name, "tokenizer.json")
        path.write_text(path.read_text().replace('"<|start|>"', '"<|begin|>"'))
    with pytest.raises(UserError, match="write a `tokenizer:` block"):
        run()


def test_a_file_that_is_cut_short() -> None:
    path = Path("agent/model.safetensors")
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(UserError, match=r"agent/model\.safetensors is cut short or damaged"):
        run()


def test_a_checkpoint_without_weights() -> None:
    Path("agent/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"agent has no model\.safetensors: the checkpoint is unfinished"):
        run()
    Path("agent/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="only pickled weights, which are never opened"):
        run()


def test_a_shard_that_is_missing() -> None:
    Path("agent/model.safetensors").rename("agent/model-00001-of-00002.safetensors")
    index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    Path("agent/model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"agent lacks model-00002-of-00002\.safetensors"):
        run()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("normalize", "normalise"), "'normalise' is unknown: task_arithmetic takes"),
        (("weight: 0.5 # lambda", "weigth: 0.5"), "'weigth' is unknown: task_arithmetic takes"),
        (("weight: 0.5 # lambda", "weight: 0.4 # lambda"), "binds lambda to both 0.4 and 0.5"),
        (("merge_method: task_arithmetic", "merge_method: tasks"), "Unimplemented merge method tasks"),
        (("out_dtype", "out_type"), "'out_type' is unknown: a spec takes"),
        (("models:", "models: ["), "is not YAML"),
        (
            ("  - model: &instruct", "  - model: ./base\n  - model: ./base\n  - model: &instruct"),
            "lists ./base twice: leave one",
        ),
        (
            ("0.5 # lambda", "[{filter: self_atn, value: 0.1}, {value: 0.5}]"),
            r"the filter 'self_atn' fits no tensor of LlamaForCausalLM: it is a part of names such as model\.embed_tokens",
        ),
    ],
)
def test_a_spec_with_a_mistake(wrong: tuple[str, str], said: str) -> None:
    text = (data_folder("recipes") / "merge" / "agentmerge.yml").read_text()
    with pytest.raises(UserError, match=said):
        run(text=text.replace(*wrong))


def test_a_folder_that_is_not_a_merge() -> None:
    with pytest.raises(UserError, match="already exists and `merge` did not make it"):
        run(out=Path("base"))


def test_a_disk_too_small(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(64 << 10)
    with pytest.raises(UserError, match=r"has [\d.]+ kB free, and the merge takes [\d.]+ [kM]B: free"):
        run(out=disk / "out")
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up(small_disk: Callable[[int], Path]) -> None:
    weights = sum(tensor.numel() * 2 for tensor in load_file("base/model.safetensors").values())
    copied = sum(path.stat().st_size for path in Path("instruct").iterdir() if "safetensors" not in path.name)
    disk = small_disk(weights + copied + (8 << 10))
    with pytest.raises(UserError, match="no space is left on the disk"):
        run(out=disk / "out")
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_while_mergekit_writes(small_disk: Callable[[int], Path]) -> None:
    weights = sum(tensor.numel() * 2 for tensor in load_file("base/model.safetensors").values())
    copied = sum(path.stat().st_size for path in Path("instruct").iterdir() if "safetensors" not in path.name)
    disk = small_disk(weights + copied + (8 << 10))
    with pytest.raises(UserError, match="mergekit could not merge: no space is left on the disk: free some"):
        run("slerp", out=disk / "out")
    assert list(disk.iterdir()) == []


def test_a_temporary_folder_that_cannot_take_an_adapter_is_named(
    small_disk: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = tmp_path_factory.mktemp("dora")
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", use_dora=True)
    get_peft_model(AutoModelForCausalLM.from_pretrained("base"), config).save_pretrained(adapter)
    disk = small_disk(64 << 10)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    recipe = specs.read(data_folder("recipes") / "merge" / "agentmerge.yml")
    spec = specs.with_values(recipe, LOCAL | {"agent": f"./base+{adapter}"}, "spec")
    with pytest.raises(UserError, match=rf"{disk}/agentmerge-adapters-\w+/adapter-0: no space is left on the disk"):
        merge_one(MergeJob(spec, Path("out"), "spec"), MergeSettings(reply=False))
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_in_a_pass_leaves_the_first_merge(
    small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = sum(tensor.numel() * 2 for tensor in load_file("base/model.safetensors").values())
    copied = sum(path.stat().st_size for path in Path("instruct").iterdir() if "safetensors" not in path.name)
    disk = small_disk(2 * (weights + copied) + (8 << 10))
    recipe = specs.read(data_folder("recipes") / "merge" / "agentmerge.yml")
    jobs = [
        MergeJob(specs.with_values(recipe, LOCAL | {"lambda": value}, "spec"), disk / value, "spec")
        for value in ("0.3", "0.5")
    ]
    first, second = merge(jobs, MergeSettings(reply=False))
    assert first.problem is None and second.lacks_space
    assert f"{disk}/0.5: no space is left on the disk" in str(second.problem)
    assert [path.name for path in disk.iterdir()] == ["0.3"]
    written = (first.out / "model.safetensors").read_bytes()
    killed = first.out.rename(disk / ".0.3.0123abcd.partial")  # its space counts as free
    (killed / "more").write_bytes(bytes(weights // 2))
    merge_one(jobs[0], MergeSettings(reply=False))
    assert not killed.exists()
    assert (first.out / "model.safetensors").read_bytes() == written
    count = len(list(first.out.iterdir()))
    subprocess.run(["umount", str(disk)], check=True)
    small_disk(10 * weights, files=2 * count)  # the second merge has no place for its first files
    first, second = merge(jobs, MergeSettings(reply=False))
    assert first.problem is None and second.lacks_space and "no space is left" in str(second.problem)
    assert (first.out / "model.safetensors").read_bytes() == written and not second.out.exists()
    subprocess.run(["umount", str(disk)], check=True)
    small_disk(weights + 2 * copied + (16 << 10))  # the tokenizers of the other merges are deleted with their weights
    others = [replace(jobs[1], out=disk / f"other-{number}") for number in range(4)]
    monkeypatch.setattr("agentmerge_hub.merging.merge.check_disk_space", lambda runs: None)  # filled after the check
    first, *lost = merge([jobs[0], *others], MergeSettings(reply=False))
    assert first.problem is None and all(result.lacks_space for result in lost)
    assert (first.out / "model.safetensors").read_bytes() == written
