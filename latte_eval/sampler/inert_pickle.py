"""Reading a pickle without running it: containers, constants and tensors come out, all else as inert stand-ins.

A pickle is a program for a small stack machine that may name any function of Python and have it called. This is such
a machine that imports nothing and calls nothing: a name stays two words, and what would have been made by calling it
becomes an `Inert` that keeps the arguments. The names below, which torch writes for tensors, are the only exceptions.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latte_eval.sampler.inert_tensors import STORAGES, Name, typed_view_of, view_of


@dataclass(eq=False)
class Inert:
    """What stands for an object of a class that is not wanted.

    Attributes:
        kind: the class or function as the pickle names it.
        arguments: what it would have been called with.
        state: what its `__setstate__` or `__dict__` would have been given.
        items: what would have been set in it, as in a dict.
        elements: what would have been added to it, as to a list.
    """

    kind: str
    arguments: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<stand-in for {self.kind}>"


# key, dtype, number of values -> all values of a storage, in one row
Fetch = Callable[[str, torch.dtype, int], Tensor]

# What may be a key or an element of a set as it is. Others are never hashed: of tuples in tuples that can take forever.
PLAIN = (str, bytes, int, float, bool, type(None))


def first_of(value: Any, *_: Any) -> Any:
    return value


# The only names that are acted upon: those of tensors.
MAKERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": view_of,
    "torch._utils._rebuild_tensor_v2": view_of,
    "torch._utils._rebuild_tensor_v3": typed_view_of,
    "torch._utils._rebuild_parameter": first_of,
    "torch._utils._rebuild_parameter_with_state": first_of,
}
ORDERED_DICT = "collections.OrderedDict"

# How torch writes a tensor on which somebody has set attributes: function, class, arguments, attributes.
WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
TENSOR_CLASSES = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


def is_plain_tensor(arguments: Any) -> bool:
    """Whether what `WITH_ATTRIBUTES` is called with is a tensor of torch's own classes."""
    return (
        isinstance(arguments, tuple)
        and len(arguments) == 4
        and isinstance(arguments[0], Name)
        and isinstance(arguments[1], Name)
        and str(arguments[1]) in TENSOR_CLASSES
    )


def made(name: Any, arguments: Any) -> Any:
    """What a call or a class stands for: a tensor, or a stand-in."""
    if kind_of(name) == WITH_ATTRIBUTES and is_plain_tensor(arguments):
        name, arguments = arguments[0], arguments[2]
    maker = MAKERS.get(str(name)) if isinstance(name, Name) and isinstance(arguments, tuple) and arguments else None
    if maker is None or (maker is not first_of and not isinstance(arguments[0], Tensor)):
        return Inert(kind_of(name), arguments)
    return maker(*arguments)


def kind_of(name: Any) -> str:
    """What a stand-in is called. What is no name is not written out: it can be without end."""
    if isinstance(name, Inert):
        return name.kind
    return str(name) if isinstance(name, Name) else f"a {type(name).__name__}"


def key_of(value: Any) -> Any:
    """A value as a key: itself, or a stand-in where hashing it could take forever."""
    if isinstance(value, (*PLAIN, Inert, Name)):
        return value
    if isinstance(value, tuple) and all(isinstance(each, PLAIN) for each in value):
        return value
    return Inert(f"a {type(value).__name__}", value)


