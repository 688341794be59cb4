"""Numbers on screen: one rule, whoever prints them."""

from __future__ import annotations

import pytest

from latte_eval.core.numbers import (
    interval_to_text,
    large_to_text,
    number_to_text,
    seconds_to_text,
    share_to_text,
    signed_to_text,
    spec_for,
)


def test_a_number_has_two_decimals_or_three_digits() -> None:
    values = (1234.5, 123.456, 1.234, 0.01234, -0.5, 0.0, 3e9)
    assert [number_to_text(each) for each in values] == [
        "1,234.50", "123.46", "1.23", "0.0123", "-0.5", "0.00", "3e+09",
    ]  # fmt: skip
    assert interval_to_text([0.0374, 1.5]) == "0.0374 to 1.50"
    assert [number_to_text(each) for each in (0.9994, 0.9996, -0.99999)] == ["0.999", "1.00", "-1.00"]
    assert [signed_to_text(each) for each in (0.00412, -0.00412, 10, 0)] == ["+0.00412", "-0.00412", "+10.00", "+0.00"]


def test_a_column_has_the_decimals_of_its_largest_number() -> None:
    columns = ([0.641, 1.5e-9], [12.0, 0.5], [123.4], [4567.0], [0.00012], [0.0, None], [2e-9])
    assert [spec_for(each) for each in columns] == [",.3f", ",.2f", ",.2f", ",.2f", ",.6f", ",.2f", ".3g"]


@pytest.mark.parametrize("value", [123.456, 1234.5, 5.0, 12.3])
def test_a_number_alone_and_in_a_column_is_the_same(value: float) -> None:
    assert format(value, spec_for([value])) == number_to_text(value)


def test_shares_and_times() -> None:
    assert [share_to_text(each) for each in (0, 0.004, 0.0949, 0.5, 1)] == ["0 %", "0.4 %", "9.5 %", "50 %", "100 %"]
    assert [seconds_to_text(each) for each in (45.2, 89, 720, 12_000)] == ["45 s", "89 s", "12 min", "3 h 20 min"]


def test_long_times_are_told_in_days() -> None:
    assert [seconds_to_text(hours * 3600) for hours in (47.5, 50, 900.2)] == [
        "47 h 30 min",
        "2 days 2 h",
        "37 days 12 h",
    ]


def test_large_numbers_take_the_prefixes_of_units() -> None:
    found = [large_to_text(value) for value in (0.0, 421, 4.21e8, 3.786e12, 9.996e11, 2e19)]
    assert found == ["0 ", "421 ", "421 M", "3.79 T", "1 T", "20 E"]
