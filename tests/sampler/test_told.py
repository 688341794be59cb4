"""What the weights do not tell comes from the file, an option or a published size; else it is asked for, or said."""

from __future__ import annotations

import argparse
import pathlib
import shutil

import pytest
import torch
from command_line import latte_eval
from small_latte import SMALL, small_latte

from latte_eval.core.errors import CheckpointError, SamplerError
from latte_eval.evaluation.opened_model import open_model
from latte_eval.evaluation.request import Request
from latte_eval.sampler import load_checkpoint
from latte_eval.sampler.checkpoint import locate
from latte_eval.sampler.guidance import Guidance, guided_denoiser
from latte_eval.sampler.latte.config import LatteConfig, latte_config
from latte_eval.sampler.latte.embedding import spatial_table, temporal_table

EMA = small_latte(seed=1).state_dict()
LABELS = "y_embedder.embedding_table.weight"
WIDE = latte_config("Latte-S/2", depth=2, input_size=4, frames=4, classes=3)


class AnyNode:
    """OmegaConf keeps a value so."""

    def __init__(self, value):
        self._val, self._parent, self._metadata = value, None, pathlib.Path("x")


class DictConfig:
    """And its entries so."""

    def __init__(self, **entries):
        self._content = {
            key: value if isinstance(value, DictConfig) else AnyNode(value) for key, value in entries.items()
        }


class Anything:
    def __init__(self, **entries):
        self.__dict__.update(entries)


TELLING = {
    "our own field": {"heads": 8},
    "our own config": {"config": {**SMALL.to_dict(), "heads": 8}},
    "arguments": {"args": argparse.Namespace(num_heads=8, hidden_size=32)},
    "arguments with a path": {"args": argparse.Namespace(num_heads=8, results=pathlib.Path("x"))},
    "a config of diffusers": {"config": {"num_attention_heads": 8}},
    "nested options": {"config": {"model": {"params": {"num_heads": 8}}}},
    "OmegaConf": {"args": DictConfig(image_size=128, num_heads=8)},
    "nested OmegaConf": {"args": DictConfig(model=DictConfig(num_heads=8))},
    "an object": {"hparams": Anything(num_heads=8)},
    "text, as safetensors keep it": {"args": {"num_heads": "8"}},
    "the outer one first": {"heads": 8, "args": {"num_heads": 4}},
}


