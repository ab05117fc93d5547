"""Models whose layers or configurations differ from Llama's train as they do under TRL alone, or are refused."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from runs import LORA, SIZES, run_config, save_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BertConfig,
    BloomConfig,
    CTRLConfig,
    Gemma4TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteMoeConfig,
    Lfm2Config,
    Llama4TextConfig,
    MixtralConfig,
    MptConfig,
    OPTConfig,
    PretrainedConfig,
    RecurrentGemmaConfig,
    YoutuConfig,
)

from agentmerge_hub.errors import UserError
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.training import finetune, model_loading, output_layer


def logged(run: Path, figure: str) -> list[float]:
    (state,) = run.glob("checkpoint-*/trainer_state.json")
    return [entry[figure] for entry in json.loads(state.read_text())["log_history"] if figure in entry]


def test_a_mixture_of_experts_trains_with_its_routers_loss(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    experts = MixtralConfig(vocab_size=vocabulary, **SIZES, num_local_experts=4, num_experts_per_tok=2)
    experts.router_aux_loss_coef = 0.5
    model = save_model(tmp_path / "model", tiny_model, experts)
    losses = {}
    for coefficient in (0.5, 0.0):
        out = tmp_path / f"run-{coefficient}"
        finetune.run(run_config(model, traces, out, max_steps=2, router_aux_loss_coef=coefficient))
        losses[coefficient] = logged(out, "loss")[0]
    (first, _) = logged(tmp_path / "run-0.5", "aux_loss")
    assert first > 0.9  # balanced experts give 1, or 2 with two of them a token
    assert losses[0.5] - losses[0.0] == pytest.approx(0.5 * first, rel=0.05)


def test_a_mixture_of_experts_resumes_and_ends_with_the_best_model(
    tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    """Files hold its experts one by one, and the model in one tensor."""
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    experts = MixtralConfig(vocab_size=vocabulary, **SIZES, num_local_experts=2, num_experts_per_tok=1)
    model, run = save_model(tmp_path / "model", tiny_model, experts), tmp_path / "run"
    options = {
        "max_steps": 3, "learning_rate": 30.0, "checkpoint_samples": None, "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1,
        "dataset_test_split": "inter_task", "load_best_model_at_end": True, "router_aux_loss_coef": 0.5,
    }  # fmt: skip
    finetune.run(run_config(model, traces, run, **options))
    saved = {folder: (folder / "model.safetensors").read_bytes() for folder in (run, *run.glob("checkpoint-*"))}
    assert saved[run] == saved[run / "checkpoint-1"] != saved[run / "checkpoint-3"]
    configuration = json.loads((run / "config.json").read_text())
    assert not configuration["output_router_logits"] and configuration["router_aux_loss_coef"] == 0.001  # the base's
    for path in (run, run / "checkpoint-3"):
        (path / "manifest.json").unlink()
    finetune.run(run_config(model, traces, run, **options))
    assert {folder: (folder / "model.safetensors").read_bytes() for folder in saved} == saved


def test_a_model_whose_layers_cannot_be_computed_again(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    config = CTRLConfig(vocab_size=vocabulary, n_positions=2048, n_embd=16, dff=16, n_layer=1, n_head=1)
    model = save_model(tmp_path / "model", tiny_model, config)
    with pytest.raises(UserError, match="set it to false"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True, activation_checkpointing=True))


def test_gpt2_whose_configuration_has_other_names_trains(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    small = GPT2Config(
        vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=512, bos_token_id=0, eos_token_id=1
    )
    model = save_model(tmp_path / "model", tiny_model, small)
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2, likelihood_samples=2))
    assert (tmp_path / "run/model.safetensors").is_file() and (
        tmp_path / "run/checkpoint-2/likelihood.parquet"
    ).is_file()
    short = GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    with pytest.raises(UserError, match="has 64 positions"):
        finetune.run(run_config(save_model(tmp_path / "short", tiny_model, short), traces, tmp_path / "none"))


def test_a_token_beyond_the_embedding_is_refused(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"eos_token": "<|new_end|>"})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", "<|new_end|>")
    tokenizer.save_pretrained(model)
    with pytest.raises(
        UserError,
        match=rf"has {len(tokenizer) - 1} embedding rows and the tokenizer gives the token id {len(tokenizer) - 1}",
    ):
        finetune.run(run_config(model, traces, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_held_out_rows_and_the_padding_token_are_checked_before_the_first_step(
    tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = {split: load_dataset(str(traces), "all", split=split).to_list() for split in ("train", "inter_task")}
    tokenizer.add_tokens(["<|seldom|>"])
    tokenizer.save_pretrained(model)
    rows["inter_task"][0]["prompt"][1]["content"] += " <|seldom|>"
    data = write_dataset(tmp_path / "seldom", rows)
    with pytest.raises(UserError, match=r"embedding rows and the tokenizer gives the token id"):
        finetune.run(run_config(model, data, tmp_path / "run", preflight=True))

    rows["inter_task"][0]["completion"][0]["content"] = "click('7')<|end|>"
    with pytest.raises(UserError, match="the token that ends a turn"):
        finetune.run(run_config(model, write_dataset(tmp_path / "ended", rows), tmp_path / "run", preflight=True))
    for broken, says in (
        ({"prompt": None}, "has no turns, or an empty one"),
        ({"prompt": [None, *rows["train"][3]["prompt"]]}, "has no turns, or an empty one"),
        ({"prompt": [{"role": None, "content": "x"}]}, "a turn has no role"),
        ({"completion": [{"role": "assistant", "content": " \n"}]}, "the answer is empty"),
    ):
        changed = [*rows["train"][:3], rows["train"][3] | broken, *rows["train"][4:]]
        data = write_dataset(tmp_path / f"broken-{len(list(tmp_path.iterdir()))}", rows | {"train": changed})
        with pytest.raises(UserError, match=f"row 3: .*{says}"):
            finetune.run(run_config(model, data, tmp_path / "run", preflight=True))
    (data / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(UserError, match="is not readable"):
        finetune.run(run_config(model, data, tmp_path / "run", preflight=True))
    rows["train"][3]["prompt"][1]["content"] = None
    with pytest.raises(UserError, match="row 3: the content of a user turn is no text"):
        finetune.run(run_config(model, write_dataset(tmp_path / "none", rows), tmp_path / "run", preflight=True))

    tokenizer.add_special_tokens({"pad_token": "<|new_pad|>"})
    tokenizer.save_pretrained(model)
    with pytest.raises(UserError, match="set padding_token to a token that the model has"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))


def test_layers_whose_configurations_differ(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """Gemma 4's heads are wider in layers of full attention, and its configuration refuses to name one width."""
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    narrow = {
        "vocab_size_per_layer_input": vocabulary,
        "hidden_size_per_layer_input": 8,
        "head_dim": 8,
        "global_head_dim": 16,
    }
    layers = {"layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0}
    config = Gemma4TextConfig(vocab_size=vocabulary, **SIZES, **narrow, **layers)
    assert config.is_heterogeneous
    model = save_model(tmp_path / "model", tiny_model, config)
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2))
    assert len(logged(tmp_path / "run", "loss")) == 2


