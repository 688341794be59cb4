"""The parts of a page that come from features and previews: what the number is made of, and the clips themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from latte_eval.compare.comparable import protocol_of
from latte_eval.core.errors import FeatureError, NotComparable, NotEnoughClips, StoreError
from latte_eval.core.features import Features
from latte_eval.core.numbers import number_to_text
from latte_eval.core.protocol import Protocol
from latte_eval.files.previews import check_strip
from latte_eval.metrics.rows import METRICS
from latte_eval.report.classes import classes
from latte_eval.report.clip_counts import clip_counts
from latte_eval.report.neighbours import Match, Neighbours, neighbours
from latte_eval.report.page import Figure, Section, figure, to_page_table
from latte_eval.report.pictures import Album, Picture, Row, seeded_choice, shown
from latte_eval.report.runs import Evaluated
from latte_eval.report.scatter import scatter
from latte_eval.report.spectrum import Spectrum, spectrum

# Clips of each side that are shown, chosen by a hash of the seed.
CHOSEN = 8

# A distance computed in another order differs by less than this share of it.
SAME_VALUE = 1e-3

# Clips shown of each list: the best, the worst and those most like a copy.
MATCHES = 3

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Evidence:
    """Features and pictures of one evaluation.

    Attributes:
        sides: metric -> (fake features, real features or None), where the run holds them.
        lead: the metric whose features tell clips apart; None without one.
        class_names: in label order; empty where there are none.
        lone: the first features of fake clips, also where the run does not hold their real side.
        damage: a sentence on what cannot be shown, and why -> what it is about, such as `features`.
    """

    evaluated: Evaluated
    sides: dict[str, tuple[Features, Features | None]]
    lead: str | None
    class_names: Sequence[str]
    album: Album
    lone: Features | None = None
    damage: dict[str, str] = field(default_factory=dict)

    @property
    def both(self) -> tuple[Features, Features] | None:
        """Fake and real features of the leading metric."""
        fake, real = self.sides.get(self.lead or "", (None, None))
        return (fake, real) if fake is not None and real is not None else None

    @property
    def shown(self) -> dict[str, Features]:
        """Features of the sides whose clips can be shown: the fake side alone where there is no real one."""
        if self.both:
            return dict(zip(("fake", "real"), self.both, strict=True))
        alone = next((fake for fake, _ in self.sides.values()), self.lone)
        return {"fake": alone} if alone else {}

    @property
    def frames(self) -> int:
        """Frames of a clip that were measured, which are those of its picture."""
        first = self.evaluated.first
        kept = first.fake_source.get("counted_frames")
        return len(kept) if kept else Protocol.from_dict(first.protocol_fields).counted_frames

    def pictures(self, side: str, rows: Sequence[int]) -> list[Picture | None]:
        """Pictures of these rows of the leading features."""
        features = self.shown[side]
        indices = [features.indices[row] for row in rows]
        captions = [clip_caption(features, row, side, self.class_names) for row in rows]
        videos = [f", of {features.groups[row]}" if side == "real" else "" for row in rows]
        alts = [f"{text}{video}, {self.frames} frames" for text, video in zip(captions, videos, strict=True)]
        strips = self.strips(side, indices)
        clips = zip(indices, captions, alts, strict=True)
        return [self.picture(strips[i], side, i, caption, alt) if i in strips else None for i, caption, alt in clips]

    def strips(self, side: str, indices: Sequence[int]) -> dict[int, bytes]:
        """Previews of these clips, as far as they were kept and are whole."""
        try:
            return self.evaluated.previews(side, indices)
        except StoreError as error:
            self.note(f"{side} pictures", f"pictures of {side} clips: {error}")
            return {}

    def picture(self, strip: bytes, side: str, index: int, caption: str, alt: str) -> Picture | None:
        """One clip; None where its preview is damaged."""
        try:
            size = check_strip(strip, f"{side} clip {index}")
        except StoreError as error:
            self.note(f"{side} pictures", f"some pictures of {side} clips; {error}")
            return None
        return self.album.add(strip, size, self.frames, side, caption, alt)

    def note(self, about: str, text: str) -> None:
        """Remember damage; of several about the same thing only the first."""
        if about not in self.damage.values():
            self.damage[text] = about


def gather(evaluated: Evaluated, album: Album) -> Evidence:
    """What the run holds of one evaluation; what is damaged is left out, and named."""
    sides: dict[str, tuple[Features, Features | None]] = {}
    lone, damage = None, dict.fromkeys(evaluated.damage, "verdict")
    for metric in evaluated.results:
        try:
            fake, real = metric_sides(evaluated, metric)
        except StoreError as error:
            damage[f"features of {metric.upper()}: {error}"] = "features"
            continue
        if fake and (real or not METRICS[metric].needs_real):
            sides[metric] = fake, real
        lone = lone or fake
    benchmark = evaluated.first.protocol_fields["benchmark"]
    return Evidence(evaluated, sides, lead_metric(sides), class_names(benchmark), album, lone, damage)


def lead_metric(sides: Mapping[str, tuple[Features, Features | None]]) -> str | None:
    """The metric whose features say most about single clips: a distance of clips, else of frames."""
    distances = [name for name in sides if METRICS[name].needs_real]
    return min(distances, key=lambda name: sides[name][0].outputs["features"].ndim, default=None)


def metric_sides(evaluated: Evaluated, metric: str) -> tuple[Features | None, Features | None]:
    """Features of both sides; None for a side that the run does not hold. Raises `StoreError` for damaged ones."""
    sides = ("fake", "real") if METRICS[metric].needs_real else ("fake",)
    found = {side: evaluated.features(metric, side) for side in sides}
    shapes = [checked_shape(each, METRICS[metric].output, side) for side, each in found.items() if each is not None]
    if len(set(shapes)) > 1:
        raise StoreError(f"fake clips have features of shape {shapes[0]}, real ones of {shapes[1]}")
    return found["fake"], found.get("real")


def checked_shape(features: Features, output: str, side: str) -> tuple[int, ...]:
    """Dimensions of a clip's features. Raises `StoreError` for features that no metric can use."""
    array = features.outputs.get(output)
    if array is None or array.ndim not in (2, 3) or not array.size:
        raise StoreError(f"those of the {side} side are no {output} of clips; delete the folder and measure again")
    bad = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
    if bad:
        raise StoreError(f"{bad} of {len(array)} clips of the {side} side have NaN or infinity; measure again")
    return array.shape[1:]


