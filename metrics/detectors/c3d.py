"""C3D finetuned on UCF101 (Tran et al. 2015), the network behind the Inception Score of videos.

Called as in TGANv2 (pfnet-research/tgan2@f892bc4), whose chainer network StyleGAN-V converted: frames resized to
112x112 (bilinear, aligned corners, no antialiasing, aspect ratio not kept), BGR, scaled by 128 / 127.5, minus a mean
clip that is cropped off-centre. Pools round odd lengths up: the first dense layer sees 512 x 1 x 4 x 4 values.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import ClipError, WeightsError, first_line
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.files.weights import C3D_ARCHIVE, C3D_MEAN, C3D_STATE, fetch_weights, file_sha256, find_weights
from latte_eval.metrics.detectors.archive import (
    Choice,
    detector_from_choice,
    load_tensors,
    native_or_archive,
    open_archive,
)
from latte_eval.metrics.detectors.base import SEEDED_NOTE, UNPINNED_NOTE, Detector, check_clips
from latte_eval.metrics.detectors.network import (
    centred_he_scaled,
    he_scaled,
    in_fixed_batches,
    probe_clips,
    recipe_sha256,
    rows_at_once,
)

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.base import Forward

FRAMES, SIZE = 16, 112
SCALE = 128 / 127.5  # chainer: (clip / 127.5 - 1) * 128 + 128
MEAN_SHAPE, CROP = (3, FRAMES, 128, 171), slice(8, 8 + SIZE)
CPU_BATCH, GPU_BATCH = 2, 16
INPUT_GAIN = 1 / 64  # of the first layer of the seeded weights: its inputs reach +-128
RECIPE = f"C3D, centred He-scaled weights without bias, the first not centred but x {INPUT_GAIN}, mean clip 128"

# Width of each convolution, all 3x3x3; the pools after them halve every length; the first one keeps time.
CONVOLUTIONS = {
    "conv1a": 64, "conv2a": 128, "conv3a": 256, "conv3b": 256, "conv4a": 512, "conv4b": 512, "conv5a": 512,
    "conv5b": 512,
}  # fmt: skip
POOLS = {"conv1a": (1, 2, 2), "conv2a": (2, 2, 2), "conv3b": (2, 2, 2), "conv4b": (2, 2, 2), "conv5b": (2, 2, 2)}
DENSE = {"fc6": 4096, "fc7": 4096, "fc8": 101}
POOLED = 1 * 4 * 4  # what the pools leave of 16 x 112 x 112

Shape = tuple[int, ...]
Layer = nn.Conv3d | nn.Linear


class C3D(nn.Module):
    """The network with its preprocessing: [N, 3, 16, H, W] uint8 -> [N, 101] float32 softmax probabilities.

    Memory is laid out channels-last. Clips go through in batches of a fixed size, so that a clip's probabilities do not
    depend on the clips that it comes with.
    """

    mean: Tensor

    def __init__(self) -> None:
        """A C3D whose weights are not set; use `from_state_dict` or `seeded`."""
        super().__init__()
        with UnsetWeights():
            self.layers = nn.ModuleDict(build_layers())
            self.register_buffer("mean", torch.empty(1, 3, FRAMES, SIZE, SIZE))
        self.to(memory_format=torch.channels_last_3d)
        self.eval().requires_grad_(False)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor | np.ndarray], *, mean: Tensor | np.ndarray) -> C3D:
        """A C3D with published weights.

        Args:
            state: tensors or arrays named as in chainer (`conv1a/W`, `conv1a/b`, ..., `fc8/W`, as tgan2 releases
                them) or by torch (`conv1a.weight`, ...); where no name is known, they are taken by order and shape.
            mean: [3, 16, 128, 171], BGR, 0..255: tgan2's `mean2.npz`; or the part of it that is subtracted,
                [3, 16, 112, 112].

        Raises:
            WeightsError: something is missing or has another shape.
        """
        network = cls()
        layers = network.named_layers()
        shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        tensors = {name: torch.as_tensor(value).cpu() for name, value in state.items()}
        for name, (weight, bias) in find_layers(tensors, shapes).items():
            check_shape(f"weight of {name}", weight, shapes[name])
            check_shape(f"bias of {name}", bias, shapes[name][:1])
            layers[name].load_state_dict({"weight": weight, "bias": bias})
        network.mean.copy_(crop_mean(torch.as_tensor(mean)))
        return network

    @classmethod
    def seeded(cls, seed: int = 0) -> C3D:
        """A C3D with random weights that are a function of `seed` alone, for machines without the files."""
        network = cls()
        for name, layer in network.named_layers().items():
            draw = he_scaled if name == "conv1a" else centred_he_scaled  # the first layer sees brightness as well
            weight = draw(layer.weight.shape, RECIPE, seed, name)
            layer.load_state_dict({"weight": weight, "bias": torch.zeros(len(weight))})
        network.named_layers()["conv1a"].weight.mul_(INPUT_GAIN)
        network.mean.fill_(128)
        return network

    def named_layers(self) -> dict[str, Layer]:
        """The layers that have weights, by name, in order."""
        return cast("dict[str, Layer]", dict(self.layers))

    def forward(self, clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, 101] float32
        """Probabilities of clips of any size. Raises `ClipError` for another dtype, layout or number of frames."""
        return in_batches(lambda batch: self.logits(batch).softmax(1), clips.to(self.mean.device))

    def logits(self, clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, 101] float32
        """The values before the softmax, in one batch."""
        x = self.prepared(clips).contiguous(memory_format=torch.channels_last_3d)
        for name, layer in self.named_layers().items():
            x = layer(x.flatten(1) if name == "fc6" else x)
            x = x if name == "fc8" else F.relu_(x)
            x = max_pool(x, POOLS[name]) if name in POOLS else x
        return x

    def prepared(self, clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, 3, 16, 112, 112] float32, BGR
        """What the first convolution sees."""
        frames = resize_aligned(clips.flip(1).transpose(1, 2).flatten(0, 1), SIZE, SIZE)
        return frames.unflatten(0, (len(clips), FRAMES)).transpose(1, 2) * SCALE - self.mean


def build_layers() -> dict[str, nn.Module]:
    """The layers that have weights, by name, in order."""
    layers: dict[str, nn.Module] = {}
    inputs = 3
    for name, outputs in CONVOLUTIONS.items():
        layers[name], inputs = nn.Conv3d(inputs, outputs, 3, padding=1), outputs
    inputs *= POOLED
    for name, outputs in DENSE.items():
        layers[name], inputs = nn.Linear(inputs, outputs), outputs
    return layers


def resize_aligned(images: Tensor, height: int, width: int) -> Tensor:  # [N, C, H, W] -> [N, C, height, width] float32
    """Bilinear as chainer's `resize_images`: the corner pixels of both grids coincide."""
    return F.interpolate(images.float(), (height, width), mode="bilinear", align_corners=True)


