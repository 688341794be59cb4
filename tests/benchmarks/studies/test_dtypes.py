"""The study of types: errors of known size are found, and its table has a row a type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from latte_eval.benchmarks.studies.dtypes import difference, latent_errors, main


def test_latent_errors_are_shares_of_the_rms():
    reference = torch.ones(2, 3)
    found = reference + torch.tensor([[0.0], [0.1]])
    every, worst = latent_errors(found, reference)
    assert every == pytest.approx(0.1 / 2**0.5, rel=1e-5) and worst == pytest.approx(0.1, rel=1e-5)


def test_a_shifted_side_is_farther_and_an_equal_one_is_not():
    random = np.random.default_rng(0)
    real, old = random.normal(size=(40, 3)), random.normal(size=(40, 3))
    assert difference(real, old, old) == (0.0, 0.0, 0.0)
    value, low, high = difference(real, old + 2, old)
    assert 0 < low < value < high


def test_latents_alone_where_clips_are_few():
    done = CliRunner().invoke(main, ["--clips", "1"])
    assert done.exit_code == 0, done.output
    rows = [line.split("|")[1:-1] for line in done.output.splitlines() if line.startswith("| demo")]
    assert [row[2].strip() for row in rows] == ["bf16", "fp16"]
    errors = [float(row[4]) for row in rows]
    assert 0 < errors[1] < errors[0] < 0.2, "float16 has three more bits"
