"""Tensors are compared to the bit: the sign of a zero counts, and equal values that are not finite are a finding too."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agentmerge_hub.merging.engine.tensor_comparison import compare_with_files
from agentmerge_hub.merging.inputs.safetensors_header import header_of

VALUES = torch.tensor([0.0, 1.5, -2.0])


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [
        (VALUES, VALUES, []),
        (VALUES, torch.tensor([-0.0, 1.5, -2.0]), ["w differs in 1 of 3 values, by at most 0"]),
        (VALUES, torch.tensor([0.25, 1.5, -4.0]), ["w differs in 2 of 3 values, by at most 2"]),
        (VALUES / 0, VALUES / 0, ["w holds 3 values that are not finite"]),
        (VALUES.bfloat16(), VALUES, ["w is stored as BF16, and the spec says float32"]),
        (VALUES, VALUES[:2], ["w is [3], and should be [2]"]),
    ],
    ids=["same", "sign of zero", "values", "not finite", "type", "shape"],
)
def test_what_differs_is_said(tmp_path: Path, found: torch.Tensor, wanted: torch.Tensor, said: list[str]) -> None:
    save_file({"w": found}, tmp_path / "found.safetensors")
    save_file({"w": wanted.clone()}, tmp_path / "wanted.safetensors")
    tables = [header_of(tmp_path / f"{name}.safetensors") for name in ("found", "wanted")]
    assert list(compare_with_files(*tables)) == said
