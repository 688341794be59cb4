"""How the tensors of a published Inception are found: by torch-fidelity's names, or by order and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from latte_eval.core.errors import WeightsError

CLASSES, FEATURES = 1008, 2048

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """A convolution [out, in, kh, kw] and the batch-norm after it, [out] each."""

    kernel: Tensor
    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor


# What the vectors of a batch-norm are called, in the order of `Unit`.
VECTORS = (
    ("gamma", "weight", "scale"),
    ("beta", "bias", "offset"),
    ("mean", "running_mean", "moving_mean"),
    ("var", "running_var", "moving_variance"),
)


def read_inception(state: Mapping[str, Tensor], kernels: Mapping[str, Shape]) -> tuple[dict[str, Unit], Tensor]:
    """The convolutions by name, and the head [1008, 2048].

    Takes the names of torch-fidelity and pytorch-fid; where they are foreign (NVIDIA's archive), each kernel of
    `kernels` (names to shapes, in the order of the network) gets the first tensor of its shape that is not taken.
    Raises `WeightsError` where something is missing or has another shape.
    """
    tensors = {name.removeprefix("module."): torch.as_tensor(value).cpu() for name, value in state.items()}
    known = any(f"{name}.conv.weight" in tensors for name in kernels)
    units = {name: named_unit(tensors, name) for name in kernels} if known else matched_units(tensors, kernels)
    for name, shape in kernels.items():
        check_unit(name, units[name], shape)
    return units, read_head(tensors)


def named_unit(tensors: Mapping[str, Tensor], name: str) -> Unit:
    """The unit under torch-fidelity's names; a batch-norm without weight gets ones."""
    leaves = ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    if missing := [leaf for leaf in leaves if f"{name}.{leaf}" not in tensors]:
        raise WeightsError(f"not an Inception of 2015-12-05: {name}.{missing[0]} is missing")
    kernel, beta, mean, var = (tensors[f"{name}.{leaf}"] for leaf in leaves)
    return Unit(kernel, tensors.get(f"{name}.bn.weight", torch.ones_like(beta)), beta, mean, var)


def matched_units(tensors: Mapping[str, Tensor], kernels: Mapping[str, Shape]) -> dict[str, Unit]:
    """The units of a state dict with foreign names, by order and shape."""
    left = [unit for unit in map(foreign_unit, foreign_groups(tensors)) if unit]
    found = {}
    for name, shape in kernels.items():
        position = next((i for i, unit in enumerate(left) if tuple(unit.kernel.shape) == shape), None)
        if position is None:
            raise WeightsError(f"not an Inception of 2015-12-05: no kernel {list(shape)} is left for {name}")
        found[name] = left.pop(position)
    return found


def foreign_groups(tensors: Mapping[str, Tensor]) -> Iterator[list[tuple[str, Tensor]]]:
    """The tensors of each convolution: those of a module with a kernel and of the modules without one after it."""
    group: list[tuple[str, Tensor]] = []
    module = None
    modules_with_kernel = {key.rpartition(".")[0] for key, value in tensors.items() if value.ndim == 4}
    for key, value in tensors.items():
        prefix, _, leaf = key.rpartition(".")
        if prefix != module and prefix in modules_with_kernel:
            yield group
            group = []
        module = prefix
        group.append((leaf, value))
    yield group


def foreign_unit(group: list[tuple[str, Tensor]]) -> Unit | None:
    """The unit made of these tensors: vectors by their names or, where one is unknown, in the order of `Unit`."""
    kernel = next((value for _, value in group if value.ndim == 4), None)
    if kernel is None:
        return None
    vectors = [(leaf, value) for leaf, value in group if tuple(value.shape) == (len(kernel),)]
    roles = {role: value for leaf, value in vectors for role, names in enumerate(VECTORS) if leaf in names}
    if len(roles) < len(vectors):
        roles = {4 - len(vectors) + place: value for place, (_, value) in enumerate(vectors)}
    if not {1, 2, 3} <= set(roles):
        raise WeightsError(f"not an Inception of 2015-12-05: a batch-norm has {len(vectors)} vectors instead of 3 or 4")
    return Unit(kernel, roles.get(0, torch.ones(len(kernel))), roles[1], roles[2], roles[3])


def check_unit(name: str, unit: Unit, shape: Shape) -> None:
    """Raise `WeightsError` unless kernel and vectors have their shapes."""
    vectors = (unit.gamma, unit.beta, unit.mean, unit.var)
    if tuple(unit.kernel.shape) != shape:
        raise WeightsError(f"not an Inception of 2015-12-05: {name} is {list(unit.kernel.shape)}, not {list(shape)}")
    if wrong := [vector for vector in vectors if tuple(vector.shape) != shape[:1]]:
        raise WeightsError(f"not an Inception of 2015-12-05: {name} has {list(wrong[0].shape)}, not {[shape[0]]}")


def read_head(tensors: Mapping[str, Tensor]) -> Tensor:  # -> [1008, 2048]
    """The weight of the head, whatever its name. Its bias is not used: the Inception Score leaves it out."""
    matrices = [value for value in tensors.values() if value.ndim == 2]
    fitting = [value for value in matrices if tuple(value.shape) == (CLASSES, FEATURES)]
    if not fitting:
        found = ", ".join(str(list(value.shape)) for value in matrices) or "none"
        raise WeightsError(f"not an Inception of 2015-12-05: its head must be {[CLASSES, FEATURES]}; found {found}")
    return fitting[0]