def max_pool(x: Tensor, window: tuple[int, int, int]) -> Tensor:
    """Maxima over adjacent windows; the last one may be cut short, as in chainer, so that 7 becomes 4."""
    return F.max_pool3d(x, window, window, ceil_mode=True)


def in_batches(network: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:  # [N, 3, 16, H, W] uint8 -> [N, 101]
    """What `network` says about clips, checked, in batches of a fixed size."""
    check_clips(clips, "C3D")
    if clips.shape[2] != FRAMES:
        raise ClipError(f"C3D takes clips of exactly {FRAMES} frames; these have {clips.shape[2]}")
    size = rows_at_once(clips.device, CPU_BATCH, GPU_BATCH)
    with exact_float32():
        return in_fixed_batches(lambda batch: {"": network(batch)}, clips, size)[""]


def crop_mean(mean: Tensor) -> Tensor:  # [3, 16, 128, 171] -> [3, 16, 112, 112]
    """The part that TGANv2 subtracts: rows and columns 8 to 119, left of the centre. A crop is returned as it is."""
    if mean.numel() == 3 * FRAMES * SIZE * SIZE:
        return mean.reshape(3, FRAMES, SIZE, SIZE)
    check_shape("mean clip", mean.squeeze(), MEAN_SHAPE)
    return mean.reshape(MEAN_SHAPE)[:, :, CROP, CROP]


def find_layers(tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of each layer of `shapes` (name to shape of the weight). Raises `WeightsError`."""
    for pattern in (("{}/W", "{}/b"), ("{}.weight", "{}.bias")):
        keys = {name: [text.format(name) for text in pattern] for name in shapes}
        if any(weight in tensors for weight, _ in keys.values()):
            if missing := [key for pair in keys.values() for key in pair if key not in tensors]:
                raise WeightsError(f"not the C3D of UCF101: {missing[0]} is missing")
            return {name: (tensors[weight], tensors[bias]) for name, (weight, bias) in keys.items()}
    return match_layers(list(tensors.values()), shapes)


def match_layers(tensors: list[Tensor], shapes: Mapping[str, Shape]) -> dict[str, tuple[Tensor, Tensor]]:
    """Tensors with foreign names: each layer takes the first weight of its shape and the first bias after it."""
    left, found = tensors, {}
    for name, shape in shapes.items():
        weight = next((i for i, value in enumerate(left) if tuple(value.shape) == shape), len(left))
        bias = next((i for i, value in enumerate(left) if i > weight and tuple(value.shape) == shape[:1]), None)
        if bias is None:
            raise WeightsError(f"not the C3D of UCF101: no weight {list(shape)} with its bias is left for {name}")
        found[name] = left[weight], left[bias]
        left = [value for i, value in enumerate(left) if i not in (weight, bias)]
    return found


def check_shape(what: str, value: Tensor, shape: Shape) -> None:
    """Raise `WeightsError` unless `value` has this shape."""
    if tuple(value.shape) != shape:
        raise WeightsError(f"not the C3D of UCF101: the {what} is {list(value.shape)}, not {list(shape)}")


def open_c3d(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """C3D with the published weights: StyleGAN-V's archive where it is installed, else tgan2's two files.

    The archive is a program without a public hash: it is opened only with `trust` and compared with the native network,
    and its numbers do not stand beside published ones. tgan2's files are plain arrays, and are downloaded where they
    are not installed. Raises `WeightsError`.
    """
    archive = find_weights(C3D_ARCHIVE, trust)
    if archive and (trust or not find_weights(C3D_STATE)):
        return c3d_from_archive(archive, device, trust=trust)
    return c3d_from_arrays(fetch_weights(C3D_STATE, offline), fetch_weights(C3D_MEAN, offline), device)


def c3d_from_arrays(path: Path, mean_path: Path, device: str) -> Detector:
    """The native C3D with tgan2's files: plain arrays, comparable though no hash of them is published.

    Weights in a file of torch or safetensors do as well. Raises `WeightsError`.
    """
    state = load_arrays(path) if path.suffix == ".npz" else load_tensors(path)
    network = C3D.from_state_dict(state, mean=load_mean(mean_path)).to(device)
    return Detector(
        name="c3d",
        forward=as_probabilities(network),
        weights=C3D_STATE,
        sha256=files_sha256(path, mean_path),
        device=device,
        min_frames=FRAMES,
        note=UNPINNED_NOTE,
    )


def as_probabilities(network: Callable[[Tensor], Tensor]) -> Forward:
    return lambda clips: {"probabilities": network(clips)}


def files_sha256(*paths: Path) -> str:
    """One hash of several files."""
    return hashlib.sha256("".join(map(file_sha256, paths)).encode()).hexdigest()


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file; pickled objects in it are refused. Raises `WeightsError`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is not an npz file of plain arrays: {first_line(error)}") from error


def load_mean(path: Path) -> np.ndarray:
    arrays = load_arrays(path)
    if "mean" not in arrays:
        raise WeightsError(f"{path} has no array 'mean'; it has {', '.join(arrays) or 'none'}")
    return arrays["mean"]


def c3d_from_archive(path: Path, device: str, *, trust: bool = False) -> Detector:
    """The C3D of the TorchScript archive: its native twin where the two agree, else the archive itself."""
    archive, sha256 = open_archive(path, C3D_ARCHIVE.sha256, trust=trust)
    archive = archive.to(device)
    choice = choose(archive.state_dict(), partial(in_batches, archive), probe_clips(FRAMES).to(device))
    forward = as_probabilities(choice.forward)
    return detector_from_choice("c3d", forward, choice, C3D_ARCHIVE, sha256, device, FRAMES)


def choose(state: Mapping[str, Tensor], archive: Callable[[Tensor], Tensor], probe: Tensor) -> Choice:
    """The native network on the archive's own tensors, or the archive where that fails or does not agree."""
    try:
        candidates = [C3D.from_state_dict(state, mean=mean).to(probe.device) for mean in archive_means(state)]
    except WeightsError as error:
        return native_or_archive(None, archive, probe, str(error))
    if not candidates:
        return native_or_archive(None, archive, probe, "its mean clip was not found")
    choices = [native_or_archive(network, archive, probe) for network in candidates]
    return min(choices, key=lambda choice: choice.agreement or 0.0)


def archive_means(state: Mapping[str, Tensor]) -> Iterator[Tensor]:
    """What may be the mean clip in an archive: a tensor of its size, whole or cropped, or 128 minus that tensor."""
    for value in state.values():
        if value.numel() in (math.prod(MEAN_SHAPE), 3 * FRAMES * SIZE * SIZE):
            yield crop_mean(value)
            yield 128 - crop_mean(value)


def open_c3d_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """C3D with seeded weights, which needs no file; its numbers cannot be compared with published ones."""
    network = C3D.seeded()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return Detector(
        name="c3d-seeded",
        forward=as_probabilities(network.to(device)),
        weights=None,
        sha256=recipe_sha256(RECIPE, 0, shapes),
        device=device,
        min_frames=FRAMES,
        comparable=False,
        note=SEEDED_NOTE,
    )
