"""Tensors of a pickle: views of the storages beside it, as its arguments say, once every number is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STORAGES = {
    f"{kind}Storage": dtype
    for kind, dtype in {
        "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
        "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
        "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
        "Untyped": torch.uint8,
    }.items()
}  # fmt: skip

# No tensor of a model has more dimensions.
MOST_DIMENSIONS = 16

# What the functions are called that make tensors of other kinds, and what these are in words.
STRANGE = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor on the meta device, which has no values",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of another device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor of another device",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
    "torch._tensor._rebuild_from_type_v2": "a tensor of a class of its own",
}


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def view_of(flat: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor over a storage of one row. Raises `ValueError` where it would reach outside, or is none."""
    sizes, strides = whole_numbers(size), whole_numbers(stride)
    (start,) = whole_numbers((offset,))
    if len(sizes) != len(strides):
        raise ValueError(f"a tensor of {len(sizes)} dimensions has {len(strides)} strides")
    last = start + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True))
    if 0 not in sizes and last >= flat.numel():
        raise ValueError(f"a tensor reaches to value {last:,} of a storage of {flat.numel():,}")
    return torch.as_strided(flat, sizes, strides, start if 0 not in sizes else 0)


def typed_view_of(flat: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any) -> Tensor:
    """As `view_of`, over a storage of bytes. Raises `ValueError` for a type that torch does not have."""
    found = getattr(torch, dtype.name, None) if isinstance(dtype, Name) and dtype.module == "torch" else None
    if not isinstance(found, torch.dtype):
        raise ValueError("a tensor has no type that torch knows")
    whole = flat.numel() // found.itemsize * found.itemsize
    return view_of(flat[:whole].view(found), offset, size, stride)


def whole_numbers(values: Any) -> tuple[int, ...]:
    """A size or stride. Raises `ValueError` for anything else than a few whole numbers from 0 up."""
    if not isinstance(values, tuple | list) or len(values) > MOST_DIMENSIONS:
        raise ValueError("a tensor has a size or stride that is none")
    if not all(type(value) is int and 0 <= value < 2**62 for value in values):
        raise ValueError("a tensor has a size, stride or offset that is no number of values")
    return tuple(values)
