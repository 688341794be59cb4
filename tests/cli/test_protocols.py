"""`latte-eval protocols` knows every row, and says which field keeps two numbers apart."""

from __future__ import annotations

import json

from command_line import latte_eval

from latte_eval.core.protocols import PROTOCOLS


def test_every_protocol_is_listed_with_whose_numbers_it_stands_beside() -> None:
    done = latte_eval("protocols")
    assert done.returncode == 0
    for name in PROTOCOLS:
        assert f"{name}\n" in done.stdout
        assert PROTOCOLS[name].source in done.stdout and PROTOCOLS[name].beside in done.stdout


def test_it_is_told_to_machines_too() -> None:
    lines = [json.loads(line) for line in latte_eval("protocols", "--json").stdout.splitlines()]
    assert [line["protocol"] for line in lines] == list(PROTOCOLS)
    for line in lines:
        assert line["fields"] == PROTOCOLS[line["protocol"]].protocol.to_dict()
        assert line["id"] == PROTOCOLS[line["protocol"]].protocol.id
    (line,) = latte_eval("protocols", "tats", "--benchmark", "taichi-hd", "--json").stdout.splitlines()
    assert json.loads(line)["fields"]["real_stride"] == 4


def test_one_in_full() -> None:
    text = latte_eval("protocols", "tats").stdout
    for field, value in PROTOCOLS["tats"].protocol.to_dict().items():
        assert field in ("stem", "benchmark") or f"  {field:<16}{value or 'none' if value != 0 else 0}" in text
    assert "on taichi-hd: crop=crop-resize, resample=lanczos, windows=one, real_stride=4" in text
    assert text.count("differs from the original: ") == 3 and "checked with: frames through its own" in text


def test_why_two_do_not_stand_beside_each_other() -> None:
    text = latte_eval("protocols", "tats", "videogpt").stdout
    assert "do not stand beside each other: 3 fields differ" in text
    assert "  real_clips  2048 | 256: a distance depends on the number of clips" in text
    assert "one protocol" in latte_eval("protocols", "clean", "clean").stdout


def test_what_is_no_protocol() -> None:
    done = latte_eval("protocols", "tatz")
    assert done.returncode == 2 and "Did you mean tats?" in done.stderr
    assert latte_eval("protocols", "tats", "latte", "clean").returncode == 2
    done = latte_eval("protocols", "latte", "--benchmark", "shapes")
    assert done.returncode == 2 and "needs real video" in done.stderr
