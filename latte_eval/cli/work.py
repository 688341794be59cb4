"""One stretch of work under a bar: how far it is, how fast, and what is to be said of it. Times are handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from latte_eval.core.numbers import seconds_to_text

LONG_SECONDS = 60
AT_ONCE_SECONDS = 0.1
TELLING_SECONDS = 5
PULSE_SECONDS = 60
QUEUE_SECONDS, STEPS_TELL_SECONDS = 1, 2


@dataclass
class Pace:
    """How long the work will take, told once, when a few seconds of it tell.

    Batches before the first that takes time were there already and say nothing about the others. The first one alone
    says little too: it waits for what is loaded once, and where several are worked on at a time, for all of them.
    """

    started: float
    there_already: int = 0
    done: int = 0
    told: bool = False
    seconds: float = 0

    def first_estimate(self, count: int, now: float, total: int) -> float | None:
        """Seconds for all that was not there already, if that is long and more is to come; else None."""
        self.seconds = now - self.started
        if not self.done and self.seconds < AT_ONCE_SECONDS:
            self.there_already, self.started = self.there_already + count, now
            return None
        self.done += count
        if self.told or self.seconds < TELLING_SECONDS:
            return None
        self.told, left = True, total - self.there_already
        whole = self.seconds / max(1, self.done) * left
        return whole if self.done < left and whole > LONG_SECONDS else None

    @property
    def seconds_each(self) -> float | None:
        """Of this run alone; None before it tells."""
        return self.seconds / self.done if self.done and self.seconds >= TELLING_SECONDS else None


@dataclass
class Pulse:
    """How far work has come, for a log: told when a minute has passed since it was told last."""

    told: float
    done: int = 0

    def line_due(self, count: int, now: float) -> int | None:
        """What is done by now, if it is time to tell; else None."""
        self.done += count
        if now - self.told < PULSE_SECONDS:
            return None
        self.told = now
        return self.done


@dataclass
class StepPace:
    """How fast clips are sampled, from the steps of their batches: known long before the first batch is done.

    The first step waits for what is loaded or compiled once. After it a GPU takes the launches of further steps into
    its queue at once, whatever they cost; when the queue is full, a launch waits until there is room, and from then on
    the time between two steps is that of one. So time is taken from the first step on that is told `QUEUE_SECONDS`
    after the very first.

    Attributes:
        batch: clips that go through the steps together.
    """

    batch: int
    finished: int = 0
    steps: tuple[int, int] = (0, 1)
    first: float | None = None
    begun: tuple[float, float] | None = None
    now: float = 0

    def step(self, done: int, total: int, now: float) -> None:
        """Step `done` of `total` of a batch is done, or launched."""
        self.finished += self.batch if done <= self.steps[0] else 0
        self.steps, self.now = (done, total), now
        self.first = now if self.first is None else self.first
        if self.begun is None and now - self.first >= QUEUE_SECONDS:
            self.begun = now, self.made

    @property
    def made(self) -> float:
        """Clips, a batch counted by its share of steps."""
        return self.finished + self.batch * self.steps[0] / self.steps[1]

    @property
    def seconds_each(self) -> float | None:
        """Of a clip; None before it tells."""
        if self.begun is None or self.now - self.begun[0] < STEPS_TELL_SECONDS:
            return None
        return (self.now - self.begun[0]) / (self.made - self.begun[1])


@dataclass
class Work:
    """What is done under one bar.

    Attributes:
        total: units in all, None where nobody knows.
        batch: units that go through the steps of `Reporter.step` together; None where there are no steps.
        stored: units that were there before this run.
    """

    title: str
    total: int | None
    unit: str
    batch: int | None
    started: float
    done: int = 0
    stored: int = 0
    stepped: bool = False
    told: bool = False
    pace: Pace = field(init=False)
    pulse: Pulse = field(init=False)
    steps: StepPace | None = field(init=False)

    def __post_init__(self) -> None:
        self.pace, self.pulse = Pace(self.started), Pulse(self.started)
        self.steps = StepPace(self.batch) if self.batch else None

    def advance(self, count: int, now: float) -> str | None:
        """Further units are done; the first estimate, once. What comes without any step was stored."""
        self.done += count
        if self.steps:
            self.stored, self.stepped = self.stored + (0 if self.stepped else count), False
            return None
        whole = self.pace.first_estimate(count, now, self.total or 0)
        self.stored = self.pace.there_already
        return self.estimate(whole) if self.total and whole else None

    def step(self, done: int, total: int, now: float) -> str | None:
        """A step of the batch that is being worked on; the first estimate, once."""
        if not self.steps:
            return None
        self.stepped = True
        self.steps.step(done, total, now)
        if self.told or self.steps.seconds_each is None or not self.total:
            return None
        self.told, whole = True, self.steps.seconds_each * (self.total - self.stored)
        return self.estimate(whole) if whole > LONG_SECONDS else None

    def estimate(self, seconds: float) -> str:
        left = (self.total or 0) - self.stored
        return f"{self.title}: about {seconds_to_text(seconds)} for {left:,} {self.unit} at this pace"

    def line_due(self, count: int, now: float) -> str | None:
        """For a log, once a minute: how far it is, and how long it will still take."""
        if self.pulse.line_due(count, now) is None:
            return None
        of = f" of {self.total:,}" if self.total else ""
        left = f"; about {seconds_to_text(self.seconds_left)} left" if self.seconds_left is not None else ""
        words = [f"{self.title}: {self.done:,}{of} {self.unit}", *self.steps_text]
        return ", ".join(words) + left

    @property
    def steps_text(self) -> list[str]:
        """`step 37 of 250`, once there was one."""
        if self.steps is None or self.steps.first is None:
            return []
        done, total = self.steps.steps
        return [f"step {done} of {total}"]

    @property
    def seconds_each(self) -> float | None:
        """Of a unit that this run works on, None before it tells."""
        return self.steps.seconds_each if self.steps else self.pace.seconds_each

    @property
    def seconds_left(self) -> float | None:
        """By the speed of this run; None before it tells."""
        if self.seconds_each is None or not self.total:
            return None
        made = self.steps.made if self.steps else self.done - self.stored
        return max(0.0, self.total - self.stored - made) * self.seconds_each

    @property
    def outlook(self) -> str:
        """For a bar: time left, speed, step."""
        words = [f"{seconds_to_text(self.seconds_left)} left"] if self.seconds_left is not None else []
        words += [speed_to_text(self.seconds_each, self.unit)] if self.seconds_each else []
        return ", ".join([*words, *self.steps_text])


def speed_to_text(seconds_each: float, unit: str) -> str:
    """`3.4 clips/s`, or `12 s each` for what takes longer than a second."""
    return f"{seconds_each:.3g} s each" if seconds_each >= 1 else f"{1 / seconds_each:.3g} {unit}/s"