@pytest.mark.parametrize("name", TELLING)
def test_the_file_tells_the_heads(name, tmp_path):
    torch.save({"ema": EMA, **TELLING[name]}, tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    assert checkpoint.heads == checkpoint.build().config.heads == 8
    assert checkpoint.build(heads=2).config.heads == 2


@pytest.mark.parametrize("args", [{}, {"model": "Latte-S/2"}, {"num_heads": None}, {"num_heads": True}])
def test_heads_that_nothing_tells_are_asked_for(args, tmp_path):
    """A name whose width is not that of the weights tells nothing."""
    torch.save({"ema": EMA, "args": args}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"c\.pt: .*width 32.*--heads N, one of 1, 2, 4, 8, 16, 32$"):
        load_checkpoint(tmp_path / "c.pt").build()
    done = latte_eval("fvd", "--ckpt", tmp_path / "c.pt", "--real", tmp_path, "--vae", "identity")
    assert done.returncode == 5 and "--heads N" in done.stderr and done.stderr.count("\n") == 1
    shown = latte_eval("inspect", tmp_path / "c.pt")
    assert shown.returncode == 0 and "heads not told: give --heads N, one of 1, 2" in shown.stdout
    assert "c.pt --heads N --real DIR" in shown.stdout
    assert '"heads": null' in latte_eval("inspect", tmp_path / "c.pt", "--json").stdout


def test_heads_of_published_sizes(tmp_path):
    torch.save({"ema": small_latte(WIDE).state_dict()}, tmp_path / "width.pt")
    assert load_checkpoint(tmp_path / "width.pt").build().config.heads == 6
    torch.save({"ema": small_latte(WIDE).state_dict(), "args": {"num_heads": 12}}, tmp_path / "told.pt")
    assert load_checkpoint(tmp_path / "told.pt").build().config.heads == 12
    torch.save({"ema": small_latte(WIDE).state_dict(), "args": {"model": "Latte-S/2"}}, tmp_path / "name.pt")
    assert load_checkpoint(tmp_path / "name.pt").heads == 6


def test_a_copy_of_the_shipped_checkpoint_is_known_by_its_content(tmp_path):
    shutil.copy(locate("demo"), tmp_path / "mine.pt")
    record = open_model(Request(ckpt=str(tmp_path / "mine.pt"), vae="identity")).checkpoint_record()
    assert load_checkpoint(tmp_path / "mine.pt").build().config.heads == 4
    assert "assumed" not in record


def record_of(path, content, **options) -> dict:
    torch.save(content, path)
    return open_model(Request(ckpt=str(path), vae="identity", **options)).checkpoint_record()


def test_what_was_assumed_is_in_the_result(tmp_path):
    told = {"heads": 4}
    record = record_of(tmp_path / "a.pt", {"ema": EMA, **told})
    assert record["assumed"] == ["variant=1", "temporal_position=absolute", "classes=3"]
    record = record_of(tmp_path / "b.pt", {"ema": EMA, **told}, variant=2, temporal_position="rotary")
    assert record["assumed"] == ["classes=3"]
    assert "assumed" not in record_of(tmp_path / "c.pt", {"ema": EMA, "config": SMALL.to_dict()})
    three = small_latte(LatteConfig(**{**SMALL.to_dict(), "variant": 3, "classes": None})).state_dict()
    assert record_of(tmp_path / "d.pt", {"ema": three, **told})["assumed"] == ["temporal_position=absolute"]


def test_the_weights_that_were_asked_for_are_in_the_result(tmp_path):
    content = {"ema": EMA, "model": small_latte(seed=2).state_dict(), "heads": 4}
    assert record_of(tmp_path / "c.pt", content)["weights"] == "ema"
    assert record_of(tmp_path / "c.pt", content, weights="model")["weights"] == "model"


BARE = {key: value for key, value in EMA.items() if key not in ("pos_embed", "temp_embed")}


@pytest.mark.parametrize("told", [
    {"input_size": 8, "num_frames": 4}, {"image_size": 8, "num_frames": 4}, {"config": SMALL.to_dict()},
])  # fmt: skip
def test_tables_are_made_from_their_formula(told, tmp_path):
    torch.save({"ema": BARE, "heads": 4, "args": told, **({"config": told["config"]} if "config" in told else {})},
               tmp_path / "c.pt")  # fmt: skip
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    assert checkpoint.rebuilt == ("pos_embed", "temp_embed") and not checkpoint.assumed_sizes
    assert torch.equal(checkpoint["pos_embed"], spatial_table(32, 2))
    assert torch.equal(checkpoint["temp_embed"], temporal_table(32, 4))
    assert (checkpoint.build().config.input_size, checkpoint.build().config.frames) == (8, 4)


def test_sizes_of_tables_that_nothing_tells_are_the_published_ones_and_said(tmp_path):
    record = record_of(tmp_path / "c.pt", {"ema": BARE, "heads": 4})
    assert {"input_size=32", "frames=16"} <= set(record["assumed"])
    assert record["rebuilt"] == ["pos_embed", "temp_embed"]
    shown = latte_eval("inspect", tmp_path / "c.pt").stdout
    assert "pos_embed, temp_embed: not in the file, made from their formula" in shown
    assert "classes, input size, frames: the weights do not tell" in shown


def test_a_label_table_without_the_null_row(tmp_path):
    short = {**EMA, LABELS: EMA[LABELS][:3].clone()}
    torch.save({"ema": short, "args": {"num_classes": 3, "num_heads": 4}}, tmp_path / "told.pt")
    model = load_checkpoint(tmp_path / "told.pt").build()
    assert (model.config.classes, model.config.null_row) == (3, False)
    x, step = torch.zeros(1, 4, 3, 8, 8), torch.tensor([5])
    assert model(x, step, torch.tensor([2])).shape == (1, 4, 6, 8, 8)
    for wrong in (lambda: model(x, step), lambda: model(x, step, torch.tensor([3])),
                  lambda: guided_denoiser(model, torch.tensor([2]), Guidance(4.0))(x, step)):  # fmt: skip
        with pytest.raises(SamplerError, match="3 classes"):
            wrong()
    with pytest.raises(SamplerError, match="--guidance-scale 4 needs a null class"):
        open_model(Request(ckpt=str(tmp_path / "told.pt"), vae="identity", guidance_scale=4.0))
    assert "3, without a null class" in latte_eval("inspect", tmp_path / "told.pt").stdout


def test_classes_can_be_given(tmp_path):
    short = {**EMA, LABELS: EMA[LABELS][:3].clone()}
    content = {"ema": short, "heads": 4}
    assert "classes=2" in record_of(tmp_path / "c.pt", content)["assumed"]
    record = record_of(tmp_path / "c.pt", content, classes=3)
    assert record["classes"] == 3 and record["assumed"] == ["variant=1", "temporal_position=absolute"]
    with pytest.raises(CheckpointError, match="3 rows.*and not 7; --classes 2 or --classes 3"):
        record_of(tmp_path / "c.pt", content, classes=7)
    with pytest.raises(CheckpointError, match="is unconditional"):
        record_of(tmp_path / "u.pt", {"ema": {k: v for k, v in EMA.items() if k != LABELS}, "heads": 4}, classes=3)


def test_features_that_were_made_before_keep_their_names():
    """The fingerprint of the demo is in accepted results."""
    from latte_eval.core.progress import Reporter

    request = Request(ckpt="demo", vae="identity")
    record = open_model(request).source(2, "cpu", Reporter()).record
    assert "model null_row" not in record and record["model heads"] == 4
