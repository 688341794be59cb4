"""Without a GPU one skipped test stands for all that need one, unless `-m` asks for them."""

from __future__ import annotations

import os

import pytest
import torch

NO_DEVICE = "no CUDA device that torch can use; {} tests need one: pytest -m gpu"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if not needing or config.option.markexpr or torch.cuda.is_available() or os.environ.get("LATTE_EVAL_TEST_DEVICE"):
        return
    first, *others = needing
    first.add_marker(pytest.mark.skip(reason=NO_DEVICE.format(len(needing))))
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
