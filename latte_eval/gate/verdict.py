"""Pass or regression: rules on a new result against an accepted one, at a stated error rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from latte_eval.compare.comparable import decisive, differences, protocol_of
from latte_eval.compare.results import assumed_text, subject
from latte_eval.core.choices import check_name
from latte_eval.core.errors import UsageError
from latte_eval.core.numbers import number_to_text
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.core.statuses import Status
from latte_eval.files.run_folder import RunFolder, result_file
from latte_eval.gate.accepted import Accepted, newest, newest_results, read_accepted
from latte_eval.gate.boundaries import normal_quantile, student_boundary
from latte_eval.gate.contrast import NEAR_ZERO, Finding, compare_features, compare_numbers
from latte_eval.gate.rules import Rule
from latte_eval.metrics.rows import METRICS

# The worst first: what a gate of several rules says as a whole.
EXIT = {
    "regression": Status.REGRESSION, "not comparable": Status.NOT_COMPARABLE, "refused": Status.USAGE,
    "inconclusive": Status.INCONCLUSIVE, "pass": Status.OK,
}  # fmt: skip

# What stands before the accepted value in a sentence about a difference.
ACCEPTED = "accepted was"


@dataclass(frozen=True)
class Look:
    """One comparison on the way to a verdict.

    Attributes:
        clips: fake clips of each checkpoint.
        boundary: Student quantile that the statistic has to pass, in either direction.
    """

    clips: int
    finding: Finding
    boundary: float

    @property
    def verdict(self) -> str:
        """`regression`, `pass` or `inconclusive`."""
        if self.finding.statistic > self.boundary:
            return "regression"
        return "pass" if self.finding.statistic < -self.boundary else "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """What a gate says about one rule.

    Attributes:
        verdict: a key of `EXIT`.
        new, accepted: the values as they are printed; None where nothing was measured.
        looks: every comparison, first to last.
        budget: fake clips that were allowed.
        tightest: the tightest rule that the budget can confirm, not rounded; None without a look.
        sentences: what else a person should know.
    """

    rule: Rule
    verdict: str
    new: float | None = None
    accepted: float | None = None
    looks: tuple[Look, ...] = ()
    budget: int = 0
    tightest: Rule | None = None
    sentences: tuple[str, ...] = ()

    @property
    def meaningful(self) -> Rule | None:
        """The tightest rule that the budget can confirm, rounded up to two digits; None where nothing was uncertain."""
        if self.tightest is None or not self.tightest.amount:
            return None
        return replace(self.tightest, amount=round_up(self.tightest.amount))


@dataclass(frozen=True)
class Verdict:
    """What a gate says about all rules.

    Attributes:
        subjects: names of the new and the accepted checkpoint.
        clips, budget: fake clips that were sampled or read; fake clips that were allowed.
        confidence: 1 - the rate of false alarms, and of false passes, of each rule.
        about: the protocol; and as `assumed`, what the files of the checkpoints do not tell.
    """

    judgements: tuple[Judgement, ...]
    subjects: tuple[str, str]
    clips: int
    budget: int
    confidence: float
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst of the rules."""
        return next(name for name in EXIT if any(each.verdict == name for each in self.judgements))

    @property
    def exit_code(self) -> Status:
        return EXIT[self.verdict]


def round_up(value: float) -> float:
    """Two significant digits, upwards: a rule that can be typed."""
    from decimal import ROUND_CEILING, Decimal

    exact = Decimal(repr(value))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), ROUND_CEILING)) if value else 0.0


def gate_results(
    new: Path, against: Path, rules: Sequence[Rule], confidence: float = 0.95, reporter: Reporter | None = None,
    of: str | None = None,
) -> Verdict:  # fmt: skip
    """Compare results that are there already. Samples nothing. `of` names one of several checkpoints in a file.

    Raises `UsageError` for a metric that one side lacks, `StoreError` for files that cannot be read.
    """
    accepted, reporter = read_accepted(against), reporter or Reporter()
    file = result_file(new)
    results = newest_results(file, of)
    judgements, pairs = [], []
    for rule in rules:
        check_name(f"metric in {file}:", rule.metric, results)
        pair = results[rule.metric], newest(accepted, rule.metric, against)
        rule.check_direction(pair[1].result.better)
        judgements.append(judge_results(rule, *pair, file.parent, confidence, reporter))
        pairs.append(pair)
    result, old = pairs[0]
    clips = max(pair[0].fake for pair in pairs)
    subjects = subject(result), subject(old.result)
    about = about_verdict(old.result, result.checkpoint)
    return Verdict(tuple(judgements), subjects, clips, clips, confidence, about)


