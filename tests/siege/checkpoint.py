"""Damaged and hostile checkpoints: each is refused in one line, or its weights are those that the file says.

    python tests/siege/checkpoint.py --trials 2000 --seed 0

Files of torch (new and old), safetensors and shards lose bytes, gain bytes, swap parts; their pickles get opcodes that
call functions. A file with checksums must never load as other weights than were written. Old files of torch and
safetensors have none: there, what loads must be what torch or safetensors itself reads from the same bytes.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from hostile_checkpoints import EMA, HOSTILE
from safetensors.torch import load_file, save_file

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler import load_checkpoint
from siege.damaged_bytes import bytes_damaged
from siege.siege import CodeRun, Siege, Wrong, main

REFUSED, SAME, OTHER = "refused", "the same weights", "other weights, as its own library reads"

# Kind of file -> name of the file or folder.
KINDS = {"zip": "0001.pt", "old": "0001.pt", "safetensors": "0001.safetensors", "shards": "model"}

# What a pickle names to have a folder made, and what else it may name.
CALLS = [("os", "mkdir"), ("posix", "mkdir"), ("os", "makedirs"), ("pathlib", "Path.mkdir"), ("builtins", "eval"),
         ("builtins", "exec"), ("builtins", "getattr"), ("torch", "load"), ("subprocess", "call"), ("os", "system"),
         ("torch.storage", "_load_from_bytes"), ("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict"),
         ("torch._utils", "_rebuild_sparse_tensor"), ("torch", "FloatStorage"), ("copyreg", "_reconstructor"),
         ("torch._utils", "_rebuild_parameter"), ("functools", "partial"), ("io", "open")]  # fmt: skip


def prepare(folder: Path) -> dict[str, Path]:
    """One whole file of every kind."""
    found = {}
    for kind, name in KINDS.items():
        path = found[kind] = folder / kind / name
        path.parent.mkdir()
        write_whole(kind, path)
    return found


def write_whole(kind: str, path: Path) -> None:
    if kind in ("zip", "old"):
        args = {"num_heads": 4, "when": Path("x") if kind == "zip" else 1.5}
        content = {"ema": EMA, "model": EMA, "args": args, "train_steps": 7}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "safetensors":
        save_file(EMA, path, {"heads": "4"})
    else:
        path.mkdir()
        half = len(EMA) // 2
        parts = {"a.safetensors": dict(list(EMA.items())[:half]), "b.safetensors": dict(list(EMA.items())[half:])}
        for name, part in parts.items():
            save_file(part, path / name)
        places = {key: name for name, part in parts.items() for key in part}
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
        (path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "sample_size": 8}))


def trial(material: dict[str, Path], chance: random.Random, folder: Path) -> str:
    """One damaged or hostile file, opened."""
    sign = folder / "it ran"
    way = chance.choice(list(WAYS))
    path, kind = WAYS[way](material, chance, folder)
    try:
        outcome = opened(path, kind)
    except (Wrong, CheckpointError):
        raise
    except Exception as error:
        raise type(error)(f"{way}: {error}") from error
    finally:
        if sign.exists():
            raise CodeRun(way)
    return outcome


def opened(path: Path, kind: str) -> str:
    """What comes of opening a file. Raises `Wrong`."""
    try:
        found = load_checkpoint(path)
    except CheckpointError as error:
        said = str(error)
        if path.name not in said or not said.isprintable() or len(said) > 600:
            raise Wrong(f"a poor line: {said[:300]!r}") from error
        if "alloc" in said or "MemoryError" in said:
            raise Wrong(f"it was tried: {said}") from error
        return REFUSED
    if list(found) == list(EMA) and all(same(found[key], EMA[key]) for key in EMA):
        return SAME
    if kind == "checksums":
        raise Wrong("other weights than were written")
    if kind != "hostile":
        check_reference(found.state, reference(path))
    return OTHER


def same(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.dtype == two.dtype and torch.equal(one, two)


def reference(path: Path) -> dict[str, torch.Tensor]:
    """The weights as the libraries that wrote the file read them."""
    if path.is_dir():
        return {key: value for shard in path.glob("*.safetensors") for key, value in load_file(shard).items()}
    if path.suffix == ".safetensors":
        return load_file(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content.get("ema") or content["model"]


def check_reference(found: Any, wanted: dict[str, torch.Tensor]) -> None:
    wanted = {key.removeprefix("module."): value for key, value in wanted.items()}
    for key, value in found.items():
        if key not in wanted or not same(value, wanted[key]):
            raise Wrong(f"{key} is not what its own library reads")


def damaged_zip(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    path = folder / "0001.pt"
    path.write_bytes(bytes_damaged(material["zip"].read_bytes(), chance))
    return path, "checksums"


def damaged_head(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """The parts of an old file or of safetensors that are not values, which nothing protects."""
    kind = chance.choice(("old", "safetensors"))
    data = material[kind].read_bytes()
    if kind == "safetensors":
        head = 8 + struct.unpack("<Q", data[:8])[0]
        changed = bytes_damaged(data[:head], chance) + data[head:]
    else:
        head = data.index(struct.pack("<q", EMA["pos_embed"].numel()))
        changed = bytes_damaged(data[:head], chance) + data[head:]
    path = folder / material[kind].name
    path.write_bytes(changed)
    return path, kind


def damaged_shards(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """The index, the config or the head of a shard."""
    path = folder / "model"
    path.mkdir()
    for file in material["shards"].iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    file = path / chance.choice(("model.safetensors.index.json", "config.json", "a.safetensors"))
    data = file.read_bytes()
    head = 8 + struct.unpack("<Q", data[:8])[0] if file.suffix == ".safetensors" else len(data)
    file.write_bytes(bytes_damaged(data[:head], chance) + data[head:])
    return path, "shards"


def rewritten(
    material: dict[str, Path], folder: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> tuple[Path, str]:
    """A zip archive with members changed and their checksums made new: what it says is what somebody wrote."""
    with zipfile.ZipFile(material["zip"]) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    path = folder / "0001.pt"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in change(members).items():
            archive.writestr(name, data)
    return path, "hostile"


def damaged_program(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """A pickle with damage that no checksum tells."""
    return rewritten(
        material, folder,
        lambda members: {name: bytes_damaged(data, chance) if name.endswith("data.pkl") else data
                         for name, data in members.items()},
    )  # fmt: skip


def hostile_program(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """A pickle with a call in it, that would make a folder."""
    sign = str(folder / "it ran")

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        name = next(name for name in members if name.endswith("data.pkl"))
        program = members[name]
        at = chance.choice([0, 0, len(program) - 3, chance.randrange(len(program))])
        call = a_call(chance, sign)
        return {
            **members,
            name: b"\x80\x04" + (call + b"0" + program[2:] if not at else program[2:at] + call + program[at:]),
        }

    return rewritten(material, folder, change)


def hostile_stream(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """The same in a file of old torch, or alone."""
    path, call = folder / "0001.pt", a_call(chance, str(folder / "it ran"))
    data = material["old"].read_bytes()
    at = data.index(b"}q", 30)
    path.write_bytes(chance.choice((b"\x80\x04" + call + b".", data[:at] + call + b"0" + data[at:])))
    return path, "hostile"


def a_call(chance: random.Random, sign: str) -> bytes:
    """Opcodes that call a function in one of the ways that pickle has."""
    module, name = chance.choice(CALLS)
    text = pickle.dumps(chance.choice((sign, f"__import__('os').mkdir({sign!r})", f"mkdir '{sign}'")), 2)[2:-1]
    named = chance.choice((f"c{module}\n{name}\n".encode(), b"\x8c" + bytes([len(module)]) + module.encode() +
                           b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93"))  # fmt: skip
    return chance.choice((
        named + text + b"\x85R",
        named + text + b"\x85\x81",
        named + text + b"\x85}\x92",
        b"(" + text + f"i{module}\n{name}\n".encode(),
        b"(" + named + text + b"o",
        named + b")R" + text + b"b",
        named + b")\x81}" + text + text + b"sb",
        b"\x82\x01", b"\x83\x01\x01", b"P" + sign.encode() + b"\n", text + b"Q",
        b"\x95" + struct.pack("<Q", 2**40), b"\x97", b"\x98", b"h\xff", b"j\xff\xff\xff\xff", b"r\xff\xff\xff\xff",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"1", b"\x8b" + struct.pack("<i", -5), b"I" + b"7" * 5000 + b"\n",
        b"(" + b"]" * 50 + b"t" * 1, b"2" * 100 + b"a" * 60, b")" + b"\x85" * 5000,
    ))  # fmt: skip


def false_storages(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """Tensors whose keys, sizes, strides, offsets and counts are not those of their storages."""
    odd = (0, 1, -1, 2**20, 2**31, 2**63 - 1, 2**64, -(2**40), "0", 1.5, None, (1,), [2])

    class Storage:
        def __init__(self, key: Any, count: Any, kind: Any = torch.FloatStorage):
            self.record = ("storage", kind, key, "cpu", count)

    class Tensor:
        def __init__(self, *arguments: Any):
            self.arguments = arguments

        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, self.arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value.record if isinstance(value, Storage) else None

    def changed(value: Any) -> Any:
        return chance.choice(odd) if chance.random() < 0.02 else value

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        name = next(name for name in members if name.endswith("data.pkl"))
        tensors = {}
        for number, (key, value) in enumerate(EMA.items()):
            storage = Storage(changed(str(number)), changed(value.numel()), changed(torch.FloatStorage))
            size, stride = tuple(map(changed, value.shape)), tuple(map(changed, value.stride()))
            odd_key, place = changed(key), changed(0)
            odd_key = key if isinstance(odd_key, list) else odd_key
            tensors[odd_key] = Tensor(storage, place, changed(size), changed(stride), False, {})
        stream = io.BytesIO()
        Pickler(stream, 2).dump({"ema": tensors})
        return {**members, name: stream.getvalue()}

    return rewritten(material, folder, change)


def swapped_members(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """Storages under the names of others, names that lead out, names without a folder."""

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        names = list(members)
        one, two = chance.sample(names, 2)
        odd = chance.choice(("../../x", "/etc/x", "0001/data/99999", "data.pkl", "x" * 60_000, "0001/", "é\n/data/0"))
        return chance.choice((
            {**members, one: members[two], two: members[one]},
            {name: data for name, data in members.items() if name != one},
            {odd: b"x", **members},
            {odd if name == one else name: data for name, data in members.items()},
        ))  # fmt: skip

    return rewritten(material, folder, change)


def false_directory(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """The list at the end of an archive with false sizes, places, methods and flags."""
    data = bytearray(material["zip"].read_bytes())
    entries = [at for at in range(len(data) - 4) if data[at : at + 4] == b"PK\1\2"]
    for at in chance.sample(entries, chance.choice((1, 1, 2, len(entries)))):
        field, size = chance.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)))
        value = chance.choice((0, 1, 8, 0xFFFF, 2**32 - 1, 2**31, len(data), chance.randrange(2**16)))
        data[at + field : at + field + size] = struct.pack("<Q", value)[:size]
    path = folder / "0001.pt"
    path.write_bytes(data)
    return path, "checksums"


def known(material: dict[str, Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """A file of the table of hostile ones."""
    path = folder / "bad.pt"
    HOSTILE[chance.choice(list(HOSTILE))][0](path)
    return path, "hostile"


WAYS: dict[str, Callable[[dict[str, Path], random.Random, Path], tuple[Path, str]]] = {
    each.__name__: each
    for each in (damaged_zip, damaged_head, damaged_shards, damaged_program, hostile_program, hostile_stream,
                 false_storages, swapped_members, false_directory, known)
}  # fmt: skip

SIEGE = Siege("checkpoint", trial, (REFUSED, SAME, OTHER), prepare, trials=2000, seconds=30, memory=2**30)

if __name__ == "__main__":
    main(SIEGE)
