"""One comparison with a reference: how far this machine's answer is from it, and how far it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import UsageError, first_line
from latte_eval.metrics.detectors.network import relative_difference
from latte_eval.metrics.detectors.verify import Check

# Sums of float32 in another order, as kernels of an accelerator take them, may be this much further away.
ACCELERATOR = 10.0


@dataclass(frozen=True)
class Measure:
    """A comparison that can be made.

    Attributes:
        name: what is compared.
        source: of the expected answer, such as `Vchitect/Latte@b27c24a`.
        tolerance: the largest error that passes.
        error: computes how far the answer is from the reference; 0 is equal.
    """

    name: str
    source: str
    tolerance: float
    error: Callable[[], float]

    def check(self) -> Check:
        """The comparison, made in exact float32.

        Where the device has no such operation, or a package is missing, nothing was measured; any other failure is an
        error of NaN.
        """
        try:
            with exact_float32():
                return Check(self.name, 0.0, self.error(), self.tolerance, self.source)
        except UsageError as error:
            return Check(self.name, 0.0, None, self.tolerance, f"could not check: {first_line(error)}")
        except Exception as error:
            if is_not_offered(error):
                return Check(self.name, 0.0, None, self.tolerance, f"not offered by this device: {first_line(error)}")
            return Check(self.name, 0.0, float("nan"), self.tolerance, f"failed: {first_line(error)}")


def is_not_offered(error: Exception) -> bool:
    """Whether torch says that it has no such operation, or no such type, on this device."""
    words = ("not implemented for", "not supported on", "doesn't support", "does not support")
    return isinstance(error, NotImplementedError) or any(word in str(error) for word in words)


def checks(measures: Iterable[Measure]) -> Iterator[Check]:
    """Every comparison, one after the other."""
    for measure in measures:
        yield measure.check()


def relative_error(found: Tensor | np.ndarray, reference: np.ndarray) -> float:
    """Largest difference over the root mean square of the reference; NaN where there is one.

    Raises `ValueError` for another shape, which would be broadcast.
    """
    if tuple(found.shape) != reference.shape:
        raise ValueError(f"the answer has shape {tuple(found.shape)}, the reference {reference.shape}")
    return relative_difference(torch.as_tensor(found), torch.as_tensor(reference))


def float32_tolerance(tolerance: float, device: str) -> float:
    """What is allowed on this device, of a tolerance that holds on a CPU."""
    return tolerance if torch.device(device).type == "cpu" else ACCELERATOR * tolerance
