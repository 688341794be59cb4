"""The processes of one command under a launcher such as `torchrun`: who this one is, and what all of them say.

They have no process group: a collective call waits for everybody, and dies with the first that is late. What they agree
on once, at the start, goes through the key-value store of torch, which the launcher opens for them. Everything after
that goes through files in the run folder (`files/team.py`).
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from latte_eval.core.errors import RankError, first_line
from latte_eval.core.notices import notice

# A process of another machine may start hours after the first, when its place becomes free.
# Kinds of devices of which a machine has several, one for each process.
NUMBERED = ("cuda", "xpu")

READ_SECONDS = 60
JOIN_SECONDS = 7 * 86_400.0
TELL_SECONDS = 60.0


def rank() -> int:
    """This process's number, 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes, 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def cores_of_process() -> int:
    """Cores that this process may use: its share, where torchrun started several on this machine; at least 1."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def host() -> str:
    """The name of this machine."""
    return socket.gethostname() or "unknown"


def local_device(device: str) -> str:
    """The device of this process: `cuda` or `xpu` becomes the card of its local rank."""
    return f"{device}:{os.environ.get('LOCAL_RANK', '0')}" if device in NUMBERED else device


def settle_on(device: str) -> None:
    """Make the card of this process the one that is meant where none is named."""
    if world_size() > 1 and device.startswith(NUMBERED):
        import torch

        torch.accelerator.set_device_index(torch.device(device))


@cache
def launcher_store() -> Any:
    """The key-value store that the launcher names in `MASTER_ADDR` and `MASTER_PORT`. # -> torch.distributed.Store

    Under torchrun its agent keeps it, else the first process does. Raises `RankError` where nobody does.
    """
    from torch.distributed import PrefixStore

    kept_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    place = os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "29500"))
    store = connected(*place, keeps=rank() == 0 and not kept_by_agent)
    tries = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"latte-eval/{tries}", store)


def connected(address: str, port: int, keeps: bool) -> Any:
    """A connection to a store, or the store itself. # -> torch.distributed.TCPStore"""
    from torch.distributed import TCPStore

    try:
        if not keeps:
            await_listener(address, port)
        return TCPStore(address, port, is_master=keeps, timeout=timedelta(seconds=60), wait_for_workers=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise RankError(
            f"rank {rank()} cannot {'open' if keeps else 'reach'} {address}:{port} (MASTER_ADDR and MASTER_PORT): "
            f"{first_line(error)}"
        ) from error


def await_listener(address: str, port: int) -> None:
    """Wait for the process that keeps the store, which may start later. Raises `OSError` after a week."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            with socket.create_connection((address, port), timeout=10):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def gathered(name: str, value: Any) -> list[Any]:
    """What every process says under a name, in order of rank; each waits until all have spoken.

    Args:
        name: not used before.
        value: in JSON types.

    Raises `RankError` where the process that keeps the store ends meanwhile.
    """
    try:
        return said_by_all(launcher_store(), name, value)
    except RuntimeError as error:
        raise RankError(f"rank {rank()} lost the launcher or rank 0 at the start: {first_line(error)}") from error


def said_by_all(store: Any, name: str, value: Any) -> list[Any]:
    everybody = [f"{name}/{each}" for each in range(world_size())]
    store.set(f"{name}/{rank()}", json.dumps(value))
    if rank() == 0:
        await_keys(store, everybody)
        store.set(name, json.dumps([json.loads(store.get(key)) for key in everybody]))
    await_keys(store, [name])
    found: list[Any] = json.loads(store.get(name))
    store.set(f"read {name}/{rank()}", "")
    if rank() == 0:
        await_readers(store, [f"read {key}" for key in everybody])
    return found


def await_readers(store: Any, keys: Sequence[str]) -> None:
    """The first process may keep the store: it does not end before the others have read, or a minute has passed."""
    deadline = time.monotonic() + READ_SECONDS
    while time.monotonic() < deadline and not store.check(list(keys)):
        time.sleep(0.02)


def await_keys(store: Any, keys: Sequence[str]) -> None:
    """Wait until a store has some keys. Signals are heard meanwhile; who is late is told once a minute.

    Raises `RankError` after a week.
    """
    waited, told, lacking = 0.0, TELL_SECONDS, list(keys)
    while lacking := [key for key in lacking if not store.check([key])]:
        time.sleep(pause := min(1.0, 0.02 + waited / 10))
        waited += pause
        if waited < told:
            continue
        told += TELL_SECONDS
        late = ", ".join(number for key in lacking[:8] if (number := key.rpartition("/")[2]).isdigit())
        text = (
            f"after {waited:.0f} s not all of {world_size()} ranks have started{f': {late} are late' if late else ''}"
        )
        if waited > JOIN_SECONDS:
            raise RankError(text)
        notice(text)


@cache
def run_token() -> str:
    """A text that no other run has, the same in all processes of this one.

    The first process chooses it, for launchers give runs no name of their own.
    """
    token = uuid.uuid4().hex[:16]
    return str(gathered("token", token)[0]) if world_size() > 1 else token
