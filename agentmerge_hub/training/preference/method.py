"""Preference optimization as ways of training: DPO on pairs, KTO on labeled answers."""

from agentmerge_hub.training.method import Method
from agentmerge_hub.training.preference import labeled, labeled_likelihood, margins, pairs, trainer
from agentmerge_hub.training.preference.settings import describe, settings

DPO = Method(
    stage="preference",
    columns=("prompt", *pairs.ANSWERS),
    expert_rows=lambda rows: rows.rename_column("chosen", "completion"),
    tokenize=pairs.tokenize,
    longest=pairs.longest,
    settings=settings,
    notes=lambda config, dataset: [describe(config)],
    new_trainer=trainer.new_dpo_trainer,
    score=margins.score,
    score_file=margins.FILE,
)
"""Direct preference optimization (Rafailov et al., 2023), computed by TRL."""

KTO = Method(
    stage="preference",
    columns=("prompt", "completion", "label"),
    expert_rows=labeled.desirable,
    tokenize=labeled.tokenize,
    longest=labeled.longest,
    settings=settings,
    notes=lambda config, dataset: [describe(config), *filter(None, [labeled.balance_warning(dataset, config)])],
    new_trainer=trainer.new_kto_trainer,
    score=labeled_likelihood.score,
    score_file=labeled_likelihood.FILE,
)
"""Kahneman-Tversky optimization (Ethayarajh et al., 2024), computed by TRL."""

METHODS = {"dpo": DPO, "kto": KTO}
