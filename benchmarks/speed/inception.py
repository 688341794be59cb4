"""Inception features, native against TorchScript of the same network with separate batch-norms.

Both get the same random weights and uint8 frames and do their own resize: the baseline writes it as a grid, as NVIDIA's
archive does, and takes all frames in one batch.
"""

from __future__ import annotations

import warnings

import torch

from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.benchmarks.speed.unfused_inception import plain_state, scripted_inception
from latte_eval.core.arithmetic import exact_float32
from latte_eval.metrics.detectors import InceptionV3
from latte_eval.metrics.detectors.network import relative_difference

SHAPE = (32, 3, 256, 256)


def measure(material: Material, turns: int) -> Measured:
    """Seconds of both for one batch of noise."""
    frames = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    with warnings.catch_warnings(), exact_float32():
        warnings.simplefilter("ignore")  # torch.jit, the baseline, is deprecated
        state = plain_state()
        native, baseline = InceptionV3.from_state_dict(state), scripted_inception(state)
        return take_turns(lambda: native(frames), lambda: baseline(frames), turns, relative_difference)
