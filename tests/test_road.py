"""The road of one clip, as ARCHITECTURE.md draws it: walked by a real request, downwards."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import house
import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_lossless
from repository import ROOT

from latte_eval.sampler.latte import Latte, LatteConfig

# Functions of the road, in the order of the table.
HOP = re.compile(r"^\| \d+ \| `([\w.]+):([\w.]+)` \|", re.MULTILINE)


def road() -> list[tuple[str, str]]:
    return HOP.findall((ROOT / "ARCHITECTURE.md").read_text())


def code_of(module: str, name: str) -> CodeType:
    found: Any = importlib.import_module(f"latte_eval.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    return inspect.unwrap(getattr(found, "callback", found)).__code__  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[CodeType], set[tuple[str, str]]]]:
    """Functions of ours in the order of their first call, and the calls that climbed from one room to another."""
    root = tmp_path_factory.mktemp("road")
    for i in range(3):
        write_lossless(root / "real" / f"{i}.mkv", moving_frames(12, 16, 16))
    config = LatteConfig(input_size=16, patch=8, channels=3, width=32, depth=2, heads=4, frames=10)
    torch.save({"ema": Latte(config).state_dict()}, root / "x.pt")
    order: dict[CodeType, None] = {}
    climbs: set[tuple[str, str]] = set()
    rooms = {str(path): room for room, path in house.modules()}
    height = house.floors()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        room = room_of_frame(frame, rooms) if event == "call" else None
        if room is None or not is_function(frame.f_code):
            return
        order.setdefault(frame.f_code)
        caller = next((found for each in callers(frame) if (found := room_of_frame(each, rooms))), room)
        if height[room] > height[caller]:
            climbs.add((caller, room))

    words = ("fvd", "--ckpt", root / "x.pt", "--real", root / "real", "--detector", "seeded", "--param", "size=16",
             "--param", "real_storage=jpeg75", "--param", "fake_storage=jpeg75", "--clips", "2", "--steps", "2",
             "--heads", "4", "--out", root / "run")  # fmt: skip
    for profile in (threading.setprofile, sys.setprofile):
        profile(note)
    try:
        done = latte_eval(*words)
    finally:
        for profile in (threading.setprofile, sys.setprofile):
            profile(None)
    assert done.returncode == 0, done.stderr
    yield list(order), climbs


def room_of_frame(frame: FrameType, rooms: dict[str, str]) -> str | None:
    """The room that code of ours lies in; None for any other code."""
    return rooms.get(str(Path(frame.f_code.co_filename).resolve()))


def is_function(code: CodeType) -> bool:
    """False for the code of a module or class, which runs once, when it is imported."""
    return bool(code.co_flags & inspect.CO_NEWLOCALS)


def callers(frame: FrameType) -> Iterator[FrameType]:
    while (above := frame.f_back) is not None:
        frame = above
        yield frame


def test_the_road_is_walked_in_its_order(walked: tuple[list[CodeType], set[tuple[str, str]]]) -> None:
    order, _ = walked
    assert len(road()) >= 12
    places = {f"{module}:{name}": order.index(code_of(module, name)) for module, name in road()}
    assert list(places) == sorted(places, key=lambda hop: places[hop])


def test_only_talk_climbs(walked: tuple[list[CodeType], set[tuple[str, str]]]) -> None:
    _, climbs = walked
    assert climbs <= {(room, "cli") for room in ("sampler", "benchmarks", "evaluation")} and len(climbs) <= 3
