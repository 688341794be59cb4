"""Objects beside the weights become stand-ins: what torch reads comes out the same, and nothing of a file is run."""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from small_latte import small_latte

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler import load_checkpoint
from latte_eval.sampler.inert_file import read_inert
from latte_eval.sampler.inert_pickle import Inert, Machine

EMA = small_latte(seed=1).state_dict()


class Options:
    """An object of a training script, which nobody else can import."""

    def __init__(self, **entries):
        self.__dict__.update(entries)


class Loud(dict):
    """A class whose every way of being built leaves a folder behind."""

    def __init__(self, path=None):
        super().__init__()
        self.path = path

    def __setstate__(self, state):
        pathlib.Path(state["path"]).mkdir()

    def __setitem__(self, key, value):
        pathlib.Path(value).mkdir()

    def __reduce__(self):
        return Loud, (), {"path": self.path}, None, iter([("path", self.path)])


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


BESIDE = {
    "a path": pathlib.Path("results"),
    "a Namespace of a path": argparse.Namespace(results=pathlib.Path("results"), num_heads=8),
    "a numpy scalar": np.float64(123.4),
    "a numpy array": np.arange(4),
    "the state of numpy's generator": np.random.RandomState(0).get_state(),
    "a moment": datetime.datetime(2026, 1, 1),
    "an object of nobody's": Options(lr=1.0),
    "a module": torch.nn.Linear(2, 2),
    "a Counter of paths": {"seen": collections.Counter([pathlib.Path("a")])},
}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", BESIDE)
def test_objects_beside_the_weights_do_not_matter(name, old, tmp_path):
    content = {"ema": EMA, "what": BESIDE[name]}
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=not old)
    found = load_checkpoint(tmp_path / "c.pt")
    assert found.weights == "ema" and list(found.state) == list(EMA)
    assert all(torch.equal(value, EMA[key]) for key, value in found.state.items())


@pytest.mark.parametrize("old", [False, True])
def test_tensors_come_out_as_torch_reads_them(old, tmp_path):
    """Views, shared storages, every type, parameters, and containers of all kinds."""
    base = torch.arange(24.0).reshape(4, 6)
    content = {
        "views": [base, base.t(), base[1:3, ::2], base[2], base.expand(2, 4, 6), torch.empty(0, 3), torch.tensor(7)],
        "types": {str(d): torch.ones(3).to(d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.int8,
                                                       torch.uint8, torch.int16, torch.int64, torch.bool)},
        "parameter": torch.nn.Parameter(base),
        "ordered": collections.OrderedDict(a=base),
        "others": (None, True, -3, 2**70, 1.5, "tëxt", (1, (2, 3, 4, 5))),
    }  # fmt: skip
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=not old)
    found = read_inert(tmp_path / "c.pt")
    pairs = [*zip(content["views"], found["views"], strict=True), (base, found["parameter"]),
             (base, found["ordered"]["a"]), *((t, found["types"][d]) for d, t in content["types"].items())]  # fmt: skip
    assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
    assert found["others"] == content["others"]


def hostile(sign: str) -> dict[str, object]:
    """Files that make the folder `sign` when they are opened without care."""
    make = Call(os.mkdir, sign)
    return {
        "os.system": Call(os.system, f"mkdir {sign}"),
        "eval": Call(eval, f"__import__('os').mkdir({sign!r})"),
        "inside an argument": Call(list, [make]),
        "a call of what a call gives": Call(getattr, Call(__import__, "os"), "system"),
        "__setstate__ and __setitem__": Loud(sign),
        "in a Namespace": argparse.Namespace(a=make, b=[make]),
        "as a key": {Call(print, sign): 1},
        "for a tensor": Call(torch._utils._rebuild_tensor_v2, make, 0, (1,), (1,), False, {}),
        "torch.load again": Call(torch.load, sign),
    }


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", hostile("x"))
def test_hostile_objects_are_never_run(name, old, tmp_path, monkeypatch):
    content, load = {"ema": EMA, "args": hostile(str(tmp_path / "it ran"))[name]}, torch.load
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=not old)
    assert list(load_checkpoint(tmp_path / "c.pt").state) == list(EMA)
    assert torch.load is load and not (tmp_path / "it ran").exists()
    torch.save({"ema": {**EMA, "extra.weight": content["args"]}}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="extra.weight"):
        load_checkpoint(tmp_path / "c.pt")
    assert torch.load is load and not (tmp_path / "it ran").exists()


def test_the_hostile_files_work(tmp_path):
    """Opened without care they go off: so that the test above means something."""
    for name in ("inside an argument", "__setstate__ and __setitem__", "in a Namespace", "for a tensor"):
        sign = tmp_path / name
        torch.save({"ema": EMA, "args": hostile(str(sign))[name]}, tmp_path / "c.pt")
        with contextlib.suppress(TypeError, AttributeError, FileExistsError):
            torch.load(tmp_path / "c.pt", weights_only=False)
        assert sign.exists(), name


def test_a_program_for_torchscript_is_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "c.pt"))
    with pytest.raises(CheckpointError, match=r"c\.pt is a TorchScript program"):
        load_checkpoint(tmp_path / "c.pt")


def rewritten(path, change) -> None:
    """An archive with its pickle changed."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)


@pytest.mark.parametrize("change", [
    lambda data: data[: len(data) // 2],
    lambda data: b"\x80\x02" + b"0" + data[2:],
    lambda data: data.replace(b"K\x20", b"K\xff"),
    lambda data: b"\x80\x02\x82\x01.",
], ids=["cut", "takes from nothing", "reaches outside a storage", "an extension code"])  # fmt: skip
def test_damaged_pickles_are_one_error(change, tmp_path):
    torch.save({"ema": EMA, "when": datetime.datetime(2026, 1, 1)}, tmp_path / "c.pt")
    rewritten(tmp_path / "c.pt", change)
    with pytest.raises(CheckpointError, match=r"c\.pt") as caught:
        load_checkpoint(tmp_path / "c.pt")
    assert "\n" not in str(caught.value)


def test_a_stand_in_keeps_what_it_would_have_been_made_of():
    for protocol in range(5):
        stream = io.BytesIO(pickle.dumps(Options(num_heads=8, inner=Options(x=1)), protocol))
        found = Machine(lambda *_: torch.empty(0)).read(stream)
        assert isinstance(found, Inert)
        assert found.state["num_heads"] == 8 and found.state["inner"].state == {"x": 1}
