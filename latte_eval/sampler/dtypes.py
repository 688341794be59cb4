"""The type that a checkpoint is sampled in where nobody says."""

from __future__ import annotations

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
    return half if torch.cuda.get_device_capability(torch.device(device)) >= BF16_FROM else "fp32"
