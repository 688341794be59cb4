"""An evaluation that is ready for the long work: everything is open, and nothing is computed yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics.detectors import Detector
from latte_eval.metrics.rows import METRICS


@dataclass(frozen=True)
class Evaluation:
    """Everything that is open before the long work begins.

    Attributes:
        detectors: by metric.
        clock: time.perf_counter() at the start.
        env: where the clips were made; None where that is this process.
    """

    request: Request
    protocol: Protocol
    fake: Side
    real: Side | None
    detectors: dict[str, Detector]
    run: RunFolder
    started: datetime
    clock: float
    env: dict[str, Any] | None = None


def what_is_measured(evaluation: Evaluation) -> dict[str, Any]:
    """What must be equal in all processes of a run, or they would not work on the same clips."""
    sides = {"real": evaluation.real, "fake": evaluation.fake}
    digests = {each.name: each.sha256 for each in evaluation.detectors.values()}
    return {
        "the protocol": evaluation.protocol.id,
        "the sha256 of the checkpoint": (evaluation.fake.checkpoint or {}).get("sha256"),
        **{f"the sha256 of {name}": digest for name, digest in digests.items()},
        **{f"the fingerprint of the {name} clips": side.source.fingerprint for name, side in sides.items() if side},
        **{f"the number of {name} clips": side.expected for name, side in sides.items() if side},
    }


def side_detectors(evaluation: Evaluation, side: Side) -> list[Detector]:
    """The detectors that look at the clips of a side, each once."""
    metrics = [m for m in evaluation.request.metrics if side is not evaluation.real or METRICS[m].needs_real]
    return unique_detectors(evaluation.detectors[metric] for metric in metrics)


def unique_detectors(detectors: Iterable[Detector]) -> list[Detector]:
    """Each detector once."""
    return list({detector.name: detector for detector in detectors}.values())
