"""Re-measuring what each differing choice does to a Fréchet distance, without new sampling.

The base is the first result's protocol on clips that are read again (or on its stored fake features). Each choice is
changed alone, then all together, under several seeds of subset and offset: the spread is over these seeds.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte_eval.baselines.table import SIGNED, Cell, Heading, Table
from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.compare.comparable import value_to_text
from latte_eval.compare.explain import EXPLAIN_COLUMNS, Choice, changeable, unchangeable
from latte_eval.core.errors import ClipError, NotComparable, NotEnoughClips, UsageError
from latte_eval.core.features import Features, feature_rows, framed
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import read_side
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.side import Side
from latte_eval.evaluation.sides import open_folder, open_real
from latte_eval.evaluation.stats import is_stats_file
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.run_folder import RunFolder
from latte_eval.metrics import frechet_distance_between
from latte_eval.metrics.detectors import Detector, open_detector
from latte_eval.metrics.detectors.own import of_protocol
from latte_eval.metrics.rows import METRICS


@dataclass(frozen=True)
class Effect:
    """What one choice does.

    Attributes:
        name: the choice.
        values: under the first and the second protocol, for people.
        changes: change of the distance, one per seed; empty where it could not be measured.
        problem: why it could not be measured.
        field: the field of the protocol that the choice changes, if it changes one.
    """

    name: str
    values: tuple[str, str]
    changes: tuple[float, ...] = ()
    problem: str | None = None
    field: str | None = None

    @property
    def mean(self) -> float | None:
        """Over the seeds; 0 where rounding alone is left of larger changes."""
        if not self.changes:
            return None
        mean = statistics.fmean(self.changes)
        return 0.0 if abs(mean) < 1e-9 * max(map(abs, self.changes)) else mean

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; 0 where they differ by rounding alone."""
        if len(self.changes) < 2:
            return None
        alike = all(math.isclose(each, self.changes[0], rel_tol=1e-9) for each in self.changes)
        return 0.0 if alike else statistics.stdev(self.changes)


@dataclass(frozen=True)
class Bench:
    """Where distances are measured: the clips of both sides, a detector, and a folder that keeps features.

    Attributes:
        request: real folder, benchmark, batch size, device; its seed and protocol are replaced.
        fakes: folder of generated clips, or features of them that a run stored.
        metric: a Fréchet distance.
        most_clips: use at most this many clips of each side.
    """

    request: Request
    fakes: Path | Features
    metric: str
    detector: Detector
    run: RunFolder
    most_clips: int | None
    reporter: Reporter

    def distance(self, protocol: Protocol, seed: int) -> float:
        """The distance under a protocol and a seed."""
        protocol, request = self.capped(protocol), dataclasses.replace(self.request, seed=seed)
        real = self.features(open_real(request, protocol, self.reporter))
        fake = self.fake_features(protocol, seed)
        rows = [feature_rows(framed(each, protocol.frame_rule))[0] for each in (real, fake)]
        return frechet_distance_between(rows[0], rows[1], protocol.ddof)

    def capped(self, protocol: Protocol) -> Protocol:
        """The protocol with no more clips than `most_clips`."""
        if self.most_clips is None:
            return protocol
        counts = {name: min(getattr(protocol, name) or self.most_clips, self.most_clips)
                  for name in ("real_clips", "fake_clips")}  # fmt: skip
        return protocol.replace(**counts)

    def fake_features(self, protocol: Protocol, seed: int) -> Features:
        if isinstance(self.fakes, Features):
            return self.fakes.first(protocol.fake_clips)
        source = open_folder(self.fakes, protocol, seed, "fake", self.reporter)
        stored = StoredSource(source, protocol.fake_storage, protocol.skip_frames)
        return self.features(Side(stored, at_most=protocol.fake_clips).checked())

    def features(self, side: Side) -> Features:
        found = read_side(side, [self.detector], self.run, self.request, self.reporter)
        return found[self.detector.name]


def open_bench(
    result: Result,
    file: Path,
    request: Request,
    fakes: Path | None,
    most_clips: int | None,
    run: RunFolder,
    reporter: Reporter,
) -> Bench:
    """Find the clips of a result again.

    Args:
        file: where the result is stored; stored features of its fake clips lie beside it.
        request: its `real` and `detectors` replace the recorded ones.
        fakes: folder of the generated clips, instead of the recorded one or of stored features.

    Raises:
        UsageError: another metric than a Fréchet distance, or clips that are not where the result says.
    """
    if not METRICS[result.metric].frechet:
        known = ", ".join(row.name for row in METRICS.rows() if row.frechet)
        raise UsageError(f"--measure re-computes {known}, not {result.metric}")
    if Protocol.from_dict(result.protocol_fields).counted != "all":
        raise UsageError("--measure reads clips by themselves and does not know which frames a model was given; it "
                         "re-computes values of counted=all")  # fmt: skip
    measured = with_real_of(result, request)
    name = request.named_detector(result.metric) if request.detectors else result.detector["name"]
    name = of_protocol(name, Protocol.from_dict(result.protocol_fields))
    detector = open_detector(name, request.device, trust=request.trust)
    found = fakes or find_fakes(result, file, detector)
    return Bench(measured, found, result.metric, detector, run, most_clips, reporter)


