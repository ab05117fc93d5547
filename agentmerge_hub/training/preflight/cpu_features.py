"""What this machine's CPU can do for training."""

import torch


def has_fast_bfloat16() -> bool:
    """True if the CPU multiplies bfloat16 in hardware (AVX-512-BF16 or AMX); without, autocast is slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
