"""What training overrides or uses of TRL, transformers and torch that is not their public API: the whole list, a test each.

A new release that changes one of these fails here, in the test that names it. Everything else goes through public API.
"""

import argparse
import inspect

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.distributed.device_mesh import DeviceMesh
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Trainer
from transformers.modeling_utils import PreTrainedModel
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer, TrlParser
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from agentmerge_hub.training.preference import trainer as preference
from agentmerge_hub.training.trainer import _Trainer


def test_fused_output_layer() -> None:
    """completion_loss.py replaces the forward pass that TRL's fused output layer adds, and returns its output."""
    fields = set(FusedCausalLMOutput.__dataclass_fields__)
    assert {"loss", "log_probs", "entropy", "is_top1", "label_mask", "aux_loss"} <= fields
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1)
    )
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    fused = inspect.signature(model.forward.__func__, follow_wrapped=False).parameters
    assert {"fused_lm_head", "labels", "shift_labels"} <= set(fused)


@pytest.mark.parametrize(
    "read",
    ["fused_lm_head=True", "log_probs", "label_mask", "entropy", "is_top1", "aux_loss", '"output_router_logits"'],
)
def test_loss_of_the_trainer(read: str) -> None:
    """completion_loss.py returns what SFTTrainer.compute_loss reads, and knows a router's loss by output_router_logits."""
    assert read in inspect.getsource(SFTTrainer.compute_loss)


def test_message_of_an_unknown_loss() -> None:
    """finetune.py makes a sentence of DPO's, which comes in the first step; other losses are refused when options are read."""
    assert "Unknown loss type" in inspect.getsource(DPOTrainer)
    assert all(config.__dataclass_fields__["loss_type"].metadata["choices"] for config in (SFTConfig, KTOConfig))


def test_hook_on_the_decoder() -> None:
    """completion_loss.py gathers hidden states behind the decoder, which returns them under this name."""
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1)
    )
    assert model.base_model(torch.tensor([[1, 2]])).last_hidden_state.shape == (1, 2, 4)


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (_Trainer, SFTTrainer, "create_model_card"),
        (_Trainer, SFTTrainer, "_load_from_checkpoint"),
        (_Trainer, SFTTrainer, "_load_best_model"),
        (_Trainer, SFTTrainer, "_save"),
        (_Trainer, SFTTrainer, "_get_train_sampler"),
        (preference._DPOTrainer, DPOTrainer, "create_model_card"),
        (preference._DPOTrainer, DPOTrainer, "_prepare_dataset"),
        (preference._KTOTrainer, KTOTrainer, "create_model_card"),
        (preference._KTOTrainer, KTOTrainer, "_prepare_dataset"),
    ],
)
def test_overridden_methods(ours: type, theirs: type, name: str) -> None:
    """The run writes its own card; pairs are tokenized already; checkpoints are loaded and saved in checkpoint_weights.py;
    rows are grouped by length in batches_by_length.py."""
    assert callable(getattr(theirs, name)) and getattr(ours, name) is not getattr(theirs, name)


def test_order_of_stop_tokens() -> None:
    """trainer.py: set_stop_token runs in on_train_begin, after transformers aligned its own tokens."""
    source = inspect.getsource(Trainer)
    assert source.index("align_special_tokens(self.model") < source.index("callback_handler.on_train_begin")


def test_use_cache_is_changed_when_a_trainer_is_made() -> None:
    """trainer.py restores the base's use_cache afterwards."""
    assert "self.model.config.use_cache = self.args.use_cache" in inspect.getsource(Trainer.__init__)


def test_rotation_of_checkpoints() -> None:
    """checkpoints.py deletes old checkpoints itself: with save_total_limit None, transformers deletes none."""
    assert "save_total_limit=self.args.save_total_limit" in inspect.getsource(Trainer._save_checkpoint)


def test_parser_raises() -> None:
    """arguments.py overrides argparse's error, and reads the messages of TRL's parser (test_sft_run.py has them)."""
    assert issubclass(TrlParser, argparse.ArgumentParser)


def test_batches_by_length() -> None:
    """run_plan.py and batches_by_length.py draw batches as transformers does; an epoch's begin when it is the state's epoch."""
    assert list(inspect.signature(get_length_grouped_indices).parameters)[:2] == ["lengths", "batch_size"]
    assert "generator" in inspect.signature(get_length_grouped_indices).parameters
    source = inspect.getsource(Trainer)
    assert "self.state.epoch = epoch + (step + 1) / steps_in_epoch" in source
    assert "sampler_fn=self._get_train_sampler" in source


def test_optimizer_of_the_trainer() -> None:
    """preflight/optimizer.py makes the optimizer from the trainer's class and arguments."""
    assert list(inspect.signature(Trainer.get_optimizer_cls_and_kwargs).parameters) == ["args", "model"]


def test_models_with_a_state() -> None:
    """run_plan.py refuses to pack for a model that transformers calls stateful."""
    assert PreTrainedModel._is_stateful is False


def test_switch_of_activation_checkpointing() -> None:
    """activation_checkpointing.py leaves out the upper layers behind this method, by which each way of enabling it goes."""
    for name in ("gradient_checkpointing_enable", "activation_checkpointing_enable"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_attention_heads=1))
        called: list[bool] = []
        model._set_gradient_checkpointing = lambda enable, called=called, **_: called.append(enable)  # type: ignore
        getattr(model, name)()
        assert called == [True]


def test_name_of_the_attention() -> None:
    """packs.py names the attention in its refusal, and skips FlashAttention; memory_estimate.py counts eager's matrices."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(num_hidden_layers=1), attn_implementation="eager")
    assert model.config._attn_implementation == "eager"


def test_adapted_layers() -> None:
    """lora_targets.py knows an embedding with an adapter by PEFT's class of adapted layers."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(num_hidden_layers=1))
        adapted = get_peft_model(model, LoraConfig(target_modules=["embed_tokens"]))
    assert isinstance(adapted.get_base_model().get_input_embeddings(), BaseTunerLayer)


def test_groups_of_a_mesh() -> None:
    """process_group.py takes a mesh's groups out of it, so that their threads end."""
    assert "_pg_registry" in inspect.getsource(DeviceMesh.__init__)


def test_mark_of_loaded_weights() -> None:
    """model_loading.py asks a class whether it changes a padding row that is marked as loaded, as transformers marks it."""
    embedding = torch.nn.Embedding(2, 1, padding_idx=0)
    torch.nn.init.ones_(embedding.weight)
    embedding.weight._is_hf_initialized = True  # type: ignore[attr-defined]
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_attention_heads=1))
    model._init_weights(embedding)
    assert embedding.weight.all()


def test_unused_keys_of_a_configuration() -> None:
    """model_loading.py refuses keys of model_init_kwargs that a configuration returns as unused."""
    assert "return_unused_kwargs" in inspect.getsource(AutoConfig.from_pretrained)


def test_processor_features() -> None:
    """cpu_features.py"""
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)
