"""Opening the two sides of an evaluation: folders, checkpoints, generators, benchmarks, stored features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from latte_eval.benchmarks.dataset import Dataset
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.benchmarks.readers.opening import Chosen
from latte_eval.compare.comparable import FAKE_ONLY
from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import MEASURE_FIELDS, PUBLISHED_CLIPS, Protocol
from latte_eval.evaluation.fields import check_fields, check_not_enlarged, check_shape
from latte_eval.evaluation.given import counted_sides, with_conditions
from latte_eval.evaluation.inputs import Made
from latte_eval.evaluation.opened import OpenedImages, OpenedSource, is_given, open_pipeline, open_plugin
from latte_eval.evaluation.opened_model import OpenedModel, open_model
from latte_eval.evaluation.repeated import RepeatedSource
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side, counted, honoured_by
from latte_eval.evaluation.stats import StatsSource, is_stats_file, refuse_foreign_statistics
from latte_eval.evaluation.stored import StoredSource

if TYPE_CHECKING:
    from latte_eval.benchmarks.benchmark import Benchmark
    from latte_eval.benchmarks.readers import FolderSource
    from latte_eval.benchmarks.readers.places import Place
    from latte_eval.files.team import Team

# A statistics file is refused where it differs from the protocol in any of these.
STATS_HONOUR = frozenset(field.name for field in dataclasses.fields(Protocol)) - {
    *FAKE_ONLY, *MEASURE_FIELDS, "benchmark",
}  # fmt: skip


def open_sides(request: Request, reporter: Reporter, team: Team | None = None) -> tuple[Protocol, Side | None, Side]:
    """Protocol, real side (None where no metric needs one) and fake side, each able to give what is wanted.

    Args:
        team: the processes of a run: what one of them finds out about videos, the others believe.

    Raises `UsageError` for clips that are not as long or large as the protocol says, and for a field set by hand that
    neither side honours.
    """
    protocol = request.resolved_protocol()
    if request.fake is not None:
        real = open_real(request, protocol, reporter, team) if request.needs_real else None
        fake = open_fake(request, protocol, reporter, team)
        check_given(request, request.usual_protocol(), protocol, real, fake)
        return protocol, real, fake
    opened = open_maker(request, protocol, reporter)
    protocol = fit_protocol(request, protocol, opened)
    given_images = isinstance(opened, OpenedImages)
    real = open_real(request, protocol, reporter, team) if given_images or request.needs_real else None
    count = protocol.fake_clips or min(PUBLISHED_CLIPS, real.expected if real else PUBLISHED_CLIPS)
    opened = told_of_real(opened, protocol, real)
    fake = made_side(opened, protocol, count, request, reporter)
    if isinstance(opened, OpenedModel):
        real, fake = counted_sides(opened, protocol, real, fake)
    check_given(request, fit_protocol(request, request.usual_protocol(), opened, checked=False), protocol, real, fake)
    return protocol, real, fake


def check_given(request: Request, usual: Protocol, protocol: Protocol, real: Side | None, fake: Side) -> None:
    """Raise `UsageError` for a field set by hand that neither side honours."""
    honoured = fake.honours | (real.honours if real else frozenset()) | request.metric_fields
    check_fields(request.given_fields, usual, protocol, honoured)


def told_of_real(
    opened: OpenedModel | OpenedSource, protocol: Protocol, real: Side | None
) -> OpenedModel | OpenedSource:
    """The same, told what it takes from the real side: how often classes occur, parts of clips, or first frames.

    Raises `UsageError` where the real side cannot give that.
    """
    if isinstance(opened, OpenedImages):
        return opened.beside(real)
    if not isinstance(opened, OpenedModel):
        return opened
    return with_conditions(opened.with_labels_of(real) if protocol.labels == "dataset" else opened, real)


def made_side(
    opened: OpenedModel | OpenedSource, protocol: Protocol, count: int, request: Request, reporter: Reporter
) -> Side:
    """Clips 0..count-1 of what was opened, stored as the protocol says."""
    source = StoredSource(opened.source(count, request.device, reporter), protocol.fake_storage, protocol.skip_frames)
    records = opened.checkpoint_record(), opened.sampler_record()
    # Where the protocol has a size, it is the clips' own: `fit_protocol` sees to it.
    sized = {"size"} if request.usual_protocol().size else set()
    honours = opened.honours | {"fake_clips", "fake_storage", "skip_frames", *sized}
    typed = request.generator.spec if isinstance(request.generator, Made) else request.generator
    if others := [each.source(count, request.device, reporter) for each in opened.more_samples(request.samples)]:
        stored = tuple(dataclasses.replace(source, source=each) for each in others)
        source = RepeatedSource(source.source, source.steps, source.skipped, others=stored)
    pairing = opened.pairing(request.samples)
    return Side(source, min(count, len(source)), None, *records, typed, honours, pairing).checked()


def open_maker(request: Request, protocol: Protocol, reporter: Reporter) -> OpenedModel | OpenedSource:
    """What makes the fake clips, where they are not in files: a generator, a pipeline, or a Latte checkpoint."""
    if request.generator is not None:
        return open_plugin(request.generator, request, protocol, reporter)
    from latte_eval.sampler.pipelines import is_pipeline

    if is_pipeline(request.ckpt or ""):
        if request.gives_parts:
            raise UsageError(f"--task, --given and --mask need a VDT checkpoint; {request.ckpt} is a pipeline")
        return open_pipeline(request, protocol, reporter)
    if request.prompts is not None:
        raise UsageError(f"--prompts goes with a text-to-video pipeline; {request.ckpt} is a checkpoint file")
    opened = open_model(request, protocol.labels, protocol.frames if is_given(request, "frames") else None)
    opened.checkpoint.note_in(request.run_folder.path)
    if licence := opened.checkpoint.licence:
        reporter.say(f"{opened.checkpoint.family.name}: {licence}")
    return opened


def fit_protocol(
    request: Request, protocol: Protocol, opened: OpenedModel | OpenedSource, checked: bool = True
) -> Protocol:
    """The protocol with the clips' own length and size, where neither a benchmark nor a person sets them.

    Raises `UsageError`, if `checked`, for clips of another length or size than the protocol then has.
    """
    own = {"frames": opened.frames, "size": opened.frame_size}
    if request.benchmark_row is None:
        free = {name: value for name, value in own.items() if value and not is_given(request, name)}
        protocol = protocol.replace(**free)
    if checked:
        check_shape((opened.frames, opened.frame_size), protocol)
    return protocol


def open_real(request: Request, protocol: Protocol, reporter: Reporter, team: Team | None = None) -> Side:
    """The real side: exactly `--clips` of a folder, at most the protocol's count otherwise."""
    row = request.benchmark_row
    path = request.real if isinstance(request.real, Path) else None
    if path:
        refuse_foreign_statistics(path)
    if path and is_stats_file(path) and (row is None or row.needs_folder):
        return Side(StatsSource.open(path), honours=STATS_HONOUR)
    if row:
        source = open_benchmark(row, request, protocol, reporter, team)
    else:
        source = open_real_clips(request, protocol, reporter, team)
    stored = StoredSource(source, protocol.real_storage, protocol.skip_frames)
    honours = honoured_by(source, "real", row)
    exact = request.clips is not None and row is None
    return counted(stored, protocol.real_clips, exact, honours)


