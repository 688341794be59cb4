"""What can go wrong, by name. The library raises these; only `latte_eval.cli` turns them into messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latte_eval.core.statuses import Status

if TYPE_CHECKING:
    from latte_eval.core.result import Result


class LatteEvalError(Exception):
    """Base of every error that latte-eval raises on purpose: one sentence, with both numbers and what to type."""

    exit_code = Status.FAILED


class UsageError(LatteEvalError):
    """The request itself does not make sense: options that exclude each other, an unknown name."""

    exit_code = Status.USAGE


class CheckpointError(LatteEvalError):
    """A checkpoint that is absent, damaged, unsafe, or of another model."""


class ClipError(LatteEvalError):
    """One video, frame folder or archive member that cannot serve as a clip."""


class FeatureError(LatteEvalError):
    """Features, probabilities or moments that are not a table of finite numbers of the expected shape."""


class GeneratorError(LatteEvalError):
    """A user's generator that cannot be opened, stops early, or gives something that is not a clip."""


class MachineFault(LatteEvalError):
    """The machine failed, not a file: no file handle, room or memory is left, or a disk or network does not answer."""


class MetricFailed(LatteEvalError):
    """One of several metrics could not be computed; the others were, and are kept.

    Attributes:
        results: of the metrics that were computed.
    """

    def __init__(self, message: str, results: Sequence[Result] = ()):
        super().__init__(message)
        self.results = results


class RankError(LatteEvalError):
    """The processes of one run cannot go on together.

    Attributes:
        told_by_another: whether another process says the same, or more.
    """

    def __init__(self, message: str, told_by_another: bool = False):
        super().__init__(message)
        self.told_by_another = told_by_another


class LostRank(RankError):
    """A process of this run that others wait for has ended, or is not heard of any more."""


class RanksDiffer(RankError):
    """Processes of one run that do not have the same files, folders or versions."""


class NotEnoughClips(LatteEvalError):
    """A side that holds fewer clips than the protocol or the user asks for."""


class NotComparable(LatteEvalError):
    """Two results, statistics or shards that were made under different choices."""

    exit_code = Status.NOT_COMPARABLE


class ProtocolError(UsageError):
    """A protocol name, field or value that does not exist."""


class SamplerError(UsageError):
    """A sampling request that the model cannot serve: labels, guidance, steps."""


class StoreError(LatteEvalError):
    """A run folder or result file that cannot be read or written."""


class DamagedFile(StoreError):
    """A file that latte-eval wrote and that is cut, or holds other bytes than were written."""


class AbsentFile(StoreError):
    """A file that was listed and is not there any more: another job is at work on it, or somebody deleted it."""


class IncompleteRun(StoreError):
    """A run of several jobs that lacks the clips of some of them.

    Attributes:
        results: of other evaluations in the run folder, which lack nothing.
    """

    def __init__(self, message: str, results: Sequence[Result] = ()):
        super().__init__(message)
        self.results = results


class TornLine(StoreError):
    """A line of a file of lines that is no JSON: a job was stopped while it wrote it, or somebody edited it."""


class WeightsError(LatteEvalError):
    """Detector or codec weights that are absent, wrong, or unreachable."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or the name of its type where the text is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def kind_and_first_line(error: BaseException) -> str:
    """The name of an error's type and the first line of its text, such as `ValueError: no such name`."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"
