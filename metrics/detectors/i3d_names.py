"""The tensors of an I3D: their names, shapes and order, and how foreign state dicts are brought to one naming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from latte_eval.core.errors import WeightsError

CLASSES = 400

# Block: in, then out of branch 0 | branch 1: 1x1, 3x3 | branch 2: 1x1, 3x3 | branch 3: 1x1 after the pool.
MIXED = {
    "mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
# A block's convolutions in the naming of hassony2/kinetics_i3d_pytorch and of piergiaj/pytorch-i3d (VideoGPT, TATS).
BRANCHES = {
    "branch_0": "b0", "branch_1.0": "b1a", "branch_1.1": "b1b", "branch_2.0": "b2a", "branch_2.1": "b2b",
    "branch_3.1": "b3b",
}  # fmt: skip
LOGITS = "conv3d_0c_1x1"
VECTORS = ("weight", "bias", "running_mean", "running_var")


def units() -> Iterator[tuple[str, str, tuple[int, int, int]]]:
    """Every convolution in order: its name in the two namings, and (out, in, side of the kernel)."""
    yield "conv3d_1a_7x7", "Conv3d_1a_7x7", (64, 3, 7)
    yield "conv3d_2b_1x1", "Conv3d_2b_1x1", (64, 64, 1)
    yield "conv3d_2c_3x3", "Conv3d_2c_3x3", (192, 64, 3)
    for block, (inp, out0, mid1, out1, mid2, out2, out3) in MIXED.items():
        shapes = [(out0, inp, 1), (mid1, inp, 1), (out1, mid1, 3), (mid2, inp, 1), (out2, mid2, 3), (out3, inp, 1)]
        for (branch, short), shape in zip(BRANCHES.items(), shapes, strict=True):
            yield f"{block}.{branch}", f"{block.capitalize()}.{short}", shape
    yield LOGITS, "logits", (CLASSES, 1024, 1)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Names (hassony2's) and shapes of a complete state dict, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, _, (out, inp, side) in units():
        shapes[f"{name}.conv3d.weight"] = (out, inp, side, side, side)
        if name == LOGITS:
            shapes[f"{name}.conv3d.bias"] = (out,)
        else:
            shapes |= {f"{name}.batch3d.{vector}": (out,) for vector in VECTORS}
    return shapes


def normalised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under hassony2's names, complete and of the right shapes.

    Takes hassony2's naming, piergiaj's (also with a `module.` prefix), or, where no name is known, the order of the
    tensors. A batch-norm without weight, as in TensorFlow, gets ones. Raises `WeightsError` that names the first
    missing or misshapen tensors.
    """
    tensors = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    renamed = with_ones(rename(tensors) or assign_in_order(tensors))
    check_shapes(renamed)
    return {name: renamed[name] for name in expected_shapes()}


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names are known in one of the two namings, under hassony2's."""
    names = {f"{short}.{part}": f"{name}.{part}" for name, short, _ in units() for part in ("conv3d", "bn")}
    names |= {f"{name}.{part}": f"{name}.{part}" for name, _, _ in units() for part in ("conv3d", "batch3d")}
    found = {}
    for key, value in tensors.items():
        module, _, leaf = key.rpartition(".")
        if module in names and leaf in VECTORS:
            found[f"{names[module]}.{leaf}".replace(".bn.", ".batch3d.")] = value
    return found


def assign_in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Foreign names: each 5-D tensor is the next convolution, the vectors after it are its batch-norm's, in order."""
    found: dict[str, Tensor] = {}
    groups = group_by_kernel(tensors)
    for (name, _, _), (kernel, vectors) in zip(units(), groups, strict=False):
        leaves = ["conv3d.bias"] if name == LOGITS else [f"batch3d.{leaf}" for leaf in VECTORS[4 - len(vectors) :]]
        found[f"{name}.conv3d.weight"] = kernel
        found |= {f"{name}.{leaf}": vector for leaf, vector in zip(leaves, vectors, strict=False)}
    return found


def group_by_kernel(tensors: Mapping[str, Tensor]) -> list[tuple[Tensor, list[Tensor]]]:
    groups: list[tuple[Tensor, list[Tensor]]] = []
    for value in tensors.values():
        if value.ndim == 5:
            groups.append((value, []))
        elif value.ndim == 1 and groups:
            groups[-1][1].append(value)
    return groups


def with_ones(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch-norm weights that are not there, as ones."""
    absent = {f"{name}.batch3d.weight" for name, _, _ in units() if name != LOGITS} - set(tensors)
    return tensors | {
        name: torch.ones_like(tensors[bias]) for name in absent if (bias := name.replace("weight", "bias")) in tensors
    }


def check_shapes(tensors: Mapping[str, Tensor]) -> None:
    """Raise `WeightsError` unless every tensor is there in its shape."""
    expected = expected_shapes()
    if missing := [name for name in expected if name not in tensors]:
        raise WeightsError(f"not an I3D of {CLASSES} classes: {some(missing)} missing, of {len(expected)} tensors")
    wrong = [
        f"{name} is {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if tuple(tensors[name].shape) != shape
    ]
    if wrong:
        raise WeightsError(f"not an I3D of {CLASSES} classes: {some(wrong)}")


def some(names: list[str], count: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
