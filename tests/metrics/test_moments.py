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
from latte_eval.metrics import Moments
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
        np.testing.assert_allclose(merged.outer, whole.outer, rtol=1e-12)
    rest = whole - shards[0]
    np.testing.assert_allclose(rest.cov, Moments.from_features(features[len(features) // 5 + 1 :]).cov, rtol=1e-9)


def test_blocks_do_not_change_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Moments.from_features(rows(97))
    monkeypatch.setattr(moments_module, "BLOCK_ROWS", 10)
    np.testing.assert_allclose(Moments.from_features(rows(97)).outer, whole.outer, rtol=1e-12)


def test_a_shard_may_be_empty() -> None:
    merged = Moments.from_features(np.empty((0, 6))) + Moments.from_features(rows(5))
    assert merged.n == 5
    np.testing.assert_array_equal(merged.sum, Moments.from_features(rows(5)).sum)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8])
def test_torch_features(dtype: torch.dtype) -> None:
    features = torch.from_numpy(rows(20) * 10).abs().to(dtype)
    found, want = Moments.from_features(features.requires_grad_(dtype.is_floating_point)), features.detach().double()
    np.testing.assert_allclose(found.sum, want.sum(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(found.outer, (want.T @ want).numpy(), rtol=1e-12)


def test_sums_are_float64_where_float32_is_not_enough() -> None:
    features = np.full((3000, 2), 4097.0, np.float32) + rows(3000, 2)
    want = np.cov(features.T.astype(np.float64), bias=True)
    assert np.abs(Moments.from_features(features).cov - want).max() < 1e-6
    single = features.T @ features / np.float32(len(features)) - np.outer(features.mean(0), features.mean(0))
    assert np.abs(single - want).max() > 0.1


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
        np.testing.assert_allclose(found.mean, stack[f"mu_{side}"], rtol=1e-12)
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
