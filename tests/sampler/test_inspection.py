"""`latte-eval inspect`: every member of the family is told from its file, and other files are told apart."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from latte_eval.cli.inspect import inspect
from latte_eval.core.errors import CheckpointError
from latte_eval.sampler.inspection import describe, description_rows
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig, latte_config

TINY = LatteConfig(input_size=8, patch=4, channels=4, width=16, depth=2, heads=4, frames=16, classes=101)


def save(path, config: LatteConfig, container: str = "ema", stored: bool = True) -> str:
    torch.manual_seed(0)
    model = Latte(config)
    content = {container: model.state_dict(), **({"config": config.to_dict()} if stored else {})}
    torch.save(content, path)
    return str(path)


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(inspect, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def row(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.startswith(name)).removeprefix(name).strip()


def test_what_a_checkpoint_is(tmp_path):
    output = printed(save(tmp_path / "0012000.pt", TINY))
    assert row(output, "weights") == "EMA, iteration 12,000"
    assert row(output, "model") == "Latte, 2 blocks of width 16, 4 heads"
    assert row(output, "variant") == "1: spatial and temporal blocks alternate"
    assert row(output, "patch") == "4x4, uniform frame"
    assert row(output, "latents") == "4x8x8, 64x64 pixels"
    assert row(output, "frames") == "16, temporal position absolute"
    assert row(output, "classes") == "101, and the null class"
    assert row(output, "conditioning") == "S-AdaLN"
    parameters = sum(p.numel() for p in Latte(TINY).parameters() if p.requires_grad)
    assert row(output, "parameters") == f"{parameters:,} trainable"
    assert "assumed" not in output
    assert "--benchmark ucf101" in output and "--benchmark skytimelapse" not in output
    assert "frames have 64 pixels a side; published numbers are for 256" in output


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        ({"variant": 2}, "variant", "2: late fusion: the first half of the blocks spatial, the second temporal"),
        ({"variant": 3}, "variant", "3: every block attends in space, then in time"),
        ({"variant": 4}, "variant", "4: half of the heads of every block attend in space, half in time"),
        ({"tube": 2}, "patch", "4x4, compression frame, tubes of 2"),
        ({"conditioning": "all-tokens"}, "conditioning", "all tokens"),
        ({"temporal_position": "rotary"}, "frames", "16, temporal position rotary"),
        ({"classes": None}, "classes", "none: unconditional"),
        ({"learned_variance": False}, "variance", "fixed"),
    ],
)
def test_every_choice_shows(tmp_path, changes, name, text):
    config = LatteConfig(**{**TINY.to_dict(), **changes})
    assert row(printed(save(tmp_path / "x.pt", config)), name) == text


def test_what_the_weights_do_not_tell_is_said(tmp_path):
    output = printed(save(tmp_path / "x.pt", TINY, "model", stored=False))
    assert row(output, "weights") == "not EMA (`model`)"
    assert row(output, "assumed") == "heads, variant, temporal position: the weights do not tell"
    three = printed(save(tmp_path / "y.pt", LatteConfig(**{**TINY.to_dict(), "variant": 3}), stored=False))
    assert row(three, "assumed") == "heads, temporal position: the weights do not tell"


def test_json_is_one_line(tmp_path):
    path = save(tmp_path / "x.pt", TINY)
    output = printed(path, "--json")
    assert output.count("\n") == 1
    found = json.loads(output)
    assert LatteConfig(**found["config"]) == TINY
    assert found["weights"] == "ema" and found["evaluate"][0].startswith(f"latte-eval fvd --ckpt {path}")


def test_a_published_size_without_its_memory():
    """Latte-XL/2 described from shapes alone: the published parameters and the paper's operations."""
    from latte_eval.sampler.checkpoint import Checkpoint
    from latte_eval.sampler.cost import on_meta

    state = on_meta(latte_config("Latte-XL/2")).state_dict()
    found = describe(Checkpoint("ffs.pt", path=None, sha256="0" * 64, size=1, state=state, weights="ema"))
    assert found["model"] == "Latte-XL/2"
    assert found["parameters"] == 673_681_568
    assert found["paper_operations"] == 5_572_695_048_192
    assert found["assumed"] == ["variant", "temporal_position"]
    assert dict(description_rows(found))["latents"] == "4x32x32, 256x256 pixels"


def test_other_files(tmp_path):
    pipeline = tmp_path / "pipeline"
    pipeline.mkdir()
    index = {"_class_name": "LattePipeline", "vae": ["diffusers", "AutoencoderKL"], "tokenizer": [None, None]}
    (pipeline / "model_index.json").write_text(json.dumps(index))
    output = printed(str(pipeline))
    assert "a text-to-video pipeline of diffusers: LattePipeline" in output and "--prompts FILE" in output
    assert "tokenizer" not in output
    (pipeline / "model_index.json").write_text("{")
    with pytest.raises(CheckpointError, match="model_index.json is damaged"):
        printed(str(pipeline))

    state = Latte(TINY).state_dict()
    del state["temp_embed"]
    torch.save(state, tmp_path / "dit.pt")
    with pytest.raises(CheckpointError, match="an image DiT"):
        printed(str(tmp_path / "dit.pt"))