def open_benchmark(
    row: Benchmark, request: Request, protocol: Protocol, reporter: Reporter, team: Team | None
) -> ClipSource:
    """The real clips of a benchmark, from its folder if it needs one. Raises `UsageError` for what is no folder."""
    path = request.real if isinstance(request.real, Path) else None
    if request.real is not path:
        raise UsageError(f"the real side of {row.name} is a folder, not {request.real}: leave out benchmark=")
    with reporter.bar(f"examine {path.name if path else row.name}", None) as advance:
        if isinstance(row, Dataset):
            source: ClipSource = row.open_real(path, protocol, request.seed, advance, team)
        else:
            source = row.open_real(path, protocol, request.seed, advance)
    check_shape(row.clip_shape, protocol, f" of {row.name}", fixed=True)
    return source


def open_real_clips(request: Request, protocol: Protocol, reporter: Reporter, team: Team | None) -> ClipSource:
    """The real side where there is no benchmark: a folder, arrays, or an object that gives clips."""
    if isinstance(request.real, Made):
        return request.real.open(request.seed, protocol.real_clips, protocol.frames, protocol.size)
    return open_folder(to_place(request.real), protocol, request.seed, "real", reporter, team)


def to_place(given: object) -> Path | Place:
    """A side that can be listed: not one that `read_inputs` has still to read."""
    if isinstance(given, Path | HeldVideos | Chosen):
        return given
    raise UsageError(f"{given} is no folder and no array; what else there may be, evaluate() and fvd() take by keyword")


def open_fake(request: Request, protocol: Protocol, reporter: Reporter, team: Team | None = None) -> Side:
    """Generated videos of any model."""
    place = to_place(request.fake)
    source = open_folder(place, protocol, request.seed, "fake", reporter, team)
    if request.benchmark_row is not None and (size := source.first_size()):
        check_not_enlarged(str(place), size, protocol)
    stored, honours = StoredSource(source, protocol.fake_storage, protocol.skip_frames), honoured_by(source, "fake")
    return counted(stored, protocol.fake_clips, request.counts_are_exact, honours)


def open_folder(
    path: Path | Place,
    protocol: Protocol,
    seed: int,
    side: str,
    reporter: Reporter,
    team: Team | None = None,
) -> FolderSource:
    """A folder, an archive or arrays as clips, examined with a bar as far as the protocol needs it."""
    from latte_eval.benchmarks.readers import FolderSource

    wanted = protocol.real_clips if side == "real" else protocol.fake_clips
    with reporter.bar(f"examine {getattr(path, 'name', path)}", None) as advance:
        return FolderSource.open(path, protocol, seed, side, wanted=wanted, progress=advance, team=team)
