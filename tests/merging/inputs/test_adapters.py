"""A LoRA run is the model it makes of its base: in merges, and grafted on the instruct model with PEFT alone."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.dry_run import estimate
from agentmerge_hub.merging.engine import streaming
from agentmerge_hub.merging.graft import graft
from agentmerge_hub.merging.inputs import tensor_reader
from agentmerge_hub.merging.inputs.adapter import OTHER_TYPES, AdaptedTensor
from agentmerge_hub.merging.inputs.merge_inputs import open_model
from agentmerge_hub.merging.inputs.safetensors_header import header_of
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder


def train(out: Path, **options: object) -> Path:
    """A LoRA adapter on ./base with factors that do something."""
    torch.manual_seed(7)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"} | options
    config = LoraConfig(**options)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
            elif weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(out)
    return out


@pytest.fixture
def lora(here: Path) -> Path:
    return train(Path("lora"))


def spec_of(method: str, agent: str) -> specs.Spec:
    recipe = specs.read(data_folder("recipes") / "merge" / f"{method}.yml")
    return specs.with_values(recipe, {"base": "./base", "agent": agent, "instruct": "./instruct"}, "spec")


@pytest.mark.parametrize(
    ("options", "methods"),
    [({}, ["agentmerge", "nuslerp"]), ({"use_rslora": True}, ["ties"])],
    ids=["streamed and by mergekit", "rslora"],
)
def test_an_adapter_merges_as_the_model_peft_makes_of_it(
    here: Path, options: dict, methods: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (streaming, tensor_reader):  # chunks end inside rows
        monkeypatch.setattr(module, "CHUNK_SIZE", 200)
    lora = train(Path("lora"), **options)
    full = AutoPeftModelForCausalLM.from_pretrained(lora, dtype=torch.float32).merge_and_unload()
    full.save_pretrained("full")
    for method in methods:
        merge_one(MergeJob(spec_of(method, "./lora"), Path(method), "spec"), MergeSettings(reply=False))
        merge_one(MergeJob(spec_of(method, "./full"), Path(f"{method}-full"), "spec"), MergeSettings(reply=False))
        assert Path(method, "model.safetensors").read_bytes() == Path(f"{method}-full/model.safetensors").read_bytes()
    assert verify(Path(methods[0]), {}).tensors == 21


@pytest.mark.parametrize("size", [50, 64, 130, 1000])
def test_chunks_of_an_adapted_tensor_are_those_of_the_whole_product(tmp_path: Path, size: int) -> None:
    torch.manual_seed(0)
    base, a, b = torch.randn(40, 50), torch.randn(4, 50), torch.randn(40, 4)
    save_file({"base": base, "a": a, "b": b}, tmp_path / "model.safetensors")
    stored = header_of(tmp_path / "model.safetensors")
    adapted = AdaptedTensor(stored["base"], stored["a"], stored["b"], scale=0.3)
    with tensor_reader.TensorReader() as reader:
        parts = [reader.values(adapted, begin, min(begin + size, 2000)) for begin in range(0, 2000, size)]
    assert torch.cat(parts).equal((base + (b @ a) * 0.3).view(-1))


def test_mergekit_gives_the_same_for_model_plus_adapter(lora: Path) -> None:
    spec = spec_of("agentmerge", "./base+./lora")
    merge_one(MergeJob(spec, Path("ours"), "spec"), MergeSettings(reply=False))
    options = MergeOptions(write_model_card=False, quiet=True, lora_merge_cache="cache", lora_merge_dtype="float32")
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(spec.text)), "theirs", options)
    ours, theirs = load_file("ours/model.safetensors"), load_file("theirs/model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_graft_is_the_sum_with_both_vectors_whole(lora: Path, llama: Callable[..., Path]) -> None:
    prompts = {"flags": {"use_html": True}}
    manifest.write(lora, "sft", config={"prompts": prompts})
    graft(lora, "./instruct", Path("graft"))
    assert manifest.read(Path("graft"))["config"]["prompts"] == prompts
    assert sum(path.stat().st_size for path in Path("graft").glob("*.safetensors")) < 50_000
    loaded = AutoPeftModelForCausalLM.from_pretrained("graft", dtype=torch.float32).merge_and_unload().state_dict()
    text = spec_of("agentmerge_sum", "./lora").text.replace("out_dtype: bfloat16", "out_dtype: float32")
    merge_one(MergeJob(specs.parse(text, "spec"), Path("sum"), "spec"), MergeSettings(reply=False))
    for name, tensor in load_file("sum/model.safetensors").items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=1e-6)


def test_a_merge_of_a_runs_adapter_carries_what_the_run_records(here: Path) -> None:
    prompts = {"window": 2048, "flags": {"use_html": True}, "different_flags": []}
    data = Path("rows")
    data.mkdir()
    run = train(Path("run/adapter")).parent
    manifest.write(run, "sft", inputs={"dataset": data}, config={"samples_seen": 640, "prompts": prompts})
    merge_one(MergeJob(spec_of("agentmerge", "./run/adapter"), Path("merged"), "spec"), MergeSettings(reply=False))
    made = manifest.read(Path("merged"))
    assert (made["config"]["samples_seen"], made["config"]["prompts"]) == (640, prompts)
    agent = made["inputs"]["agent"]
    assert (agent["stage"], agent["inputs"].keys(), "changed" in agent) == ("sft", {"dataset"}, False)
    verify(Path("merged"), {}, reply=False)
    weights = load_file(run / "adapter/adapter_model.safetensors")
    save_file({name: 2 * each for name, each in weights.items()}, run / "adapter/adapter_model.safetensors")
    merge_one(MergeJob(spec_of("agentmerge", "./run/adapter"), Path("another"), "spec"), MergeSettings(reply=False))
    made = manifest.read(Path("another"))  # of weights that are not the run's
    assert "prompts" not in made["config"] and "stage" not in made["inputs"]["agent"]


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True, "modules_to_save": ["embed_tokens", "lm_head"]},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"q_proj": 3}, "trainable_token_indices": [3, 5]},
        {"target_modules": ["embed_tokens", "lm_head", "v_proj"], "use_rslora": True},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "mica"},
        {"init_lora_weights": "eva", "rank_pattern": {"q_proj": 2}},
    ],
    ids=["dora and whole modules", "patterns and tokens", "embeddings and head", "pissa", "olora", "mica", "eva"],
)
def test_whatever_peft_merges_is_merged_as_peft_does(
    here: Path, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = train(Path("lora"), **options)
    with monkeypatch.context() as nowhere:  # a dry run has no place to write in
        nowhere.setattr(tempfile, "tempdir", "/nowhere")
        planned = estimate(MergeJob(spec_of("agentmerge", "./lora"), Path("out"), "spec"), MergeSettings(), 500)
    parameters = sum(tensor.numel() for tensor in load_file("base/model.safetensors").values())
    assert planned.scratch == 4 * parameters and not Path("out").exists()
    base = AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32)
    wanted = PeftModel.from_pretrained(base, lora).merge_and_unload().state_dict()
    text = spec_of("agentmerge", "./lora").text.replace("out_dtype: bfloat16", "out_dtype: float32")
    spec = specs.with_values(specs.parse(text, "spec"), {"lambda": "1"}, "spec")
    merge_one(MergeJob(spec, Path("out"), "spec"), MergeSettings(reply=False))
    for name, tensor in load_file("out/model.safetensors").items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-6)
    assert {"agent", "agent_base"} <= set(manifest.read(Path("out"))["inputs"])


SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 50}
VISION = {**SMALL, "image_size": 28, "patch_size": 14}


@pytest.mark.filterwarnings("ignore")
def test_classes_with_other_layouts_and_names_than_llamas_are_merged_as_peft_does(tmp_path: Path) -> None:
    """Conv1D stores matrices transposed, which a square one (c_proj) does not show; Gemma 3 and GPT-NeoX have other names in
    memory than in files."""
    configs = {
        GPT2LMHeadModel: (GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=64, vocab_size=50), "c_proj"),
        Gemma3ForConditionalGeneration: (
            Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4),
            "q_proj",
        ),
        GPTNeoXForCausalLM: (GPTNeoXConfig(**SMALL, vocab_size=50), "lm_head"),
    }
    for kind, (config, target) in configs.items():
        base, lora = tmp_path / kind.__name__, tmp_path / f"{kind.__name__}-lora"
        torch.manual_seed(7)
        kind(config).save_pretrained(base)
        model = get_peft_model(kind.from_pretrained(base), LoraConfig(r=2, target_modules=[target]))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
        model.save_pretrained(lora)
        for transposed in (False, True):
            configure(lora, fan_in_fan_out=transposed)
            (tmp_path / "scratch").mkdir(exist_ok=True)
            merged = open_model(str(lora), tmp_path / "scratch").weights_folder
            found = kind.from_pretrained(merged).state_dict()
            wanted = PeftModel.from_pretrained(kind.from_pretrained(base), lora).merge_and_unload().state_dict()
            assert found.keys() == wanted.keys() and all(found[name].equal(wanted[name]) for name in wanted)


@pytest.mark.filterwarnings("ignore")
def test_adapters_on_tied_embeddings(here: Path, tmp_path: Path, llama: Callable[..., Path]) -> None:
    """PEFT's merge of LoRA on one end changes both, and answers otherwise than the adapter; a saved module is a head, or
    embeddings, of its own."""
    for seed, role in enumerate(("base", "instruct")):
        shutil.rmtree(role)
        llama(Path(role), seed=seed, tied=True, layers=1, chat=role == "instruct")
    for target in ("embed_tokens", "lm_head"):
        train(Path(target), target_modules=[target])
        with pytest.raises(
            UserError, match=r"the model that PEFT saves answers otherwise .where it changes embeddings"
        ):
            open_model(f"./{target}", tmp_path)
    train(Path("saved"), modules_to_save=["embed_tokens"])
    text = spec_of("agentmerge", "./saved").text.replace("out_dtype: bfloat16", "out_dtype: float32")
    merge_one(MergeJob(specs.parse(text, "spec"), Path("out"), "spec"), MergeSettings(reply=False))
    model = AutoModelForCausalLM.from_pretrained("out")
    base, instruct = (load_file(f"{role}/model.safetensors") for role in ("base", "instruct"))
    agent = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("base"), "saved").merge_and_unload()
    embeddings = "model.embed_tokens.weight"
    weight = specs.parse(text, "spec").names["lambda"]
    for name, tensor in model.state_dict().items():
        tied = embeddings if name == "lm_head.weight" else name
        wanted = base[tied] + weight * (agent.state_dict()[name] - base[tied])
        wanted += (1 - weight) * (instruct[tied] - base[tied])
        torch.testing.assert_close(tensor, wanted, rtol=1e-5, atol=1e-6)
    assert not model.lm_head.weight.equal(model.model.embed_tokens.weight)
    verify(Path("out"), {}, reply=False)
    with pytest.raises(UserError, match=r"uses its embeddings as the head .* which mergekit cannot merge"):
        by_mergekit = specs.parse(text.replace("\ndtype: float32", "\ndtype: float16"), "spec")
        merge_one(MergeJob(by_mergekit, Path("not"), "spec"), MergeSettings(reply=False))


TARGETS = {"target_modules": ["q_proj", "down_proj"]}
RANKED = {"r": 4, **TARGETS}
SETTINGS = {
    "ADALORA": {"init_r": 4, "target_r": 2, "total_step": 10, "tinit": 1, "tfinal": 2, **TARGETS},
    "BOFT": {"boft_block_size": 8, **TARGETS},
    "C3A": {"block_size": 8, **TARGETS},
    "DEFT": RANKED,
    "DELORA": RANKED,
    "FOURIERFT": {"n_frequency": 20, **TARGETS},
    "FROD": TARGETS,
    "GLORA": RANKED,
    "GRALORA": {"gralora_k": 2, **RANKED},
    "HIRA": RANKED,
    "HRA": RANKED,
    "IA3": {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["input_layernorm", "norm"]},
    "LOHA": RANKED,
    "LOKR": RANKED,
    "MISS": RANKED,
    "OFT": {"r": 0, "oft_block_size": 8, **TARGETS},
    "OSF": TARGETS,
    "PEANUT": RANKED,
    "PSOFT": RANKED,
    "PVERA": RANKED,
    "RANDLORA": {"r": 4, "target_modules": ["q_proj"]},
    "ROAD": {"group_size": 8, **TARGETS},
    "SHIRA": RANKED,
    "SUPERTUNING": RANKED,
    "TINYLORA": RANKED,
    "TRAINABLE_TOKENS": {"token_indices": [3, 9], "target_modules": ["embed_tokens"]},
    "UNILORA": RANKED,
    "VBLORA": {"num_vectors": 20, "vector_length": 8, **RANKED},
    "VERA": {"r": 4, "target_modules": ["q_proj"]},
    "WAVEFT": {"n_frequency": 20, **TARGETS},
}


@pytest.mark.filterwarnings("ignore")
def test_every_other_type_gives_the_weights_that_answer_as_the_adapter_does(here: Path, tmp_path: Path) -> None:
    assert tuple(SETTINGS) == OTHER_TYPES
    tokens = torch.arange(3, 20)[None]
    for kind, settings in SETTINGS.items():
        torch.manual_seed(7)
        config = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)](task_type="CAUSAL_LM", **settings)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32), config)
        plain = model(input_ids=tokens).logits
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight.add_(0.05 * torch.randn_like(weight))
        model.save_pretrained(kind)
        merged = open_model(f"./{kind}", tmp_path)
        answers = AutoModelForCausalLM.from_pretrained(merged.weights_folder, dtype=torch.float32)(
            input_ids=tokens
        ).logits
        torch.testing.assert_close(answers, model.eval()(input_ids=tokens).logits, rtol=0, atol=2e-6, msg=kind)
        assert (answers - plain).abs().max() > 1e-4, kind


def configure(lora: Path, **values: object) -> None:
    path = lora / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "is an adapter of peft_type PROMPT_TUNING, which is not known to merge"),
        ({"peft_type": "IA3"}, "has init_lora_weights = True, which is not known to merge exactly"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "has layer_replication = "),
        ({"alora_invocation_tokens": [1]}, "has alora_invocation_tokens = .1., which is not known to merge exactly"),
        ({"setting_of_tomorrow": 1}, "has setting_of_tomorrow = 1, which is not known to merge exactly"),
        ({"init_lora_weights": "pissa_niter_4"}, "has init_lora_weights = pissa_niter_4"),
        ({"target_modules": ["q_proj"]}, r"down_proj\.lora_A\.weight is in one of them only"),
        ({"target_modules": "(q_proj"}, "target_modules '.q_proj' is no regular expression"),
        ({"r": 2}, "with rank 4, and its adapter_config.json says r = 2"),
        ({"r": 0}, "r is 0, and should be a number above 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan, and should be a number above 0"),
        ({"base_model_name_or_path": "gone"}, r"trained on 'gone', which is not here: write MODEL\+\./lora"),
    ],
)
def test_an_adapter_that_cannot_be_merged_exactly_is_refused(lora: Path, values: dict, said: str) -> None:
    configure(lora, **values)
    with pytest.raises(UserError, match=said):
        merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("out"), "spec"), MergeSettings(reply=False))
    assert not Path("out").exists()


def _lose_a_layer(factors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in factors if ".layers.1." in name]:
        del factors[name]


def _round(factors: dict[str, torch.Tensor]) -> None:
    factors.update({name: factor.int() for name, factor in factors.items()})


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_lose_a_layer, r"does not fit base: .*layers\.1\..*lora_A\.weight is in one of them only"),
        (dict.clear, "does not fit base: .* is in one of them only"),
        (_round, r"stores model\.layers\.0\..* as I32: merging needs floating point"),
    ],
    ids=["a layer lost", "no factors", "whole numbers"],
)
def test_an_adapter_with_other_factors_than_it_says_is_refused(lora: Path, edit: Callable, said: str) -> None:
    factors = load_file(lora / "adapter_model.safetensors")
    edit(factors)
    save_file(factors, lora / "adapter_model.safetensors")
    with pytest.raises(UserError, match=said):
        merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("out"), "spec"), MergeSettings(reply=False))
    assert not Path("out").exists()


def test_a_base_that_has_moved_can_be_named(lora: Path) -> None:
    merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("one"), "spec"), MergeSettings(reply=False))
    configure(lora, base_model_name_or_path="gone")
    settings = MergeSettings(reply=False, adapter_base="./base")
    merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("two"), "spec"), settings)
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()
    assert verify(Path("two"), {}, reply=False, adapter_base="./base").tensors == 21


@pytest.mark.parametrize("agent", ["./second", "./lora+./second"])
def test_an_adapter_on_an_adapter_is_refused(lora: Path, agent: str) -> None:
    shutil.copytree(lora, "second")
    configure(Path("second"), base_model_name_or_path="./lora")
    with pytest.raises(
        UserError, match=r"^second is an adapter on the adapter lora: merge lora into its base model first"
    ):
        merge_one(MergeJob(spec_of("agentmerge", agent), Path("out"), "spec"), MergeSettings(reply=False))


def test_a_graft_takes_plain_adapters_for_its_model_only(lora: Path, llama: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="base is no adapter"):
        graft(Path("base"), "./instruct", Path("graft"))
    with pytest.raises(UserError, match="the output lora is the input lora"):
        graft(lora, "./instruct", lora)
    llama(Path("wide"), seed=0, hidden=64)
    with pytest.raises(UserError, match=r"adapts .* and \./wide has no such tensor"):
        graft(lora, "./wide", Path("graft"))
    for values in ({"use_dora": True}, {"use_dora": False, "init_lora_weights": "pissa"}):
        configure(lora, **values)
        with pytest.raises(UserError, match=r"lora is not plain LoRA \((use_dora|init_lora_weights)\)"):
            graft(lora, "./instruct", Path("graft"))
    assert not Path("graft").exists()


def test_factors_under_names_that_peft_ignores_are_refused(lora: Path) -> None:
    factors = load_file(lora / "adapter_model.safetensors")
    save_file(
        {name.removeprefix("base_model.model."): each for name, each in factors.items()},
        lora / "adapter_model.safetensors",
    )
    with pytest.raises(UserError, match=r"does not fit base: .* is in one of them only"):
        merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("out"), "spec"), MergeSettings(reply=False))
    with pytest.raises(UserError, match="which is not a plain LoRA factor"):
        graft(lora, "./instruct", Path("graft"))


@pytest.mark.parametrize("agent", ["./both", "./both+./lora", "./base+./both"])
def test_a_folder_with_a_model_and_an_adapter_is_refused(lora: Path, agent: str) -> None:
    shutil.copytree("agent", "both")
    for path in lora.glob("adapter_*"):
        shutil.copyfile(path, Path("both") / path.name)
    with pytest.raises(UserError, match=r"both holds a config\.json and an adapter_config\.json, which transformers"):
        merge_one(MergeJob(spec_of("agentmerge", agent), Path("out"), "spec"), MergeSettings(reply=False))
    with pytest.raises(UserError, match=r"remove config\.json if it is an adapter alone"):
        graft(Path("both"), "./instruct", Path("graft"))


def test_the_tokenizer_of_an_adapters_base_counts_where_it_has_none(lora: Path) -> None:
    shutil.copytree("base", "other")
    path = Path("other/tokenizer.json")
    path.write_text(path.read_text().replace('"<|start|>"', '"<|begin|>"'))
    configure(lora, base_model_name_or_path="./other")
    with pytest.raises(UserError, match=r"the vocabulary of \./lora is not that of \./instruct"):
        merge_one(MergeJob(spec_of("agentmerge", "./lora"), Path("out"), "spec"), MergeSettings(reply=False))


def test_a_graft_is_of_finite_factors(lora: Path) -> None:
    factors = load_file(lora / "adapter_model.safetensors")
    name = sorted(factors)[-1]
    factors[name][0, 0] = float("nan")
    save_file(factors, lora / "adapter_model.safetensors")
    with pytest.raises(UserError, match=f"{name} of lora holds values that are not finite"):
        graft(lora, "./instruct", Path("graft"))
    assert not Path("graft").exists()


def test_the_revision_of_a_base_on_the_hub_is_read(lora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path("cache").absolute()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = cache / "models--org--base"
    (repository / "refs").mkdir(parents=True)
    for revision, commit, model in (("main", "a" * 40, "instruct"), ("first", "b" * 40, "base")):
        (repository / "refs" / revision).write_text(commit)
        shutil.copytree(model, repository / "snapshots" / commit)
    configure(lora, base_model_name_or_path="org/base", revision="first")
    opened = open_model("./lora", None)
    assert opened.base_folder.name == "b" * 40
    for onto, found in (("org/base@first", ("org/base", "first")), ("org/base", ("org/base", None))):
        graft(lora, onto, Path("graft"))
        config = json.loads(Path("graft/adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == found