def with_real_of(result: Result, request: Request) -> Request:
    """A request on the benchmark of a result, and on its real clips unless it has some of its own.

    Raises `UsageError` where they are not there, or only features of them.
    """
    benchmark = result.protocol_fields["benchmark"]
    benchmark = None if benchmark == "none" else benchmark
    recorded = Path(str((result.real_source or {}).get("name", "")))
    drawn = benchmark is not None and not BENCHMARKS[benchmark].needs_folder
    real = request.real or (recorded if drawn or recorded.exists() else None)
    if real is None:
        raise UsageError(f"the real clips are not at {recorded}: give --real DIR")
    if isinstance(real, Path) and is_stats_file(real):
        raise UsageError(f"{real} holds features under one protocol: give --real DIR with the clips themselves")
    return dataclasses.replace(request, real=real, benchmark=benchmark)


def find_fakes(result: Result, file: Path, detector: Detector) -> Path | Features:
    """The folder of generated clips that a result names, or the features of them that its run stored."""
    folder = Path(str(result.fake_source["name"]))
    if result.checkpoint is None and folder.exists():
        return folder
    run = RunFolder(file.parent if file.is_file() else file)
    stored = run.features_of(dataclasses.replace(result, detector=detector.record()), "fake")
    if stored is None:
        raise UsageError(
            f"neither the clips of {folder} nor features of them by {detector.name} in {file.parent} are there: "
            "give --fake DIR"
        )
    return stored


def measure_effects(bench: Bench, first: Result, second: Result, seeds: Sequence[int]) -> list[Effect]:
    """The effect of every changeable choice alone, of all of them together, of the covariance's divisor, of the seed.

    Raises:
        NotComparable: the results belong to two benchmarks.
    """
    before, after = (Protocol.from_dict(result.protocol_fields) for result in (first, second))
    if before.benchmark != after.benchmark:
        raise NotComparable(f"the first is on {before.benchmark}, the second on {after.benchmark}: nothing to measure")
    stored = isinstance(bench.fakes, Features)
    choices = changeable(before, after, not stored, fakes_were_sampled=first.checkpoint is not None)
    bench.reporter.say(f"as the first: {len(seeds)} draws")
    base = {seed: bench.distance(before, seed) for seed in seeds}
    middle = statistics.fmean(base.values())
    noise = Effect(
        "another seed of subset and offset", ("", ""), tuple(difference(value, middle) for value in base.values())
    )
    effects = [
        dataclasses.replace(try_effect(bench, each.name, texts(each), each.apply(before), base), field=each.field)
        for each in choices
    ]
    if len(choices) > 1:
        together = functools.reduce(lambda protocol, choice: choice.apply(protocol), choices, before)
        effects.append(try_effect(bench, "all of these together", ("", ""), together, base))
    if before.covariance == after.covariance:
        other = before.replace(covariance="n" if before.ddof else "n-1")
        effects.append(try_effect(bench, "covariance", (before.covariance, other.covariance), other, base))
    return [*effects, noise]


def texts(choice: Choice) -> tuple[str, str]:
    return value_to_text(choice.values[0]), value_to_text(choice.values[1])


def try_effect(bench: Bench, name: str, values: tuple[str, str], protocol: Protocol, base: dict[int, float]) -> Effect:
    """The change that a protocol makes under every seed, or why it cannot be measured on these clips."""
    bench.reporter.say(f"{name}{f': {values[0]} -> {values[1]}' if values[0] else ''}")
    try:
        changes = [difference(bench.distance(protocol, seed), value) for seed, value in base.items()]
    except (NotEnoughClips, ClipError) as error:
        return Effect(name, values, problem=str(error))
    return Effect(name, values, tuple(changes))


def difference(found: float, value: float) -> float:
    """0 where two numbers differ by rounding alone."""
    return 0.0 if math.isclose(found, value, rel_tol=1e-12) else found - value


def effects_table(effects: Sequence[Effect], first: Result, second: Result) -> Table:
    """`choice, from, to, change, spread`, and what the choices leave unexplained."""
    headings = {key: Heading(key) for key in ("choice", "from", "to")}
    headings |= {"change": Heading(f"change in {first.metric.upper()}", SIGNED), "spread": Heading("spread")}
    rows: list[dict[str, Cell]] = [
        {"choice": each.name, "from": each.values[0], "to": each.values[1], "change": each.mean, "spread": each.spread}
        for each in effects
    ]
    rows.append({"choice": "as reported", "from": first.value, "to": second.value,
                 "change": second.value - first.value})  # fmt: skip
    draws = max((len(each.changes) for each in effects), default=0)
    notes = [f"One choice at a time from the first protocol, mean and standard deviation over {draws} draws of subset "
             "and offset. Choices interact: the single changes need not add up."]  # fmt: skip
    notes += [f"{each.name}: {each.problem}." for each in effects if each.problem]
    measured = {each.field for each in effects if each.field}
    notes += [f"Needs new sampling, other files or another detector, not measured: {each.part} {each.field} "
              f"{value_to_text(each.values[0])} -> {value_to_text(each.values[1])}."
              for each in unchangeable(first, second, measured)]  # fmt: skip
    return Table("explain-measured", "Measured again on these clips", headings, rows, notes, {}, EXPLAIN_COLUMNS,
                 [effect_record(row, first.metric) for row in rows])  # fmt: skip


def effect_record(row: dict[str, Cell], metric: str) -> dict[str, Cell]:
    """A row of the table for machines, in the columns of what was recorded."""
    return {"metric": metric, "kind": "measured", "field": row["choice"], "first": row["from"], "second": row["to"],
            "change": row["change"], "spread": row.get("spread")}  # fmt: skip
