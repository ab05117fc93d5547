"""Every option of TRL and transformers by its effect in a run: refused, effective under a condition, or applied.

An option that is in none of these tables, such as a new one of a later release, is refused until it is added here.
"""

from typing import Any

_TOKENIZED = "rows are rendered and tokenized by this package, whole"
_PUBLISHED = "`agentmerge push` publishes a model after its checks"
_NO_METRICS = "the evaluation computes the loss only"
_NOT_SAVED = "checkpoints do not hold the synchronized reference, so that a resumed run would be another one"

REFUSED: dict[str, tuple[Any, str]] = {
    "dataset_kwargs": (None, _TOKENIZED),
    "dataset_text_field": ("text", "rows have the columns prompt and completion"),
    "truncation_mode": ("keep_start", "no row is ever truncated"),
    "dataset_streaming": (False, "preflight counts and checks all rows before the first step"),
    "length_column_name": ("length", "lengths are those of the tokenized rows"),
    "label_names": (None, "the labels are in the column labels"),
    "ignore_bias_buffers": (False, "TRL reads it in its DPO script only"),
    "resume_from_checkpoint": (None, "the same command resumes from the newest complete checkpoint by itself"),
    "ignore_data_skip": (False, "a resumed run would see other rows than an uninterrupted one"),
    "save_only_model": (False, "a run could not be resumed from such a checkpoint"),
    "save_on_each_node": (False, "a checkpoint is complete on the main process only: use a disk that all nodes share"),
    "auto_find_batch_size": (False, "the batch is part of what identifies a run: set per_device_train_batch_size"),
    "enable_jit_checkpoint": (
        False,
        "such a checkpoint has no manifest and would not be resumed from: lower checkpoint_samples",
    ),
    "push_to_hub": (False, _PUBLISHED),
    "hub_model_id": (None, _PUBLISHED),
    "hub_revision": (None, _PUBLISHED),
    "hub_strategy": ("every_save", _PUBLISHED),
    "hub_always_push": (False, _PUBLISHED),
    "parallelism_config": (None, "samples are counted for data parallelism only"),
    "include_for_metrics": ([], _NO_METRICS),
    "batch_eval_metrics": (False, _NO_METRICS),
    "eval_accumulation_steps": (None, _NO_METRICS),
    "eval_do_concat_batches": (True, _NO_METRICS),
    "eval_use_gather_object": (False, _NO_METRICS),
    "trust_remote_code": (False, "only models whose code is in transformers are loaded"),
    "do_predict": (False, "there is nothing to predict: `agentmerge likelihood` scores a model"),
    "bf16_full_eval": (False, "transformers ignores it during training; bf16 covers evaluation"),
    "fp16_full_eval": (False, "transformers ignores it during training; fp16 covers evaluation"),
    "lora_task_type": ("CAUSAL_LM", "only causal language models are trained"),
    "sync_ref_model": (False, _NOT_SAVED),
    "ref_model_mixup_alpha": (0.6, _NOT_SAVED),
    "ref_model_sync_steps": (512, _NOT_SAVED),
}
"""Option → the value that it may have, and why no other."""

CONDITIONAL: dict[str, tuple[str, ...]] = {
    "eval_strategy": (
        "eval_steps", "eval_delay", "eval_packing", "per_device_eval_batch_size", "dataset_test_split", "do_eval",
    ),
    "load_best_model_at_end": ("metric_for_best_model", "greater_is_better"),
    "use_peft": (
        "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_target_parameters", "lora_modules_to_save",
        "use_rslora", "use_dora",
    ),
    "load_in_4bit": ("bnb_4bit_quant_type", "use_bnb_nested_quant", "bnb_4bit_quant_storage"),
    "packing": ("packing_strategy",),
    "dataloader_num_workers": ("dataloader_persistent_workers", "dataloader_multiprocessing_context"),
    "activation_checkpointing": ("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs"),
    "use_liger_kernel": ("liger_kernel_config",),
    "precompute_ref_log_probs": ("precompute_ref_batch_size",),
    "loss_type exo_pair, robust, aot or aot_unpaired": ("label_smoothing",),
    "loss_type discopop": ("discopop_tau",),
    "f_divergence_type alpha_divergence": ("f_alpha_divergence_coef",),
}  # fmt: skip
"""Option, and value, without which others have no effect → those others."""

APPLIED = frozenset(
    {
        # inputs and outputs
        "model_name_or_path", "model_revision", "dataset_name", "dataset_config", "dataset_train_split", "output_dir",
        "model_init_kwargs", "dtype", "attn_implementation", "use_peft", "load_in_8bit", "load_in_4bit",
        # rows; this package applies them
        "chat_template_path", "eos_token", "pad_token", "max_length", "completion_only_loss", "assistant_only_loss",
        "dataset_num_proc", "shuffle_dataset", "packing", "padding_free", "pad_to_multiple_of", "train_sampling_strategy",
        "remove_unused_columns", "prediction_loss_only",
        # loss
        "loss_type", "label_smoothing_factor", "router_aux_loss_coef", "neftune_noise_alpha", "average_tokens_across_devices",
        "beta", "loss_weights", "ld_alpha", "f_divergence_type", "use_weighting", "desirable_weight", "undesirable_weight",
        "precompute_ref_log_probs", "disable_dropout",
        # steps and optimizer
        "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "do_train",
        "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args", "optim_target_modules",
        "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm",
        "seed", "data_seed", "full_determinism",
        # precision, memory and speed
        "bf16", "fp16", "tf32", "activation_checkpointing", "gradient_checkpointing", "activation_offloading",
        "torch_compile", "torch_compile_backend", "torch_compile_mode", "torch_empty_cache_steps", "use_liger_kernel", "use_cache",
        "use_cpu", "accelerator_config", "dataloader_drop_last", "dataloader_num_workers", "dataloader_pin_memory",
        "dataloader_prefetch_factor", "dataloader_in_order",
        "local_rank", "ddp_backend", "ddp_timeout", "ddp_bucket_cap_mb", "ddp_find_unused_parameters", "ddp_broadcast_buffers",
        "ddp_static_graph", "fsdp", "fsdp_config", "deepspeed",
        # evaluation and checkpoints
        "eval_strategy", "eval_on_start", "save_strategy", "save_steps", "save_total_limit", "load_best_model_at_end",
        "restore_callback_states_from_checkpoint",
        # logging and tracking
        "logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node", "logging_nan_inf_filter", "log_level",
        "log_level_replica", "disable_tqdm", "report_to", "run_name", "project", "trackio_space_id", "trackio_bucket_id",
        "trackio_static_space_id", "hub_token", "hub_private_repo", "include_num_input_tokens_seen", "skip_memory_metrics", "debug",
    }
)  # fmt: skip
"""Options that TRL, transformers or this package applies as documented."""
