"""Inception (the TensorFlow graph of 2015-12-05), the network behind FID (Heusel et al. 2017) and the Inception Score.

Called as StyleGAN-V and torch-fidelity do (toshas/torch-fidelity@5e211a9): frames are resized to 299x299 as TensorFlow
1 did (bilinear, no half-pixel centres, no antialiasing, aspect ratio not kept) and scaled to (x - 128) / 128; the 2048
averages after the last block are the features. Class probabilities come from the 1008-way head without its bias, as in
Salimans et al. 2016. pytorch-fid (half-pixel centres) and clean-fid (antialiased bicubic) get other numbers from the
same weights; for clean-fid's there is `clean_fid.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import ClipError, WeightsError
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.files.weights import INCEPTION_ARCHIVE, INCEPTION_STATE, file_sha256
from latte_eval.metrics.detectors.archive import (
    Choice,
    detector_from_choice,
    load_tensors,
    native_or_archive,
    open_archive,
    open_either,
)
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.inception_names import CLASSES, FEATURES, read_inception
from latte_eval.metrics.detectors.inception_network import SIZE, FoldedConv, build_trunk, resize_tf1
from latte_eval.metrics.detectors.network import (
    Outputs,
    centred_he_scaled,
    fold_batch_norm,
    he_scaled,
    in_fixed_batches,
    probe_clips,
    recipe_sha256,
    rows_at_once,
)

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.base import Forward

EPS = 1e-3  # of the batch-norms, as in the TensorFlow graph
CPU_BATCH, GPU_BATCH = 4, 64
HEAD_GAIN = 8.0  # of the seeded weights: probabilities are neither uniform nor all on one class
RECIPE = f"Inception, centred He-scaled convolutions without bias, the first one not centred, head x {HEAD_GAIN}"


class InceptionV3(nn.Module):
    """The network with its preprocessing: [N, 3, H, W] uint8 -> [N, 2048] float32 features.

    Batch-norm is folded into the convolutions (in float64) and memory is laid out channels-last. Images go through in
    batches of a fixed size, so that an image's features do not depend on the images that it comes with.
    """

    def __init__(self) -> None:
        """An InceptionV3 whose weights are not set; use `from_state_dict` or `seeded`."""
        super().__init__()
        with UnsetWeights():
            self.trunk = build_trunk(FoldedConv)
            self.head = nn.Parameter(torch.empty(CLASSES, FEATURES))
        self.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> InceptionV3:
        """An InceptionV3 with published weights.

        Takes the names of torch-fidelity and pytorch-fid (`Conv2d_1a_3x3.conv.weight`, ..., `fc.weight`; further
        ones are ignored) and, by order and shape, the tensors of NVIDIA's TorchScript archive. Raises `WeightsError`
        where tensors are missing or have other shapes, as in torchvision's own Inception, which has 1000 classes.
        """
        network = cls()
        kernels = {name: tuple(layer.weight.shape) for name, layer in network.convolutions().items()}
        units, head = read_inception(state, kernels)
        for name, layer in network.convolutions().items():
            unit = units[name]
            weight, bias = fold_batch_norm(unit.kernel, unit.gamma, unit.beta, unit.mean, unit.var, EPS)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        network.head.copy_(head)
        return network

    @classmethod
    def seeded(cls, seed: int = 0) -> InceptionV3:
        """An InceptionV3 with random weights that are a function of `seed` alone, for machines without the files."""
        network = cls()
        for place, (name, layer) in enumerate(network.convolutions().items()):
            draw = centred_he_scaled if place else he_scaled  # the first layer sees brightness as well
            layer.weight.copy_(draw(layer.weight.shape, RECIPE, seed, name))
            layer.bias.zero_()
        network.head.copy_(centred_he_scaled(network.head.shape, RECIPE, seed, "head") * HEAD_GAIN)
        return network

    def convolutions(self) -> dict[str, FoldedConv]:
        """Every convolution by its name, in the order of the network."""
        return {name: layer for name, layer in self.trunk.named_modules() if isinstance(layer, FoldedConv)}

    def forward(self, images: Tensor) -> Tensor:  # [N, 3, H, W] uint8 -> [N, 2048] float32
        """Features of images of any size. Raises `ClipError` for another dtype or layout."""
        return self.outputs(images)["features"]

    def outputs(self, images: Tensor) -> Outputs:  # [N, 3, H, W] uint8 -> float32
        """`features` [N, 2048] and `probabilities` [N, 1008], the softmax of the head without its bias."""
        check_images(images)
        with exact_float32():
            return in_fixed_batches(self.batch_outputs, images.to(self.head.device), batch_size(self.head.device))

    def batch_outputs(self, images: Tensor) -> Outputs:
        """As `outputs`, in one batch, the trunk computed in the dtype of the weights."""
        pixels = ((resize_tf1(images) - 128) / 128).to(self.head.dtype, memory_format=torch.channels_last)
        features = self.trunk(pixels).float()
        return {"features": features, "probabilities": F.linear(features, self.head.float()).softmax(1)}


def batch_size(device: torch.device | str) -> int:
    return rows_at_once(device, CPU_BATCH, GPU_BATCH)


def check_images(images: Tensor) -> None:
    """Raise `ClipError` unless `images` is [N, 3, H, W] uint8 with at least one pixel, or resized already.

    [N, 3, 299, 299] float32 in 0..255 is what another resize gave; that of TensorFlow 1 leaves it as it is.
    """
    shape = tuple(images.shape)
    if images.dtype == torch.float32 and shape[1:] == (3, SIZE, SIZE):
        return
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or not all(shape[2:]):
        raise ClipError(f"Inception takes torch.uint8 images (N, 3, H, W), not {images.dtype} {shape}")


def on_frames(network: Forward) -> Forward:
    """A network for images turned into one for clips: [N, 3, T, H, W] uint8 -> [N, T, ...] by name."""

    def forward(clips: Tensor) -> Outputs:
        outputs = network(clips.transpose(1, 2).flatten(0, 1))
        return {name: value.unflatten(0, (len(clips), clips.shape[2])) for name, value in outputs.items()}

    return forward


def archive_network(archive: torch.jit.ScriptModule) -> Forward:
    """NVIDIA's archive as a network for images: it answers with features or with probabilities, one per call."""

    def batch_outputs(images: Tensor) -> Outputs:
        features, probabilities = archive(images, return_features=True), archive(images, no_output_bias=True)
        return {"features": features, "probabilities": probabilities}

    def outputs(images: Tensor) -> Outputs:
        with exact_float32():
            return in_fixed_batches(batch_outputs, images, batch_size(images.device))

    return outputs


