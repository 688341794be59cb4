"""What the metric classes need of `torchmetrics.Metric`, where that is not installed: the same names and meanings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor

EXTRA = "pip install 'latte-eval[torchmetrics]'"

# A tensor, which is reduced over processes by a function, or a list of tables of rows, which are joined.
State = Tensor | list[Tensor]


class LoneMetric(torch.nn.Module):
    """States that processes share when the value is computed.

    Args:
        process_group: of torch.distributed; None for all processes.
        sync_on_compute: whether `compute` is of the clips of all processes.
    """

    def __init__(self, process_group: Any = None, sync_on_compute: bool = True, **options: Any):
        if options:
            raise ValueError(f"{next(iter(options))} is no option here; those of torchmetrics take {EXTRA}")
        super().__init__()
        self.process_group, self.sync_on_compute = process_group, sync_on_compute
        self._defaults: dict[str, State] = {}
        self._reductions: dict[str, Callable[[Tensor], Tensor] | str] = {}
        self._device, self._is_synced, self._of_batch = torch.device("cpu"), False, False
        self._cache: dict[str, State] = {}
        self._persistent = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "compute" in cls.__dict__:
            cls.compute = synced(cls.__dict__["compute"])  # type: ignore[attr-defined]

    @property
    def device(self) -> torch.device:
        """Where the states lie."""
        return self._device

    @property
    def metric_state(self) -> dict[str, State]:
        """The states by name."""
        return {name: getattr(self, name) for name in self._defaults}

    def add_state(self, name: str, default: State, dist_reduce_fx: Any) -> None:
        """A state that `reset` brings back to its default; `cat` joins tables of rows."""
        self._defaults[name], self._reductions[name] = copy.deepcopy(default), dist_reduce_fx
        setattr(self, name, default)

    def reset(self) -> None:
        """As before the first `update`."""
        for name, default in self._defaults.items():
            setattr(self, name, default.clone().to(self.device_of(name)) if isinstance(default, Tensor) else [])
        self._is_synced = False

    def device_of(self, name: str) -> torch.device:
        """Where a state is a tensor: the device that it lies on, which may lack float64 and not be the metric's."""
        state = getattr(self, name)
        return state.device if isinstance(state, Tensor) else self.device

    def forward(self, *args: Any, **options: Any) -> Any:
        """Add a batch; the value of that batch alone."""
        before = self.copy_states()
        self.reset()
        self._of_batch = True
        try:
            self.update(*args, **options)  # type: ignore[operator]
            return self.compute()  # type: ignore[operator]
        finally:
            self._of_batch = False
            self.merge_state(before)

    def merge_state(self, incoming_state: Mapping[str, State] | LoneMetric) -> None:
        """Add what another metric of the same kind has seen, or its `metric_state`."""
        other = incoming_state.metric_state if isinstance(incoming_state, LoneMetric) else incoming_state
        for name, mine in self.metric_state.items():
            setattr(self, name, self.reduced(name, [other[name], mine]))

    def reduced(self, name: str, states: list[State]) -> State:
        """One state of those of several metrics or processes."""
        reduction = self._reductions[name]
        if isinstance(reduction, str):
            return [part.to(self.device) for state in states for part in state]
        return reduction(torch.stack([state.to(self.device_of(name)) for state in states if isinstance(state, Tensor)]))

    def copy_states(self) -> dict[str, State]:
        """The states, which later updates do not change."""
        return {name: list(s) if isinstance(s, list) else s.clone() for name, s in self.metric_state.items()}

    @contextmanager
    def sync_context(self, should_sync: bool = True, should_unsync: bool = True) -> Iterator[None]:
        """The states of all processes inside."""
        if should_sync:
            self.sync()
        try:
            yield
        finally:
            if should_unsync and self._is_synced:
                self.unsync()

    def sync(self) -> None:
        """Bring the states of all processes here; nothing where there is one process."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return
        self._cache = self.copy_states()
        sent = {name: [p.cpu() for p in s] if isinstance(s, list) else s.cpu() for name, s in self._cache.items()}
        found: list[Any] = [None] * distributed.get_world_size(self.process_group)
        distributed.all_gather_object(found, sent, group=self.process_group)
        for name in sent:
            setattr(self, name, self.reduced(name, [each[name] for each in found]))
        self._is_synced = True

    def unsync(self) -> None:
        """The states of this process again."""
        for name, state in self._cache.items():
            setattr(self, name, state)
        self._cache, self._is_synced = {}, False

    def clone(self) -> Any:
        """A copy that goes on by itself."""
        return copy.deepcopy(self)

    def state_dict(self, *args: Any, prefix: str = "", **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """The states by name, for `load_state_dict`, after `persistent(True)`."""
        states: dict[str, Any] = super().state_dict(*args, prefix=prefix, **options)
        kept = self.metric_state if self._persistent else {}
        states.update({prefix + name: copy.deepcopy(state) for name, state in kept.items()})
        return states

    def persistent(self, mode: bool = False) -> None:
        """Whether `state_dict` holds the states."""
        self._persistent = mode

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self._defaults:
            if prefix + name in state_dict:
                setattr(self, name, state_dict.pop(prefix + name))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        for name, state in self.metric_state.items():
            setattr(self, name, [fn(part) for part in state] if isinstance(state, list) else fn(state))
        self._device = fn(torch.zeros(1, device=self._device)).device
        return self

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)


def synced(compute: Callable[..., Any]) -> Callable[..., Any]:
    """A `compute` of the clips of all processes."""

    @wraps(compute)
    def of_all(self: Any, *args: Any, **options: Any) -> Any:
        asked = self.sync_on_compute and not self._of_batch and not self._is_synced
        with self.sync_context(should_sync=asked, should_unsync=asked):
            return compute(self, *args, **options)

    return of_all
