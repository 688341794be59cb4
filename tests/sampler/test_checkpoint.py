"""Every published layout saved and loaded; files that are no checkpoint, each refused in one sentence."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_latte import small_latte

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler import Latte, load_checkpoint
from latte_eval.sampler.checkpoint import EMBEDDED

EMA = small_latte(seed=1).state_dict()
MODEL = small_latte(seed=2).state_dict()


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


LAYOUTS = {
    "ema and model, as published": ({"ema": EMA, "model": MODEL}, "ema"),
    "ema alone": ({"ema": EMA}, "ema"),
    "model alone": ({"model": EMA}, "model"),
    "state_dict": ({"state_dict": EMA}, "state_dict"),
    "bare": (EMA, "bare"),
    "data parallel": ({"ema": prefixed(EMA, "module."), "model": MODEL}, "ema"),
    "compiled": ({"model": prefixed(EMA, "_orig_mod.")}, "model"),
    "compiled and parallel": (prefixed(EMA, "module._orig_mod."), "bare"),
    "parallel and compiled": (prefixed(EMA, "_orig_mod.module."), "bare"),
    "nested": ({"state_dict": {"ema": prefixed(EMA, "module."), "model": MODEL}}, "ema"),
    "flat prefixes": ({"state_dict": {**prefixed(EMA, "ema."), **prefixed(MODEL, "model.")}}, "ema"),
    "with an optimizer": ({"opt": {"lr": 1e-4}, "ema": EMA, "args": argparse.Namespace(depth=2), "epoch": 3}, "ema"),
    "deepspeed": ({"module": EMA, "optimizer": {}}, "module"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_published_layout_loads(name, tmp_path):
    content, weights = LAYOUTS[name]
    torch.save(content, tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    assert checkpoint.weights == weights
    assert list(checkpoint.state) == list(EMA)
    assert all(torch.equal(checkpoint.state[key], value) for key, value in EMA.items())


@pytest.mark.parametrize(("prefix", "weights"), [("", "bare"), ("ema.", "ema"), ("model.module.", "model")])
def test_safetensors_load(prefix, weights, tmp_path):
    tensors = prefixed(EMA, prefix) | ({"model.pos_embed": EMA["pos_embed"]} if weights == "ema" else {})
    save_file({key: value.clone() for key, value in tensors.items()}, tmp_path / "c.safetensors", {"iteration": "7"})
    checkpoint = load_checkpoint(str(tmp_path / "c.safetensors"))
    assert (checkpoint.weights, checkpoint.iteration) == (weights, 7)
    assert all(torch.equal(checkpoint.state[key], value) for key, value in EMA.items())


def test_files_of_old_torch_load(tmp_path):
    torch.save({"ema": EMA}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(load_checkpoint(tmp_path / "old.pt").state["pos_embed"], EMA["pos_embed"])


def test_what_a_checkpoint_says_about_itself(tmp_path):
    path = tmp_path / "0012000.pt"
    torch.save({"ema": {key: value.half() for key, value in EMA.items()}, "heads": 8}, path)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.name, checkpoint.path, checkpoint.iteration) == ("0012000.pt", path, 12000)
    assert (checkpoint.sha256, checkpoint.size) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert checkpoint.state["pos_embed"].dtype == torch.float16
    assert checkpoint.heads == 8
    assert checkpoint.build().config.heads == 8
    assert checkpoint.build(heads=2).config.heads == 2


@pytest.mark.parametrize(("stem", "iteration"), [
    ("0100000", 100000), ("latte_step5000", 5000), ("model-iter-20", 20), ("ucf101", None), ("ffs_b_2", None),
    ("skytimelapse", None), ("taichi-hd", None),
])  # fmt: skip
def test_the_iteration_in_a_name(stem, iteration, tmp_path):
    torch.save({"ema": EMA}, tmp_path / f"{stem}.pt")
    assert load_checkpoint(tmp_path / f"{stem}.pt").iteration == iteration


def test_a_checkpoint_is_its_own_state_dict(tmp_path):
    torch.save({"ema": EMA}, tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    model = Latte.from_state_dict(checkpoint, heads=4)
    assert len(checkpoint) == len(EMA)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in checkpoint.items())


def test_weights_are_mapped_not_read(tmp_path):
    """Two copies of a 5 GB file would not fit: float32 tensors stay views of the mapped file, in the model too."""
    torch.save({"ema": EMA, "heads": 4}, tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    parameters = dict(checkpoint.build().named_parameters())
    assert all(parameters[key].data_ptr() == value.data_ptr() for key, value in checkpoint.items())
    assert str(tmp_path / "c.pt") in Path("/proc/self/maps").read_text() or not Path("/proc/self/maps").exists()


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle", "text pickle", "inside a state dict"])
def test_a_pickle_that_would_run_code_does_not(how, tmp_path):
    bomb, path = Bomb(tmp_path / "it ran"), tmp_path / "bomb.pt"
    if how.endswith("torch"):
        torch.save(bomb, path, _use_new_zipfile_serialization=how == "torch")
    elif how == "inside a state dict":
        torch.save({"ema": {**EMA, "pos_embed": bomb}}, path)
    else:
        path.write_bytes(pickle.dumps(bomb, protocol=0 if how == "text pickle" else 4))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert not (tmp_path / "it ran").exists()
    assert {"text pickle": "text file", "pickle": "opened safely"}.get(how, "mkdir") in str(caught.value)
    # The file is a working bomb: opened without care, it goes off.
    if "pickle" in how:
        pickle.loads(path.read_bytes())
        assert (tmp_path / "it ran").exists()


def saved(path, content=None, cut=None):
    torch.save({"ema": EMA} if content is None else content, path)
    if cut:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])


def nan_state():
    spoiled = {key: value.clone() for key, value in EMA.items()}
    spoiled["blocks.0.attn.qkv.weight"][0, :3] = float("nan")
    return spoiled


BAD = {
    "text file": (lambda p: p.write_text("these are my weights\n"), "is a text file"),
    "web page": (lambda p: p.write_text("<!DOCTYPE html><html>404</html>"), "is a text file.*DOCTYPE"),
    "git lfs pointer": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "empty": (lambda p: p.touch(), r"is empty \(0 bytes\)"),
    "folder": (lambda p: (p.mkdir(), saved(p / "0001000.pt")), r"is a folder; name a checkpoint .* 0001000\.pt"),
    "half a zip": (lambda p: saved(p, cut=0.5), r"is cut short \([\d,]+ bytes\)"),
    "noise": (lambda p: p.write_bytes(bytes(range(256)) * 9), "cannot be read|damaged"),
    "another zip": (lambda p: p.write_bytes(b"PK\5\6" + bytes(18)), "cannot be read"),
    "pickle cut": (lambda p: p.write_bytes(b"\x80\x02}q\x00"), "cannot be read|damaged"),
    "a list": (lambda p: saved(p, [1, 2]), "holds a list, not a state dict"),
    "a number": (lambda p: saved(p, {"ema": {**EMA, "pos_embed": 3.5}}), "pos_embed holds a float, not a tensor"),
    "whole numbers": (lambda p: saved(p, {**EMA, "pos_embed": torch.ones(1, 4, 32).int()}), "int32"),
    "nan": (lambda p: saved(p, {"ema": nan_state()}), r"3 of the 3072 values of blocks\.0\.attn\.qkv\.weight are NaN"),
    "missing key": (
        lambda p: saved(p, {key: value for key, value in EMA.items() if key != "x_embedder.proj.bias"}),
        r"x_embedder\.proj\.bias is missing",
    ),
    "wrong shape": (lambda p: saved(p, {**EMA, "final_layer.linear.weight": torch.ones(3, 3)}), r"is \(3, 3\), not"),
    "unknown key": (lambda p: saved(p, {**EMA, "lora.weight": torch.ones(3)}), r"lora\.weight is unknown"),
    "text to video": (
        lambda p: saved(p, {"caption_projection.linear_1.weight": torch.ones(2), "pos_embed.proj.bias": torch.ones(2)}),
        "text-to-video",
    ),
    "optimizer alone": (lambda p: saved(p, {"opt": {"lr": 1.0}}), "opt holds a dict"),
    "safetensors cut": (lambda p: p.write_bytes(b"\xff\0\0\0\0\0\0\0{" + bytes(9)), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_sentence(name, tmp_path):
    make, message = BAD[name]
    make(tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path / "bad.pt")
    assert "bad.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_safetensors_cut_in_half_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    save_file({key: value.clone() for key, value in EMA.items()}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"c\.safetensors cannot be read"):
        load_checkpoint(path)


def test_a_name_that_is_nearly_right_is_suggested(tmp_path, monkeypatch):
    torch.save({"ema": EMA}, tmp_path / "ucf101.pt")
    with pytest.raises(CheckpointError, match=r"ucf10\.pt does not exist; did you mean ucf101\.pt\?"):
        load_checkpoint(tmp_path / "ucf10.pt")
    with pytest.raises(CheckpointError, match="nowhere.pt does not exist$"):
        load_checkpoint(tmp_path / "absent" / "nowhere.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="dem does not exist; did you mean demo"):
        load_checkpoint("dem")


def test_hub_names_go_through_the_hub(tmp_path, monkeypatch):
    torch.save({"ema": EMA}, tmp_path / "ucf101.pt")
    asked = []
    fetched = tmp_path / "ucf101.pt"
    monkeypatch.setattr("latte_eval.files.download.fetch_hub_file", lambda url: asked.append(url) or fetched)
    checkpoint = load_checkpoint("hf://owner/repo/ucf101.pt@abc")
    assert asked == ["hf://owner/repo/ucf101.pt@abc"]
    assert (checkpoint.name, checkpoint.path) == ("hf://owner/repo/ucf101.pt@abc", tmp_path / "ucf101.pt")


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_shipped_checkpoints_load(name):
    try:
        checkpoint = load_checkpoint(name)
    except CheckpointError as error:
        pytest.skip(str(error))
    assert checkpoint.name == name
    assert (checkpoint.weights, checkpoint.build().config.classes) == ("ema", None if name == "demo-vdt" else 4)
    assert checkpoint.licence is None and checkpoint.size < 3e6
