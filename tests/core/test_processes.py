"""What the processes of a launcher say to each other at the start."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator

import pytest
import torch.distributed

from latte_eval.core import processes
from latte_eval.core.errors import RankError
from latte_eval.core.notices import Notice
from latte_eval.core.processes import await_keys, connected, cores_of_process, gathered, launcher_store, local_device


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.distributed.HashStore]:
    """A store of this process alone, in which others have spoken already."""
    store = torch.distributed.HashStore()
    monkeypatch.setattr(processes, "launcher_store", lambda: store)
    monkeypatch.setenv("WORLD_SIZE", "3")
    yield store


def test_everybody_hears_what_all_say(store: torch.distributed.HashStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in ("1", "2"):
        store.set(f"versions/{rank}", f'["0.{rank}", "host {rank}"]')
        store.set(f"read versions/{rank}", "")
    monkeypatch.setenv("RANK", "0")
    said = gathered("versions", ["0.0", "host 0"])
    assert said == [["0.0", "host 0"], ["0.1", "host 1"], ["0.2", "host 2"]]
    monkeypatch.setenv("RANK", "2")
    assert gathered("versions", ["0.2", "host 2"]) == said


def test_who_keeps_the_store_ends_after_the_others_have_read(
    store: torch.distributed.HashStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = itertools.count(1)

    def sleep(seconds: float) -> None:
        if next(slept) == 3:
            store.set("read versions/2", "")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setenv("RANK", "0")
    for key in ("versions/1", "versions/2", "read versions/1"):
        store.set(key, "1")
    assert gathered("versions", 0) == [0, 1, 1] and next(slept) == 4


def test_a_store_that_is_gone_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(torch.distributed.HashStore):
        def set(self, key: str, value: str) -> None:
            raise torch.distributed.DistNetworkError("Connection was likely closed.\nframe #0: c10::Error")

    monkeypatch.setattr(processes, "launcher_store", Gone)
    with pytest.raises(
        RankError, match=r"^rank 0 lost the launcher or rank 0 at the start: Connection was .* closed.$"
    ):
        gathered("versions", 1)


def test_who_is_late_is_told(store: torch.distributed.HashStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set("versions/0", "1")
    slept = itertools.count()

    def sleep(seconds: float) -> None:
        if next(slept) == 110:
            store.set("versions/1", "1")

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.warns(Notice, match=r"after 6\d s not all of 3 ranks have started: 1 are late"):
        await_keys(store, ["versions/0", "versions/1"])


def test_a_place_that_nobody_keeps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "JOIN_SECONDS", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(RankError, match=f"cannot reach 127.0.0.1:{port} .MASTER_ADDR and MASTER_PORT"):
            connected("127.0.0.1", port, keeps=False)
        taken.listen()
        with pytest.raises(RankError, match=f"cannot open 127.0.0.1:{port}"):
            connected("127.0.0.1", port, keeps=True)


def test_the_store_is_that_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    launcher_store.cache_clear()
    kept = launcher_store()
    kept.set("a", "b")
    monkeypatch.setenv("RANK", "1")
    launcher_store.cache_clear()
    assert launcher_store().get("a") == b"b"
    launcher_store.cache_clear()


def test_each_process_has_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [local_device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:3", "cuda:1", "cpu"]


@pytest.mark.parametrize(("processes", "cores"), [("1", 16), ("4", 4), ("32", 1)])
def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch, processes: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert cores_of_process() == cores
