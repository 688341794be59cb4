"""Published TorchScript archives: opened only when their bytes are known, and compared with the native network."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import WeightsError, first_line
from latte_eval.files.weights import Weights, fetch_weights, find_weights
from latte_eval.metrics.detectors.base import TRUSTED_NOTE, UNKNOWN_ARCHIVE_NOTE, Detector
from latte_eval.metrics.detectors.network import relative_difference

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.base import Forward

AGREEMENT = 1e-4  # above this relative difference the archive answers instead of the native network


def open_archive(path: Path, sha256: str | None, *, trust: bool = False) -> tuple[torch.jit.ScriptModule, str]:
    """The TorchScript module in a file, in eval mode on the CPU, and the sha256 of the bytes it was made from.

    An archive is a program. The bytes are hashed first, and the very same bytes are opened; unless they have the
    pinned hash or `trust` is set, nothing of them is run and `WeightsError` names both hashes.
    """
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256 and not trust:
        pinned = f"not the pinned {sha256}" if sha256 else "and no hash is published for it"
        raise WeightsError(f"{path} has sha256 {found}, {pinned}; it is a program, so it runs only with --trust")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated, but the published files need it
            module = torch.jit.load(io.BytesIO(data), map_location="cpu")
    except (RuntimeError, ValueError, EOFError) as error:
        raise WeightsError(f"{path} is not a TorchScript archive: {first_line(error)}") from error
    return module.eval(), found


def load_tensors(path: Path, *within: str) -> dict[str, Tensor]:
    """The state dict in a torch or safetensors file, on the CPU; nothing in the file is run. Raises `WeightsError`.

    It may lie under one of the usual names, or under one of `within`.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # other bytes can make the unpickler fail in any way
        raise WeightsError(f"{path} is not a file of weights: {first_line(error)}") from error
    for wrapping in (*within, "state_dict", "module", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapping), dict):
            state = state[wrapping]
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__} instead of a state dict")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def open_either(
    archive: Weights, from_archive: Callable[..., Detector], state: Weights, from_state: Callable[..., Detector],
    device: str, *, trust: bool, offline: bool | None,
) -> Detector:  # fmt: skip
    """A detector from its archive or from its state dict, whichever is installed, else downloaded, in this order.

    Raises `WeightsError` where neither can be had; its message is about the archive.
    """
    if path := find_weights(archive, trust):
        return from_archive(path, device, trust=trust)
    if path := find_weights(state):
        return from_state(path, device)
    try:
        return from_archive(fetch_weights(archive, offline), device)
    except WeightsError as error:
        with contextlib.suppress(WeightsError):
            return from_state(fetch_weights(state, offline), device)
        raise error


def detector_from_choice(
    name: str, forward: Forward, choice: Choice, weights: Weights, sha256: str, device: str, min_frames: int = 1
) -> Detector:
    """The detector of an opened archive, with a note on which network answers and whether its bytes are the known ones.

    An archive is a program: one that was opened on trust is not comparable, also where no hash of it is published.
    """
    pinned = sha256 == weights.sha256
    trusted = "" if pinned else TRUSTED_NOTE if weights.sha256 else UNKNOWN_ARCHIVE_NOTE
    return Detector(
        name=name,
        forward=forward,
        weights=weights,
        sha256=sha256,
        device=device,
        min_frames=min_frames,
        comparable=pinned,
        note="; ".join(note for note in (choice.note, trusted) if note),
        used=choice.used,
        agreement=choice.agreement,
    )


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Choice:
    """Which of two networks answers, and how far apart they were on the probe."""

    forward: Callable[[Tensor], Tensor]
    used: Literal["native", "archive"]
    agreement: float | None
    note: str


def native_or_archive(
    native: Callable[[Tensor], Tensor] | None,
    archive: Callable[[Tensor], Tensor],
    probe: Tensor,
    why_not_native: str = "",
) -> Choice:
    """Run both networks on `probe`: the native one is used unless it is None or differs by more than `AGREEMENT`."""
    if native is None:
        return Choice(archive, "archive", None, f"the published archive is used: {why_not_native}")
    with exact_float32():
        agreement = relative_difference(native(probe), archive(probe))
    if agreement <= AGREEMENT:
        return Choice(native, "native", agreement, "")
    note = f"native network and archive differ by {agreement:.2g} (allowed {AGREEMENT:g}): the archive is used"
    return Choice(archive, "archive", agreement, note)
