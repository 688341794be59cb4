"""`doctor --verify`: what is compared passes here, known faults do not, and what cannot be measured is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from command_line import latte_eval
from repository import ROOT
from torch import Tensor

from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation import doctor
from latte_eval.evaluation.claims import CLAIMS, claims_table
from latte_eval.evaluation.golden import (
    detectors,
    devices,
    distances,
    frames,
    sampling,
    verify,
    vision_transformers,
)
from latte_eval.evaluation.golden.measure import Measure, checks, relative_error
from latte_eval.metrics.detectors.verify import Check
from latte_eval.metrics.moments import Moments
from latte_eval.sampler.diffusion import schedule_at

# The others take longer; tests/sampler and tests/metrics make them on the whole files.
SHORT = [
    each for each in sampling.sampling_measures("cpu") if " 250 steps" not in each.name and "fp16" not in each.name
]
QUICK = [*SHORT, *distances.distance_measures(), *frames.frame_measures("cpu")]


@pytest.mark.parametrize("measure", QUICK, ids=lambda measure: measure.name)
def test_what_is_compared_passes(measure: Measure) -> None:
    check = measure.check()
    assert check.ok, check


def named(measures: Iterator[Measure], *words: str) -> list[Check]:
    """Checks whose names hold all these words."""
    found = [measure.check() for measure in measures if all(word in measure.name for word in words)]
    assert found
    return found


def test_a_network_with_a_fault_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "gelu", lambda x, approximate: x * torch.sigmoid(1.702 * x))
    for check in named(sampling.sampling_measures("cpu"), "step, fp32"):
        assert check.ok is False and check.got and check.got > 3 * check.tolerance


def test_another_spacing_of_steps_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = lambda steps=1000: schedule_at(np.arange(0, 1000, 1000 // steps))  # noqa: E731
    monkeypatch.setattr(sampling, "make_schedule", spaced)
    for check in [*named(sampling.sampling_measures("cpu"), "schedules"),
                  *named(sampling.sampling_measures("cpu"), "50 guided steps, fp32")]:  # fmt: skip
        assert check.ok is False


def test_half_the_steps_of_a_solver_fail() -> None:
    for sampler, (steps, tolerance) in sampling.SOLVERS.items():
        assert sampling.flow_error(sampler, steps // 2, "cpu") > tolerance


def aligned(clips: Tensor) -> Tensor:
    """Wrong: corners aligned."""
    n, c, t, h, w = clips.shape
    x = clips.float().transpose(1, 2).reshape(-1, c, h, w) / 255 * 2 - 1
    return F.interpolate(x, (224, 224), mode="bilinear", align_corners=True).reshape(n, t, c, 224, 224).transpose(1, 2)


def test_a_detector_passes_and_with_aligned_corners_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(detectors.detector_measures("cpu"), "I3D logits, 9 frames")[0].ok
    monkeypatch.setattr(detectors, "preprocess", aligned)
    assert named(detectors.detector_measures("cpu"), "I3D logits, 9 frames")[0].ok is False


def test_networks_of_transformers_pass_and_with_a_fault_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    measures = lambda: vision_transformers.vision_transformer_measures("cpu")  # noqa: E731
    assert all(check.ok for check in named(measures()))
    monkeypatch.setattr("latte_eval.metrics.detectors.videomae.EPS", 1e-2)
    monkeypatch.setattr("latte_eval.metrics.detectors.vjepa.MEAN", (0.0, 0.0, 0.0))
    monkeypatch.setattr("latte_eval.metrics.detectors.dinov2.OFFSET", 0.0)
    for check in named(measures()):
        assert check.ok is False and check.got and check.got > 10 * check.tolerance, check


def test_without_transformers_its_networks_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.metrics.detectors.transformer.importlib.util.find_spec", lambda name: None)
    videomae, *_ = named(vision_transformers.vision_transformer_measures("cpu"), "VideoMAE")
    assert videomae.ok is None and videomae.note.startswith("could not check: VideoMAE needs transformers: pip install")


def test_the_resize_of_clean_fid_passes_and_another_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(check.ok for check in named(detectors.detector_measures("cpu"), "clean-fid"))
    resized = lambda images: F.interpolate(images.float(), (299, 299), mode="bicubic")  # noqa: E731
    monkeypatch.setattr(detectors, "clean_resize", resized)
    assert all(check.ok is False for check in named(detectors.detector_measures("cpu"), "clean-fid, 480x640"))


def test_a_covariance_by_n_minus_1_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unbiased(Moments):
        @property
        def cov(self) -> np.ndarray:
            return super().cov * self.n / (self.n - 1)

    monkeypatch.setattr(distances, "Moments", Unbiased)
    assert named(distances.distance_measures(), "from moments")[0].ok is False


def test_the_converter_of_the_other_code_base_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"latte": "stylegan-v", "stylegan-v": "latte"}
    monkeypatch.setattr(frames, "named_protocol", lambda name: named_protocol(other[name]))
    for check in named(frames.frame_measures("cpu"), "land"):
        assert check.ok is False


def test_an_accelerator_is_measured_against_the_cpu_in_every_type() -> None:
    names = [measure.name for measure in devices.device_measures("cuda")]
    assert {f"demo clip, {sampler}, fp32, in grey levels" for sampler in devices.SAMPLERS} < set(names)
    assert any("bf16" in name for name in names) and any("VAE, fp16" in name for name in names)
    wide, tight = (
        {each.name: each.tolerance for each in sampling.sampling_measures(device)} for device in ("cuda", "cpu")
    )
    assert wide["ddpm, 250 steps, fp32"] == 10 * tight["ddpm, 250 steps, fp32"]


def test_the_vae_agrees_with_float64() -> None:
    (check,) = named(devices.device_measures("cpu"), "VAE, fp32")
    assert check.ok


def failing(error: Exception) -> Measure:
    def fail() -> float:
        raise error

    return Measure("name", "source", 1.0, fail)


def test_what_the_device_does_not_offer_was_not_measured_and_the_rest_failed() -> None:
    absent, broken = checks(
        [failing(RuntimeError("'conv' not implemented for 'Half'")), failing(ValueError("no\nway"))]
    )
    assert absent.got is None and absent.ok is None and "not offered" in absent.note
    assert broken.ok is False and broken.note == "failed: ValueError: no" or broken.note == "failed: no"
    with pytest.raises(ValueError, match=r"shape \(2,\), the reference \(3,\)"):
        relative_error(np.zeros(2), np.ones(3))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """Three checks in place of all."""
    some = [Check("good", 0.0, 1e-6, 1e-5, "source"), Check("absent", 1.0, None, 1.0, "could not check: no file")]
    monkeypatch.setattr(verify, "verify_all", lambda device: (verify.Verified("sampler", c, 0.5) for c in some))
    return some


def test_findings_hold_the_numbers(few: list[Check]) -> None:
    machine, good, absent = doctor.verify_findings("cpu")
    assert "torch" in machine.text and machine.details
    assert (good.status, absent.status) == ("ok", "note")
    assert good.text == "1.0e-06 off, 1e-05 allowed; source"
    assert json.loads(json.dumps(good.details, allow_nan=False)) == {
        "got": 1e-6, "expected": 0.0, "tolerance": 1e-5, "source": "source", "seconds": 0.5,
    }  # fmt: skip


def test_a_difference_is_broken(few: list[Check]) -> None:
    few[:] = [Check("bad", 0.0, 1.0, 1e-5, "source"), Check("nan", 0.0, float("nan"), 1e-5, "failed: why")]
    _, bad, nan = doctor.verify_findings("cpu")
    assert bad.status == nan.status == "broken"
    assert nan.text == "failed: why" and nan.details["got"] is None
    assert json.dumps(nan.details, allow_nan=False)


def test_a_device_goes_with_verify() -> None:
    assert "--device cpu goes with --verify" in latte_eval("doctor", "--device", "cpu").stderr
    assert "unknown" in latte_eval("doctor", "--verify", "--device", "tpu").stderr


def test_the_table_of_claims_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    start = readme.index("<!-- shown -->")
    assert readme[start + 1 : start + 1 + len(claims_table())] == claims_table()
    unseen = ("Apple silicon", "the four datasets", "many cards, many machines")
    assert {claim.last for claim in CLAIMS if "published" in claim.name or claim.name in unseen} == {"never"}