def about_verdict(accepted: Result, checkpoint: Mapping[str, Any] | None) -> dict[str, Any]:
    """The protocol of a verdict, and what was assumed of either model."""
    records = {str((checkpoint or {}).get("name")): checkpoint, subject(accepted): accepted.checkpoint}
    found = [text for name, record in records.items() if (text := assumed_text(name, record))]
    return {"protocol": accepted.protocol, **({"assumed": found} if found else {})}


def judge_results(
    rule: Rule, new: Result, accepted: Accepted, run: Path, confidence: float, reporter: Reporter
) -> Judgement:
    """One rule on two results: by their clips where both kept features, else by their numbers."""
    reasons = [each.sentence(ACCEPTED) for each in decisive(differences(new, accepted.result))]
    if reasons:
        return Judgement(rule, "not comparable", new.value, accepted.result.value, sentences=tuple(reasons))
    finding, sentences = find(rule, new, accepted, run, reporter)
    boundary = normal_quantile(confidence)
    look = Look(new.fake, finding, student_boundary(boundary, finding.degrees))
    return conclude(rule, [look], new.fake, boundary, (new.value, accepted.result.value), sentences)


def find(rule: Rule, new: Result, accepted: Accepted, run: Path, reporter: Reporter) -> tuple[Finding, tuple[str, ...]]:
    """The comparison, and what to say about how it was made."""
    sides, held = accepted.sides(), RunFolder(run)
    fake, real = held.features_of(new, "fake"), sides.get("real") or held.features_of(new, "real")
    lacking = missing_features(fake, sides.get("fake"), real, new)
    if METRICS[rule.metric].contrast is None:
        return compare_numbers(rule, new, accepted.result), ()
    if lacking:
        return compare_numbers(rule, new, accepted.result), (unpaired_sentence(lacking),)
    assert fake is not None
    with reporter.bar(f"{rule} jackknife", None) as advance:
        finding = compare_features(rule, fake, sides["fake"], real, lambda done, total: advance(1), protocol_of(new))
    shared = len(set(fake.groups) & set(sides["fake"].groups))
    note = f"only {shared:,} of {len(fake):,} clips have the same seed on both sides: the rest were compared unpaired"
    return finding, () if shared == len(set(fake.groups)) else (note,)


def missing_features(fake: object, accepted: object, real: object, new: Result) -> list[str]:
    """Which features are missing."""
    held = {"the new result": fake, "the accepted one": accepted, "the real side": real or not new.real_source}
    return [name for name, features in held.items() if not features]


def unpaired_sentence(lacking: Sequence[str]) -> str:
    return (
        f"there are no features of {' or '.join(lacking)}, so two numbers were compared: what the same seeds and the "
        "same real clips share does not cancel (with features the variance is 1.4 to 15 times smaller), and a "
        "checkpoint that lost variety may look better than it is"
    )


def conclude(
    rule: Rule, looks: Sequence[Look], budget: int, boundary: float, values: tuple[float, float],
    sentences: Sequence[str],
) -> Judgement:  # fmt: skip
    """The verdict after the last look; without a clear answer, a rule that the budget cannot confirm is refused."""
    last, found = looks[-1], looks[-1].finding
    exact, units = found.detectable(rule, boundary, last.clips / budget)
    refused = last.verdict == "inconclusive" and (exact is None or rule.amount < exact.amount)
    near_zero = exact is None or exact.margin(found.accepted) > NEAR_ZERO * units.amount
    notes = [*sentences, near_zero_sentence(rule, last, found)] if rule.relative and near_zero else sentences
    verdict = "refused" if refused else last.verdict
    return Judgement(rule, verdict, *values, tuple(looks), budget, units if near_zero else exact, tuple(notes))


def near_zero_sentence(rule: Rule, last: Look, found: Finding) -> str:
    value, error = number_to_text(found.accepted), number_to_text(found.errors.accepted)
    return (
        f"the accepted {rule.metric} without its bias is {value} at {last.clips:,} clips, with a standard error of "
        f"{error}: too near 0 for a percentage of it, so give the rule in units"
    )


def check_confidence(confidence: float) -> None:
    """Raise `UsageError` for a confidence that a normal approximation cannot keep."""
    if not 0.5 < confidence < 0.9999:
        raise UsageError(f"--confidence {confidence:g} must be between 0.5 and 0.9999, such as 0.95")
