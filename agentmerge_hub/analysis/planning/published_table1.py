"""The paper's Table 1 as published, with the unpaired test that its means and errors allow.

Numbers: Thakkar et al., "AgentMerge: Enhancing Generalization in Fine-Tuned LLM Agents", NeurIPS 2024 AFM workshop. The
errors are printed to two digits, so each p-value is a range.
"""

from math import sqrt
from typing import Any

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.planning import sample_size

TABLE1 = (
    (5e-6, "instruct_finetuned", 0.136, 0.03),
    (5e-6, "model_soup", 0.156, 0.04),
    (5e-6, "agentmerge", 0.178, 0.03),
    (1e-6, "instruct_finetuned", 0.123, 0.03),
    (1e-6, "model_soup", 0.156, 0.04),
    (1e-6, "agentmerge", 0.171, 0.03),
    (1e-5, "instruct_finetuned", 0.078, 0.02),
    (1e-5, "agentmerge", 0.103, 0.02),
)
"""Learning rate, method, mean test reward, standard error."""

ROUNDING = 0.005
DISCORDANT = (0.1, 0.2)
"""Shares of pairs that end differently, for which paired sample sizes are given; the paper doesn't say."""


def unpaired_p(difference: float, se_a: float, se_b: float) -> float:
    """Two-sided normal test of two independent means."""
    from scipy.stats import norm

    return float(2 * norm.sf(abs(difference) / sqrt(se_a**2 + se_b**2)))


def episodes_behind(mean: float, error: float) -> int:
    """Episodes at which AgentLab's binomial error would be this."""
    return round(mean * (1 - mean) / error**2)


def table() -> list[dict]:
    """AgentMerge against the others at each learning rate: what the published numbers can settle, and what would."""
    from scipy.stats import norm

    z = float(norm.ppf(0.975))
    rows: list[dict[str, Any]] = []
    for rate, method, mean, error in TABLE1:
        if method == "agentmerge":
            continue
        merged, merged_error = next(row[2:] for row in TABLE1 if row[:2] == (rate, "agentmerge"))
        difference = merged - mean
        width = z * sqrt(error**2 + merged_error**2)
        paired = [sample_size.paired(difference, share) for share in DISCORDANT]
        rows.append(
            {
                "learning_rate": rate,
                "against": method,
                "agentmerge": merged,
                "agentmerge_se": merged_error,
                "other": mean,
                "other_se": error,
                "difference": difference,
                "low": difference - width,
                "high": difference + width,
                "p": unpaired_p(difference, merged_error, error),
                "p_smallest": unpaired_p(difference, merged_error - ROUNDING, error - ROUNDING),
                "p_largest": unpaired_p(difference, merged_error + ROUNDING, error + ROUNDING),
                "episodes_behind": episodes_behind(mean, error),
                "needed_unpaired": sample_size.unpaired(mean, difference),
                "needed_paired_low": paired[0],
                "needed_paired_high": paired[1],
            }
        )
    for row, adjusted in zip(rows, statistics.holm([row["p"] for row in rows])):
        row["p_holm"] = adjusted
    return rows
