"""I3D logits, native against TorchScript of the same network with separate batch-norms.

Both get the same seeded weights and uint8 clips and do their own preprocessing.
"""

from __future__ import annotations

import warnings

import torch

from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.benchmarks.speed.unfused_i3d import scripted
from latte_eval.core.arithmetic import exact_float32
from latte_eval.metrics.detectors import I3D
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.network import relative_difference

SHAPE = (4, 3, 16, 256, 256)


def measure(material: Material, turns: int) -> Measured:
    """Seconds of both for one batch of noise."""
    clips = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    with warnings.catch_warnings(), exact_float32():
        warnings.simplefilter("ignore")  # torch.jit, the baseline, is deprecated
        native, baseline = I3D.seeded(), scripted(seeded_state(0))
        return take_turns(lambda: native(clips), lambda: baseline(clips, True, True, True), turns, relative_difference)
