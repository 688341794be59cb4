"""Inception (the TensorFlow graph of 2015-12-05), the network behind FID (Heusel et al. 2017) and the Inception Score.

Called as StyleGAN-V and torch-fidelity do (toshas/torch-fidelity@5e211a9): frames are resized to 299x299 as TensorFlow
1 did (bilinear, no half-pixel centres, no antialiasing, aspect ratio not kept) and scaled to (x - 128) / 128; the 2048
averages after the last block are the features. Class probabilities come from the 1008-way head without its bias, as in
Salimans et al. 2016. pytorch-fid (half-pixel centres) and clean-fid (antialiased bicubic) get other numbers from the
same weights.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latte_eval.errors import ClipError, WeightsError
from latte_eval.metrics.detectors.archive import Choice, first_line, native_or_archive, open_archive
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.inception_names import CLASSES, FEATURES, read_inception
from latte_eval.metrics.detectors.inception_network import FoldedConv, build_trunk, resize_tf1
from latte_eval.metrics.detectors.network import (
    Outputs,
    centred_he_scaled,
    exact_float32,
    fold_batch_norm,
    he_scaled,
    in_fixed_batches,
    recipe_sha256,
    seeded_normal,
)
from latte_eval.weights import INCEPTION_ARCHIVE, INCEPTION_STATE, Weights, fetch_weights, file_sha256, find_weights

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.base import Forward

EPS = 1e-3  # of the batch-norms, as in the TensorFlow graph
CPU_BATCH, GPU_BATCH = 4, 64
SEEDED_RECIPE = "inception-seeded-1"
SEEDED_HEAD_GAIN = 8.0  # spreads the seeded probabilities: neither uniform nor all on one class


class InceptionV3(nn.Module):
    """The network with its preprocessing: [N, 3, H, W] uint8 -> [N, 2048] float32 features.

    Batch-norm is folded into the convolutions (in float64) and memory is laid out channels-last. Images go through in
    batches of a fixed size, so that an image's features do not depend on the images that it comes with.
    """

    def __init__(self) -> None:
        """An InceptionV3 whose weights are not set; use `from_state_dict` or `seeded`."""
        super().__init__()
        with torch.device("meta"):
            self.trunk = build_trunk(FoldedConv)
            self.head = nn.Parameter(torch.empty(CLASSES, FEATURES))
        self.to_empty(device="cpu").to(memory_format=torch.channels_last)
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
            layer.weight.copy_(draw(layer.weight.shape, SEEDED_RECIPE, seed, name))
            layer.bias.zero_()
        network.head.copy_(centred_he_scaled(network.head.shape, SEEDED_RECIPE, seed, "head") * SEEDED_HEAD_GAIN)
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
        """As `outputs`, in one batch."""
        pixels = (resize_tf1(images) - 128) / 128
        features = self.trunk(pixels.contiguous(memory_format=torch.channels_last))
        return {"features": features, "probabilities": F.linear(features, self.head).softmax(1)}


def batch_size(device: torch.device | str) -> int:
    return CPU_BATCH if torch.device(device).type == "cpu" else GPU_BATCH


def check_images(images: Tensor) -> None:
    """Raise `ClipError` unless `images` is [N, 3, H, W] uint8 with at least one pixel."""
    shape = tuple(images.shape)
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or not all(shape[2:]):
        raise ClipError(f"Inception takes torch.uint8 images (N, 3, H, W), not {images.dtype} {shape}")


def on_frames(network: Forward) -> Forward:
    """A network of images as one of clips: [N, 3, T, H, W] uint8 -> [N, T, ...] by name."""

    def forward(clips: Tensor) -> Outputs:
        outputs = network(clips.transpose(1, 2).flatten(0, 1))
        return {name: value.unflatten(0, (len(clips), -1)) for name, value in outputs.items()}

    return forward


def archive_network(archive: torch.jit.ScriptModule) -> Forward:
    """NVIDIA's archive as a network of images: it answers with features or with probabilities, one at a call."""

    def batch_outputs(images: Tensor) -> Outputs:
        features, probabilities = archive(images, return_features=True), archive(images, no_output_bias=True)
        return {"features": features, "probabilities": probabilities}

    def outputs(images: Tensor) -> Outputs:
        with exact_float32():
            return in_fixed_batches(batch_outputs, images, batch_size(images.device))

    return outputs


def open_inception(device: str, *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with the published weights: NVIDIA's archive or the state dict, whichever is installed.

    Where neither is, the archive is downloaded and, if that fails, the state dict. An archive is compared with the
    native network built from its tensors and answers itself where they differ. Raises `WeightsError`.
    """
    record, path = fetch_first((INCEPTION_ARCHIVE, INCEPTION_STATE), offline)
    if record is INCEPTION_ARCHIVE:
        return detector_from_archive(path, device, trust=trust)
    network = InceptionV3.from_state_dict(load_state(path)).to(device)
    return Detector("inception", on_frames(network.outputs), record, file_sha256(path), device)


def fetch_first(records: tuple[Weights, ...], offline: bool | None) -> tuple[Weights, Path]:
    """The first file that is installed or, where none is, that can be downloaded."""
    for record in records:
        if path := find_weights(record):
            return record, path
    try:
        return records[0], fetch_weights(records[0], offline)
    except WeightsError:
        if len(records) == 1:
            raise
        return fetch_first(records[1:], offline)


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict file; nothing in it is run. Raises `WeightsError`."""
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} is not a state dict: {first_line(error)}") from error
    return state


def detector_from_archive(path: Path, device: str, *, trust: bool) -> Detector:
    """The detector of a TorchScript archive: its tensors in the native network where the two agree, else itself."""
    archive, sha256 = open_archive(path, INCEPTION_ARCHIVE.sha256, trust=trust)
    reference = archive_network(archive.to(device))
    native, why = native_network(archive, device)
    choice = compare(native, reference, probe_images(device), why)
    forward = native if native and choice.used == "native" else reference
    return Detector(
        "inception", on_frames(forward), INCEPTION_ARCHIVE, sha256, device,
        note=choice.note, used=choice.used, agreement=choice.agreement,
    )  # fmt: skip


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


def probe_images(device: str) -> Tensor:  # -> [2, 3, 64, 80] uint8
    """Images with large and small structure, always the same."""
    coarse = seeded_normal((2, 3, 8, 10), "inception-probe", "coarse").repeat_interleave(8, 2).repeat_interleave(8, 3)
    fine = seeded_normal((2, 3, 64, 80), "inception-probe", "fine")
    return (128 + 50 * coarse + 20 * fine).clamp(0, 255).to(torch.uint8).to(device)


def open_inception_seeded(device: str, *, trust: bool = False, offline: bool | None = None) -> Detector:
    """Inception with seeded weights: needs no file, and its numbers compare with nothing published."""
    network = InceptionV3.seeded()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    sha256 = recipe_sha256(SEEDED_RECIPE, 0, shapes)
    forward = on_frames(network.to(device).outputs)
    return Detector("inception-seeded", forward, None, sha256, device, comparable=False, note=SEEDED_NOTE)