def class_names(benchmark: str) -> Sequence[str]:
    """Names of the classes of a benchmark, in label order."""
    from latte_eval.benchmarks.benchmark import BENCHMARKS

    return BENCHMARKS[benchmark].classes if benchmark in BENCHMARKS else ()


def clip_caption(features: Features, row: int, side: str, names: Sequence[str]) -> str:
    """`fake 12, ApplyEyeMakeup`"""
    label = features.labels[row] if features.labels else None
    known = label is not None and 0 <= label < len(names)
    return f"{side} {features.indices[row]}" + (f", {names[label]}" if known and label is not None else "")


def evidence_sections(evidence: Evidence, advance: Advance) -> Iterator[Section]:
    """Every section that this run can give, in the order of the page. One that fails becomes a sentence of `damage`."""
    for make in (clips_section, counts_section, spectrum_section, neighbour_section, class_section, scatter_section):
        try:
            section = make(evidence)
        except (FeatureError, NotComparable, NotEnoughClips) as error:
            evidence.damage[str(error)], section = "features", None
        advance(1)
        if section:
            yield section


STEPS = 6


def clips_section(evidence: Evidence) -> Section:
    """Fake and real clips beside each other, chosen by the seed."""
    rows, seed = [], evidence.evaluated.first.fake_source.get("seed", 0)
    for side, features in evidence.shown.items():
        pictures = shown(evidence.pictures(side, seeded_choice(CHOSEN, len(features), side, seed)))
        why = DAMAGED if f"{side} pictures" in evidence.damage.values() else NO_PICTURES
        text = "" if pictures else f"There are no pictures of the {side} clips: {why}."
        rows.append(Row(f"{side.capitalize()} clips", pictures, text))
    said = f"At most {CHOSEN} clips of each side, chosen by a hash of the seed and not by how they look."
    sentences = [*([said] if rows else []), *([] if evidence.sides else [absent_sentence(evidence)])]
    return Section("clips", "Clips", tuple(sentences), rows=tuple(rows))


def absent_sentence(evidence: Evidence) -> str:
    """Why the page cannot show what the numbers are made of."""
    folder = evidence.evaluated.folder
    if "features" in evidence.damage.values():
        return f"{folder} holds features that cannot be read, so there are only the numbers."
    if evidence.lone:
        return f"{folder} does not hold the features of the real clips, so there are only fake clips and the numbers."
    return f"{folder} does not hold the features of these clips, so there are only the numbers."


DAMAGED = "they cannot be read"
NO_PICTURES = "the features came from a file of statistics or an accepted result, or from a run of an older version"


