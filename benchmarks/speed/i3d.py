"""I3D logits, native against TorchScript of the same network with separate batch-norms, as a markdown row.

    python benchmarks/speed/i3d.py

Both get the same seeded weights and uint8 clips and do their own preprocessing. The two take turns, and the best turn
of each counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from latte_eval.benchmarks.speed.unfused_i3d import scripted
from latte_eval.metrics.detectors import I3D
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.network import exact_float32, relative_difference


def both_networks(device: str) -> tuple[I3D, Callable[[Tensor], Tensor]]:
    """The native network, and the baseline as TorchScript, with the same weights."""
    module = scripted(seeded_state(0)).to(device)
    return I3D.seeded().to(device), lambda clips: module(clips, True, True, True)


def seconds_of(network: Callable[[Tensor], Tensor], clips: Tensor) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    network(clips).cpu()
    return time.perf_counter() - started


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
    with exact_float32():
        apart = relative_difference(native(clips), baseline(clips))
        baseline(clips)  # TorchScript optimises itself on its second call
        turns = [(seconds_of(native, clips), seconds_of(baseline, clips)) for _ in range(arguments.repeats)]
    fast, slow = (arguments.clips / min(seconds) for seconds in zip(*turns, strict=True))
    where = f"{platform.machine()}, {arguments.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"| I3D logits, 16 frames of {arguments.size}x{arguments.size} | TorchScript {slow:.2f} clips/s | "
          f"{fast:.2f} clips/s | {fast / slow:.2f}x | relative difference {apart:.0e} | "
          f"{where}, load {os.getloadavg()[0]:.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
