"""Checkpoints are loaded as transformers loads a model, and saved with the base's configuration if all weights are numbers.

transformers' trainer copies tensors by the names that they have in a checkpoint's files. Where a model holds them in another
form, such as the experts of a mixture in one tensor, it leaves them out without an error: a resumed run, and the best model at
the end, would have the base's. A run that is resumed from its last checkpoint trains no further step.
"""

from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import divergence


class CheckpointWeights(Trainer):
    """What TRL's trainers are combined with."""

    saved_config: dict[str, Any]
    """Keys of the text model's configuration that training sets otherwise → their values in what is saved."""

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing behind the last step: transformers takes one more where a run is resumed from it in the midst of an epoch."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return [], None
        return super().get_batch_samples(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        model = self.model if model is None else model
        if self.is_fsdp_enabled or isinstance(model, PeftModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            _load(model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or isinstance(self.model, PeftModel):
            super()._load_best_model()
        else:
            _load(self.model, str(self.state.best_model_checkpoint))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        model: Any = self.model
        trained_weights = ((name, each) for name, each in model.named_parameters() if each.requires_grad)
        # Of sharded weights, one process has all.
        name = divergence.not_finite(trained_weights if state_dict is None else state_dict.items())
        if name:
            raise divergence.diverged(f"{name} holds a NaN or an infinity", self.state.global_step, self.args, model)
        settings = model.config.get_text_config()
        trained = {key: getattr(settings, key) for key in self.saved_config}
        vars(settings).update(self.saved_config)
        try:
            super()._save(output_dir, state_dict)
        finally:
            vars(settings).update(trained)


def _load(model: Any, folder: str) -> None:
    kind: Any = type(model)
    stored, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"{folder} lacks {missing[0]}: delete this checkpoint, and the run goes on from the one before")
    model.load_state_dict(stored.state_dict())