def counts_section(evidence: Evidence) -> Section | None:
    """Each metric against the number of clips."""
    results, several = evidence.evaluated.results, len(evidence.sides) > 1
    figures = [
        figure(clip_counts(results[metric], *sides, name=f"chart-counts-{metric}"), metric.upper() if several else None)
        for metric, sides in evidence.sides.items()
    ]
    return Section("counts", "Value and number of clips", figures=tuple(figures)) if figures else None


def spectrum_section(evidence: Evidence) -> Section | None:
    """What each Fréchet distance is made of; for the leading metric, also pictures of the clips at the ends."""
    found = {
        metric: spectrum(fake, real, f"chart-spectrum-{metric}", protocol_of(evidence.evaluated.results[metric]))
        for metric, (fake, real) in evidence.sides.items()
        if METRICS[metric].frechet and real is not None
    }
    if not found:
        return None
    note_strangers(evidence, found)
    figures = [
        each
        for metric, parts in found.items()
        for each in (
            figure(parts, metric.upper() if len(found) > 1 else None),
            Figure(None, to_page_table(parts.ends_table())),
        )
    ]
    rows = end_rows(evidence, found[evidence.lead]) if evidence.lead in found else []
    return Section("spectrum", "What the distance is made of", figures=tuple(figures), rows=tuple(rows))


def note_strangers(evidence: Evidence, found: Mapping[str, Spectrum]) -> None:
    """Note where features do not give the value of the result."""
    for metric, parts in found.items():
        value, given = evidence.evaluated.results[metric].value, parts.displacement.value
        if abs(given - value) > SAME_VALUE * max(1.0, abs(value)):
            text = f"{metric.upper()} {number_to_text(given)}, and not {number_to_text(value)}"
            evidence.damage[
                f"the features in {evidence.evaluated.folder} give {text}: they are not those that it was measured on"
            ] = "features"


def end_rows(evidence: Evidence, parts: Spectrum) -> list[Row]:
    """Clips at both ends of the direction that contributes most. Empty without pictures."""
    if not parts.directions:
        return []
    first = parts.directions[0]
    ends = {"real": first.real_ends[0], "fake": first.fake_ends[1]}
    pictures = {side: shown(evidence.pictures(side, [clip.row for clip in clips])) for side, clips in ends.items()}
    text = "The {} clips that lie furthest to this end of the direction that contributes most."
    return [Row(f"Direction 1, the {side} end", each, text.format(side)) for side, each in pictures.items() if each]


def neighbour_section(evidence: Evidence) -> Section | None:
    """Best and worst clips and those most like a copy, each beside its nearest real clips."""
    if not evidence.both:
        return None
    found = neighbours(*evidence.both, "chart-neighbours")
    rows = [
        *match_rows(evidence, "Best", found.best),
        *match_rows(evidence, "Worst", found.worst),
        *match_rows(evidence, "Most like a copy", found.suspicious),
    ]
    return Section("neighbours", "Nearest real clips", figures=neighbour_figures(found), rows=tuple(rows))


def neighbour_figures(found: Neighbours) -> tuple[Figure, Figure]:
    """Distances of all clips, and the listed clips."""
    return figure(found), Figure(None, to_page_table(found.matches_table()))


def match_rows(evidence: Evidence, title: str, matches: Sequence[Match]) -> list[Row]:
    """One row of pictures per match: the fake clip, then the real ones nearest to it. Empty without pictures."""
    found = [
        (match, shown([*evidence.pictures("fake", [match.row]), *evidence.pictures("real", match.real_rows)]))
        for match in matches[:MATCHES]
    ]
    rows = [(match, pictures) for match, pictures in found if pictures]
    return [Row(f"{title}, {place}", pictures, match_text(match)) for place, (match, pictures) in enumerate(rows, 1)]


def match_text(match: Match) -> str:
    """How near a fake clip lies to the real ones beside it."""
    text = f"Fake {match.index} lies {match.distances[0]:.3g} from real {match.real_indices[0]}"
    if match.ratio is None:
        return f"{text}."
    return f"{text}, {match.ratio:.2f} times as far as the nearest other real video does."


def class_section(evidence: Evidence) -> Section | None:
    """Each class on its own, where both sides have classes."""
    if not evidence.both:
        return None
    found = classes(*evidence.both, evidence.class_names, "chart-classes")
    return Section("classes", "By class", figures=(figure(found),)) if found else None


def scatter_section(evidence: Evidence) -> Section | None:
    """Real and fake in the plane of their two principal axes."""
    if not evidence.both:
        return None
    found = scatter(*evidence.both, "chart-scatter")
    return Section("scatter", "Features of real and fake clips", figures=(figure(found),))
