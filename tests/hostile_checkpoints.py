"""Checkpoints that are made to do harm, each under the name of what it does; small files that ask for much."""

from __future__ import annotations

import argparse
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from small_latte import small_latte
from torch import Tensor

EMA: dict[str, Tensor] = {key: value.clone() for key, value in small_latte(seed=1).state_dict().items()}
KEY = "pos_embed"

Make = Callable[[Path], object]


def saving(content: Any, old: bool = False) -> Make:
    """Writes it as `torch.save` does."""
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=not old)


def weights(**changed: Any) -> dict[str, Any]:
    """A whole state dict with some entries changed; `__` in a name stands for a point."""
    return {"ema": {**EMA, **{key.replace("__", "."): value for key, value in changed.items()}}}


def itself(key: str) -> dict[str, Any]:
    """A dict that holds itself."""
    found: dict[str, Any] = {**EMA}
    found[key] = found
    return found


def nested_dicts(depth: int, *keys: str) -> dict[str, Any]:
    """State dict in containers in containers."""
    found: dict[str, Any] = dict(EMA)
    for level in range(depth):
        found = {keys[level % len(keys)]: found}
    return found


def laughs(depth: int, width: int = 10) -> tuple[Any, ...]:
    """A tuple that takes `width` to the power of `depth` steps to walk through."""
    found: tuple[Any, ...] = ()
    for _ in range(depth):
        found = (found,) * width
    return found


def archived(program: bytes, **members: bytes) -> Make:
    """A zip archive as torch writes it, around any pickle."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in {"data.pkl": program, "byteorder": b"little", "version": b"3\n", **members}.items():
                archive.writestr(f"c/{name}", data)

    return write


def pickled(content: Any) -> bytes:
    return pickle.dumps(content, protocol=2)


def body(content: Any) -> bytes:
    """The opcodes that put a value on the stack."""
    return pickled(content)[2:-1]


def copied_pairs(pairs: int, copies: int) -> bytes:
    """One long list of pairs, of which many ordered dicts are made: a small file, and copies times pairs entries."""
    head = b"\x80\x02](" + b"".join(b"M" + struct.pack("<H", number) + b"N\x86" for number in range(pairs)) + b"eq\x00"
    made = b"ccollections\nOrderedDict\nh\x00\x85R" * copies
    return head + b"0(" + made + b"l."


def compressed(size: int) -> Make:
    """An archive that unpacks to a thousand times its size."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("c/data.pkl", b"\x80\x02X" + struct.pack("<I", size) + bytes(size) + b".")

    return write


def twice(path: Path) -> None:
    """An archive with two members of one name: readers differ in which they take."""
    torch.save({"ema": EMA}, path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        archive.writestr(name, pickled({"ema": {}}))


def flagged(flag: int) -> Make:
    """An archive whose list says something of its members that torch never does."""

    def write(path: Path) -> None:
        torch.save({"ema": EMA}, path)
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\1\2") + 8] |= flag
        path.write_bytes(data)

    return write


def folder(index: Any = None, config: bytes | None = None, **shards: Any) -> Make:
    """A sharded checkpoint."""

    def write(path: Path) -> None:
        path.mkdir()
        (path / "model.safetensors.index.json").write_bytes(
            index if isinstance(index, bytes) else json.dumps({"weight_map": index}).encode()
        )
        if config is not None:
            (path / "config.json").write_bytes(config)
        for name, content in shards.items():
            target = path / f"{name}.safetensors"
            save_file(content, target) if isinstance(content, dict) else torch.save(content, target.with_suffix(".bin"))

    return write


def whole_folder(config: bytes) -> Make:
    return folder(dict.fromkeys(EMA, "one.safetensors"), config, one=EMA)


def safetensors(header: Any, values: bytes = b"") -> Make:
    """A file with any header."""

    def write(path: Path) -> None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + values)

    return write


