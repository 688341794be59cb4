"""What the allocators of PyTorch really gave."""

from __future__ import annotations

from collections.abc import Callable

import torch


def allocated_peak(function: Callable[[], object], device: str = "cpu") -> int:
    """The most bytes that were allocated at once while `function` ran, beyond those before it."""
    with torch.no_grad():
        return peak_of_cuda(function, device) if device.startswith("cuda") else peak_of_cpu(function)


def peak_of_cuda(function: Callable[[], object], device: str) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def peak_of_cpu(function: Callable[[], object]) -> int:
    """The allocator of the CPU keeps no peak; the profiler sees every block."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        function()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
