"""The networks in bfloat16: near those of float32, never taken for them, and opened from the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from media_makers import noise
from torch import Tensor

from latte_eval.core.errors import UsageError
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.golden.files import Golden
from latte_eval.files.weights import file_sha256
from latte_eval.metrics.detectors import I3D, InceptionV3, bfloat16, open_detector
from latte_eval.metrics.detectors.i3d import seeded_state
from latte_eval.metrics.detectors.network import relative_difference
from latte_eval.metrics.detectors.own import of_protocol


@pytest.fixture(scope="module")
def clips() -> Tensor:
    return noise(2, 3, 9, 64, 64)


def test_the_i3d_is_near_that_of_float32_and_not_it(clips: Tensor) -> None:
    half, full = open_detector("i3d-bf16-seeded"), open_detector("i3d-seeded")
    answers = half(clips)["features"]
    assert answers.dtype == torch.float32 and answers.shape == (2, 400)
    assert 1e-4 < relative_difference(answers, full(clips)["features"]) < 0.05
    assert torch.equal(half(clips[1:])["features"], answers[1:])
    assert half.name == "i3d-bf16-seeded" and not half.comparable and "bfloat16" in half.note


def test_the_inception_is_near_that_of_float32(golden: Callable[[str], Golden]) -> None:
    """With weights that do not magnify rounding, as seeded ones do."""
    images = torch.from_numpy(golden("inception_fid").clip("64x80")[:, :, 0])
    state = golden("inception_fid").tensors()
    full = InceptionV3.from_state_dict(state)
    answers = bfloat16.INCEPTION_BF16.half(InceptionV3.from_state_dict(state), "cpu")(images[:, :, None])
    features = answers["features"][:, 0]
    assert features.dtype == torch.float32
    assert 1e-4 < relative_difference(features, full(images)) < 0.1
    assert answers["probabilities"].sum(2).allclose(torch.ones(len(images), 1))


def test_own_weights_are_opened(tmp_path: Path, clips: Tensor) -> None:
    torch.save(seeded_state(0), tmp_path / "own.pt")
    detector = open_detector(f"i3d-bf16={tmp_path / 'own.pt'}")
    assert torch.equal(detector(clips)["features"], open_detector("i3d-bf16-seeded")(clips)["features"])
    assert detector.sha256 == file_sha256(tmp_path / "own.pt") and detector.name == "i3d-bf16=own.pt"


def test_the_tensors_of_an_archive_are_taken(tmp_path: Path, clips: Tensor) -> None:
    holder = torch.nn.Module()
    for name, value in seeded_state(0).items():
        holder.register_buffer(name.replace(".", "_"), value)
    torch.jit.save(torch.jit.script(holder), tmp_path / "archive.pt")
    detector = bfloat16.I3D_BF16.from_archive(tmp_path / "archive.pt", "cpu", trust=True)
    assert torch.equal(detector(clips)["features"], open_detector("i3d-bf16-seeded")(clips)["features"])
    assert not detector.comparable and detector.note == bfloat16.NOTE


def test_another_eps_is_not_answered_in_float32() -> None:
    assert of_protocol("i3d-bf16-seeded", Protocol(i3d_eps="1e-3")) == "i3d-bf16-seeded"
    with pytest.raises(
        UsageError, match="i3d-bf16-seeded computes in bfloat16; with i3d_eps=1e-5 there is --detector i3d-port-seeded"
    ):
        of_protocol("i3d-bf16-seeded", Protocol(i3d_eps="1e-5"))


def test_nobody_gets_them_unasked() -> None:
    assert next(I3D.seeded().parameters()).dtype == torch.float32
    assert of_protocol("i3d-seeded", Protocol(i3d_eps="1e-5")) == "i3d-port-seeded"
