"""The I3D as VideoGPT, TATS, DIGAN, PVDM and cd-fvd measure with it: their port has another eps in its batch-norms.

The published weights are those of the TensorFlow network, which was trained with 1e-3; `pytorch_i3d.py` of each of
these projects has 1e-5 (seen in wilson1yan/VideoGPT@733d2b1, songweige/TATS@03bbce1, sihyun-yu/digan@e822320,
sihyun-yu/PVDM@793172f and cd-fvd 0.1.1). It is their numbers that this detector stands beside.
"""

from __future__ import annotations

from pathlib import Path

from latte_eval.files.weights import I3D_STATE, fetch_weights, file_sha256, find_weights
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import SEEDED_NOTE, Detector
from latte_eval.metrics.detectors.i3d import I3D, MIN_FRAMES, PORT_EPS, RECIPE, as_features
from latte_eval.metrics.detectors.i3d_names import expected_shapes
from latte_eval.metrics.detectors.network import recipe_sha256

NOTE = f"batch-norms with an eps of {PORT_EPS:g}, as in the port of VideoGPT"


def open_i3d_port(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The port's network with the state dict that is published for it. Raises `WeightsError`."""
    return i3d_port_from_state(find_weights(I3D_STATE) or fetch_weights(I3D_STATE, offline), device)


def i3d_port_from_state(path: Path, device: str) -> Detector:
    """The port's network with the weights of a file."""
    network = I3D.from_state_dict(load_tensors(path), PORT_EPS).to(device)
    sha256 = file_sha256(path)
    return Detector("i3d-port", as_features(network), I3D_STATE, sha256, device, min_frames=MIN_FRAMES, note=NOTE)


def open_i3d_port_seeded(device: str = "cpu", *, trust: bool = False, offline: bool | None = None) -> Detector:
    """The port's network with seeded random weights, which needs no file."""
    return Detector(
        name="i3d-port-seeded",
        forward=as_features(I3D.seeded(eps=PORT_EPS).to(device)),
        weights=None,
        sha256=recipe_sha256(f"{RECIPE}, eps {PORT_EPS:g}", 0, expected_shapes()),
        device=device,
        min_frames=MIN_FRAMES,
        comparable=False,
        note=SEEDED_NOTE,
    )
