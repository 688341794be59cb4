"""LPIPS 0.1 (Zhang et al. 2018, arXiv 1801.03924): how differently two frames look to AlexNet, as people judge.

Facts are those of richzhang/PerceptualSimilarity, whose package `lpips` ships the weights of the five linear heads; the
AlexNet is torchvision's. Values are -1..1 and shifted and scaled per channel; the activations after each of the five
ReLUs are brought to length 1 along their channels; the heads weigh the squared differences. The package takes the mean
of each layer over the frame and adds the five; here a layer's cells count by how much of what they cover counts, which
over a whole frame is the same.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.files.weights import ALEXNET, fetch_weights, file_sha256
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.network import Outputs, he_scaled, in_fixed_batches, recipe_sha256, seeded_normal

WHO = "LPIPS"
EXTRA = "pip install 'latte-eval[lpips]'"
# Of the package lpips 0.1.4; the name tells the network.
HEADS_FILE, HEADS_SHA256 = "weights/v0.1/alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# The modules of torchvision's `features` after whose ReLU a head sits, and what keeps a length of 0 from dividing.
RELUS, EPSILON = (1, 4, 7, 9, 11), 1e-10
# A smaller frame is nothing after the second pooling.
SMALLEST = 31
CPU_BATCH, GPU_BATCH = 8, 64

# Convolutions of AlexNet (Krizhevsky 2014, as torchvision has it): place in `features`, out, in, kernel.
CONVOLUTIONS = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
RECIPE = "LPIPS, AlexNet scaled by fan-in, heads positive"


class LPIPS(nn.Module):
    """The distance of frames, for frames of at least 31 pixels a side.

    Args:
        backbone: a state dict of torchvision's AlexNet.
        heads: the weights of the five heads under the names of the package, `lin0.model.1.weight` [1, C, 1, 1], ...

    Raises:
        WeightsError: tensors that are missing or of other shapes.
    """

    def __init__(self, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        super().__init__()
        from torchvision.models import alexnet

        with torch.device("meta"):
            self.features = alexnet(weights=None).features
        shapes = {**backbone_shapes(), **head_shapes()}
        tensors = {**backbone, **heads}
        for name, shape in shapes.items():
            if name not in tensors or tuple(tensors[name].shape) != shape:
                found = tuple(tensors[name].shape) if name in tensors else "not there"
                raise WeightsError(f"{WHO}: {name} must be {shape}, and is {found}")
        own = {name.removeprefix("features."): tensors[name].float() for name in backbone_shapes()}
        self.features.load_state_dict(own, assign=True)
        for layer, name in enumerate(head_shapes()):
            self.register_buffer(f"head{layer}", tensors[name].float())
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(3, 1, 1))
        self.eval().requires_grad_(False)

    shift: Tensor
    scale: Tensor

    @classmethod
    def seeded(cls, seed: int = 0) -> LPIPS:
        """The same network with random weights that are a function of `seed`, for machines without the files."""
        return cls(seeded_backbone(seed), seeded_heads(seed))

    def frame_distance(
        self, fake: Tensor, real: Tensor, where: Tensor | None = None
    ) -> Tensor:  # [N, T, 3, H, W] uint8 twice, [N, T, H, W] bool -> [N, T] float64
        """The distance of every frame over the positions that count, all without `where`; NaN where none does.

        Raises `ClipError` for frames that are too small.
        """
        check_frame_size(fake.shape[-2:])
        n, t, _, h, w = fake.shape
        counts = torch.ones(n, t, 1, h, w) if where is None else where.unsqueeze(2).float().cpu()
        frames = torch.cat([fake.float().cpu(), real.float().cpu(), counts], dim=2).flatten(0, 1)
        size = CPU_BATCH if self.shift.device.type == "cpu" else GPU_BATCH
        with exact_float32():
            found = in_fixed_batches(self.batch_outputs, frames.to(self.shift.device), size)
        return found["lpips"].double().cpu().reshape(n, t)

    def batch_outputs(self, frames: Tensor) -> Outputs:  # [N, 7, H, W]: fake, real, whether it counts
        """The distance of each pair of frames."""
        fake, real, counts = frames.split((3, 3, 1), dim=1)
        pairs = zip(self.layers(fake), self.layers(real), strict=True)
        distances = [self.layer_distance(layer, *pair, counts) for layer, pair in enumerate(pairs)]
        return {"lpips": torch.stack(distances).sum(0)}

    def layers(self, frames: Tensor) -> list[Tensor]:  # [N, 3, H, W] 0..255 -> five of [N, C, h, w]
        """What AlexNet says after each ReLU, of length 1 along the channels."""
        x, found = (frames / 127.5 - 1 - self.shift) / self.scale, []
        for place, module in enumerate(self.features[: RELUS[-1] + 1]):
            x = module(x)
            if place in RELUS:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON))
        return found

    def layer_distance(self, layer: int, fake: Tensor, real: Tensor, counts: Tensor) -> Tensor:  # -> [N]
        """The weighted squared differences of one layer, the mean over the cells that count."""
        weighed = F.conv2d((fake - real).square(), self.get_buffer(f"head{layer}"))
        share = F.adaptive_avg_pool2d(counts, (weighed.shape[-2], weighed.shape[-1]))
        return (weighed * share).flatten(1).sum(1) / share.flatten(1).sum(1)


@dataclass(frozen=True)
class LPIPSDetector(Detector):
    """The network as a detector. By itself it looks at no clip: it compares two.

    Attributes:
        network: the distance.
    """

    network: LPIPS | None = None


def check_frame_size(size: torch.Size | tuple[int, int]) -> None:
    """Raise `ClipError` for frames that AlexNet cannot look at."""
    if min(size) < SMALLEST:
        raise ClipError(
            f"{WHO} needs frames of at least {SMALLEST} pixels a side, these are {size[0]}x{size[1]}; leave lpips out"
        )


def backbone_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of torchvision's AlexNet that are used, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, out, into, kernel in CONVOLUTIONS:
        shapes |= {f"features.{place}.weight": (out, into, kernel, kernel), f"features.{place}.bias": (out,)}
    return shapes


def head_shapes() -> dict[str, tuple[int, ...]]:
    """The weights of the heads under the package's names, in the order of the layers."""
    return {f"lin{layer}.model.1.weight": (1, out, 1, 1) for layer, (_, out, _, _) in enumerate(CONVOLUTIONS)}


