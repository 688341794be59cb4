"""I3D (Carreira and Zisserman 2017), the network behind the Frechet video distance (Unterthiner et al. 2018).

The RGB stream with 400 Kinetics classes, as the published measurement code calls it: frames scaled to [-1, 1], each
resized to 224x224 (bilinear, half-pixel centres, no antialiasing, aspect ratio not kept), and the class logits before
the softmax, averaged over time, as features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import WeightsError
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.files.weights import I3D_ARCHIVE, I3D_STATE, file_sha256
from latte_eval.metrics.detectors.archive import (
    Choice,
    detector_from_choice,
    load_tensors,
    native_or_archive,
    open_archive,
    open_either,
)
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector, check_clips
from latte_eval.metrics.detectors.i3d_names import CLASSES, LOGITS, MIXED, VECTORS, expected_shapes, normalised
from latte_eval.metrics.detectors.network import (
    fold_batch_norm,
    he_scaled,
    in_fixed_batches,
    probe_clips,
    recipe_sha256,
    rows_at_once,
)

EPS = 1e-3  # of the batch-norms, as in the TensorFlow network
# The same in the port that VideoGPT, TATS, DIGAN, PVDM and cd-fvd measure with.
PORT_EPS = 1e-5
SIZE, MIN_FRAMES = 224, 9
# Clips of an inner batch. On a CPU two run a seventh faster than four: what passes between layers is not asked anew of
# the system.
CPU_BATCH, GPU_BATCH = 2, 4
RECIPE = "I3D, He-scaled convolutions, batch-norm at rest, logits without bias"

Forward = Callable[[Tensor], Tensor]


class I3D(nn.Module):
    """The network with its preprocessing: [N, 3, T, H, W] uint8 -> [N, 400] float32 logits.

    Batch-norm is folded into the convolutions (in float64) and memory is laid out channels-last. Convolution
    libraries sum in an order that depends on the batch size, so clips go through in inner batches of one fixed size:
    a clip's logits have the same bits in every batch.
    """

    def __init__(self) -> None:
        """An I3D whose weights are not set: use `from_state_dict` or `seeded`."""
        super().__init__()
        with UnsetWeights():
            self.layers = build_layers().to(memory_format=torch.channels_last_3d)
        self.eval().requires_grad_(False)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], eps: float = EPS) -> I3D:
        """An I3D with the weights of a state dict in hassony2's or piergiaj's (VideoGPT's) naming.

        `eps` is that of the batch-norms. Where no name is known, tensors are taken in order; a batch-norm without
        weight gets ones. Raises `WeightsError` that names the first tensors that are missing or have other shapes.
        """
        network = cls()
        network.layers.load_state_dict(folded_state(normalised(state), eps))
        return network

    @classmethod
    def seeded(cls, seed: int = 0, eps: float = EPS) -> I3D:
        """An I3D with random weights that are a function of `seed`: random features, after Naeem et al. 2020."""
        return cls.from_state_dict(seeded_state(seed), eps)

    def forward(self, clips: Tensor) -> Tensor:  # [N, 3, T, H, W] uint8 -> [N, 400] float32
        """Logits, averaged over time. Raises `ClipError` for another layout or fewer than 9 frames."""
        check_clips(clips, "i3d", MIN_FRAMES)
        return in_batches(lambda part: self.logits(preprocess(part)), clips)

    def logits(self, clips: Tensor) -> Tensor:  # [N, 3, T, 224, 224] float32 in [-1, 1] -> [N, 400] float32
        """The network after the preprocessing, on one batch as it comes, computed in the dtype of its weights."""
        given = clips.to(self.dtype, memory_format=torch.channels_last_3d)
        with exact_float32():
            by_time: Tensor = self.layers(given)
        return by_time.float().flatten(2).mean(2)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights: float32, unless somebody moved them."""
        return next(self.layers.parameters()).dtype


def build_layers() -> nn.Sequential:  # [N, 3, T, 224, 224] float32 -> [N, 400, T', 1, 1] float32
    """The layers by name, in order."""
    layers = OrderedDict[str, nn.Module](
        conv3d_1a_7x7=Conv(3, 64, 7, stride=2),
        maxPool3d_2a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
        conv3d_2b_1x1=Conv(64, 64, 1),
        conv3d_2c_3x3=Conv(64, 192, 3),
        maxPool3d_3a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
    )
    for name, widths in MIXED.items():
        if name == "mixed_4b":
            layers["maxPool3d_4a_3x3"] = MaxPool((3, 3, 3), (2, 2, 2))
        if name == "mixed_5b":
            layers["maxPool3d_5a_2x2"] = MaxPool((2, 2, 2), (2, 2, 2))
        layers[name] = Mixed(*widths)
    layers["avg_pool"] = AvgPool((2, 7, 7), stride=1)
    layers[LOGITS] = nn.Conv3d(1024, CLASSES, 1)
    return nn.Sequential(layers)


class Conv(nn.Conv3d):
    """Convolution, folded batch-norm and ReLU, with TensorFlow's SAME padding for the size of its input."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1):
        super().__init__(inputs, outputs, side, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size[0] == 1:  # channels are last in memory: a matrix product without a copy
            rows = F.linear(x.permute(0, 2, 3, 4, 1), self.weight.flatten(1), self.bias)
            return rows.relu_().permute(0, 4, 1, 2, 3)
        pads = [same_padding(size, self.kernel_size[0], self.stride[0]) for size in x.shape[2:]]
        if any(front != back for front, back in pads):
            x, pads = F.pad(x, [amount for pair in reversed(pads) for amount in pair]), [(0, 0)] * 3
        return F.conv3d(x, self.weight, self.bias, self.stride, [front for front, _ in pads]).relu_()


class MaxPool(nn.Module):
    """Max-pooling with TensorFlow's SAME padding, one dimension after the other, which is faster than all at once."""

    def __init__(self, sides: tuple[int, int, int], strides: tuple[int, int, int]):
        super().__init__()
        self.sides, self.strides = sides, strides

    def forward(self, x: Tensor) -> Tensor:
        for dim, (side, stride) in enumerate(zip(self.sides, self.strides, strict=True), start=2):
            x = max_along(x, dim, side, stride) if side > 1 else x
        return x


class AvgPool(nn.AvgPool3d):
    """Averages in float32 whatever comes: a CPU has no others."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def max_along(x: Tensor, dim: int, side: int, stride: int) -> Tensor:
    """Maxima of windows along one dimension; padding is left out: its zeros never exceed non-negative values."""
    front, size = same_padding(x.shape[dim], side, stride)[0], x.shape[dim]
    count = -(-size // stride)
    out = every(x, dim, 0, stride, count).clone(memory_format=torch.preserve_format)
    for offset in (tap - front for tap in range(side) if tap != front):
        first, last = max(0, -(offset // stride)), min(count, (size - 1 - offset) // stride + 1)
        part = out.narrow(dim, first, last - first)
        torch.maximum(part, every(x, dim, first * stride + offset, stride, last - first), out=part)
    return out


def every(x: Tensor, dim: int, start: int, stride: int, count: int) -> Tensor:
    """A view of `count` slices along `dim`, from `start` in steps of `stride`."""
    return x[(slice(None),) * dim + (slice(start, start + (count - 1) * stride + 1, stride),)]


class Mixed(nn.Module):
    """An Inception block; the 1x1 convolutions that share its input are one convolution."""

    def __init__(self, inputs: int, out0: int, mid1: int, out1: int, mid2: int, out2: int, out3: int):
        super().__init__()
        self.widths = [out0, mid1, mid2]
        self.entry = Conv(inputs, sum(self.widths), 1)
        self.branch_1, self.branch_2 = Conv(mid1, out1, 3), Conv(mid2, out2, 3)
        self.pool, self.branch_3 = MaxPool((3, 3, 3), (1, 1, 1)), Conv(inputs, out3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out0, mid1, mid2 = self.entry(x).split(self.widths, 1)
        return torch.cat([out0, self.branch_1(mid1), self.branch_2(mid2), self.branch_3(self.pool(x))], 1)


def same_padding(size: int, side: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one dimension, as TensorFlow's SAME puts them."""
    total = max(side - (size % stride or stride), 0)
    return total // 2, total - total // 2


def preprocess(clips: Tensor) -> Tensor:  # [N, 3, T, H, W] uint8 -> [N, 3, T, 224, 224] float32 in [-1, 1]
    """Scale, then resize each frame: bilinear, half-pixel centres, no antialiasing."""
    frames = clips.transpose(1, 2).flatten(0, 1).to(torch.float32, memory_format=torch.channels_last) / 255 * 2 - 1
    frames = F.interpolate(frames, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return frames.unflatten(0, (len(clips), -1)).transpose(1, 2)


def folded_state(tensors: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """The state dict of `I3D.layers` from a normalised one: batch-norm folded, entries of the blocks joined."""
    folded = {f"{LOGITS}.{leaf}": tensors[f"{LOGITS}.conv3d.{leaf}"].float() for leaf in ("weight", "bias")}
    for name in ("conv3d_1a_7x7", "conv3d_2b_1x1", "conv3d_2c_3x3"):
        folded |= joined(tensors, name, [name], eps)
    for block in MIXED:
        folded |= joined(tensors, f"{block}.entry", [f"{block}.branch_{part}" for part in ("0", "1.0", "2.0")], eps)
        for part in ("1.1", "2.1", "3.1"):
            folded |= joined(tensors, f"{block}.branch_{part[0]}", [f"{block}.branch_{part}"], eps)
    return folded


def joined(tensors: Mapping[str, Tensor], name: str, units: list[str], eps: float) -> dict[str, Tensor]:
    """Weight and bias, called `name`, of the convolutions of several units, folded and stacked by output."""
    weights, biases = zip(*(folded_unit(tensors, unit, eps) for unit in units), strict=True)
    return {f"{name}.weight": torch.cat(weights), f"{name}.bias": torch.cat(biases)}


def folded_unit(tensors: Mapping[str, Tensor], unit: str, eps: float) -> tuple[Tensor, Tensor]:
    gamma, beta, mean, var = (tensors[f"{unit}.batch3d.{vector}"] for vector in VECTORS)
    return fold_batch_norm(tensors[f"{unit}.conv3d.weight"], gamma, beta, mean, var, eps)


def seeded_state(seed: int) -> dict[str, Tensor]:
    """He-scaled convolutions drawn by name; batch-norm at rest (ones and zeros); no bias."""
    return {name: seeded_weight(name, shape, seed) for name, shape in expected_shapes().items()}


def seeded_weight(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    if len(shape) > 1:
        return he_scaled(shape, RECIPE, seed, name)
    return torch.ones(shape) if name.endswith(("weight", "running_var")) else torch.zeros(shape)


def open_i3d(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The published I3D: the archive or the state dict, whichever is installed, else downloaded, in this order.

    Raises `WeightsError` where neither can be had; its message is about the archive.
    """
    return open_either(I3D_ARCHIVE, i3d_from_archive, I3D_STATE, i3d_from_state, device, trust=trust, offline=offline)


def i3d_from_archive(path: Path, device: str, *, trust: bool = False) -> Detector:
    """The I3D of the TorchScript archive: its native twin where the two agree, else the archive itself."""
    module, sha256 = open_archive(path, I3D_ARCHIVE.sha256, trust=trust)
    module = module.to(device)

    def published(clips: Tensor) -> Tensor:
        return module(clips.contiguous(), rescale=True, resize=True, return_features=True)

    def archive(clips: Tensor) -> Tensor:  # [N, 3, T, H, W] uint8 -> [N, 400] float32
        with exact_float32():
            return in_batches(published, clips)

    choice = compare_with(archive, dict(module.state_dict()), device)
    forward = as_features(choice.forward)
    return detector_from_choice("i3d", forward, choice, I3D_ARCHIVE, sha256, device, MIN_FRAMES)


def compare_with(archive: Forward, state: Mapping[str, Tensor], device: str) -> Choice:
    """The native network on the archive's own tensors, or the archive where that fails or does not agree."""
    try:
        native = I3D.from_state_dict(state).to(device)
    except WeightsError as error:
        return native_or_archive(None, archive, probe_clips(16).to(device), str(error))
    return native_or_archive(native, archive, probe_clips(16).to(device))


def i3d_from_state(path: Path, device: str) -> Detector:
    """The native I3D with the weights of VideoGPT's state dict, which has no archive to be compared with."""
    network = I3D.from_state_dict(load_tensors(path)).to(device)
    note = f"native network on {I3D_STATE.filename}, not compared with {I3D_ARCHIVE.filename}"
    sha256 = file_sha256(path)
    return Detector("i3d", as_features(network), I3D_STATE, sha256, device, min_frames=MIN_FRAMES, note=note)


def open_i3d_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The I3D with seeded random weights, which needs no file."""
    return Detector(
        name="i3d-seeded",
        forward=as_features(I3D.seeded().to(device)),
        weights=None,
        sha256=recipe_sha256(RECIPE, 0, expected_shapes()),
        device=device,
        min_frames=MIN_FRAMES,
        comparable=False,
        note=SEEDED_NOTE,
    )


def in_batches(forward: Forward, clips: Tensor) -> Tensor:  # [N, ...] -> [N, 400]
    """`forward` in inner batches."""
    size = rows_at_once(clips.device, CPU_BATCH, GPU_BATCH)
    return in_fixed_batches(as_features(forward), clips, size)["features"]


def as_features(forward: Forward) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda clips: {"features": forward(clips)}
