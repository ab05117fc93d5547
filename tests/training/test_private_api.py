"""What training overrides or uses of TRL, transformers and torch that is not their public API, in one place.

A new release that changes one of these fails here first. Everything else goes through public API.
"""

import inspect

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTTrainer, TrlParser
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from agentmerge_hub.training.trainer import _Trainer


def test_what_is_overridden_and_used_beside_the_public_api() -> None:
    # completion_loss.py replaces the forward pass that TRL's fused output layer adds, and returns its output.
    fields = set(FusedCausalLMOutput.__dataclass_fields__)
    assert {"loss", "log_probs", "entropy", "is_top1", "label_mask", "aux_loss"} <= fields
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1)
    )
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    fused = inspect.signature(model.forward.__func__, follow_wrapped=False).parameters
    assert {"fused_lm_head", "labels", "shift_labels"} <= set(fused)
    loss = inspect.getsource(SFTTrainer.compute_loss)
    read = (
        "fused_lm_head=True",
        "outputs.log_probs",
        "outputs.label_mask",
        "outputs.entropy",
        "outputs.is_top1",
        "outputs.aux_loss",
    )
    assert all(each in loss for each in read)
    # It gathers hidden states behind the decoder, which every model of transformers returns under this name.
    assert model.base_model(torch.tensor([[1, 2]])).last_hidden_state.shape == (1, 2, 4)

    # trainer.py: the trainer's own card is not written; set_stop_token runs after transformers aligned its tokens.
    assert _Trainer.create_model_card is not SFTTrainer.create_model_card
    source = inspect.getsource(Trainer)
    assert source.index("align_special_tokens(self.model") < source.index("callback_handler.on_train_begin")
    # checkpoints.py deletes old checkpoints itself: with save_total_limit None, transformers deletes none.
    assert "save_total_limit=self.args.save_total_limit" in inspect.getsource(Trainer._save_checkpoint)

    # arguments.py reads the messages of TRL's parser (test_sft_run.py has them) and lets it raise.
    assert issubclass(TrlParser, __import__("argparse").ArgumentParser)
    # preflight.py draws batches by length as the trainer does.
    assert list(inspect.signature(get_length_grouped_indices).parameters)[:2] == ["lengths", "batch_size"]
    # cpu_features.py
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool) and isinstance(
        torch.cpu._is_amx_tile_supported(), bool
    )
