"""What the detectors from transformers share: the package itself, layers on no memory, and mapped weights that fit."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latte_eval.core.errors import UsageError, WeightsError, first_line
from latte_eval.metrics.detectors.network import seeded_normal

# Parts of names that versions of transformers write in one way or the other.
OTHER_NAMES = {
    "attention.attention.query": "attention.q_proj", "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj", "attention.output.dense": "attention.o_proj",
    "attention.attention.query.bias": "attention.attention.q_bias",
    "attention.attention.value.bias": "attention.attention.v_bias",
}  # fmt: skip

EXTRA = "pip install 'latte-eval[features]'"


def import_transformers(who: str) -> Any:
    """The package transformers. Raises `UsageError` that names the extra where it is absent or cannot be used."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError(f"{who} needs transformers: {EXTRA}")
    try:
        transformers = importlib.import_module("transformers")
        transformers.VideoMAEModel, transformers.Dinov2Model  # noqa: B018  (they are imported when first asked for)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise UsageError(
            f"{who} needs transformers, which is installed but fails: {first_line(error)}; {EXTRA}"
        ) from error
    return transformers


def without_memory(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights are not there yet: they are not drawn only to be replaced."""
    with torch.device("meta"):
        return make()


def load_mapped(network: nn.Module, state: Mapping[str, Tensor], who: str) -> None:
    """Put weights in place, float32, every one of them. Raises `WeightsError` for any that is missing or of no use.

    A version of transformers that renames a tensor, or has no place for a bias, is found here.
    """
    own = network.state_dict()
    state = {named_as(name, own): value for name, value in state.items()}
    missing, unknown = [name for name in own if name not in state], [name for name in state if name not in own]
    if missing or unknown:
        version = import_transformers(who).__version__
        raise WeightsError(f"{who} of transformers {version} lacks {unknown[:2]} and wants {missing[:2]} besides: "
                           f"install another version, {EXTRA}")  # fmt: skip
    wrong = [name for name, value in state.items() if value.shape != own[name].shape]
    if wrong:
        shapes = tuple(state[wrong[0]].shape), tuple(own[wrong[0]].shape)
        raise WeightsError(f"{who}: {wrong[0]} has the shape {shapes[0]} instead of {shapes[1]}")
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    network.eval().requires_grad_(False)


def named_as(name: str, own: Mapping[str, Tensor]) -> str:
    """The name of a tensor in the version of transformers that is installed."""
    for older, newer in OTHER_NAMES.items():
        if name not in own and (other := name.replace(older, newer)) in own:
            return other
    return name


def required(state: Mapping[str, Tensor], name: str, who: str) -> Tensor:
    """One tensor of a file. Raises `WeightsError` where it is missing."""
    if name not in state:
        raise WeightsError(f"{who}: the file has no tensor {name!r}; its first are {list(state)[:2]}")
    return state[name]


def seeded_tensors(shapes: Mapping[str, tuple[int, ...]], *identity: object) -> dict[str, Tensor]:
    """Random weights, a function of `identity`: matrices of variance 1 / fan-in, norms near rest, small biases."""
    return {name: seeded_tensor(name, shape, *identity) for name, shape in shapes.items()}


def seeded_tensor(name: str, shape: tuple[int, ...], *identity: object) -> Tensor:
    values = seeded_normal(shape, *identity, name)
    if len(shape) > 1:
        return values / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.1 * values if "norm" in name and name.endswith("weight") else 0.1 * values
