"""Seconds and operations of a clip of 16 frames of 256x256 in every detector, at the size of the published network.

    python -m latte_eval.benchmarks.speed.detectors --device cpu
    python -m latte_eval.benchmarks.speed.detectors --only videomae

Weights are random: they cost what trained ones do. As many clips go in at once as the detector takes together, and the
call before the timed one is not timed: in it operations are counted. Prints a Markdown table. On a machine with other
work, processor seconds of all threads say more than those of the clock.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import click
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

from latte_eval.core.choices import check_choice
from latte_eval.metrics.detectors import C3D, I3D, InceptionV3, VideoMAE
from latte_eval.metrics.detectors.dinov2 import DINOv2
from latte_eval.metrics.detectors.dinov2 import seeded_shapes as dinov2_shapes
from latte_eval.metrics.detectors.inception import on_frames
from latte_eval.metrics.detectors.videomae import seeded_shapes as videomae_shapes
from latte_eval.metrics.detectors.vjepa import VJEPA, encoder_shapes, probe_shapes

SHAPE = (3, 16, 256, 256)
Shapes = Mapping[str, tuple[int, ...]]
Network = Callable[[Tensor], object]


def scaled(shapes: Shapes, sides: Mapping[int, int], prefix: str, depth: int) -> dict[str, Tensor]:
    """Random weights of a large network from the shapes of a small one: other widths, and its first block repeated."""
    large = {name: tuple(sides.get(side, side) for side in shape) for name, shape in shapes.items()}
    first = {
        name.removeprefix(f"{prefix}.0."): shape for name, shape in large.items() if name.startswith(f"{prefix}.0.")
    }
    rest = {name: shape for name, shape in large.items() if not name.startswith(f"{prefix}.")}
    blocks = {f"{prefix}.{i}.{name}": shape for i in range(depth) for name, shape in first.items()}
    draw = torch.Generator().manual_seed(0)
    return {name: torch.empty(shape).normal_(0, 0.02, generator=draw) for name, shape in {**rest, **blocks}.items()}


def videomae_g() -> VideoMAE:
    """40 blocks of width 1,408."""
    state = scaled(videomae_shapes(), {64: 1408, 128: 6144, 192: 3 * 1408}, "blocks", 40)
    return VideoMAE.from_state_dict(state, heads=16)


def vjepa_h() -> VJEPA:
    """32 blocks of width 1,280, and the probe."""
    sides = {64: 1280, 128: 5120, 192: 3 * 1280}
    encoder = scaled(encoder_shapes(), sides, "blocks", 32)
    probe = scaled(probe_shapes(), {**sides, 128: 2 * 1280, 256: 4 * 1280}, "none", 0)
    return VJEPA.from_state_dicts(encoder, probe, heads=16)


def dinov2_l() -> DINOv2:
    """24 blocks of width 1,024."""
    return DINOv2.from_state_dict(scaled(dinov2_shapes(), {64: 1024, 256: 4096}, "encoder.layer", 24))


@dataclass(frozen=True)
class Subject:
    """A detector that is timed.

    Attributes:
        what: the network.
        make: gives it, with random weights.
        clips: so many go in at once.
    """

    what: str
    make: Callable[[], I3D | C3D | InceptionV3 | DINOv2 | VJEPA | VideoMAE]
    clips: int = 1

    def open(self, device: str) -> Network:
        """The network for clips, on a device."""
        network = self.make().to(device)
        return on_frames(network.outputs) if isinstance(network, (InceptionV3, DINOv2)) else network


# By the name of the detector; clips as each takes them together on a CPU.
SUBJECTS = {
    "i3d": Subject("I3D", I3D.seeded, 4),
    "c3d": Subject("C3D", C3D.seeded, 2),
    "inception": Subject("Inception, 16 frames", InceptionV3.seeded),
    "dinov2": Subject("DINOv2 ViT-L/14, 16 frames", dinov2_l),
    "vjepa": Subject("V-JEPA ViT-H/16 and its probe", vjepa_h, 2),
    "videomae": Subject("VideoMAE V2-g", videomae_g, 2),
}


def operations(network: Network, clips: Tensor) -> float:
    """Floating-point operations of one clip; a product and its sum count as two."""
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop}  # which torch leaves out
    with FlopCounterMode(display=False, custom_mapping=attention) as counter, torch.no_grad():
        network(clips)
    return counter.get_total_flops() / len(clips)


def seconds(network: Network, clips: Tensor) -> tuple[float, float]:
    """Of one clip: by the clock, and of the processor."""
    started = time.perf_counter(), time.process_time()
    with torch.no_grad():
        network(clips)
    if clips.device.type == "cuda":
        torch.cuda.synchronize(clips.device)
    ended = time.perf_counter(), time.process_time()
    return (ended[0] - started[0]) / len(clips), (ended[1] - started[1]) / len(clips)


def row(name: str, device: str, turns: int) -> str:
    """A line of the table."""
    subject = SUBJECTS[name]
    network = subject.open(device)
    draw = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (subject.clips, *SHAPE), dtype=torch.uint8, generator=draw).to(device)
    counted = operations(network, clips)
    clock, processor = (median(each) for each in zip(*(seconds(network, clips) for _ in range(turns)), strict=True))
    return f"| {subject.what} | `{name}` | {counted / 1e12:.3g} | {clock:.3g} | {processor:.3g} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--only", default=",".join(SUBJECTS), help="With commas.")
@click.option("--device", default="cpu")
@click.option("--turns", default=1, help="The middle one counts.")
def main(only: str, device: str, turns: int) -> None:
    """Print the table, each row as soon as it is known."""
    names = only.split(",")
    for name in names:
        check_choice("--only", name, SUBJECTS)
    where = platform.processor() or platform.machine() if device == "cpu" else torch.cuda.get_device_name(device)
    click.echo(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    click.echo("| network | detector | TFLOP a clip | s a clip | processor s a clip |")
    click.echo("| --- | --- | ---: | ---: | ---: |")
    for name in names:
        click.echo(row(name, device, turns))


if __name__ == "__main__":
    main()
