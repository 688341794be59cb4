"""A short seeded slice of the sieges of state: files, processes, servers, the command line."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from siege import command_line, damage, disk, download, kills, load, two_at_once
from siege.siege import Siege, besiege
from siege.toy_runs import Toys, begin, finish, signal_itself

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials run in forked processes")

# Each siege with the number of its trials here.
SLICES: list[tuple[Siege, int]] = [
    (kills.SIEGE, 2), (disk.SIEGE, 2), (two_at_once.SIEGE, 2), (damage.SIEGE, 6), (command_line.SIEGE, 3),
    (download.SIEGE, 4),
]  # fmt: skip


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> damage.Material:
    """What most of them begin with, made once."""
    return damage.prepare_files(tmp_path_factory.mktemp("material"))


def of(siege: Siege, material: damage.Material) -> Any:
    """The material of one siege."""
    return material if siege is damage.SIEGE else None if siege is download.SIEGE else material.toys


@pytest.mark.parametrize(("siege", "trials"), SLICES, ids=[siege.name for siege, _ in SLICES])
def test_nothing_bad_comes_of(siege: Siege, trials: int, material: damage.Material) -> None:
    found = functools.partial(of, siege, material)
    report = besiege(Siege(**{**vars(siege), "prepare": lambda folder: found()}), range(trials), 0)
    assert not report.bad, "\n".join([str(report), *report.described])


def test_a_folder_of_many_videos_is_listed() -> None:
    siege = Siege("load", functools.partial(load.trial, count=400), ("listed",), load.prepare, seconds=60)
    report = besiege(siege, [0], 0)
    assert not report.bad, "\n".join([str(report), *report.described])


def test_a_signal_before_a_command_begins_is_no_fault_of_it(tmp_path: Path) -> None:
    child = begin(tmp_path, ["metrics"], before=signal_itself(signal.SIGINT))
    assert kills.what_ended(finish(child, tmp_path), signal.SIGINT) == "killed"


def test_a_lost_shard_is_seen(material: damage.Material, tmp_path: Path) -> None:
    """The sieges would tell: a shard with another byte, and a line that is there twice."""
    from siege.siege import Wrong
    from siege.toy_runs import check_same, copy

    toys: Toys = material.toys
    copy(toys.folder / "run", tmp_path / "run")
    check_same(tmp_path / "run", toys.folder / "run")
    path = next((tmp_path / "run" / "features").rglob("*.safetensors"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Wrong, match="1 shards differ"):
        check_same(tmp_path / "run", toys.folder / "run")
