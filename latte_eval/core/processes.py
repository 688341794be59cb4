"""Many processes under `torchrun`: who this one is, and how they wait for each other."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


def rank() -> int:
    """This process's number, 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes, 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def cores_of_process() -> int:
    """Cores that this process may use: its share, where torchrun started several on this machine; at least 1."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def local_device(device: str) -> str:
    """The device of this process: `cuda` becomes the card of its local rank."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the process group that torchrun announces, if there is one; NCCL on GPUs, gloo on CPUs."""
    if world_size() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    with stdout_to_stderr():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr what compiled code says on stdout: gloo of torch 2.8 greets there, in the midst of `--json`."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@cache
def run_token() -> str:
    """A text that no other run has, the same in all processes of this one.

    The first process chooses it, for torchrun gives runs no name of their own. Under torchrun every process must call
    this inside `process_group`.
    """
    token = [uuid.uuid4().hex]
    if world_size() > 1:
        import torch.distributed as dist

        dist.broadcast_object_list(token, src=0)
    return token[0]


def barrier() -> None:
    """Wait until every process is here. Shards in the shared run folder carry the data between them."""
    if world_size() > 1:
        import torch.distributed as dist

        dist.barrier()
