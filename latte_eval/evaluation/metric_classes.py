"""`FVD`, `KVD`, `FID` and `VideoInceptionScore`: metrics that take batches of clips, as a training loop has them.

They are metrics of torchmetrics where that is installed, and have the same methods where it is not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.choices import did_you_mean
from latte_eval.core.errors import FeatureError, UsageError
from latte_eval.core.features import Features, feature_rows, framed
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.batches import FIELDS, batch_protocol, batch_to_clips
from latte_eval.evaluation.inputs import Reading
from latte_eval.evaluation.packed_moments import add_rows, merge_moments, no_moments, unpack_moments
from latte_eval.evaluation.request import SEEDED
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.detectors.base import detector_of_family
from latte_eval.metrics.detectors.own import choices_of, detector_row, of_protocol
from latte_eval.metrics.frechet import frechet_distance
from latte_eval.metrics.moments import check_rows
from latte_eval.metrics.rows import METRICS, Measurement

try:
    from torchmetrics import Metric
except ImportError:
    from latte_eval.evaluation.lone_metric import LoneMetric as Metric  # type: ignore[assignment]

# Feature rows of a side are kept up to so many bytes, besides the moments: few rows give a Fréchet distance with more
# digits than singular covariances, and an interval. 41,943 clips of I3D; 8,192 frames of Inception.
KEPT_BYTES = 2**26
SIDES = ("real", "fake")
OWN = ("device", "protocol", "detector", "normalize", "layout", "trust")

# Networks that metrics use now: several metrics share one.
OPENED: WeakValueDictionary[tuple[str, str, bool], Detector] = WeakValueDictionary()


class ClipMetric(Metric):
    """A metric of `METRICS` over batches of clips.

    Clips are uint8 0..255, [N, T, H, W, 3] or [N, T, 3, H, W], told by their shape; floats 0..1 with `normalize`.
    `update(real=..., fake=...)` takes one side or both; `compute()` is a float64 scalar. In several processes of
    torch.distributed each gives its own clips, and the value is of all of them. States are in `state_dict()` after
    `persistent(True)`, as in torchmetrics.

    Args:
        device: where the network runs and states lie; `.to(device)` moves both.
        protocol: a `Protocol` or its name. Size, storage, divisor and frame rule are honoured. Which frames of which
            videos are taken is left to whoever makes the batches; a notice says so where a protocol has a rule for it.
        detector: as `--detector`: `i3d-seeded`, `seeded`, `i3d=FILE`; None for the published weights.
        normalize: clips are floats 0..1, not uint8.
        layout: `NTHWC`, `NTCHW` or `NCTHW` where shapes cannot tell it; None where they do.
        trust: open an executable archive whose hash is not pinned.
        options: fields of the protocol, such as `frames=9`; all others go to `torchmetrics.Metric`.

    Raises:
        WeightsError: weights are not there, when the metric is made and not at the end of an epoch.
        UsageError: a detector of another family, or an option that changes nothing.
        ClipError: `update` was given something that is not clips of the protocol's length.
        NotEnoughClips: `compute` with fewer than two rows on a side.
    """

    metric: str
    dimensions: int
    sides: tuple[str, ...] = SIDES
    output = "features"
    with_moments = False
    is_differentiable = False
    full_state_update = False
    higher_is_better = False

    def __init__(
        self, device: str | torch.device | None = None, *, protocol: str | Protocol = "clean",
        detector: str | None = None, normalize: bool = False, layout: str | None = None, trust: bool = False,
        **options: Any,
    ):  # fmt: skip
        fields = {name: options.pop(name) for name in list(options) if name in FIELDS}
        try:
            super().__init__(**options)
        except ValueError as error:
            hint = did_you_mean(next(iter(options), ""), (*FIELDS, *OWN))
            raise UsageError(f"{error}. {hint}".rstrip()) from error
        self.protocol = batch_protocol(protocol, fields)
        self.reading, self.trust = Reading(normalize, layout), trust
        self.row = METRICS[self.metric].under(self.protocol)
        self.detector_name = name_detector(self.metric, detector, self.protocol)
        for side in self.sides:
            self.add_state(f"{side}_rows", [], dist_reduce_fx="cat")
            if self.with_moments:
                empty = no_moments(self.dimensions)
                self.add_state(f"{side}_moments", empty, dist_reduce_fx=merge_moments)
        if device is not None:
            self.to(torch.device(device))
        self.open()

    def open(self) -> Detector:
        """The network on the device where this metric is; opened once. Raises `WeightsError`."""
        key = (self.detector_name, str(self.device), self.trust)
        detector = OPENED.get(key)
        if detector is None:
            detector = OPENED[key] = open_detector(self.detector_name, str(self.device), trust=self.trust)
        self.__dict__["opened"] = detector  # holds it as long as this metric is there
        return detector

    def update(self, *unnamed: Any, real: Any = None, fake: Any = None) -> None:
        """Add clips of one side or of both. Raises `UsageError` where the side of a batch is not said."""
        given = {side: batch for side, batch in (("real", real), ("fake", fake)) if batch is not None}
        if unnamed or not given:
            raise UsageError("update takes clips: update(real=clips), update(fake=clips) or both")
        if wrong := set(given) - set(self.sides):
            raise UsageError(f"{type(self).__name__} has no {wrong.pop()} side: give update(fake=clips)")
        clips = {side: self.clips_of(side, batch) for side, batch in given.items()}
        rows = {side: self.rows_of(each) for side, each in clips.items()}
        for side, each in rows.items():
            self.add(side, each)

    def clips_of(self, side: str, batch: Any) -> Tensor:  # -> [N, 3, T, H, W] uint8
        return batch_to_clips(batch, side, self.protocol, self.reading)

    @property
    def row_dtype(self) -> type[np.floating[Any]]:
        """Of rows: as detectors give them, but for the mean over frames, which is not rounded again."""
        return np.float64 if self.protocol.frame_rule == "mean" else np.float32

    def no_rows(self) -> np.ndarray:  # -> [0, D]
        return np.zeros((0, self.dimensions), self.row_dtype)

    def rows_of(self, clips: Tensor) -> np.ndarray:  # [N, 3, T, H, W] uint8 -> [M, D] float32 or float64
        """A row of the detector's output for each clip, or for each frame."""
        detector, at_once = self.open(), 32 if self.device.type == "cuda" else 8
        parts = [detector(part)[self.output].numpy() for part in clips.split(at_once)]
        table, _ = feature_rows(framed(self.with_rows(np.concatenate(parts)), self.protocol.frame_rule))
        if table.shape[1] != self.dimensions:
            raise FeatureError(f"{detector.name} gives {table.shape[1]} numbers a row, not {self.dimensions}")
        return table.astype(self.row_dtype)

    def with_rows(self, rows: np.ndarray) -> Features:  # [N, D] or [N, T, D]
        """Rows as the table of metrics takes them; every clip counts as a video of its own."""
        names = [str(i) for i in range(len(rows))]
        return Features({"features": rows, self.output: rows}, list(range(len(rows))), names, [])

    def add(self, side: str, rows: np.ndarray) -> None:  # [M, D]
        """Take rows into the states of a side; beyond `KEPT_BYTES` the moments alone go on."""
        kept: list[Tensor] = getattr(self, f"{side}_rows")
        if not self.with_moments:
            kept.append(on_device(torch.from_numpy(rows), self.device))
            return
        packed: Tensor = getattr(self, f"{side}_moments")
        complete = count_rows(kept) == int(packed[0, 0])
        setattr(self, f"{side}_moments", add_rows(packed, rows))
        if complete and (count_rows(kept) + len(rows)) * rows.itemsize * rows.shape[1] <= KEPT_BYTES:
            kept.append(on_device(torch.from_numpy(rows), self.device))
        elif complete:
            kept.clear()

    def reset_fake(self) -> None:
        """Forget the fake clips and keep the real ones, for the next epoch against the same validation set."""
        kept = {name: state for name, state in self.metric_state.items() if name.startswith("real_")}
        kept = {name: list(state) if isinstance(state, list) else state for name, state in kept.items()}
        self.reset()
        for name, state in kept.items():
            setattr(self, name, state)

    def merge_state(self, incoming_state: Any) -> None:
        """Add what another metric of the same kind has seen, or its `metric_state`.

        Raises `UsageError` for a metric of another protocol or detector: a number of both would mean nothing.
        """
        if isinstance(incoming_state, ClipMetric):
            for mine, other in ((self.protocol.id, incoming_state.protocol.id),
                                (self.detector_name, incoming_state.detector_name)):  # fmt: skip
                if mine != other:
                    raise UsageError(f"metrics were made under {mine} and {other}: make both alike")
        super().merge_state(incoming_state)
        self._computed = None  # torchmetrics would give the value of before

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._computed = None

    def extra_repr(self) -> str:
        """What stands between the parentheses when a metric is printed."""
        return f"{self.protocol.id}, {self.detector_name}"

    def sync(self, *args: Any, **options: Any) -> None:
        """As torchmetrics has it; a process without clips takes part with tables of no rows."""
        for side in self.sides:
            kept = getattr(self, f"{side}_rows")
            if isinstance(kept, list) and not kept:
                kept.append(on_device(torch.from_numpy(self.no_rows()), self.device))
        super().sync(*args, **options)

    def compute(self) -> Tensor:  # -> [] float64
        """The value of all clips so far. Raises `NotEnoughClips`."""
        return on_device(torch.tensor(self.value(), dtype=torch.float64), self.device)

    def value(self) -> float:
        """The value of the states as they are now."""
        features = {side: self.features(side) for side in self.sides}
        if None in features.values():
            moments = {side: unpack_moments(getattr(self, f"{side}_moments")) for side in self.sides}
            return frechet_distance(moments["real"], moments["fake"], self.protocol.ddof)
        return self.measured(features, interval=False).value

    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `compute()`, of the clips of all processes; None for a score, which has none.

        Every clip counts as a video of its own: where several are windows of one video the interval is too narrow.
        Raises `FeatureError` where rows were so many that only their moments are there.
        """
        synced = self._is_synced
        with self.sync_context(should_sync=not synced, should_unsync=not synced):
            features = {side: self.features(side) for side in self.sides}
        if None in features.values():
            raise FeatureError(
                f"an interval takes every row, and rows beyond {KEPT_BYTES // 2**20} MiB a side are kept as moments "
                f"only: use latte-eval {self.metric}, or fewer clips"
            )
        found = self.measured(features, interval=True).interval
        return (found[0], found[1]) if found else None

    def measured(self, features: dict[str, Features | None], interval: bool) -> Measurement:
        """The measurement of a row of `METRICS`."""
        fake, real = features["fake"], features.get("real")
        assert fake is not None
        if real is not None:
            check_rows(len(real), len(fake))
        return self.row.measure(fake, real, interval, lambda done, total: None)

    def features(self, side: str) -> Features | None:
        """The rows of a side, by clip; None where they are not all there."""
        kept = getattr(self, f"{side}_rows")
        parts = [kept] if isinstance(kept, Tensor) else kept
        rows = torch.cat(parts).cpu().numpy() if parts else self.no_rows()
        if self.with_moments and len(rows) != int(getattr(self, f"{side}_moments")[0, 0]):
            return None
        per_clip = self.protocol.counted_frames if self.per_frame else 1
        return self.with_rows(rows.reshape(-1, per_clip, self.dimensions) if per_clip > 1 else rows)

    @property
    def per_frame(self) -> bool:
        """Whether each frame of a clip has a row."""
        return detector_row(self.detector_name).per_frame and self.protocol.frame_rule == "all"

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **options: Any) -> Any:
        return super()._apply(moves_alone(fn), *args, **options)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call, unused-ignore]
        return {name: value for name, value in state.items() if name != "opened"}


class FVD(ClipMetric):
    """Fréchet video distance. See `ClipMetric`."""

    metric, dimensions, with_moments = "fvd", 400, True


class KVD(ClipMetric):
    """Kernel video distance. All feature rows are kept, 1.6 kB a clip. See `ClipMetric`."""

    metric, dimensions = "kvd", 400


class FID(ClipMetric):
    """Fréchet Inception distance over the frames of clips. See `ClipMetric`."""

    metric, dimensions, with_moments = "fid", 2048, True


class VideoInceptionScore(ClipMetric):
    """Inception Score of clips by C3D, over 10 splits in the order in which clips came. See `ClipMetric`.

    Splits are of shuffled rows, so the value depends on that order; of several processes, their clips follow each
    other by rank.
    """

    metric, dimensions, sides, output = "is", 101, ("fake",), "probabilities"
    higher_is_better = True

    def __init__(self, *args: Any, splits: int = 10, **options: Any):
        super().__init__(*args, **options)
        self.row = self.row.split_into(splits)


def name_detector(metric: str, detector: str | None, protocol: Protocol) -> str:
    """The detector that a metric uses: the usual one of a family stands for all that the protocol's fields choose from.

    Raises `UsageError` for one of another family, or one that the protocol does not choose.
    """
    row = METRICS[metric]
    if detector is None or detector == SEEDED:
        name = detector_of_family(row.families[0], detector == SEEDED)
    else:
        name = detector
    if detector_row(name).family not in row.families:
        raise UsageError(f"detector {name!r} serves no {metric}; its families: {', '.join(row.families)}")
    asked, usual = (protocol, Protocol()) if row.needs_real else (Protocol(), Protocol())
    choices = choices_of(detector_row(name))
    if all(value == getattr(usual, field) for field, value in choices.items()):
        return of_protocol(name, asked)
    for field, value in choices.items():
        if value != getattr(asked, field):
            raise UsageError(f"detector {name!r} goes with {field}={value}, not {getattr(asked, field)}")
    return name


def count_rows(parts: Sequence[Tensor] | Tensor) -> int:
    return len(parts) if isinstance(parts, Tensor) else sum(map(len, parts))


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor there, or where it is if that device does not know its dtype, as MPS does not know float64."""
    try:
        return tensor.to(device)
    except TypeError:
        return tensor


def moves_alone(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What `.to(...)` does to a tensor, without its change of dtype: sums in half precision would be wrong."""

    @functools.wraps(fn)  # torchmetrics tells what it is by its name
    def move(tensor: Tensor) -> Tensor:
        try:
            moved = fn(tensor)
        except TypeError:
            return tensor
        return moved if moved.dtype == tensor.dtype else on_device(tensor, moved.device)

    return move
