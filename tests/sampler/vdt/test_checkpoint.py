"""A VDT file: told from a Latte by its keys, described, refused in words, and sampled as a Latte is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from small_latte import SMALL, small_latte
from small_vdt import SMALL_VDT, small_vdt

from latte_eval.core.errors import CheckpointError, SamplerError
from latte_eval.sampler import Checkpoint, IdentityCodec, SampledSource, SamplerSettings, load_checkpoint
from latte_eval.sampler.cost import count_parameters, measure_cost, on_meta
from latte_eval.sampler.families import LATTE
from latte_eval.sampler.guidance import Guidance, guided_denoiser
from latte_eval.sampler.inspection import describe, description_rows
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.memory import step_memory
from latte_eval.sampler.vdt import VDT, VDTConfig, vdt_config
from latte_eval.sampler.vdt.config import LICENCE
from latte_eval.sampler.vdt.operations import forward_operations

# A forward pass of one clip of 16 frames in GFLOP, two for a multiply-accumulate, as the reference counts (RERV/VDT).
GFLOPS = {("VDT-L/2", 8): 325.0, ("VDT-L/2", 16): 1304.9, ("VDT-L/2", 32): 5319.6,
          ("VDT-S/2", 8): 15.6, ("VDT-S/2", 16): 63.2, ("VDT-S/2", 32): 267.1}  # fmt: skip
LAYOUTS = {
    "bare": lambda state: state,
    "ema": lambda state: {"ema": state},
    "model": lambda state: {"model": state},
    "module.": lambda state: {"ema": {f"module.{key}": value for key, value in state.items()}},
    "told": lambda state: {"ema": state, "args": {"num_heads": 4, "num_frames": 4, "num_classes": 1, "model": "VDT"}},
}  # fmt: skip


def save(path: Path, config: VDTConfig = SMALL_VDT, layout: str = "told") -> str:
    torch.save(LAYOUTS[layout](small_vdt(config).state_dict()), path)
    return str(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads(tmp_path, layout):
    checkpoint = load_checkpoint(save(tmp_path / "0005000.pt", layout=layout))
    model = checkpoint.build(heads=4)
    assert isinstance(model, VDT) and model.config == SMALL_VDT
    assert (checkpoint.family.name, checkpoint.iteration, checkpoint.rebuilt) == ("VDT", 5000, ())
    assert checkpoint.heads == (4 if layout == "told" else None)
    assert checkpoint.assumed(model.config) == [], "nothing else is untold"


def test_safetensors_load(tmp_path):
    from safetensors.torch import save_file

    save_file(small_vdt().state_dict(), tmp_path / "vdt.safetensors")
    assert load_checkpoint(tmp_path / "vdt.safetensors").build(heads=4).config == SMALL_VDT


def test_tables_are_rebuilt_where_the_file_tells_their_size(tmp_path):
    whole = small_vdt().state_dict()
    state = {key: value for key, value in whole.items() if key not in ("pos_embed", "time_embed")}
    torch.save({"ema": state, "args": {"num_heads": 4, "num_frames": 4, "input_size": 8}}, tmp_path / "x.pt")
    checkpoint = load_checkpoint(tmp_path / "x.pt")
    assert checkpoint.rebuilt == ("pos_embed", "time_embed")
    assert all(torch.equal(checkpoint.build().state_dict()[key], value) for key, value in whole.items())


def spoiled(change) -> dict[str, torch.Tensor]:
    state = dict(small_vdt().state_dict())
    change(state)
    return state


BAD = {
    "no time_embed": (lambda s: s.pop("time_embed"), "time_embed is missing"),
    "no label table": (lambda s: s.pop("y_embedder.embedding_table.weight"), "embedding_table.weight is missing"),
    "both tables over time": (lambda s: s.update(temp_embed=s["time_embed"]), "temp_embed"),
    "NaN": (lambda s: s["blocks.1.temporal_fc.bias"].fill_(torch.nan), "temporal_fc.bias are NaN"),
    "another width": (lambda s: s.update({"blocks.0.temporal_fc.weight": torch.zeros(32, 16)}), r"\(32, 16\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, case):
    change, message = BAD[case]
    torch.save({"ema": spoiled(change)}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path / "bad.pt")
    assert str(tmp_path / "bad.pt") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("choices", [{"variant": 2}, {"temporal_position": "rotary"}, {"classes": 1}])
def test_choices_of_a_latte_are_refused(tmp_path, choices):
    (name,) = choices
    with pytest.raises(CheckpointError, match=f"--{name.replace('_', '-')} goes with a Latte; this is a VDT"):
        load_checkpoint(save(tmp_path / "x.pt")).build(**choices)


def test_what_a_vdt_is(tmp_path):
    config = VDTConfig(input_size=8, patch=4, channels=4, width=32, depth=2, heads=4, frames=16)
    path = save(tmp_path / "x.pt", config)
    done = latte_eval("inspect", path)
    rows = {line[:12].strip(): line[12:].strip() for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert rows["model"] == "VDT, 2 blocks of width 32, 4 heads"
    assert rows["blocks"] == "every block attends over time, then in space"
    assert rows["latents"] == "4x8x8, 64x64 pixels"
    assert rows["frames"] == "16: clips of this length alone"
    assert rows["classes"].startswith("none: unconditional")
    assert rows["parameters"] == f"{count_parameters(on_meta(config)):,} trainable"
    assert rows["licence"] == LICENCE and "variant" not in rows and "assumed" not in rows
    assert "the paper's count" not in rows["FLOPs"]
    assert f"latte-eval fvd --ckpt {path} --real DIR" in done.stdout
    found = json.loads(latte_eval("inspect", path, "--json").stdout)
    assert VDTConfig(**found["config"]) == config and (found["family"], found["licence"]) == ("VDT", LICENCE)
    untold = latte_eval("inspect", save(tmp_path / "y.pt", config, "bare")).stdout
    assert "heads not told: give --heads N, one of 1, 2, 4, 8, 16, 32" in untold and "--heads N --real DIR" in untold


def test_the_published_size_without_its_memory():
    state = on_meta(vdt_config("VDT-L/2")).state_dict()
    found = describe(Checkpoint("sky.pt", path=None, sha256="0" * 64, size=1, state=state, weights="bare"))
    rows = dict(description_rows(found))
    assert rows["model"] == "VDT-L/2, 16 heads" and rows["latents"] == "4x32x32, 256x256 pixels"
    assert found["assumed"] == [] and found["parameters"] == 859_704_224


@pytest.mark.parametrize(("name", "size"), GFLOPS)
def test_operations_are_those_of_the_reference(name, size):
    cost = measure_cost(on_meta(vdt_config(name, input_size=size)))
    assert cost.flops == cost.own_flops == forward_operations(vdt_config(name, input_size=size))
    assert round(cost.flops / 1e9, 1) == GFLOPS[name, size]


def test_memory_counts_the_weights_of_a_vdt():
    needed = step_memory(SMALL_VDT, "bf16", False)
    assert needed.weights == 2 * sum(value.numel() for value in small_vdt().state_dict().values())
    assert needed.clip > 0


def sampled(settings: SamplerSettings, model=None, count: int = 12) -> SampledSource:
    model = model or small_vdt()
    checkpoint = Checkpoint("small.pt", Path("small.pt"), "a" * 64, 1, model.state_dict(), "ema")
    return SampledSource(checkpoint, model, IdentityCodec(), settings, count)


@pytest.mark.parametrize("method", ["ddpm", "ddim", "dpmsolver++", "unipc"])
def test_a_clip_is_a_function_of_seed_and_index(method):
    source = sampled(SamplerSettings(method, 4))
    together = source.clips([0, 1, 2, 3, 4, 5])
    assert together.pixels.shape == (6, 4, 3, 8, 8) and together.labels is None
    assert torch.equal(source.clips([4]).pixels[0], together.pixels[4])
    assert not torch.equal(together.pixels[0], together.pixels[1])
    other = sampled(SamplerSettings(method, 4, seed=1))
    assert not torch.equal(other.clips([0]).pixels[0], together.pixels[0])
    assert other.fingerprint != source.fingerprint == sampled(SamplerSettings(method, 4)).fingerprint


def test_a_vdt_has_no_guidance(tmp_path):
    with pytest.raises(
        SamplerError, match="--guidance-scale 4 needs .* a VDT, which has no classes and no guidance; use 1"
    ):
        sampled(SamplerSettings(guidance_scale=4.0))
    with pytest.raises(SamplerError, match="which has no classes and no guidance"):
        guided_denoiser(small_vdt(), None, Guidance(4.0))
    with pytest.raises(SamplerError, match="no classes and no guidance"):
        small_vdt().guided_forward(torch.zeros(1, 4, 3, 8, 8), torch.zeros(1), torch.zeros(1), 4.0)
    latte = small_latte(LatteConfig(**{**SMALL.to_dict(), "classes": None}))
    with pytest.raises(SamplerError, match="this one is unconditional"):
        guided_denoiser(latte, None, Guidance(4.0))


@pytest.fixture
def real(tmp_path) -> Path:
    for video in range(3):
        write_frames(tmp_path / "real" / str(video), moving_frames(12, 16, 20)[:, :, video : video + 16])
    return tmp_path / "real"


NINE = VDTConfig(input_size=16, patch=8, channels=3, width=32, depth=1, heads=4, frames=9)
TRIAL = ("--clips", "3", "--detector", "seeded", "--device", "cpu", "--steps", "2", "--vae", "identity")


def test_a_vdt_is_evaluated_as_a_latte_is(tmp_path, real):
    path = save(tmp_path / "vdt.pt", NINE)
    done = latte_eval("fvd", "--ckpt", path, "--real", real, *TRIAL, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["value"] > 0
    record = result["checkpoint"]
    assert (record["family"], record["licence"], record["frames"], record["size"]) == ("VDT", LICENCE, 9, 16)
    assert "assumed" not in record and LICENCE in done.stderr
    again = latte_eval("fvd", "--ckpt", path, "--real", real, *TRIAL, "--out", tmp_path / "run", "--json")
    assert json.loads(again.stdout)["value"] == result["value"] and "already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--guidance-scale", "4"), "no classes and no guidance; use 1"),
        (
            ("--param", "frames=12"),
            "positions for 9 frames (time_embed) and makes clips of that length alone, not of 12",
        ),
        (("--variant", "2"), "--variant goes with a Latte; this is a VDT"),
        (("--heads", "5"), "width 32 is not a multiple of heads 5"),
    ],
)
def test_what_cannot_be_is_refused_before_sampling(tmp_path, real, arguments, message):
    path = save(tmp_path / "vdt.pt", NINE)
    done = latte_eval("fvd", "--ckpt", path, "--real", real, *TRIAL, "--out", tmp_path / "run", *arguments)
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr


def test_positions_for_other_latents_are_made_when_asked_for():
    """Rows of tokens stay rows, the table's own size is left as it is, and the model takes the new size alone."""
    state = small_vdt(SMALL_VDT).state_dict()
    same = VDT.from_state_dict(state, heads=4, resize_pos_embed=SMALL_VDT.input_size)
    assert torch.allclose(same.pos_embed, state["pos_embed"], atol=1e-6)
    ramp = {**state, "pos_embed": torch.arange(2.0).repeat_interleave(2)[None, :, None].expand(1, 4, 32).contiguous()}
    larger = VDT.from_state_dict(ramp, heads=4, resize_pos_embed=16)
    rows = larger.pos_embed[0, :, 0].reshape(4, 4)
    assert (larger.config.input_size, larger.config.tokens) == (16, 16)
    assert bool((rows.diff(dim=0) > 0).all()) and torch.allclose(rows, rows[:, :1].expand(4, 4), atol=1e-6)
    assert larger(torch.randn(1, 4, 3, 16, 16), torch.tensor([5])).shape == (1, 4, 6, 16, 16)
    with pytest.raises(CheckpointError, match="--resize-pos-embed 18 is not a multiple of the patch, 4"):
        VDT.from_state_dict(state, heads=4, resize_pos_embed=18)
    with pytest.raises(CheckpointError, match="--resize-pos-embed goes with a VDT; this is a Latte"):
        LATTE.build(small_latte().state_dict(), heads=4, resize_pos_embed=16)
