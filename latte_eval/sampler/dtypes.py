"""The type that a checkpoint is sampled in where nobody says."""

from __future__ import annotations

from latte_eval.core.notices import notice

AUTO = "auto"

# From this compute capability on, a CUDA device multiplies bfloat16 at the rate of float16.
BF16_FROM = (8, 0)


def usual_dtype(device: str, half: str = "bf16") -> str:
    """`half` on a CUDA device that computes bfloat16 at full rate (Ampere and newer), fp32 elsewhere.

    bfloat16 has the range of float32, so nothing overflows; the state of the diffusion is float32 with every type.
    """
    import torch

    if not device.startswith("cuda"):
        return "fp32"
    if torch.cuda.get_device_capability(torch.device(device)) >= BF16_FROM:
        return half
    notice(f"{device} has no bfloat16 at full rate, so sampling is in fp32; --dtype fp16 is faster")
    return "fp32"
