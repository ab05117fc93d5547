"""Which kernel PyTorch's attention takes on a GPU: cuDNN's, or flash attention."""

from collections.abc import Sequence

import torch

PASSES_OF_A_PLAN = 4
"""Passes of a length after which cuDNN's kernel has won back the time to plan it. On an H100, rows of 8,192 tokens: a plan takes
0.13 s (heads of 64) to 0.27 s (heads of 128) and saves 1.5 to 3.1 ms a layer and row: 0.09 s a row of a 3B model."""


def choose(lengths: Sequence[int], batches: int, multiple: int = 1) -> None:
    """Allow cuDNN's attention only where lengths repeat: it plans anew for each, flash attention takes any length as it comes.

    Args:
        lengths: of the rows, in tokens; a batch has the length of its longest row.
        batches: that one process passes through the model.
        multiple: of which a batch's length is padded to one (pad_to_multiple_of).
    """
    padded = {-(-length // multiple) for length in lengths}
    torch.backends.cuda.enable_cudnn_sdp(batches >= PASSES_OF_A_PLAN * len(padded))


def disable_cudnn() -> None:
    """For rows that pass through the model once or twice."""
    torch.backends.cuda.enable_cudnn_sdp(False)