def open_inception(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with the published weights: NVIDIA's archive or the state dict, whichever is installed, else
    downloaded, in this order. Raises `WeightsError` where neither can be had; its message is about the archive.
    """
    return open_either(
        INCEPTION_ARCHIVE, inception_from_archive, INCEPTION_STATE, inception_from_state, device,
        trust=trust, offline=offline,
    )  # fmt: skip


def inception_from_state(path: Path, device: str) -> Detector:
    """The native Inception with the weights of the state dict, which has no archive to be compared with."""
    network = InceptionV3.from_state_dict(load_tensors(path)).to(device)
    note = f"native network on {INCEPTION_STATE.filename}, not compared with {INCEPTION_ARCHIVE.filename}"
    return Detector("inception", on_frames(network.outputs), INCEPTION_STATE, file_sha256(path), device, note=note)


def inception_from_archive(path: Path, device: str, *, trust: bool = False) -> Detector:
    """The Inception of the TorchScript archive: its native twin where the two agree, else the archive itself."""
    archive, sha256 = open_archive(path, INCEPTION_ARCHIVE.sha256, trust=trust)
    reference = archive_network(archive.to(device))
    native, why = native_network(archive, device)
    choice = compare(native, reference, probe_clips(1)[:, :, 0].to(device), why)
    forward = on_frames(native if native and choice.used == "native" else reference)
    return detector_from_choice("inception", forward, choice, INCEPTION_ARCHIVE, sha256, device)


def native_network(archive: torch.jit.ScriptModule, device: str) -> tuple[Forward | None, str]:
    """The native network with the tensors of an archive, or None and the reason."""
    try:
        return InceptionV3.from_state_dict(archive.state_dict()).to(device).outputs, ""
    except WeightsError as error:
        return None, str(error)


def compare(native: Forward | None, reference: Forward, probe: Tensor, why_not_native: str) -> Choice:
    """Which of the two answers: the native one only if features and probabilities both agree."""
    ours, theirs = native(probe) if native else {}, reference(probe)
    answers = [(always(ours[name]) if ours else None, always(theirs[name])) for name in theirs]
    choices = [native_or_archive(our, their, probe, why_not_native) for our, their in answers]
    return max(choices, key=lambda choice: choice.agreement or 0.0)


def always(answer: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda images: answer


def open_inception_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with seeded weights, which needs no file; its numbers cannot be compared with published ones."""
    network = InceptionV3.seeded()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return Detector(
        name="inception-seeded",
        forward=on_frames(network.to(device).outputs),
        weights=None,
        sha256=recipe_sha256(RECIPE, 0, shapes),
        device=device,
        comparable=False,
        note=SEEDED_NOTE,
    )
