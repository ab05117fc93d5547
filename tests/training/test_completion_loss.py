"""The loss without the prompt's logits equals TRL's own: value and gradients, however the rows are batched."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer import utils

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training import completion_loss, rows

BATCHES = {
    "padded": {"per_device_train_batch_size": 4},
    "accumulated": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    "packed": {"per_device_train_batch_size": 1, "packing": True, "max_length": 2048},
    "recomputed": {"per_device_train_batch_size": 4, "activation_checkpointing": True},
    "bf16": {"per_device_train_batch_size": 4, "bf16": True},
}


@pytest.fixture(scope="module")
def tokenized(tiny_model: Path, traces: Path) -> Dataset:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    made = rows.tokenize(load_dataset(str(traces), "all", split="train"), tokenizer, ChatTemplate(tokenizer), 1024)
    assert len({len(ids) for ids in made["input_ids"]}) > 1  # so that batches are padded
    return made


class Gradients(TrainerCallback):
    """What the optimizer is given; the weights it leaves are rounded, a norm's near 1 to 1e-7."""

    def on_pre_optimizer_step(self, *_: object, model: torch.nn.Module, **__: object) -> None:
        named = model.module.named_parameters() if hasattr(model, "module") else model.named_parameters()
        self.seen = {name: each.grad.detach().clone() for name, each in named}


def step(
    model: Path | Gemma3ForCausalLM, tokenized: Dataset, out: Path, max_logits: int | None = None, **options: object
) -> dict:
    """One step by TRL's own loss, or by ours if `max_logits` is set: the loss, the gradients and what was logged."""
    config = SFTConfig(
        str(out),
        **{
            "max_steps": 1, "use_cpu": True, "bf16": False, "activation_checkpointing": False, "logging_steps": 1,
            "report_to": "none", "save_strategy": "no", "max_length": None, "max_grad_norm": 0.0, "optim": "sgd",
            "learning_rate": 1.0, "lr_scheduler_type": "constant", "seed": 1, "disable_tqdm": True,
        } | options,
    )  # fmt: skip
    trainer = SFTTrainer(
        str(model) if isinstance(model, Path) else model,
        args=config,
        train_dataset=tokenized,
        processing_class=AutoTokenizer.from_pretrained(out.parent / "tokenizer"),
    )
    if max_logits is not None:
        completion_loss.skip_prompt_logits(trainer.model, max_logits)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    log = trainer.state.log_history[0]
    return {
        "gradients": gradients.seen,
        "logged": {key: log[key] for key in ("loss", "entropy", "mean_token_accuracy")},
    }


def assert_equal(ours: dict, theirs: dict, tolerance: float) -> None:
    assert ours["logged"] == pytest.approx(theirs["logged"], rel=tolerance)
    for name, gradient in theirs["gradients"].items():
        assert (ours["gradients"][name] - gradient).norm() < tolerance * gradient.norm()


@pytest.mark.parametrize("options", BATCHES.values(), ids=BATCHES)
def test_loss_and_gradients_are_trls(tiny_model: Path, tokenized: Dataset, tmp_path: Path, options: dict) -> None:
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "tokenizer")
    options = options | {"max_length": options.get("max_length")}
    theirs = step(tiny_model, tokenized, tmp_path / "run", **options)
    for max_logits in (0, completion_loss.MAX_LOGITS):  # in TRL's tiles, and in one product
        ours = step(tiny_model, tokenized, tmp_path / "run", max_logits, **options)
        assert_equal(ours, theirs, 5e-2 if options.get("bf16") else 1e-4)  # bfloat16 has 8 bits, rounded at every layer


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_pack_is_as_its_rows_apart(tiny_model: Path, tokenized: Dataset, tmp_path: Path, attention: str) -> None:
    """No row sees another in its pack."""
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "tokenizer")
    rows_apart, run = tokenized.select(range(6)), tmp_path / "run"
    options = {"model_init_kwargs": {"attn_implementation": attention}}
    apart = step(tiny_model, rows_apart, run, completion_loss.MAX_LOGITS, per_device_train_batch_size=6, **options)
    packed = step(
        tiny_model,
        rows_apart,
        run,
        completion_loss.MAX_LOGITS,
        per_device_train_batch_size=1,
        packing=True,
        max_length=2048,
        **options,
    )
    assert_equal(packed, apart, 1e-4)


def test_two_processes_agree_too(tiny_model: Path, tokenized: Dataset, tmp_path: Path) -> None:
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "tokenizer")
    tokenized.save_to_disk(tmp_path / "rows")
    script = tmp_path / "one_step.py"
    script.write_text(
        "import sys; from pathlib import Path; import torch; from datasets import load_from_disk\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_completion_loss import step, assert_equal\n"
        "folder = Path(sys.argv[1]); model = Path(sys.argv[2])\n"
        "theirs, tiles, whole = (\n"
        "    step(model, load_from_disk(folder / 'rows'), folder / 'run', max_logits, per_device_train_batch_size=2)\n"
        "    for max_logits in (None, 0, 2**28))\n"
        "assert_equal(tiles, theirs, 1e-4)\n"
        "assert_equal(whole, theirs, 1e-4)\n"
        "assert torch.distributed.get_world_size() == 2\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path), str(tiny_model)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_logits_of_prompts_are_computed(
    tiny_model: Path, tokenized: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tied head of 262,144 tokens: the head sees as many positions as there are trained tokens."""
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "tokenizer")
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=262_144, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=32, sliding_window=128, tie_word_embeddings=True,
        )
    )  # fmt: skip
    seen, kernel = [], utils._ChunkedLogProbFunction

    class Watched(kernel):
        @staticmethod
        def forward(ctx, hidden, *arguments):
            seen.append(len(hidden))
            return kernel.forward(ctx, hidden, *arguments)

    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Watched)
    model.get_output_embeddings().register_forward_hook(lambda _, _inputs, logits: seen.append(logits.shape[1]))
    for max_logits in (0, completion_loss.MAX_LOGITS):
        done = step(model, tokenized.select(range(2)), tmp_path / "run", max_logits, per_device_train_batch_size=2)
        assert done["gradients"]["model.embed_tokens.weight"].abs().max() > 0
    trained = sum(label != rows.IGNORED for labels in tokenized["labels"][:2] for label in labels)
    assert seen == [trained, trained]


def test_values_by_row_equal_trls(tiny_model: Path) -> None:
    """As the losses of DPO and KTO read them: padded rows, of which the ends are trained."""
    ids = torch.randint(6, 500, (3, 12), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    for row, start in enumerate((5, 8, 3)):
        labels[row, :start] = -100
    labels[1, 10:] = -100
    outputs, gradients = [], []
    for ours in (False, True):
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        utils.add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
        if ours:
            completion_loss.skip_prompt_logits(model, by_row=True)
        output = model(input_ids=ids, labels=labels, fused_lm_head=True)
        output.log_probs.sum(-1).square().sum().backward()
        outputs.append(output)
        gradients.append({name: each.grad for name, each in model.named_parameters()})
    theirs, mine = outputs
    for name in ("log_probs", "entropy", "mean_logits", "is_top1", "label_mask"):
        torch.testing.assert_close(getattr(mine, name), getattr(theirs, name))
    torch.testing.assert_close(gradients[1], gradients[0])