def test_a_padding_row_that_loading_clears(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """Youtu's is 0 after each loading, and it is a row of the output layer too."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    latent = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
    config = YoutuConfig(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SIZES | latent | {"num_key_value_heads": 2}
    )
    model = save_model(tmp_path / "model", tiny_model, config)
    options = {"max_steps": 2, "freeze": "embed_tokens"}
    for changed in ({"freeze": None}, {"padding_token": "<|system|>"}):
        with pytest.raises(UserError, match="sets the padding token's row to 0 whenever it loads a youtu"):
            finetune.run(run_config(model, traces, tmp_path / "run", **options | changed))
    finetune.run(run_config(model, traces, tmp_path / "run", **options))
    stored = load_file(tmp_path / "run/model.safetensors")["model.embed_tokens.weight"]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run").get_output_embeddings().weight
    assert loaded.equal(stored)


def test_layers_that_are_no_attention_cannot_be_packed(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    hybrid = Lfm2Config(vocab_size=vocabulary, **SIZES, layer_types=["conv", "full_attention"])
    model = save_model(tmp_path / "model", tiny_model, hybrid)
    for options in ({"packing": True, "max_length": 512}, {"padding_free": True}):
        with pytest.raises(UserError, match="would carry one row's state into the next"):
            finetune.run(run_config(model, traces, tmp_path / "run", preflight=True, **options))


@pytest.mark.parametrize(
    "config",
    [
        BloomConfig(n_layer=2, n_head=2, hidden_size=16),
        GptOssConfig(**SIZES, head_dim=8, num_local_experts=2, num_experts_per_tok=1),
    ],
    ids=["bloom", "gpt_oss"],
)
def test_models_that_mix_the_rows_of_a_pack_are_refused(
    tiny_model: Path, traces: Path, tmp_path: Path, config: PretrainedConfig
) -> None:
    config.vocab_size = len(AutoTokenizer.from_pretrained(tiny_model))
    model = save_model(tmp_path / "model", tiny_model, config)
    with pytest.raises(UserError, match="with eager attention: rows of a pack see each other"):
        finetune.run(run_config(model, traces, tmp_path / "run", packing=True, max_length=512))


def test_a_decoder_that_the_causal_model_does_not_call_trains(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """OPT's calls a part of its base model, behind which no hidden states can be gathered."""
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    sizes = {
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    config = OPTConfig(vocab_size=vocabulary, **sizes, max_position_embeddings=2048)
    finetune.run(run_config(save_model(tmp_path / "model", tiny_model, config), traces, tmp_path / "run", max_steps=2))
    assert len(logged(tmp_path / "run", "loss")) == 2


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        (MptConfig(d_model=16, n_heads=2, n_layers=1, max_seq_len=2048), {"logit_scale": 3.0}),
        (RecurrentGemmaConfig(**SIZES, lru_width=16, head_dim=8), {"logits_soft_cap": 1e-3}),
    ],
    ids=["mpt", "recurrent_gemma"],
)
def test_logits_that_trl_computes_otherwise_are_refused(
    tiny_model: Path, traces: Path, tmp_path: Path, config: PretrainedConfig, changed: dict[str, float]
) -> None:
    """transformers ignores MPT's scale, and TRL RecurrentGemma's cap."""
    config.vocab_size = len(AutoTokenizer.from_pretrained(tiny_model))
    model = save_model(tmp_path / "model", tiny_model, config)
    settings = {"activation_checkpointing": False, "max_steps": 1}
    finetune.run(run_config(model, traces, tmp_path / "run", **settings))
    with pytest.raises(UserError, match=rf"TRL computes other logits for {config.model_type} than the model itself"):
        finetune.run(run_config(model, traces, tmp_path / "other", **settings, model_init_kwargs=json.dumps(changed)))


