"""Networks of published size are built, and what `latte-eval metrics` says of their cost is what is counted."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from latte_eval.benchmarks.speed import detectors
from latte_eval.benchmarks.speed.detectors import SUBJECTS, Subject, main, operations, scaled
from latte_eval.metrics.detectors import DETECTORS

pytest.importorskip("transformers")


def test_a_row_is_printed_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    class Product(torch.nn.Module):
        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            flat = clips[:, 0, 0].float()
            return flat @ flat

    fake = Subject("a product", Product, 2)  # type: ignore[arg-type]
    monkeypatch.setitem(detectors.SUBJECTS, "i3d", fake)
    done = CliRunner().invoke(main, ["--only", "i3d"], catch_exceptions=False)
    assert "| a product | `i3d` | 3.36e-05 |" in done.output  # 2 x 256^3 of a clip
    assert CliRunner().invoke(main, ["--only", "i4d"]).exit_code
    assert operations(fake.open("cpu"), torch.zeros(2, 3, 1, 8, 8)) == 2 * 8**3


def test_large_networks_have_the_shapes_of_the_published_ones() -> None:
    state = scaled({"a": (64,), "b.0.w": (128, 64), "b.1.w": (128, 64)}, {64: 6, 128: 9}, "b", 3)
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "a": (6,), "b.0.w": (9, 6), "b.1.w": (9, 6), "b.2.w": (9, 6),
    }  # fmt: skip


def test_every_network_that_costs_something_has_its_row() -> None:
    """But for those that take pairs of clips."""
    rows = [DETECTORS[name] for name in DETECTORS]
    assert {row.family for row in rows if row.cost and not row.paired} == set(SUBJECTS)
