"""A detector says the same whatever a generator or a caller has set of TF32 and autocast, and leaves it set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from float_switches import ALL, state
from torch import Tensor

from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.detectors import c3d as c3d_module

CLIPS = torch.randint(0, 256, (1, 3, 16, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Detector:
    """The seeded C3D with few channels."""
    widths = dict.fromkeys(c3d_module.CONVOLUTIONS, 4)
    monkeypatch.setattr(c3d_module, "CONVOLUTIONS", widths)
    monkeypatch.setattr(c3d_module, "DENSE", {"fc6": 16, "fc7": 16, "fc8": 101})
    return open_detector("c3d-seeded")


@pytest.fixture
def foreign() -> Detector:
    """A detector of another package, which knows nothing of switches."""
    weight = torch.randn(3 * 16 * 16 * 20, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)

    def forward(clips: Tensor) -> dict[str, Tensor]:
        return {"features": (clips.flatten(1).float() / 255) @ weight}

    return Detector("foreign", forward, None, "0" * 64)


@pytest.mark.parametrize("kind", ["seeded", "foreign"])
@pytest.mark.parametrize("name", ALL)
def test_switches_neither_crash_nor_reach_a_detector(
    name: str, kind: str, switch: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    detector = request.getfixturevalue(kind)
    expected = detector(CLIPS)
    switch(name)
    before = state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = detector(CLIPS)
    assert state() == before
    assert all(torch.equal(found[key], value) and not value.requires_grad for key, value in expected.items())
