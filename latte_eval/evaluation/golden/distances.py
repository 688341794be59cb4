"""Distances and scores against the reference implementations, on stored features; they run on the CPU everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from latte_eval.evaluation.golden.files import open_golden
from latte_eval.evaluation.golden.measure import Measure
from latte_eval.evaluation.golden.seeded import seeded_normal
from latte_eval.metrics.balls import precision_recall
from latte_eval.metrics.frechet import frechet_distance, frechet_distance_from_features
from latte_eval.metrics.inception_scores import inception_score, video_inception_score
from latte_eval.metrics.kernel import jedi_distance, kernel_distance
from latte_eval.metrics.moments import Moments

STYLEGAN_V = "universome/stylegan-v@3fecd69"
TATS = "SongweiGe/TATS@1aa93e1"
TGAN2 = "pfnet-research/tgan2@f892bc4"
FIDELITY = "toshas/torch-fidelity@5e211a9"

CLEAN_FID = "clean-fid 0.1.35"
JEDI = "oooolga/JEDi@c03d178"
PRDC = "prdc 0.2"

Distance = Callable[[np.ndarray, np.ndarray], float]


def from_moments(real: np.ndarray, fake: np.ndarray) -> float:
    return frechet_distance(Moments.from_features(real), Moments.from_features(fake))


def table_error(distance: Distance, column: str) -> float:
    """The rows of the reference table whose features travel with the package."""
    golden = open_golden("metric_stack")
    table, real, fake = golden["frechet_table"], golden["real"], golden["gen"]
    rows = [row for row in table if row[0] <= len(real) and row[1] <= len(fake)]
    expected = np.array([row[golden.meta["frechet_columns"].index(column)] for row in rows])
    found = np.array([distance(real[: int(row[0])], fake[: int(row[1])]) for row in rows])
    return float(np.abs(found / expected - 1).max())


def small_sample_error(distance: Distance, position: int) -> float:
    """A distance of features that the I3D gave for 14 and 12 clips."""
    golden = open_golden("i3d_gamma_ones")
    found = distance(golden["fvd_real_features"], golden["fvd_gen_features"])
    return abs(found / golden["fvd_values"][position] - 1)


def score_error() -> float:
    """Video Inception Score: mean and spread over splits of shuffled rows."""
    golden = open_golden("metric_stack")
    expected = golden["isv_table"][golden.meta["isv_rows"].index("isv_205_of_205")]
    return float(np.abs(np.array(video_inception_score(golden["isv_probs"])) / expected - 1).max())


def tgan2_error(splits: int) -> float:
    """Inception Score of seeded logits, without a shuffle."""
    golden = open_golden("c3d_ucf101")
    name, shape, *_ = golden.meta["tgan2_is"]["logits"]
    logits = 2 * seeded_normal(name, shape, golden.meta["seed"]).astype(np.float64)
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mean, _ = inception_score(rows, splits)
    return float(abs(mean / golden[f"tgan2_is_splits{splits}"][0] - 1))


def clean_sides() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeded rows: real ones, fake ones, and fake ones that are nearly copies."""
    seed = open_golden("clean_prdc").meta["seed"]
    real, fake = (seeded_normal(name, (rows, 24), seed).astype(np.float64)
                  for name, rows in (("real", 600), ("fake", 420)))  # fmt: skip
    real, fake = real + 0.2, 1.15 * fake
    return real, fake, real[:210] + 0.05 * fake[:210]


def unbiased_error() -> float:
    """The distance with covariances divided by N - 1."""
    real, fake, _ = clean_sides()
    return abs(
        frechet_distance_from_features(real, fake, ddof=1) / float(open_golden("clean_prdc")["clean_fid"][0]) - 1
    )


def shares_error() -> float:
    """Precision, recall, density and coverage of three pairs of sets."""
    golden, (real, fake, near) = open_golden("clean_prdc"), clean_sides()
    cases = ((3, fake, "prdc_k3"), (5, fake, "prdc_k5"), (5, near, "prdc_near_k5"))
    return max(float(np.abs(np.array(precision_recall(real, rows, k)) - golden[name]).max()) for k, rows, name in cases)


def jedi_error() -> float:
    """JEDi's distance of rows of the reference table."""
    return table_error(jedi_distance, "jedi_mmd_x100_f64")


def distance_measures() -> Iterator[Measure]:
    """Fréchet distance in both forms and divisors, kernel distances, shares, Inception Scores."""
    forms: dict[str, Distance] = {"moments": from_moments, "rows": frechet_distance_from_features}
    for name, distance in forms.items():
        error = partial(table_error, distance, "stylegan_v_fvd")
        yield Measure(f"Fréchet distance from {name}", STYLEGAN_V, 1e-6, error)
    yield Measure("FVD of I3D features", STYLEGAN_V, 2e-6, partial(small_sample_error, from_moments, 0))
    error = partial(table_error, kernel_distance, "tats_polynomial_mmd_f64")
    yield Measure("kernel distance", TATS, 1e-9, error)
    yield Measure("Fréchet distance by N - 1", CLEAN_FID, 1e-6, unbiased_error)
    yield Measure("JEDi's distance", JEDI, 1e-9, jedi_error)
    yield Measure("precision, recall, density, coverage", PRDC, 1e-12, shares_error)
    yield Measure("video Inception Score", STYLEGAN_V, 1e-5, score_error)
    for splits in (1, 10):
        yield Measure(f"Inception Score, splits: {splits}", TGAN2, 1e-5, partial(tgan2_error, splits))
