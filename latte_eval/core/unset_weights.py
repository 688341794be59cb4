"""Networks without initial weights, for those whose weights are loaded or drawn right after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode


class UnsetWeights(TorchFunctionMode):
    """Modules of torch that are made inside keep whatever their memory holds.

    Initial weights cost time, and on the meta device, where there is nothing to set, random ones make torch import its
    compiler: two seconds.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":  # such as kaiming_uniform_(tensor, ...)
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
