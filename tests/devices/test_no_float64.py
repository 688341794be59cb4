"""A device without float64, as MPS is one: what is computed in it goes to the CPU first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from latte_eval.core import arithmetic
from latte_eval.core.arithmetic import has_float64, to_float64
from latte_eval.evaluation.golden.sampling import sampling_measures
from latte_eval.metrics.detectors.network import relative_difference
from latte_eval.metrics.detectors.verify import zeros_ones
from latte_eval.metrics.paired import copy_nearest_given, frame_psnr, frame_ssim


class OnMps(Tensor):
    """A tensor that refuses float64, in the words of MPS, until it is brought to the CPU."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_function__(func, types, args, kwargs or {})
        if func is Tensor.cpu or (func is Tensor.to and torch.device("cpu") in args):
            return out.as_subclass(Tensor)
        if any(isinstance(each, OnMps) and each.dtype == torch.float64 for each in tree_leaves(out)):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return out


@pytest.fixture(autouse=True)
def no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "has_float64", lambda device: False)


def clips(seed: int) -> Tensor:
    return torch.randint(0, 256, (2, 3, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def on_mps(x: Tensor) -> Tensor:
    return x.clone().as_subclass(OnMps)


def test_the_stand_in_refuses_what_mps_refuses() -> None:
    with pytest.raises(TypeError, match="float64"):
        on_mps(clips(0)).double()
    assert to_float64(on_mps(clips(0))).dtype == torch.float64


@pytest.mark.parametrize("measure", [frame_psnr, frame_ssim])
def test_paired_metrics(measure: Any) -> None:
    where = torch.rand(2, 3, 16, 16) > 0.3
    found = measure(on_mps(clips(0)), on_mps(clips(1)), on_mps(where))
    torch.testing.assert_close(found.as_subclass(Tensor), measure(clips(0), clips(1), where), rtol=0, atol=0)


def test_anchors_stay_on_the_device() -> None:
    generated = torch.rand(2, 3, 16, 16) > 0.3
    generated[1] = True
    found = copy_nearest_given(on_mps(clips(0)), on_mps(generated))
    assert isinstance(found, OnMps)
    assert torch.equal(found.as_subclass(Tensor), copy_nearest_given(clips(0), generated))


def test_comparisons() -> None:
    assert relative_difference(on_mps(torch.ones(3)), torch.ones(3)) == 0
    assert zeros_ones(lambda x: on_mps(x.mean((1, 2, 3, 4))[:, None]), 16, "cpu") == pytest.approx(4)
    assert sampling_measures("cpu")


def test_a_device_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: Any, **kwargs: Any) -> Tensor:
        raise RuntimeError("Required aspect fp64 is not supported on the device")

    has_float64.cache_clear()
    assert has_float64("cpu")
    monkeypatch.setattr(torch, "ones", refuses)
    assert not has_float64("xpu:0")
    has_float64.cache_clear()
