"""uint8 as published, the identity, and the VAE: batching, seeded weights, folders, and a VAE that is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.sampler.vae import SCALE, SD_VAE, IdentityCodec, VaeCodec, open_codec, seeded_weight, to_uint8


@pytest.fixture(scope="module")
def vae():
    return VaeCodec.seeded()


@pytest.fixture
def no_vae(tmp_path, monkeypatch):
    """A machine without the VAE and without network."""
    for name in ("LATTE_EVAL_WEIGHTS", "LATTE_EVAL_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("LATTE_EVAL_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "HF_HUB_CACHE"))
    return tmp_path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_uint8_is_the_published_rule(golden, dtype):
    file = golden("data_semantics")
    x = torch.from_numpy(file["touint8_in"]).to(getattr(torch, dtype))
    assert np.array_equal(to_uint8(x).numpy(), file[f"touint8_latte_{dtype}"])


def test_uint8_at_the_edges():
    x = torch.tensor([-2.0, -1.0, -1 + 0.9 / 255, -1 + 1.1 / 255, 0.0, 1.0, 7.0])
    assert to_uint8(x).tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_identity_gives_the_latents_as_frames():
    codec, latents = IdentityCodec(), torch.rand(2, 4, 3, 8, 8) * 2 - 1
    frames = codec.decode(latents)
    assert (frames.shape, frames.dtype) == (latents.shape, torch.uint8)
    assert (frames.float() / 127.5 - 1 - latents).abs().max() <= 0.5 / 127.5 + 1e-6


def test_vae_decodes_every_frame_as_it_would_alone(vae):
    latents = torch.randn(2, 3, 4, 4, 4) * SCALE
    frames = vae.decode(latents)
    assert (frames.shape, frames.dtype, vae.factor, vae.channels) == ((2, 3, 3, 32, 32), torch.uint8, 8, 4)
    assert torch.equal(vae.decode(latents[1:, 2:]), frames[1:, 2:])
    together = to_uint8(vae.vae.decode(latents.flatten(0, 1) / SCALE).sample).unflatten(0, (2, 3))
    assert (together.int() - frames.int()).abs().max() <= 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_no_numbers_are_refused(vae, monkeypatch, value):
    latents, decode = torch.randn(3, 2, 4, 4, 4), vae.vae.decode
    count = iter(range(6))

    def spoiled(frame, **options):
        (pixels,) = decode(frame, **options)
        return (pixels * (value if next(count) == 3 else 1),)

    monkeypatch.setattr(vae.vae, "decode", spoiled)
    with pytest.raises(ClipError, match="clip 1 of the batch was decoded to NaN or infinite pixels, in float32"):
        vae.decode(latents)


def test_pixels_of_a_pixel_model_are_checked():
    latents = torch.zeros(2, 4, 3, 8, 8)
    latents[1, 3, 0, 0, 0] = float("nan")
    with pytest.raises(ClipError, match="clip 1 of the batch"):
        IdentityCodec().decode(latents)


def test_vae_divides_by_the_scale(vae):
    """A codec that forgot it would decode something else."""
    latents = torch.randn(1, 1, 4, 4, 4) * SCALE
    forgot = to_uint8(vae.vae.decode(latents.flatten(0, 1)).sample)
    assert (forgot.int() - vae.decode(latents)[0].int()).abs().float().mean() > 1


def test_seeded_vae_is_the_same_everywhere(vae):
    again = VaeCodec.seeded()
    assert (again.name, again.sha256) == ("vae-seeded", vae.sha256)
    assert all(torch.equal(a, b) for a, b in zip(again.vae.parameters(), vae.vae.parameters(), strict=True))
    weight = seeded_weight("x", torch.empty(64, 64, 3, 3))
    assert weight.var().item() * 576 == pytest.approx(1, rel=0.02)
    # The first values of the stream: raw Philox words, so that no library version can change them.
    assert [round(float(v) / (12 / 576) ** 0.5, 6) for v in weight.flatten()[:3]] == FIRST_VALUES
    frames = vae.decode(torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert 10 < frames.float().std() < 120


FIRST_VALUES = [0.13185, -0.193434, 0.049545]


def test_vae_from_a_folder_is_the_same(vae, tmp_path, capfd):
    vae.vae.save_pretrained(tmp_path / "my-vae")
    vae.vae.save_pretrained(tmp_path / "pipeline" / "vae")
    opened = open_codec(str(tmp_path / "my-vae"), 4)
    latents = torch.randn(1, 2, 4, 4, 4)
    assert opened.name == "my-vae"
    assert opened.sha256 and len(opened.sha256) == 64
    assert torch.equal(opened.decode(latents), vae.decode(latents))
    assert open_codec(str(tmp_path / "pipeline"), 4).name == "pipeline"
    assert capfd.readouterr() == ("", "")


def test_the_names_of_the_published_file_are_understood(vae, tmp_path):
    """The published VAE is of 2022: its attention layers have other names."""
    vae.vae.save_pretrained(tmp_path)
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in vae.vae.state_dict().items():
        for new, old in names.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[key] = value.clone()
    assert "decoder.mid_block.attentions.0.proj_attn.weight" in state
    save_file(state, tmp_path / "diffusion_pytorch_model.safetensors")
    latents = torch.randn(1, 2, 4, 4, 4)
    assert torch.equal(open_codec(str(tmp_path), 4).decode(latents), vae.decode(latents))


def test_half_precision_is_the_published_one_and_bfloat16_is_not_used(vae):
    half, coarse = open_codec("vae-seeded", 4, dtype="fp16"), open_codec("vae-seeded", 4, dtype="bf16")
    assert (half.dtype, coarse.dtype) == (torch.float16, torch.float32)
    latents = torch.randn(1, 1, 4, 4, 4)
    assert torch.equal(coarse.decode(latents), vae.decode(latents))
    assert (half.decode(latents).int() - vae.decode(latents).int()).abs().float().mean() < 2


def test_auto_takes_pixels_as_they_are_and_the_vae_for_latents(vae, no_vae):
    assert open_codec("auto", 3).name == "identity"
    vae.vae.save_pretrained(no_vae / "LATTE_EVAL_WEIGHTS" / "sd-vae-ft-ema")
    assert open_codec("auto", 4).name == "sd-vae-ft-ema"


def test_a_vae_that_is_not_there_is_one_line_that_helps(no_vae):
    with pytest.raises(WeightsError) as caught:
        open_codec("auto", 4)
    for part in (SD_VAE, "diffusion_pytorch_model.safetensors", "config.json", "--vae DIR", "--vae vae-seeded",
                 str(no_vae / "LATTE_EVAL_WEIGHTS" / "sd-vae-ft-ema"), "offline"):  # fmt: skip
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_codecs_that_do_not_fit_or_do_not_exist(tmp_path, vae):
    with pytest.raises(UsageError, match="identity decodes latents of 3 channels, the checkpoint makes 4"):
        open_codec("identity", 4)
    with pytest.raises(UsageError, match="vae-seeded decodes latents of 4 channels, the checkpoint makes 3"):
        open_codec("vae-seeded", 3)
    with pytest.raises(UsageError, match="did you mean vae-seeded"):
        open_codec("vae-seded", 4)
    with pytest.raises(WeightsError, match="not a diffusers VAE: it must hold config.json"):
        open_codec(str(tmp_path), 4)
    vae.vae.save_pretrained(tmp_path / "cut")
    weights = tmp_path / "cut" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be opened") as caught:
        open_codec(str(tmp_path / "cut"), 4)
    assert "\n" not in str(caught.value)