class Machine:
    """The stack machine of one pickle; `read` runs it to the end."""

    def __init__(self, fetch: Fetch):
        self.fetch = fetch
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = self.copied = 0

    def read(self, stream: Any) -> Any:
        """The value of the pickle that begins where the stream stands.

        Raises:
            ValueError: an opcode that torch never writes, or bytes that are no pickle. Damaged pickles raise
                `KeyError`, `IndexError`, `TypeError` and `RuntimeError` too.
        """
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return self.stack.pop()
            self.steps += 1
            self.step(opcode.name, argument)
        raise ValueError("the pickle does not end")

    def step(self, name: str, argument: Any) -> None:
        if name in STEPS:
            STEPS[name](self, argument)
        elif name in EMPTY:
            self.push(EMPTY[name]())
        elif name in CONSTANTS:
            self.push(CONSTANTS[name])
        elif name.startswith(VALUES):
            self.push(argument)
        else:
            raise ValueError(f"{name} has no place in a file of tensors")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def marked(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def popped(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the pickle takes more than it holds")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def combine(self, count: int, make: Callable[..., Any]) -> None:
        """Replace the last values by what is made of them."""
        self.push(make(*self.popped(count)))

    def memoize(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else place] = self.stack[-1]

    def append(self, values: list[Any]) -> None:
        """Add to the list, set or stand-in on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(map(key_of, values))
        else:
            (target.elements if isinstance(target, Inert) else target).extend(values)

    def put(self, values: list[Any]) -> None:
        """Set keys of the dict or stand-in on top of the stack."""
        target = self.stack[-1]
        pairs = zip(map(key_of, values[::2]), values[1::2], strict=True)
        (target.items if isinstance(target, Inert) else target).update(pairs)

    def build(self, _: Any) -> None:
        """A stand-in keeps its state; what torch hangs on a state dict besides its values is not needed."""
        state = self.popped(1)[0]
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def storage(self, _: Any) -> None:
        """The only thing that lies outside the pickle: the values of a storage."""
        record = self.popped(1)[0]
        if not isinstance(record, tuple) or len(record) < 2 or not isinstance(record[0], str):
            raise ValueError("it refers to something outside that is no storage")
        kind, name, *place = record
        if kind == "module":  # old torch wrote the class of a module with its source
            return self.push(name)
        key, _, count, *views = place
        if not isinstance(key, str | int) or type(count) is not int or not 0 <= count < 2**62:
            raise ValueError("it refers to a storage without a key or a number of values")
        if any(view is not None for view in views):
            raise ValueError(f"storage {key} is a part of another, as no torch of these years writes it")
        dtype = STORAGES.get(name.name) if kind == "storage" and isinstance(name, Name) else None
        self.push(Inert(kind_of(name)) if dtype is None else self.fetch(str(key), dtype, count))

    def reduce(self, _: Any) -> None:
        """A call; that of an ordered dict may bring pairs, of which the one list can be used again and again."""
        name, arguments = self.popped(2)
        if not isinstance(name, Name) or str(name) != ORDERED_DICT or not isinstance(arguments, tuple):
            return self.push(made(name, arguments))
        pairs = arguments[0] if arguments and isinstance(arguments[0], list | tuple) else ()
        self.copied += len(pairs)
        if self.copied > self.steps:
            raise ValueError(f"it copies {self.copied:,} entries, in {self.steps:,} steps")
        self.push({key_of(key): value for key, value in pairs})

    def dictionary(self, _: Any) -> None:
        values = self.marked()
        self.push({})
        self.put(values)

    def instance(self, text: str) -> None:
        self.push(made(split_name(text), tuple(self.marked())))

    def old_object(self, _: Any) -> None:
        name, *arguments = self.marked()
        self.push(made(name, tuple(arguments)))


def split_name(text: str) -> Name:
    """`module name`, as pickles of old protocols write it."""
    module, _, name = text.partition(" ")
    return Name(module, name)


def name_of(module: Any, name: Any) -> Name:
    """Raises `ValueError` where it is not made of two texts."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("it names a class without a name")
    return Name(module, name)


VALUES = ("BININT", "INT", "LONG", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
          "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8")  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple,
}  # fmt: skip

Step = Callable[[Machine, Any], object]
STEPS: dict[str, Step] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "MARK": Machine.mark,
    "POP": lambda m, _: m.popped(1),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "LIST": lambda m, _: m.push(list(m.marked())),
    "FROZENSET": lambda m, _: m.push(frozenset(map(key_of, m.marked()))),
    "DICT": Machine.dictionary,
    "TUPLE1": lambda m, _: m.combine(1, lambda *values: values),
    "TUPLE2": lambda m, _: m.combine(2, lambda *values: values),
    "TUPLE3": lambda m, _: m.combine(3, lambda *values: values),
    "APPEND": lambda m, _: m.append(m.popped(1)),
    "APPENDS": lambda m, _: m.append(m.marked()),
    "ADDITEMS": lambda m, _: m.append(m.marked()),
    "SETITEM": lambda m, _: m.put(m.popped(2)),
    "SETITEMS": lambda m, _: m.put(m.marked()),
    **{name: lambda m, place: m.push(m.memo[place]) for name in ("GET", "BINGET", "LONG_BINGET")},
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine.memoize),
    "GLOBAL": lambda m, text: m.push(split_name(text)),
    "STACK_GLOBAL": lambda m, _: m.combine(2, name_of),
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": lambda m, _: m.combine(3, lambda name, arguments, _: made(name, arguments)),
    "INST": Machine.instance,
    "OBJ": Machine.old_object,
    "BUILD": Machine.build,
    "BINPERSID": Machine.storage,
}
