"""The I3D with the eps of VideoGPT's port, beside that port itself where cd-fvd is installed."""

from __future__ import annotations

import pytest
import torch

from latte_eval.metrics.detectors import I3D, open_detector
from latte_eval.metrics.detectors.i3d import PORT_EPS, preprocess
from latte_eval.metrics.detectors.network import probe_clips, relative_difference


def test_the_port_itself_gives_the_same_logits() -> None:
    port = pytest.importorskip("cdfvd.third_party.i3d.pytorch_i3d")
    torch.manual_seed(0)
    network = port.InceptionI3d(400, in_channels=3).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_var.uniform_(1e-4, 1e-2)  # small, so that an eps shows
    clips = preprocess(probe_clips(9)[:1])
    with torch.no_grad():
        theirs = network(clips)
    ours = I3D.from_state_dict(network.state_dict(), PORT_EPS).logits(clips)
    assert relative_difference(ours, theirs) < 2e-5
    assert relative_difference(I3D.from_state_dict(network.state_dict()).logits(clips), theirs) > 0.01


def test_seeded_twins_are_told_apart() -> None:
    clips = probe_clips(9)[:1]
    usual, port = open_detector("i3d-seeded"), open_detector("i3d-port-seeded")
    assert usual.sha256 != port.sha256
    difference = relative_difference(port(clips)["features"], usual(clips)["features"])
    assert 1e-5 < difference < 0.1
