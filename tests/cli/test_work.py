"""What a bar and a log say of work: its speed in this run alone, known from the steps of the first batch on."""

from __future__ import annotations

import threading

import pytest

from latte_eval.cli.bars import TerminalReporter
from latte_eval.cli.work import PULSE_SECONDS, StepPace, Work

HOUR = 3600.0


def sampled(total: int = 2048, batch: int = 32) -> Work:
    return Work("x.pt", total, "clips", batch, started=0.0)


def run_steps(work: Work, times: list[float], steps: int = 250) -> list[str]:
    """What is said at steps 1, 2, ... of a batch, told at these times."""
    said = [work.step(done, steps, now) for done, now in enumerate(times, start=1)]
    return [text for text in said if text]


def test_the_estimate_comes_from_the_steps_of_the_first_batch() -> None:
    said = run_steps(sampled(), [9.0 + 1.5 * step for step in range(5)])
    assert said == ["x.pt: about 6 h 40 min for 2,048 clips at this pace"]  # 64 batches of 250 steps of 1.5 s


def test_a_queue_that_is_filled_at_once_does_not_count() -> None:
    """Ten launches return at once, however long they take; the first step of all waited for a compiler."""
    launched = [60.0 + 0.01 * step for step in range(10)]
    done = [61.5 + 1.5 * step for step in range(4)]
    assert run_steps(sampled(), launched + done) == ["x.pt: about 6 h 40 min for 2,048 clips at this pace"]


def test_short_work_is_not_announced() -> None:
    assert run_steps(sampled(total=32), [0.1 * step for step in range(1, 250)]) == []


def test_stored_clips_are_no_speed() -> None:
    """They come without a step, before or between those that are sampled."""
    work = sampled(total=96)
    work.advance(32, 0.001)
    run_steps(work, [10.0 * step for step in range(1, 11)], steps=10)
    work.advance(32, 101.0)
    work.advance(16, 101.001)
    assert (work.stored, work.seconds_each) == (48, pytest.approx(100 / 32))
    assert work.seconds_left == pytest.approx(16 * 100 / 32)


def test_time_left_counts_the_steps_of_the_batch() -> None:
    work = sampled(total=64)
    run_steps(work, [10.0 * step for step in range(1, 126)])
    assert work.seconds_left == pytest.approx(10.0 * (125 + 250))
    assert work.outlook == "1 h 2 min left, 78.1 s each, step 125 of 250"


def test_a_log_hears_of_the_first_batch_while_it_is_sampled() -> None:
    work = sampled()
    run_steps(work, [30.0, 50.0, 70.0])
    assert work.line_due(0, PULSE_SECONDS - 1.0) is None
    line = work.line_due(0, PULSE_SECONDS + 10.0)
    assert line == "x.pt: 0 of 2,048 clips, step 3 of 250; about 3 days 17 h left"
    assert work.line_due(0, PULSE_SECONDS + 11.0) is None


def test_work_without_steps_is_timed_by_its_units() -> None:
    work = Work("real", 100, "clips", None, started=0.0)
    assert work.advance(32, 0.01) is None and work.stored == 32
    assert work.step(1, 250, 1.0) is None  # of another source
    assert work.advance(4, 60.01) == "real: about 17 min for 68 clips at this pace"
    assert work.outlook == "16 min left, 15 s each" and work.seconds_left == pytest.approx(64 * 15)


def test_batches_follow_each_other() -> None:
    pace = StepPace(batch=4)
    for batch in range(3):
        for step in range(1, 11):
            pace.step(step, 10, 10.0 * batch + step)
    assert pace.made == 12 and pace.seconds_each == pytest.approx(2.5)


def test_threads_may_report_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TerminalReporter()
    with reporter.bar("x.pt", 4000, batch=1) as advance:
        threads = [threading.Thread(target=lambda: [advance(1) for _ in range(1000)]) for _ in range(4)]
        threads += [threading.Thread(target=lambda: [reporter.step(1, 1) for _ in range(1000)])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert reporter.work is not None and reporter.work.done == 4000
    reporter.step(1, 2)  # after the bar: of nothing
    assert capsys.readouterr().err == ""