def test_a_model_whose_decoder_trl_does_not_find_is_refused() -> None:
    config = Llama4TextConfig(**SIZES, num_local_experts=2, intermediate_size_mlp=32, head_dim=8, vocab_size=64)
    with pytest.raises(UserError, match="TRL finds no decoder in a model of type llama4_text"):
        output_layer.check(AutoModelForCausalLM.from_config(config), [1, 2, 3])


def test_a_routers_loss_that_trl_cannot_compute(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    config = GraniteMoeConfig(vocab_size=vocabulary, **SIZES, num_local_experts=2, num_experts_per_tok=1)
    model = save_model(tmp_path / "model", tiny_model, config)
    with pytest.raises(UserError, match="set router_aux_loss_coef to 0"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2, router_aux_loss_coef=0))
    assert len(logged(tmp_path / "run", "loss")) == 2


def write_dataset(folder: Path, rows: dict[str, list]) -> Path:
    folder.mkdir()
    for split, each in rows.items():
        Dataset.from_list(each).to_parquet(folder / f"{split}.parquet")
    files = "".join(f"  - {{split: {split}, path: {split}.parquet}}\n" for split in rows)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{files}---\n")
    return folder


@pytest.mark.parametrize(
    ("config", "said"),
    [({"hidden_size": 32}, "has no architectures: add the model's class"), ({"hidden_size": 16}, "is not valid")],
)
def test_a_configuration_that_no_model_can_be_made_of_is_refused(tmp_path: Path, config: dict, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    with pytest.raises(UserError, match=said):
        model_loading.load_config(str(tmp_path))


def test_a_decoder_whose_configuration_says_that_it_is_none(tmp_path: Path) -> None:
    """GPT-NeoX, as Pythia, has is_decoder from an encoder's configuration; its attention never sees later tokens."""
    GPTNeoXConfig(architectures=["GPTNeoXForCausalLM"]).save_pretrained(tmp_path)
    assert model_loading.load_config(str(tmp_path)).get_text_config().is_decoder is False


def test_code_and_configurations_that_transformers_does_not_have(
    tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    """transformers would ask on the terminal whether to run a model's own code."""
    model = save_model(tmp_path / "model", tiny_model)
    own = {"model_type": "own", "architectures": ["OwnModel"], "auto_map": {"AutoConfig": "code.OwnConfig"}}
    (model / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for text, says in (
        (json.dumps(own), "needs code of its own, which is never run"),
        ('{"model_type": "none"}', "model type `none`"),
        ("{", r"config\.json .* is not valid"),
    ):
        (model / "config.json").write_text(text)
        with pytest.raises(UserError, match=says):
            model_loading.load_config(str(model))
    (model / "config.json").write_text(json.dumps(own))
    tokenizer = {"auto_map": {"AutoTokenizer": ["code.OwnTokenizer", None]}, "tokenizer_class": "OwnTokenizer"}
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    for load in (model_loading.tokenizer_at, ChatTokenizer):
        with pytest.raises(UserError, match="needs code of its own, which is never run"):
            load(str(model))
    assert not (tmp_path / "ran").exists()


def test_configurations_of_no_model_and_experts_with_dropout(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    model = save_model(tmp_path / "model", tiny_model)
    config = json.loads((model / "config.json").read_text())
    for changed, says in (
        ({"num_attention_heads": 0}, r"config\.json .* is not valid: .* zero"),
        ({"hidden_act": "none"}, r"cannot make a model of config\.json .*'none'"),
        ({"rope_parameters": {"rope_type": "none"}}, r"cannot make a model of config\.json"),
        (
            {"quantization_config": {"quant_method": "fp8"}},
            r"quantized \(fp8\): name the model that they were made from",
        ),
    ):
        (model / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(UserError, match=says):
            model_loading.empty_model(run_config(model, traces, tmp_path / "run"))
    experts = MixtralConfig(vocab_size=vocabulary, **SIZES, num_local_experts=2, num_experts_per_tok=1)
    model = save_model(tmp_path / "experts", tiny_model, experts)
    for changed, says in (
        ({}, "set lora_dropout to 0"),
        ({"lora_dropout": 0, "use_dora": True}, "set use_dora to false"),
    ):
        with pytest.raises(UserError, match=f"without dropout and DoRA only: {says}"):
            model_loading.empty_model(run_config(model, traces, tmp_path / "run", **LORA, **changed))
    finetune.run(run_config(model, traces, tmp_path / "run", lora_dropout=0, max_steps=1, warmup_steps=None, **LORA))
    merged, info = AutoModelForCausalLM.from_pretrained(tmp_path / "run", output_loading_info=True)
    assert not any(info.values())
    base = AutoModelForCausalLM.from_pretrained(model)
    trained = [name for name, each in merged.named_parameters() if not each.equal(base.get_parameter(name))]
    assert any("experts" in name for name in trained), trained


def test_models_that_are_no_decoder_or_lack_weights_are_refused(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """transformers loads BART's decoder alone, BERT without a causal mask, and gives random numbers to missing weights."""
    ids = {"vocab_size": len(AutoTokenizer.from_pretrained(tiny_model)), "pad_token_id": 2}
    bart = BartConfig(**ids, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                      decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16)  # fmt: skip
    bert = BertConfig(**ids, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = save_model(tmp_path / "model", tiny_model)
    config = json.loads((model / "config.json").read_text())
    bart.architectures, bert.architectures = ["BartForConditionalGeneration"], ["BertLMHeadModel"]
    for other, says in ((bart, "an encoder and a decoder"), (bert, "sees later tokens")):
        other.save_pretrained(model)
        with pytest.raises(UserError, match=says):
            finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
    (model / "config.json").write_text('{"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}')
    with pytest.raises(UserError, match="the type llava, of which transformers has no causal language model"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
    weights = load_file(model / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"lack lm_head\.weight, which would be random numbers"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
    (model / "config.json").write_text(json.dumps(config | {"intermediate_size": 8}))
    with pytest.raises(UserError, match=r"cannot be loaded as config\.json describes them"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaModel"]}))
    with pytest.raises(UserError, match="names the class LlamaModel, which is no causal language model"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True))