def counted(count: int) -> Make:
    """A file of old torch that states this many values for its first storage."""

    def write(path: Path) -> None:
        torch.save({"ema": {KEY: EMA[KEY]}}, path, _use_new_zipfile_serialization=False)
        data = bytearray(path.read_bytes())
        at = len(data) - EMA[KEY].numel() * 4 - 8
        data[at : at + 8] = struct.pack("<q", count)
        path.write_bytes(data)

    return write


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    STRANGE_TENSORS = {
        "sparse": EMA[KEY].to_sparse(),
        "compressed sparse": EMA[KEY][0].to_sparse_csr(),
        "meta": EMA[KEY].to("meta"),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "nested and jagged": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "float8": EMA[KEY].to(torch.float8_e4m3fn),
        "float8 without a sign": torch.ones(EMA[KEY].shape).to(torch.float8_e8m0fnu),
        "quantized": torch.quantize_per_tensor(EMA[KEY], 0.1, 0, torch.qint8),
        "complex": EMA[KEY].to(torch.complex64),
        "complex of halves": torch.zeros(EMA[KEY].shape, dtype=torch.complex32),
    }

# Name -> how it is made and what the line must say beside the name of the file.
HOSTILE: dict[str, tuple[Make, str]] = {
    **{f"a tensor that is {name}": (saving(weights(pos_embed=tensor)), "pos_embed")
       for name, tensor in STRANGE_TENSORS.items()},
    "contains itself as ema": (saving(itself("ema")), "itself|containers"),
    "contains itself as model": (saving(itself("model")), "itself|containers"),
    "contains itself in old torch": (saving(itself("state_dict"), old=True), "itself|containers"),
    "containers in containers": (saving(nested_dicts(100, "ema", "model", "module")), "containers"),
    "prefixes of prefixes": (saving({"module." * 20_000 + key: value for key, value in EMA.items()}), ""),
    "17 GB in 1.5 KB": (saving(weights(pos_embed=torch.zeros(1).expand(1, 2**16, 2**16))), "pos_embed"),
    "all of 17 GB": (saving({"ema": {key: torch.zeros(1).expand(2**16, 2**16) for key in EMA}}), ""),
    "an expanded view of the right shape": (saving(weights(pos_embed=torch.zeros(1).expand(EMA[KEY].shape))),
                                            "pos_embed .*storage"),
    "a width without values": (saving(weights(x_embedder__proj__weight=torch.zeros(2**40, 0, 4, 4))), "x_embedder"),
    "a width of 2^40": (saving(weights(x_embedder__proj__weight=torch.zeros(1).expand(2**40, 3, 4, 4))), "x_embedder"),
    "block 10^9": (saving(weights(**{"blocks.1000000000.attn.qkv.weight": torch.ones(1)})), "block"),
    "block of 5,000 digits": (saving(weights(**{f"blocks.{'9' * 5000}.x.weight": torch.ones(1)})), ""),
    "5,000 blocks": (saving(dict.fromkeys((f"blocks.{i}.attn.qkv.weight" for i in range(5000)), EMA[KEY]) | EMA),
                      "block"),
    "tensors without dimensions": (saving({"ema": {key: torch.tensor(1.0) for key in EMA}}), ""),
    "a label table without dimensions": (saving(weights(y_embedder__embedding_table__weight=torch.tensor(1.0))), ""),
    "a kernel without dimensions, of a known model": (
        saving({**weights(x_embedder__proj__weight=torch.tensor(1.0)), "model_name": "Latte-S/2",
                "args": {"model": "Latte-S/2"}}), "x_embedder|not a Latte"),
    "integer keys": (saving({"ema": dict(enumerate(EMA.values()))}), "not a Latte"),
    "an integer key of 5,000 digits": (saving({"ema": {**EMA, 10**5000: torch.ones(1)}}), "unknown"),
    "a key of several lines": (saving({"ema": {**EMA, "a\nb\x1b[31m.weight": torch.ones(1)}}), "unknown"),
    "a key of a megabyte": (saving({"ema": {**EMA, "x" * 2**20: torch.ones(1)}}), "unknown"),
    "a key that is no text in UTF-8": (archived(pickled({"\ud800.weight": 1})), ""),
    "a table of 10^12 places": (
        saving({"ema": {k: v for k, v in EMA.items() if k != KEY}, "input_size": 4_000_000}), "input_size"),
    "a table of 10^12 frames": (
        saving({"ema": {k: v for k, v in EMA.items() if k != "temp_embed"}, "frames": 10**12}), "frames"),
    "an image size of 10^12": (
        saving({"ema": {k: v for k, v in EMA.items() if k != KEY}, "image_size": 10**12}), "input_size"),
    "a position of a megabyte": (saving({**weights(), "temporal_position": "x" * 2**20}), ""),
    "a model name of several lines": (saving({**weights(), "temporal_position": "a\nb"}), ""),
    "a key that takes 10^30 steps to hash": (archived(b"\x80\x02}" + body(laughs(30)) + b"K\x01s."), ""),
    "a set that takes 10^30 steps to hash": (
        archived(b"\x80\x04\x8f(" + body(laughs(30)) + b"\x90."), ""),
    "50,000 tuples in tuples as a key": (
        archived(b"\x80\x02}()" + b"\x85" * 50_000 + b"K\x01u."), ""),
    "10,000 lists in lists": (archived(b"\x80\x02" + b"](" * 10_000 + b"e" * 10_000 + b"."), "list"),
    "a name of 10^30 parts": (
        archived(b"\x80\x02" + body(laughs(30)) + b")R."), ""),
    "a storage of a type of 10^30 parts": (
        archived(b"\x80\x02(X\x07\x00\x00\x00storage" + body(laughs(30)) + b"K\x00K\x00K\x00tQ."), ""),
    "a storage with a key of 10^30 parts": (
        archived(b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + body(laughs(30))
                 + b"K\x00K\x00tQ."), ""),
    "10^9 entries of copied pairs": (archived(copied_pairs(30_000, 30_000)), ""),
    "an int of 100,000 digits": (archived(b"\x80\x02I" + b"9" * 10**5 + b"\n."), ""),
    "text of 2^60 bytes": (archived(b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x."), ""),
    "text of 2^60 bytes in old torch": (
        lambda p: p.write_bytes(b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x."), ""),
    "a storage of 2^60 values in old torch": (counted(2**60), r"storage"),
    "a storage of -1 values in old torch": (counted(-1), r"storage"),
    "an archive that unpacks to a thousand times its size": (compressed(2**26), "compressed"),
    "a member that is encrypted": (flagged(1), "encrypted"),
    "a member that is a patch": (flagged(0x20), "patch"),
    "two members of one name": (twice, "twice|two"),
    "an index that names itself": (
        folder(dict.fromkeys(EMA, "model.safetensors.index.json")), "index.json names model.safetensors.index.json"),
    "an index of lists in lists": (folder(b"[" * 200_000), "damaged"),
    "an index with a name of 5,000 digits": (folder(b'{"weight_map": {"a": ' + b"9" * 5000 + b"}}"), "damaged"),
    "an index that leads out": (folder({KEY: "../../etc/passwd"}), "beside their index"),
    "an index with a name that is no text": (folder(b'{"weight_map": {"a": "\\ud800\\u0000\\n"}}'), ""),
    "a shard that holds a list": (folder(dict.fromkeys(EMA, "one.bin"), one=[1, 2]), "list"),
    "a config of lists in lists": (whole_folder(b"[" * 200_000), "damaged"),
    "a config with 5,000 digits": (whole_folder(b'{"num_classes": ' + b"9" * 5000 + b"}"), "damaged"),
    "a safetensors header of 2^60 bytes": (lambda p: p.write_bytes(struct.pack("<Q", 2**60) + b"{" + bytes(99)), ""),
    "a safetensors header of lists in lists": (safetensors(b'{"a":' + b"[" * 100_000), ""),
    "a safetensors width of 2^60": (
        safetensors({key: {"dtype": "F32", "shape": [2**60, 0, 4, 4], "data_offsets": [0, 0]} for key in EMA}), ""),
    "a float8 in safetensors": (
        lambda p: save_file({**EMA, KEY: EMA[KEY].to(torch.float8_e4m3fn)}, p), "pos_embed"),
}  # fmt: skip

# Files of these kinds hold whole weights beside something odd that is not needed: they load.
ODD: dict[str, Make] = {
    "a step of 5,000 digits": saving({**weights(), "step": 10**5000}),
    "sizes of 5,000 digits": saving({**weights(), "args": {"num_classes": 10**5000}, "classes": -(10**5000)}),
    "heads of 1,000 digits": saving({**weights(), "heads": 10**1000}),
    "a step below 0": saving({**weights(), "train_steps": -5}),
    "a step that is true": saving({**weights(), "step": True}),
    "options that contain themselves": saving({**weights(), "args": argparse.Namespace(inner=itself("args"))}),
    "a step of 5,000 digits in safetensors": lambda p: save_file(EMA, p.with_suffix(".safetensors"),
                                                                 {"iteration": "9" * 5000, "step": "²"}),
    "lists in lists beside the weights": saving({**weights(), "lists": laughs(20)}),
}  # fmt: skip
