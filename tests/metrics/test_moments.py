"""Moments: merging, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from latte_eval import metrics
from latte_eval.core.errors import FeatureError, NotComparable
from latte_eval.metrics import Moments, frechet_uncertainty
from latte_eval.metrics import moments as moments_module


def rows(count: int, dimensions: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)


def test_mean_and_cov_divide_by_n() -> None:
    features = rows(50)
    found = Moments.from_features(features)
    assert found.n == 50 and found.dimensions == 6
    np.testing.assert_allclose(found.mean, features.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.cov, np.cov(features.T.astype(np.float64), bias=True), rtol=1e-9)
    assert not np.allclose(found.cov, np.cov(features.T.astype(np.float64)), rtol=1e-3)


def test_shards_in_any_order_are_the_whole() -> None:
    features, whole = rows(97), Moments.from_features(rows(97))
    shards = [Moments.from_features(part) for part in np.array_split(features, 5)]
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        merged = shards[order[0]]
        for i in order[1:]:
            merged = merged + shards[i]
        assert merged.n == whole.n
        np.testing.assert_allclose(merged.about(0.0).outer, whole.about(0.0).outer, rtol=1e-12)
    rest = whole - shards[0]
    np.testing.assert_allclose(rest.cov, Moments.from_features(features[len(features) // 5 + 1 :]).cov, rtol=1e-9)


def test_blocks_do_not_change_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Moments.from_features(rows(97))
    monkeypatch.setattr(moments_module, "BLOCK_ROWS", 10)
    np.testing.assert_allclose(Moments.from_features(rows(97)).outer, whole.outer, rtol=1e-12)
    np.testing.assert_allclose(Moments.from_features(rows(97)).mean, whole.mean, rtol=1e-12)


def test_a_shard_may_be_empty() -> None:
    empty, some = Moments.from_features(np.empty((0, 6))), Moments.from_features(rows(5))
    for merged in (empty + some, some + empty):
        assert merged.n == 5
        np.testing.assert_array_equal(merged.mean, some.mean)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8])
def test_torch_features(dtype: torch.dtype) -> None:
    features = torch.from_numpy(rows(20) * 10).abs().to(dtype)
    found, want = Moments.from_features(features.requires_grad_(dtype.is_floating_point)), features.detach().double()
    np.testing.assert_allclose(found.mean, want.mean(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(found.about(0.0).outer, (want.T @ want).numpy(), rtol=1e-12)


def test_sums_are_float64_where_float32_is_not_enough() -> None:
    features = np.full((3000, 2), 4097.0, np.float32) + rows(3000, 2)
    want = np.cov(features.T.astype(np.float64), bias=True)
    assert np.abs(Moments.from_features(features).cov - want).max() < 1e-6
    single = features.T @ features / np.float32(len(features)) - np.outer(features.mean(0), features.mean(0))
    assert np.abs(single - want).max() > 0.1


@pytest.mark.parametrize("offset", [0.0, 1e5, -1e7, 1e9])
@pytest.mark.parametrize(("count", "digits"), [(400, 1e-11), (12, 1e-8)])  # few rows: `nuclear_norm` is good to 1e-8
def test_a_large_mean_leaves_all_digits(offset: float, count: int, digits: float) -> None:
    """The rows less the offset are exact, so both must give the same but for the rounding of their sums."""
    x, y = rows(count, 16).astype(np.float64) + offset, 1.2 * rows(count, 16, seed=1).astype(np.float64) + offset
    names = [str(number) for number in range(count)]
    far, near = frechet_uncertainty(x, y, names, names), frechet_uncertainty(x - offset, y - offset, names, names)
    assert far.value == pytest.approx(near.value, rel=digits)
    assert far.interval == pytest.approx(near.interval, rel=1e-6)
    assert far.variance_share == pytest.approx(near.variance_share, rel=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e5, -1e7, 1e9])
def test_shards_around_a_large_mean_merge_and_part_exactly(offset: float) -> None:
    features = rows(97).astype(np.float64) + offset
    want = np.cov((features - offset).T, bias=True)
    shards = [Moments.from_features(part) for part in np.array_split(features, 5)]
    left, right = (shards[0] + shards[1]) + (shards[2] + (shards[3] + shards[4])), shards[4]
    for shard in shards[3::-1]:
        right = right + shard
    for merged in (left, right):
        np.testing.assert_allclose(merged.cov, want, rtol=1e-11, atol=1e-13)
    rest = np.concatenate(np.array_split(features - offset, 5)[1:])
    np.testing.assert_allclose((left - shards[0]).cov, np.cov(rest.T, bias=True), rtol=1e-10, atol=1e-12)
    want = (features - offset).mean(0) - (features - offset)[:20].mean(0)
    np.testing.assert_allclose(left.gap(shards[0]), want, rtol=1e-10, atol=1e-12)


def test_raw_sums_are_moments_too() -> None:
    features = rows(50).astype(np.float64)
    raw, found = Moments(50, features.sum(0), features.T @ features), Moments.from_features(features)
    np.testing.assert_allclose(raw.cov, found.cov, rtol=1e-10)
    np.testing.assert_allclose((raw + found).cov, found.cov, rtol=1e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e200])
def test_features_must_be_finite(value: float) -> None:
    features = rows(10).astype(np.float64)
    features[3, 1] = features[7, 0] = value
    with pytest.raises(FeatureError, match="2 of 10 feature rows hold NaN or infinity, the first is row 3"):
        Moments.from_features(features)


@pytest.mark.parametrize("features", [rows(3)[0], rows(8).reshape(2, 4, 6), rows(3) * 1j, np.array([["a", "b"]])])
def test_features_must_be_a_table(features: np.ndarray) -> None:
    with pytest.raises(FeatureError, match=r"real \[N, D\] table"):
        Moments.from_features(features)


def test_lengths_must_agree() -> None:
    with pytest.raises(NotComparable, match="6 dimensions cannot be compared with features of 4"):
        Moments.from_features(rows(5)) + Moments.from_features(rows(5, 4))


def test_golden_mean_and_cov(golden: Callable) -> None:
    stack = golden("metric_stack")
    for side in ("real", "gen"):
        found = Moments.from_features(stack[side][:300])
        np.testing.assert_allclose(found.mean, stack[f"mu_{side}"], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.cov[:16, :16], stack[f"cov_{side}_block"], rtol=1e-10, atol=1e-12)


def test_public_names_load_lazily_and_are_no_modules() -> None:
    script = (
        "import sys, latte_eval.metrics as m\n"
        "heavy = {'torch', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import latte_eval.metrics.moments, latte_eval.metrics.uncertainty\n"
        "assert not {'torch', 'scipy'} & set(sys.modules)\n"
        "for name, home in m.HOMES.items():\n"
        "    assert name in dir(m) and getattr(m, name).__module__ == 'latte_eval.metrics.' + home, (name, home)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    modules = set(metrics.PUBLIC)
    assert not modules & set(metrics.HOMES)


def test_unknown_public_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'frechet_distanse'"):
        metrics.frechet_distanse  # noqa: B018
