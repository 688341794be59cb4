"""Noise drawn ahead is the noise drawn by the step, and its thread ends."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from itertools import count, islice

import pytest
import torch
from small_source import FAST, source

from latte_eval.sampler.noise import AHEAD, drawn_ahead


def noise_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("noise")]


def within_a_second(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 1
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_draws_come_in_order_and_are_few():
    numbers, made = count(), []

    def draw() -> int:
        made.append(next(numbers))
        return made[-1]

    draws = drawn_ahead(draw)
    assert made == [], "nobody has asked yet"
    assert list(islice(draws, 5)) == [0, 1, 2, 3, 4]
    assert within_a_second(lambda: len(made) == 5 + AHEAD)
    time.sleep(0.05)
    assert made == list(range(5 + AHEAD))


def test_the_thread_ends_with_the_iterator():
    draws = drawn_ahead(lambda: 1)
    next(draws)
    assert noise_threads()
    draws.close()
    assert noise_threads() == []


def test_a_failing_draw_is_told_where_it_is_taken():
    def fail() -> int:
        raise MemoryError("no memory for noise")

    with pytest.raises(MemoryError, match="no memory for noise"):
        next(drawn_ahead(fail))
    assert noise_threads() == []


@pytest.mark.parametrize("changes", [{"method": "ddpm"}, {"eta": 1.0}, {"method": "unipc"}])
def test_clips_are_the_same_bits_with_noise_drawn_ahead(changes):
    settings = dataclasses.replace(FAST, **changes)
    serial, ahead = source(settings), source(settings)
    assert (serial.draws_ahead, ahead.draws_ahead) == (False, False), "on the CPU threads would take its cores"
    ahead.draws_ahead = True
    assert torch.equal(serial.latents([3, 0, 7]), ahead.latents([3, 0, 7]))
    assert noise_threads() == []


def test_leaving_between_two_steps_ends_the_thread():
    sampled = source(dataclasses.replace(FAST, method="ddpm", steps=10))
    sampled.draws_ahead = True
    states = sampled.states([0, 1])
    with torch.no_grad():
        next(states)
    assert noise_threads()
    states.close()
    del states
    assert within_a_second(lambda: noise_threads() == [])


def test_every_step_has_noise_of_its_own():
    """What the equality above rests on: the draws differ."""
    sampled, generators = source(), [torch.Generator().manual_seed(i) for i in range(2)]
    first, second = islice(drawn_ahead(lambda: sampled.noise(generators)), 2)
    assert not torch.equal(first, second) and FAST.steps > 1


def test_an_end_waits_for_the_draw_at_work_and_makes_no_other() -> None:
    draws, second, go_on = list[int](), threading.Event(), threading.Event()

    def draw() -> int:
        draws.append(len(draws))
        if len(draws) > 1:
            second.set()
            go_on.wait(5)
        return draws[-1]

    drawn = drawn_ahead(draw)
    assert next(drawn) == 0 and second.wait(5)
    threading.Timer(0.2, go_on.set).start()
    drawn.close()  # type: ignore[attr-defined]
    assert draws == [0, 1]