def seeded_backbone(seed: int = 0) -> dict[str, Tensor]:
    """Random weights of the AlexNet."""
    return {
        name: he_scaled(shape, RECIPE, seed, name) if len(shape) > 1 else torch.zeros(shape)
        for name, shape in backbone_shapes().items()
    }


def seeded_heads(seed: int = 0) -> dict[str, Tensor]:
    """Random weights of the heads, none negative, as trained ones are."""
    return {name: seeded_normal(shape, RECIPE, seed, name).abs() / shape[1] for name, shape in head_shapes().items()}


def heads_file() -> Path:
    """The file of the heads in the package lpips, its hash checked.

    Raises `UsageError` that names the extra where it is absent, `WeightsError` for another file.
    """
    found = importlib.util.find_spec("lpips")
    if found is None or found.origin is None:
        raise UsageError(
            f"lpips needs the package lpips, which ships its linear heads: {EXTRA}; or use --detector lpips-seeded"
        )
    path = Path(found.origin).parent / HEADS_FILE
    if not path.is_file():
        raise WeightsError(f"{path} is not there; install lpips again: {EXTRA}")
    if (sha256 := file_sha256(path)) != HEADS_SHA256:
        raise WeightsError(f"{path} has sha256 {sha256} instead of {HEADS_SHA256}; install lpips 0.1.4 again: {EXTRA}")
    return path


def open_lpips(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> LPIPSDetector:
    """LPIPS with its published weights, AlexNet found or downloaded. Raises `WeightsError` or `UsageError`."""
    heads = load_tensors(heads_file())
    path = fetch_weights(ALEXNET, offline)
    network = LPIPS(load_tensors(path), heads).to(device)
    return LPIPSDetector("lpips", not_alone, ALEXNET, file_sha256(path), device, network=network)


def open_lpips_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> LPIPSDetector:
    """LPIPS with seeded random weights, which needs no file."""
    return LPIPSDetector(
        "lpips-seeded", not_alone, None, recipe_sha256(RECIPE, 0, {**backbone_shapes(), **head_shapes()}), device,
        comparable=False, note=SEEDED_NOTE, network=LPIPS.seeded().to(device),
    )  # fmt: skip


def not_alone(clips: Tensor) -> Outputs:
    """Clips by themselves say nothing: each is compared with its own truth."""
    raise NotImplementedError(f"{WHO} takes pairs of clips")
