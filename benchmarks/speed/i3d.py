"""I3D logits, native against TorchScript of the same network with separate batch-norms, as a markdown row.

    python benchmarks/speed/i3d.py

Both get the same seeded weights and uint8 clips and do their own preprocessing. The two take turns, and the best turn
of each counts.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.benchmarks.speed.unfused_i3d import scripted
from latte_eval.metrics.detectors import I3D
from latte_eval.metrics.detectors.i3d import seeded_state


def both_networks(device: str) -> tuple[I3D, Callable[[Tensor], Tensor]]:
    """The native network, and the baseline as TorchScript, with the same weights."""
    module = scripted(seeded_state(0)).to(device)
    return I3D.seeded().to(device), lambda clips: module(clips, True, True, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # torch.jit, the baseline, is deprecated
    native, baseline = both_networks(arguments.device)
    shape = (arguments.clips, 3, 16, arguments.size, arguments.size)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8).to(arguments.device)
    turns = take_turns(native, baseline, clips, arguments.repeats)
    print(turns.to_row(f"I3D logits, 16 frames of {arguments.size}x{arguments.size}", "clips", arguments.device))


if __name__ == "__main__":
    main()
