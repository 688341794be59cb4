"""Small VDTs for tests: the golden one, and one with random weights that answers at the scale of noise."""

from __future__ import annotations

from small_latte import randomised

from latte_eval.evaluation.golden.files import Golden
from latte_eval.sampler.vdt import VDT, VDTConfig

SMALL_VDT = VDTConfig(input_size=8, patch=4, channels=3, width=32, depth=2, heads=4, frames=4)


def golden_vdt(file: Golden) -> VDT:
    return VDT.from_state_dict(file.tensors(), heads=file.meta["config"]["num_heads"])


def small_vdt(config: VDTConfig = SMALL_VDT, seed: int = 0) -> VDT:
    """Random weights everywhere: a new model would answer at the scale of its start."""
    return randomised(VDT(config), seed)
