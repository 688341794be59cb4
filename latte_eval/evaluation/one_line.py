"""`fvd`, `fid` and others in one line of Python: the pipeline with one metric, and one result."""

from __future__ import annotations

from typing import Any, Protocol

from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import evaluate
from latte_eval.metrics.rows import METRICS


class Measure(Protocol):
    """A metric as a function."""

    def __call__(
        self, fake: Any = None, real: Any = None, *, reporter: Reporter | None = None, **options: Any
    ) -> Result:
        """See `latte_eval.fvd`."""


DOC = """{title}, {direction} is better: the number that `latte-eval {metric}` prints for the same clips.

    {metric}(fake=clips, real="data/UCF-101")
    {metric}(ckpt="ucf101.pt", benchmark="ucf101", real="data/UCF-101", out="runs/ucf101")

Args:
    fake, real: the two sides. Each may be
        - an array or tensor of clips, uint8 0 to 255: [N, T, H, W, 3], [N, T, 3, H, W] or [N, 3, T, H, W], told by its
          shape. A row is a video, of which a clip is cut as of a video in a folder; nothing is copied;
        - a path: whatever `--fake` and `--real` take, such as a folder of videos, `samples.npz`, a file of statistics;
        - a list of paths, or of arrays [T, H, W, 3] or [N, T, H, W, 3];
        - an iterable of clips or of batches of clips, such as a DataLoader, also of tuples and dicts with one array
          of clips; it is read once, into a temporary file;
        - a `ClipSource`, or a generator of docs/generators.md.
    ckpt, generator: what makes the fake side, instead of `fake`.
    benchmark, protocol: names; `params` changes fields of the protocol: {{"size": 64}}.
    clips: this many of each side.
    device: such as "cuda"; a GPU where there is one.
    detector: replaces the usual one, as `--detector` does; "seeded" for a trial without weights.
    out: run folder; what it holds is not computed again. Arrays are known again by a digest of their values.
    normalize: arrays are floats in 0..1, and (x * 255).round() is meant.
    layout: "NTHWC", "NTCHW" or "NCTHW", where a shape fits several.
    reporter: is told how the work goes on.
    options: further fields of `latte_eval.Request` by their names.

Returns:
    The `Result`: value, interval, protocol, and what is needed to compare or repeat it. Under torchrun, in processes
    other than the first, None.

Raises:
    UsageError: a keyword that does not exist, or sides that make no sense.
    ClipError: clips that are not uint8, whose layout is not clear, or that cannot be read.
    NotEnoughClips: fewer than two clips, or than `clips`.
    LatteEvalError: everything else; the classes above are of it.
"""


def one_line(name: str, metric: str) -> Measure:
    """The function of one metric, called `name`."""

    def measure(fake: Any = None, real: Any = None, *, reporter: Reporter | None = None, **options: Any) -> Any:
        results = evaluate(None, reporter, metrics=(metric,), fake=fake, real=real, **options)
        return results[0] if results else None

    row = METRICS[metric]
    measure.__name__ = measure.__qualname__ = name
    measure.__doc__ = DOC.format(title=row.title, direction=row.better, metric=metric if metric != "is" else name)
    return measure


fvd = one_line("fvd", "fvd")
fid = one_line("fid", "fid")
inception_score = one_line("inception_score", "is")
