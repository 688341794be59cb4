"""Which weights are taken: averages of every library, the model's own, shards; and what is no weight."""

from __future__ import annotations

import json

import pytest
import torch
from command_line import latte_eval
from safetensors.torch import save_file
from small_latte import small_latte

from latte_eval.core.errors import CheckpointError
from latte_eval.sampler import load_checkpoint

EMA = small_latte(seed=1).state_dict()
MODEL = small_latte(seed=2).state_dict()


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


AVERAGED = torch.optim.swa_utils.AveragedModel(small_latte(seed=1)).state_dict()
EMA_PYTORCH = {**prefixed(EMA, "ema_model."), **prefixed(MODEL, "online_model."), "initted": torch.tensor(True),
               "step": torch.tensor(100)}  # fmt: skip

BOTH = {
    "published": {"ema": EMA, "model": MODEL},
    "ema_pytorch": {"model": MODEL, "ema": EMA_PYTORCH},
    "ema_pytorch alone": EMA_PYTORCH,
    "inside the average": {"ema": EMA_PYTORCH},
    "lightning": {"state_dict": {**prefixed(EMA, "ema."), **prefixed(MODEL, "model.")}},
    "timm": {"state_dict": MODEL, "state_dict_ema": EMA, "model": MODEL},
    "torch": {"model": MODEL, "ema": AVERAGED},
}


def same(state, other) -> bool:
    return list(state) == list(other) and all(torch.equal(state[key], other[key]) for key in other)


@pytest.mark.parametrize("name", BOTH)
def test_both_weights_of_a_file_can_be_had(name, tmp_path):
    torch.save(BOTH[name], tmp_path / "c.pt")
    for weights, expected in ((None, EMA), ("ema", EMA), ("model", MODEL)):
        found = load_checkpoint(tmp_path / "c.pt", weights)
        assert found.weights == (weights or "ema") and same(found.state, expected)


@pytest.mark.parametrize(("content", "weights", "message"), [
    ({"ema": EMA}, "model", "holds no model weights .* --weights ema takes them"),
    ({"ema": prefixed(EMA, "model.")}, "model", "holds no model weights .* --weights ema takes them"),
    ({"model": MODEL}, "ema", "holds no ema weights .* --weights model takes them"),
    (EMA, "ema", "holds no ema weights .* does not say whether .* an average .* leave --weights out"),
])  # fmt: skip
def test_weights_that_a_file_does_not_hold(content, weights, message, tmp_path):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=rf"c\.pt {message}"):
        load_checkpoint(tmp_path / "c.pt", weights)


def test_what_is_no_weight_is_left_out_and_said(tmp_path):
    extra = {"position_ids": torch.arange(4), "blocks.0.attn.index": torch.zeros(2, 2).int(), "version": 1.0,
             "by": "me", "logs": [1, 2]}  # fmt: skip
    torch.save({"ema": {**EMA, **extra}, "heads": 4}, tmp_path / "c.pt")
    found = load_checkpoint(tmp_path / "c.pt")
    assert same(found.state, EMA)
    expected = ["position_ids (int64)", "blocks.0.attn.index (int32)", "version (float)", "by (str)", "logs (list)"]
    assert list(found.left_out) == expected
    done = latte_eval("inspect", tmp_path / "c.pt")
    assert f"left out      {', '.join(expected)}: no weights" in done.stdout


def write_shards(folder) -> None:
    folder.mkdir()
    keys = sorted(EMA)
    parts = {"a.safetensors": keys[:9], "b.safetensors": keys[9:]}
    for name, part in parts.items():
        save_file({key: EMA[key].clone() for key in part}, folder / name)
    places = {key: name for name, part in parts.items() for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": 8}))


def test_shards_load_by_folder_and_by_index(tmp_path):
    write_shards(tmp_path / "sharded")
    folder = load_checkpoint(tmp_path / "sharded")
    index = load_checkpoint(tmp_path / "sharded" / "model.safetensors.index.json")
    assert folder.name == "sharded" and folder.heads == 8 and folder.build().config.heads == 8
    assert (folder.sha256, folder.size) == (index.sha256, index.size)
    assert folder.size == sum(file.stat().st_size for file in (tmp_path / "sharded").glob("*safetensors*"))
    assert set(folder.state) == set(EMA) and all(torch.equal(folder[key], EMA[key]) for key in EMA)
    changed = {key: value + 1 for key, value in EMA.items() if key in sorted(EMA)[:9]}
    save_file(changed, tmp_path / "sharded/a.safetensors")
    assert load_checkpoint(tmp_path / "sharded").sha256 != folder.sha256


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda f: (f / "b.safetensors").unlink(), "names b.safetensors, which is not beside it; copy all 2 shards"),
    (lambda f: (f / "model.safetensors.index.json").write_text("{"), "is damaged"),
    (lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x"}}'), "names ../x"),
    (lambda f: save_file({"x": torch.ones(1)}, f / "a.safetensors"), "which its shard lacks"),
    (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
])  # fmt: skip
def test_shards_that_are_not_whole(spoil, message, tmp_path):
    write_shards(tmp_path / "sharded")
    spoil(tmp_path / "sharded")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "sharded")
