"""Everything that `latte-eval doctor --verify` compares, in sections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from latte_eval.evaluation.golden.detectors import detector_measures
from latte_eval.evaluation.golden.devices import device_measures
from latte_eval.evaluation.golden.distances import distance_measures
from latte_eval.evaluation.golden.frames import frame_measures
from latte_eval.evaluation.golden.measure import checks
from latte_eval.evaluation.golden.sampling import sampling_measures
from latte_eval.evaluation.golden.vdt import vdt_measures
from latte_eval.evaluation.golden.vision_transformers import vision_transformer_measures
from latte_eval.metrics.detectors.verify import Check, verify


@dataclass(frozen=True)
class Verified:
    """One check with the section it belongs to and the seconds it took."""

    section: str
    check: Check
    seconds: float


# By section: from the name of a device to checks.
SECTIONS: dict[str, Callable[[str], Iterator[Check]]] = {
    "sampler": lambda device: checks(chain(sampling_measures(device), vdt_measures(device))),
    "detectors": lambda device: checks(chain(detector_measures(device), vision_transformer_measures(device))),
    "distances": lambda device: checks(distance_measures()),
    "frames": lambda device: checks(frame_measures(device)),
    "this device": lambda device: checks(device_measures(device)),
    "golden numbers": verify,
}


def verify_all(device: str) -> Iterator[Verified]:
    """References under seeded weights, then the published numbers of whatever real weights are installed."""
    for section, make in SECTIONS.items():
        yield from timed(section, make(device))


def timed(section: str, found: Iterator[Check]) -> Iterator[Verified]:
    started = time.perf_counter()
    for check in found:
        yield Verified(section, check, round(time.perf_counter() - started, 3))
        started = time.perf_counter()
