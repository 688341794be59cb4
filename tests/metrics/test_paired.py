"""PSNR and SSIM against scikit-image, what counts where part of a clip was given, anchors, samples and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from latte_eval.core.errors import ClipError, FeatureError
from latte_eval.metrics import paired
from latte_eval.metrics.paired import (
    MOST_PSNR,
    copy_nearest_given,
    frame_psnr,
    frame_ssim,
    mask_to_positions,
    mean_over_frames,
    sample_pairs,
    samples_apart,
    samples_to_score,
    ssim_map,
)


def pair(file) -> tuple[torch.Tensor, torch.Tensor]:  # fake and real, [N, T, 3, H, W] uint8
    truth, other = (torch.from_numpy(file.clip(name)).transpose(1, 2) for name in ("truth", "other"))
    return ((3 * truth.int() + other) // 4).to(torch.uint8), truth


def test_values_are_those_of_scikit_image(golden):
    file = golden("paired")
    fake, real = pair(file)
    assert np.allclose(frame_psnr(fake, real), file["psnr"], rtol=1e-12)
    assert np.allclose(frame_ssim(fake, real), file["ssim"], rtol=1e-9)
    assert np.allclose(ssim_map(fake[0], real[0])[0], file["ssim_map"], atol=1e-9)


def test_values_are_those_of_torchmetrics():
    """Its SSIM reflects the edges of a frame and its PSNR is of all frames together: both are asked frame by frame.

    Of its map only the windows inside the frame are compared.
    """
    metrics = pytest.importorskip("torchmetrics.functional.image")
    real = random_clips(1, 2, 3, 24, 31)
    fake = ((3 * real.int() + random_clips(1, 2, 3, 24, 31, seed=1)) // 4).to(torch.uint8)
    for t in range(2):
        one, other = fake[:, t].double(), real[:, t].double()
        psnr = metrics.peak_signal_noise_ratio(one, other, data_range=255.0)
        assert float(frame_psnr(fake, real)[0, t]) == pytest.approx(float(psnr), rel=1e-6)
        _, every = metrics.structural_similarity_index_measure(one, other, data_range=255.0, return_full_image=True)
        assert np.allclose(ssim_map(fake[0], real[0])[t], every[0, :, 5:-5, 5:-5].mean(0), atol=1e-9)


@pytest.mark.parametrize(("name", "value"), [("SIGMA", 1.0), ("K2", 0.01), ("DATA_RANGE", 1.0)])
def test_golden_sees_another_variant(golden, monkeypatch, name, value):
    file = golden("paired")
    monkeypatch.setattr(paired, name, value)
    assert np.abs(frame_ssim(*pair(file)).numpy() - file["ssim"]).max() > 1e-3


def random_clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_equal_frames_are_alike():
    clips = random_clips(1, 2, 3, 12, 16)
    assert frame_ssim(clips, clips).tolist() == [[1.0, 1.0]]
    assert frame_psnr(clips, clips).tolist() == [[MOST_PSNR, MOST_PSNR]]


def test_a_known_error_has_a_known_psnr():
    real = torch.full((1, 1, 3, 4, 4), 100, dtype=torch.uint8)
    fake = real.clone()
    fake[..., :2] += 10
    half = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    half[..., :2] = True
    assert float(frame_psnr(fake, real)) == pytest.approx(10 * math.log10(255**2 / 50))
    assert float(frame_psnr(fake, real, half)) == pytest.approx(10 * math.log10(255**2 / 100))
    assert float(frame_psnr(fake, real, ~half)) == MOST_PSNR


def test_differences_of_bytes_do_not_wrap():
    dark, bright = (
        torch.zeros(1, 1, 3, 11, 11, dtype=torch.uint8),
        torch.full((1, 1, 3, 11, 11), 255, dtype=torch.uint8),
    )
    assert float(frame_psnr(dark, bright)) == float(frame_psnr(bright, dark)) == 0.0
    assert float(frame_ssim(dark, bright)) < 1e-3


def test_given_positions_do_not_count():
    """What was given is perfect, so a number over whole frames says more than the model did."""
    real, fake = random_clips(1, 4, 3, 16, 16), random_clips(1, 4, 3, 16, 16, seed=1)
    generated = torch.zeros(1, 4, 16, 16, dtype=torch.bool)
    generated[:, 2:] = True
    shown = torch.where(generated.unsqueeze(2), fake, real)
    for measure in (frame_psnr, frame_ssim):
        whole, own = (measure(shown, real, where) for where in (None, generated))
        assert own[0, :2].isnan().all() and torch.equal(own[0, 2:], whole[0, 2:])
        assert mean_over_frames(own) < mean_over_frames(whole)
        elsewhere = measure(torch.where(generated.unsqueeze(2), fake, 0), real, generated)
        assert torch.equal(elsewhere[0, 2:], own[0, 2:])


def test_a_window_counts_by_its_centre():
    real, fake = random_clips(1, 1, 3, 16, 16), random_clips(1, 1, 3, 16, 16, seed=1)
    one = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    one[0, 0, 7, 9] = True
    assert float(frame_ssim(fake, real, one)) == float(ssim_map(fake[0], real[0])[0, 2, 4])
    at_the_edge = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    at_the_edge[0, 0, 0, 0] = True
    assert frame_ssim(fake, real, at_the_edge).isnan().all()


def test_latents_stand_for_squares_of_pixels():
    mask = torch.tensor([[[[1, 0], [0, 1]]]])
    assert mask_to_positions(mask, 2)[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_copies_are_of_the_nearest_given_frame():
    real = torch.arange(6, dtype=torch.uint8).reshape(1, 6, 1, 1, 1).expand(1, 6, 3, 2, 2).contiguous()
    generated = torch.ones(1, 6, 2, 2, dtype=torch.bool)
    generated[:, [1, 4]] = False
    assert copy_nearest_given(real, generated)[0, :, 0, 0, 0].tolist() == [1, 1, 1, 4, 4, 4]
    generated[:, 3, 0, 0] = False
    assert copy_nearest_given(real, generated)[0, :, 1, 0, 0].tolist() == [1, 1, 1, 3, 4, 4]
    assert copy_nearest_given(real, generated)[0, :, 1, 1, 1].tolist() == [1, 1, 1, 4, 4, 4]


def test_a_tie_goes_to_the_earlier_frame_and_a_hole_gets_the_mean():
    real = torch.tensor([10, 20, 30], dtype=torch.uint8).reshape(1, 3, 1, 1, 1).expand(1, 3, 3, 1, 2).contiguous()
    generated = torch.tensor([[[0, 1], [1, 1], [0, 1]]], dtype=torch.bool).unsqueeze(2)
    assert copy_nearest_given(real, generated)[0, :, 2, 0].tolist() == [[10, 20], [10, 20], [30, 20]]


def test_clips_that_cannot_be_measured():
    clips = random_clips(1, 2, 3, 8, 8)
    with pytest.raises(ClipError, match="window of 11 pixels, these frames are 8x8"):
        frame_ssim(clips, clips)
    with pytest.raises(ClipError, match=r"fake ones are \(1, 2, 3, 8, 8\), the real \(1, 1, 3, 8, 8\)"):
        frame_psnr(clips, clips[:, :1])
    with pytest.raises(ClipError, match=r"positions are \(1, 2, 4, 4\)"):
        frame_psnr(clips, clips, torch.ones(1, 2, 4, 4, dtype=torch.bool))
    nothing = torch.zeros(1, 2, 8, 8, dtype=torch.bool)
    with pytest.raises(FeatureError, match="clip 0 of the batch has no generated position"):
        mean_over_frames(frame_psnr(clips, clips, nothing))
    assert copy_nearest_given(clips, ~nothing).unique().tolist() == [128]


def test_mean_and_best_of_several_samples():
    values, groups = np.array([[1.0, 3.0], [5.0, 2.0], [4.0, 4.0], [0.0, 2.0]]), ["a", "b", "c", "d"]
    high, low = samples_to_score(values, groups), samples_to_score(values, groups, higher_is_better=False)
    assert (high.mean, high.best, high.clips, high.samples) == (2.625, 3.5, 4, 2)
    assert (low.mean, low.best) == (2.625, 1.75)
    assert high.to_dict()["best_interval"] == list(high.best_interval)


def test_the_interval_is_that_of_a_mean():
    """Of single clips, the jackknife of a mean is the usual standard error."""
    from scipy import stats

    values = np.random.default_rng(0).normal(20, 3, 30)
    score = samples_to_score(values[:, None], [str(i) for i in range(30)])
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert score.mean_interval == pytest.approx((low, high)) and score.mean_interval == score.best_interval


def test_clips_of_one_video_are_not_independent():
    generator = np.random.default_rng(0)
    values = np.repeat(generator.normal(20, 3, 10), 8)
    together = samples_to_score(values[:, None], [str(i // 8) for i in range(80)])
    apart = samples_to_score(values[:, None], [str(i) for i in range(80)])
    width = lambda score: score.mean_interval[1] - score.mean_interval[0]  # noqa: E731
    assert width(together) > 2 * width(apart)
    assert samples_to_score(values[:24, None], [str(i // 8) for i in range(24)]).mean_interval is None


@pytest.mark.parametrize("values", [np.zeros((0, 1)), np.array([[math.nan]]), np.array([[math.inf]]), np.zeros(3)])
def test_values_that_are_none(values):
    with pytest.raises(FeatureError, match="must be finite, one row per clip"):
        samples_to_score(values, ["a"] * len(values))
    with pytest.raises(FeatureError, match="2 feature rows but 1 group names"):
        samples_to_score(np.zeros((2, 1)), ["a"])


@pytest.mark.parametrize(
    ("samples", "pairs"), [(2, 1), (3, 3), (4, 6), (9, 36), (10, 45), (11, 44), (20, 40), (100, 100)]
)
def test_which_samples_are_compared_with_each_other(samples, pairs):
    """All pairs of up to ten; of more, every sample in as many pairs as the others."""
    found = sample_pairs(samples)
    assert len(found) == len(set(found)) == pairs and all(0 <= low < high < samples for low, high in found)
    assert len(set(np.bincount(np.array(found).ravel(), minlength=samples))) == 1


def test_samples_are_compared_where_they_are_generated():
    one, other = random_clips(2, 4, 3, 16, 16), random_clips(2, 4, 3, 16, 16, seed=1)
    generated = torch.zeros(2, 4, 16, 16, dtype=torch.bool)
    generated[:, 2:] = True
    found = samples_apart(frame_psnr, [one, other, one], generated)
    expected = frame_psnr(one[:, 2:], other[:, 2:]).mean(1)
    assert found.shape == (2, 3) and torch.equal(found[:, 0], expected) and torch.equal(found[:, 2], expected)
    assert found[:, 1].tolist() == [MOST_PSNR] * 2, "equal samples"
    one[:, :2] = 0
    assert torch.equal(samples_apart(frame_psnr, [one, other], generated)[:, 0], expected), "what is given counts not"
