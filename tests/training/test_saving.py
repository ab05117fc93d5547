"""Full and LoRA runs save the same surroundings: the end of turn that was trained, and the template that was used."""

import json
from pathlib import Path

import pytest
from runs import LORA, run_config, save_model
from transformers import AutoTokenizer, GenerationConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune, model_loading

TEMPLATE = (
    "{{ style }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""With a setting, and without a system role."""


def test_full_and_lora_runs_save_equal_configurations(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """Also where the base's generation configuration cannot be saved as it is: temperature without do_sample."""
    model = save_model(tmp_path / "model", tiny_model)
    (model / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [3, 4], "temperature": 0.6, "top_p": 0.9})
    )
    changed = {"model_init_kwargs": '{"max_position_embeddings": 3000}', "max_steps": 1}
    for name, options in (("full", {}), ("lora", LORA)):
        finetune.run(run_config(model, traces, tmp_path / name, **changed, **options))
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "full" / name).read_text() == (tmp_path / "lora" / name).read_text(), name
    saved = json.loads((tmp_path / "full/config.json").read_text())
    assert saved["max_position_embeddings"] == 3000
    assert saved["use_cache"] is True  # transformers' trainer sets it to False


def test_one_module_to_adapt_is_found_by_its_name(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    config = run_config(tiny_model, traces, tmp_path / "run", **LORA | {"lora_target_modules": "q_proj"})
    trained = [name for name, each in model_loading.empty_model(config).named_parameters() if each.requires_grad]
    assert trained and all(".q_proj.lora_" in name for name in trained)


def test_an_adapter_on_a_tied_embedding_is_refused(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", tiny_model, tie_word_embeddings=True)
    options = LORA | {"lora_target_modules": ".*embed_tokens"}
    with pytest.raises(UserError, match="tied to the output layer"):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True, **options))


@pytest.mark.parametrize("options", [{}, LORA], ids=["full", "lora"])
def test_what_is_saved_beside_the_weights(tiny_model: Path, traces: Path, tmp_path: Path, options: dict) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    other = tokenizer.convert_tokens_to_ids("<|user|>")
    config = json.loads((model / "config.json").read_text()) | {"eos_token_id": other, "pad_token_id": other}
    (model / "config.json").write_text(json.dumps(config))
    GenerationConfig(eos_token_id=[other], do_sample=True, temperature=0.6).save_pretrained(model)
    (tmp_path / "template.jinja").write_text(TEMPLATE)

    settings = {"chat_template_path": tmp_path / "template.jinja", "chat_template_kwargs": '{"style": "<|bos|>"}'}
    settings["model_revision"] = "v1.0"
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=1, **settings, **options))
    for name in ("config.json", "generation_config.json"):
        saved = json.loads((tmp_path / "run" / name).read_text())
        assert saved["eos_token_id"] == tokenizer.eos_token_id and saved["pad_token_id"] == tokenizer.pad_token_id
    assert json.loads((tmp_path / "run/generation_config.json").read_text())["temperature"] == 0.6
    saved_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert saved_tokenizer.eos_token == "<|end|>"
    messages = [{"role": "system", "content": "Rules."}, {"role": "user", "content": "Go."}]
    rendered = saved_tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|bos|><|user|>Rules.\n\nGo.<|end|><|assistant|>"
    recorded = json.loads((tmp_path / "run/manifest.json").read_text())["config"]
    assert recorded["prompts"] == {"chat_template_kwargs": {"style": "<|bos|>"}}  # the rows have no manifest
    manifest = recorded["chat_template"]
    assert manifest["settings"] == {"style": "<|bos|>"} and manifest["system_in_user_turn"]
    assert manifest["end_of_turn"] == "<|end|>"
    if options:
        assert json.loads((tmp_path / "run/adapter/adapter_config.json").read_text())["revision"] == "v1.0"
