"""What is said about how sure a distance is, on features whose true distance is known."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from repository import ROOT

from latte_eval.core.errors import FeatureError, NotEnoughClips
from latte_eval.metrics import (
    Corrected,
    contrast_uncertainty,
    frechet_distance_between,
    frechet_uncertainty,
    kernel_distance,
    kernel_distance_subsets,
    kernel_uncertainty,
    real_floor,
)
from latte_eval.metrics.kernel import KernelSums

SIMULATION = ROOT / "benchmarks" / "simulations" / "uncertainty.py"


def rows(count: int, dimensions: int, seed: int, scale: float = 1.0) -> np.ndarray:
    standard = np.random.default_rng(seed).standard_normal((count, dimensions))
    return standard * scale / np.arange(1, dimensions + 1) ** 0.5


def names(count: int, clips_per_video: int = 1) -> list[str]:
    return [f"video{i // clips_per_video}" for i in range(count)]


def clustered(videos: int, clips: int, dimensions: int, seed: int) -> np.ndarray:
    """Clips of one video are nearly the same."""
    return np.repeat(rows(videos, dimensions, seed), clips, axis=0) + 0.1 * rows(videos * clips, dimensions, seed + 1)


def test_many_clips_are_told_apart_from_their_bias() -> None:
    x, y = rows(400, 40, 0), rows(400, 40, 1, 1.1)
    truth = 0.01 * (1 / np.arange(1, 41)).sum()
    found = frechet_uncertainty(x, y, names(400), names(400))
    assert found.value == pytest.approx(frechet_distance_between(x, y))
    assert found.interval and found.interval[0] < found.value < found.interval[1]
    assert isinstance(found.corrected, Corrected)
    assert abs(found.corrected.value - truth) < 0.2 * (found.value - truth)
    assert found.corrected.interval[0] < truth < found.corrected.interval[1]
    width = found.corrected.interval[1] - found.corrected.interval[0]
    assert width == pytest.approx(found.interval[1] - found.interval[0] + 2 * found.corrected.systematic)


def test_json_shape() -> None:
    found = frechet_uncertainty(rows(60, 8, 0), rows(50, 8, 1), names(60), names(50), confidence=0.9)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(record) == {"value", "interval", "standard_error", "confidence", "corrected", "variance_share",
                           "parts", "videos", "floor", "without_part"}  # fmt: skip
    without = np.array(record["without_part"])
    assert record["standard_error"] == pytest.approx(np.sqrt(31 / 32 * ((without - without.mean()) ** 2).sum()))
    assert len(record["interval"]) == 2 and record["confidence"] == 0.9
    assert set(record["corrected"]) == {"value", "interval", "systematic"}
    assert sum(record["variance_share"].values()) == pytest.approx(1)
    assert record["parts"] == {"real": 32, "fake": 32} and record["videos"] == {"real": 60, "fake": 50}
    assert set(record["floor"]) == {"value", "rows", "videos"} and sum(record["floor"]["rows"]) == 60


def test_fewer_videos_than_dimensions_identify_nothing() -> None:
    found = frechet_uncertainty(rows(64, 100, 0), rows(64, 100, 1), names(64), names(64))
    assert found.standard_error and found.interval
    reason = found.to_dict()["corrected"]["unidentified"]
    assert "64 real source videos" in reason and "100 dimensions" in reason
    assert "take more than 120" in reason
    frames = frechet_uncertainty(rows(640, 40, 0), rows(640, 40, 1), names(640, 16), names(640, 16))
    assert isinstance(frames.corrected, str) and "40 real source videos" in frames.corrected


def test_too_few_videos_leave_the_bare_value() -> None:
    found = frechet_uncertainty(rows(30, 5, 0), rows(30, 5, 1), names(30), names(30, 10)).to_dict()
    assert found["value"] > 0 and found["interval"] is None and found["standard_error"] is None
    assert "3 fake source videos are too few" in found["corrected"]["unidentified"]


def test_few_videos_give_fewer_parts() -> None:
    found = frechet_uncertainty(rows(30, 5, 0), rows(40, 5, 1), names(30, 3), names(40), progress=None)
    assert found.parts == {"real": 10, "fake": 10} and isinstance(found.corrected, str)


def test_order_of_rows_does_not_matter() -> None:
    x, y, order = rows(90, 10, 0), rows(80, 10, 1), np.random.default_rng(2).permutation(90)
    a = frechet_uncertainty(x, y, names(90, 2), names(80)).to_dict()
    b = frechet_uncertainty(x[order], y, [names(90, 2)[i] for i in order], names(80)).to_dict()
    for key in ("value", "standard_error", "interval"):
        assert a[key] == pytest.approx(b[key], rel=1e-9)
    assert a["floor"]["value"] == pytest.approx(b["floor"]["value"], rel=1e-9)


def test_progress_counts_every_evaluation() -> None:
    heard: list[tuple[int, int]] = []
    sides = rows(60, 8, 0), rows(60, 8, 1), names(60), names(60)
    frechet_uncertainty(*sides, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(i, 32 + 78) for i in range(1, 111)]
    heard.clear()
    kernel_uncertainty(*sides, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_uncertainty_comes_from_the_side_with_fewer_clips() -> None:
    for measure in (frechet_uncertainty, kernel_uncertainty):
        share = measure(rows(40, 6, 0), rows(800, 6, 1), names(40), names(800)).variance_share
        assert share and share["real"] > 0.8


def test_clips_of_one_video_are_no_news() -> None:
    x, y = clustered(60, 6, 5, 0), clustered(60, 6, 5, 2)
    video = frechet_uncertainty(x, y, names(360, 6), names(360, 6)).standard_error
    clip = frechet_uncertainty(x, y, names(360), names(360)).standard_error
    assert video and clip and video > 1.6 * clip


def test_names_must_match_rows() -> None:
    with pytest.raises(FeatureError, match="the real side has 30 feature rows but 29 group names"):
        frechet_uncertainty(rows(30, 5, 0), rows(30, 5, 1), names(29), names(30))


def test_interval_of_a_kernel_distance_is_as_wide_as_its_spread() -> None:
    sides = [(rows(60, 4, 2 * i), rows(50, 4, 2 * i + 1, 1.4)) for i in range(40)]
    draws = [kernel_uncertainty(x, y, names(60), names(50)) for x, y in sides]
    spread = np.std([found.value for found in draws])
    errors = [found.standard_error or 0.0 for found in draws]
    assert np.mean(errors) == pytest.approx(spread, rel=0.35)
    assert all(isinstance(found.corrected, Corrected) for found in draws)


def test_corrected_kernel_distance_leaves_out_pairs_within_a_video() -> None:
    """Real against real of another seed: 0 in truth, but pairs of near-copies raise the plain estimate."""
    found = [
        kernel_uncertainty(clustered(24, 6, 4, 4 * i), clustered(24, 6, 4, 4 * i + 2), names(144, 6), names(144, 6))
        for i in range(30)
    ]
    plain = np.array([each.value for each in found])
    corrected = np.array([each.corrected.value for each in found if isinstance(each.corrected, Corrected)])
    assert plain.mean() > 4 * plain.std() / np.sqrt(30)
    assert abs(corrected.mean()) < 3 * corrected.std() / np.sqrt(30)


def test_kid_carries_the_chance_of_its_subsets() -> None:
    x, y = rows(80, 6, 0), rows(80, 6, 1, 1.3)
    mean, spread = kernel_distance_subsets(x, y, 4, 20)
    kid = kernel_uncertainty(x, y, names(80), names(80), subsets=4, subset_size=20)
    kvd = kernel_uncertainty(x, y, names(80), names(80))
    assert kid.value == mean and kvd.value == pytest.approx(kernel_distance(x, y))
    assert kid.standard_error == pytest.approx(np.hypot(kvd.standard_error or 0, spread / 2))


def test_floor_never_splits_a_video() -> None:
    x = clustered(50, 4, 5, 0)
    floor = real_floor(x, names(200, 4), seed=3)
    assert floor == real_floor(x, names(200, 4), seed=3) != real_floor(x, names(200, 4), seed=4)
    assert floor.videos == (25, 25) and floor.rows == (100, 100)
    assert floor.value > 2 * real_floor(x, names(200), seed=3).value


def test_floor_needs_two_halves() -> None:
    with pytest.raises(NotEnoughClips, match="the fake side has 0"):
        real_floor(rows(10, 3, 0), ["one"] * 10)


def test_contrast_of_a_checkpoint_with_itself() -> None:
    x, y = rows(200, 10, 0), rows(200, 10, 1, 1.5)
    same = contrast_uncertainty(x, y, y, names(200), names(200), names(200))
    assert (same.value, same.plug_in, same.standard_error, same.degrees) == (0, 0, 0, 31)
    allowed = contrast_uncertainty(x, y, y, names(200), names(200), names(200), allowance=0.1)
    assert allowed.plug_in == pytest.approx(-0.1 * frechet_distance_between(x, y))


def test_contrast_sees_shared_noise_by_name() -> None:
    x, y, order = rows(200, 6, 0), rows(200, 6, 1, 1.5), np.random.default_rng(0).permutation(200)
    paired = contrast_uncertainty(x, y * 1.02, y, names(200), names(200), names(200))
    shuffled_names = [names(200)[i] for i in order]
    again = contrast_uncertainty(x, y[order] * 1.02, y, names(200), shuffled_names, names(200))
    foreign = contrast_uncertainty(x, y * 1.02, y, names(200), shuffled_names, names(200))
    assert again.standard_error == pytest.approx(paired.standard_error, rel=1e-6)
    assert foreign.standard_error > 2 * paired.standard_error
    assert paired.value > 5 * paired.standard_error


def test_contrast_of_kernel_distances() -> None:
    x, y, z = rows(100, 6, 0), rows(100, 6, 1, 1.2), rows(100, 6, 2, 1.6)
    found = contrast_uncertainty(x, z, y, *[names(100)] * 3, make_statistic=KernelSums)
    assert found.plug_in == pytest.approx(kernel_distance(x, z) - kernel_distance(x, y))
    assert found.value > 2 * found.standard_error


def test_contrast_needs_four_videos() -> None:
    with pytest.raises(NotEnoughClips, match="takes 4 source videos a side; one has 2"):
        contrast_uncertainty(rows(9, 3, 0), rows(9, 3, 1), rows(9, 3, 2), names(9), names(9), names(9, 5))


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uncertainty_simulation", SIMULATION)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_simulation_in_small(simulation: ModuleType) -> None:
    """What we ship covers its targets; what is known to fail fails."""
    case = simulation.Case("small", 16, False, 20, 160, 160, 4, 0.9)
    found = {each.method.strip("*"): each for each in simulation.simulate(case, 20)}
    shipped, corrected = found["value at N, interval"], found["corrected, interval"]
    assert shipped.expected >= 0.85 and shipped.population == 0
    assert corrected.population >= 0.85 and abs(corrected.bias) < 0.15 * shipped.bias
    assert found["percentile bootstrap"].population == 0 and found["percentile bootstrap"].expected < 0.3
    assert found["value at N, jackknife by clip"].width < 0.7 * shipped.width
    assert found["1/N fit over fakes only"].bias > 0.5 * shipped.bias
    table = [*simulation.bias_table(found.values()), *simulation.coverage_table(found.values())]
    assert all(line.startswith("|") for line in table) and len(table) == 16


def test_simulated_contrast_in_small(simulation: ModuleType) -> None:
    """A model that lost variance looks better than it is; the jackknifed contrast is not fooled."""
    found = simulation.simulate_contrast(simulation.ContrastCase(0.5, 160, 24), 20)
    assert found["raw"] < 0 < found["true"]
    assert abs(found["jackknifed"] - found["true"]) < 3 * found["spread"] / np.sqrt(20)
    assert found["coverage"] >= 0.85
