"""A checkpoint as a source of clips: identity of clips, labels, settings, and files that are rewritten the same."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from float_switches import ALL, state
from small_latte import SMALL, small_latte
from small_source import FAST, checkpoint, source

from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import ClipError, SamplerError, StoreError, UsageError
from latte_eval.core.seeding import clip_generator
from latte_eval.files.h264 import h264_round_trip
from latte_eval.sampler import (
    IdentityCodec,
    Latte,
    SampledSource,
    SamplerSettings,
    VaeCodec,
    make_schedule,
    sample_steps,
    write_samples,
)
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.sources import CPU_CLIPS, choose
from latte_eval.sampler.vae import to_uint8


class LastBits(IdentityCodec):
    """Shows the last bits of the latents, where rounding is; pixels would hide nearly all of it."""

    def decode(self, latents):
        return (latents.view(torch.int32) & 255).to(torch.uint8)


def test_it_is_a_clip_source():
    clips = source().clips([3, 1])
    assert isinstance(source(), ClipSource)
    assert (clips.pixels.shape, clips.pixels.dtype, clips.indices) == ((2, 4, 3, 8, 8), torch.uint8, (3, 1))
    assert clips.labels is not None and set(clips.labels) <= {0, 1, 2}
    assert source().groups([3, 17]) == ["clip-000003", "clip-000017"]
    assert (len(source()), source().name, list(source().rejected)) == (40, "small.pt", [])
    assert clips.pixels.float().std() > 20


SETTINGS = {
    "ddim": SamplerSettings("ddim", 4),
    "ddpm": SamplerSettings(steps=4),
    "ddim with noise, guided": SamplerSettings("ddim", 4, 3.0, eta=0.5),
    "bf16": SamplerSettings("ddim", 4, dtype="bf16"),
    "unipc": SamplerSettings("unipc", 4),
}


def last_bits(name: str, indices) -> torch.Tensor:
    return source(SETTINGS[name], codec=LastBits()).clips(indices).pixels


@pytest.mark.parametrize("name", SETTINGS)
def test_clips_have_the_same_bits_in_every_batch(name):
    whole = last_bits(name, range(8))
    for size in (1, 3):
        parts = [last_bits(name, range(8)[k : k + size]) for k in range(0, 8, size)]
        assert torch.equal(torch.cat(parts), whole), size
    assert torch.equal(last_bits(name, [7, 2, 5]), whole[[7, 2, 5]])
    assert len(whole.unique()) > 200


def test_threads_do_not_change_the_bits():
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(last_bits("ddpm", range(5)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_batches_of_other_sizes_do_round_otherwise():
    """Why the model runs on as many clips each time: without that, sizes differ in the last bits."""
    model, x = small_latte(dataclasses.replace(SMALL, width=128, input_size=16)), torch.randn(16, 4, 3, 16, 16)
    t = torch.full((16,), 500)
    together, alone = model(x, t), torch.cat([model(x[n : n + 1], t[:1]) for n in range(16)])
    assert torch.allclose(together, alone, atol=1e-4)
    fours = torch.cat([model(x[n : n + 4], t[:4]) for n in range(0, 16, 4)])
    moved = torch.cat([model(x.roll(1, 0)[n : n + 4], t[:4]) for n in range(0, 16, 4)]).roll(-1, 0)
    assert torch.equal(fours, moved)


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, CPU_CLIPS), ({"frames": 16, "input_size": 64}, 1), ({"frames": 8, "input_size": 64, "patch": 4}, 1),
    ({"frames": 16, "input_size": 16}, 4), ({"frames": 32, "input_size": 16}, 2),
])  # fmt: skip
def test_large_models_run_on_one_clip_on_the_cpu(changes, expected):
    assert source(model=small_latte(dataclasses.replace(SMALL, **changes))).clips_at_once == expected


@pytest.mark.parametrize("settings", [SETTINGS["ddpm"], FAST, SETTINGS["ddim with noise, guided"]])
def test_a_clip_is_label_noise_steps_of_its_generator(settings):
    model, generator = small_latte(), clip_generator(settings.seed, 11)
    label = int(torch.rand((), generator=generator, dtype=torch.float64) * 3)
    x = torch.randn(4, 3, 8, 8, generator=generator)[None]
    states = sample_steps(
        lambda x, t: model.guided_forward(x, t, torch.tensor([label]), settings.guidance_scale),
        x,
        make_schedule(settings.steps),
        lambda k: torch.randn(4, 3, 8, 8, generator=generator)[None],
        sampler=settings.method,
        eta=settings.eta,
        clip_x0=settings.clip_x0,
    )
    expected = to_uint8(list(states)[-1][0]).int()
    clips = source(settings).clips([11])
    assert clips.labels == (label,)
    assert (clips.pixels.int() - expected).abs().max() <= 1


def test_seeds_give_other_clips_and_labels_do_not_change_the_noise():
    first, other = source().clips([0]).pixels, source(dataclasses.replace(FAST, seed=1)).clips([0]).pixels
    assert (first.int() - other.int()).abs().float().mean() > 10
    balanced = source(dataclasses.replace(FAST, label_mode="balanced"))
    same = next(i for i in range(40) if balanced.labels([i]) == source().labels([i]))
    assert torch.equal(balanced.clips([same]).pixels, source().clips([same]).pixels)


def labels(count=3000, **choices):
    return source(SamplerSettings(**choices), count=count).labels(range(count))


def test_uniform_labels_are_drawn():
    counts = Counter(labels())
    assert set(counts) == {0, 1, 2}
    assert all(900 < n < 1100 for n in counts.values())


def test_balanced_labels_hold_every_class_once_in_each_run():
    found = labels(label_mode="balanced", count=300)
    runs = [found[k : k + 3] for k in range(0, 300, 3)]
    assert all(sorted(run) == [0, 1, 2] for run in runs)
    assert len(set(runs)) == 6
    assert labels(label_mode="balanced", count=300, seed=1) != found


def test_dataset_labels_follow_the_frequencies():
    counts = Counter(labels(label_mode="dataset", label_frequencies=(30.0, 0.0, 10.0)))
    assert set(counts) == {0, 2}
    assert counts[0] / 3000 == pytest.approx(0.75, abs=0.03)


def test_choosing_by_shares():
    assert [choose(chance, (1, 0, 1, 2)) for chance in (0.0, 0.24, 0.25, 0.49, 0.5, 0.99)] == [0, 0, 2, 2, 3, 3]
    assert choose(1.0, (1, 1, 0)) == 1


def test_an_unconditional_checkpoint_has_no_labels():
    model = small_latte(dataclasses.replace(SMALL, classes=None))
    assert source(model=model).clips([0, 1]).labels is None
    with pytest.raises(SamplerError, match="guidance-scale 4 needs a class-conditional checkpoint"):
        source(dataclasses.replace(FAST, guidance_scale=4.0), model=model)


@pytest.mark.parametrize(("choices", "message"), [
    ({"method": "dim"}, "--sampler cannot be 'dim'. Did you mean ddim"),
    ({"steps": 1}, r"--steps 1 is outside 2\.\.1000"),
    ({"steps": 1001}, r"--steps 1001 is outside 2\.\.1000"),
    ({"guidance_scale": float("nan")}, "--guidance-scale nan must be a finite"),
    ({"guidance_scale": -1.0}, "--guidance-scale -1.0 must be"),
    ({"guidance_interval": (5.0, 2.0)}, "interval 5 to 2 is empty"),
    ({"method": "ddim", "eta": 1.5}, r"--eta 1\.5 is outside 0\.\.1"),
    ({"eta": 0.5}, "--eta 0.5 belongs to --sampler ddim"),
    ({"dtype": "fp8"}, "--dtype cannot be 'fp8'"),
    ({"label_mode": "random"}, "labels cannot be 'random'"),
    ({"label_frequencies": (1.0,)}, "came with label frequencies"),
    ({"label_mode": "dataset", "label_frequencies": (1.0, -1.0)}, "none negative"),
    ({"label_mode": "dataset", "label_frequencies": (0.0, 0.0)}, "not all zero"),
])  # fmt: skip
def test_settings_that_cannot_be(choices, message):
    with pytest.raises(SamplerError, match=message):
        SamplerSettings(**choices)


def test_frequencies_must_match_the_classes():
    for frequencies in ((1.0, 1.0), None):
        settings = SamplerSettings(label_mode="dataset", label_frequencies=frequencies)
        with pytest.raises(SamplerError, match=f"{len(frequencies or ())} label frequencies, the checkpoint has 3"):
            source(settings)
        assert len(source(settings, model=small_latte(dataclasses.replace(SMALL, classes=None)))) == 40


def test_clips_that_do_not_exist():
    with pytest.raises(SamplerError, match=r"clip 40 is outside 0\.\.39"):
        source().clips([0, 40])
    assert source().clips([]).pixels.shape == (0, 4, 3, 8, 8)


def test_a_clip_of_nan_is_an_error_not_a_number():
    model = small_latte()
    model.final_layer.linear.weight.fill_(float("inf"))
    with pytest.raises(ClipError, match="clip 2 came out as NaN or infinite, sampled in fp32"):
        source(dataclasses.replace(FAST, clip_x0=False), model=model).clips([2])


class OneBadClip(IdentityCodec):
    """Decodes the second clip of a batch to something that is no pixel."""

    def __init__(self, value: float):
        self.value = value

    def decode(self, latents):
        latents = latents.clone()
        latents[1, 2, 0, 3, 3] = self.value
        return super().decode(latents)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_of_nan_are_an_error_not_grey(value):
    with pytest.raises(
        ClipError, match="clip 7 came out of the codec identity as NaN or infinite, decoded in float32$"
    ):
        source(codec=OneBadClip(value)).clips([5, 7, 9])
    assert source(codec=OneBadClip(0.5)).clips([5, 7, 9]).indices == (5, 7, 9)


def test_a_vae_that_overflows_is_an_error_that_helps():
    codec = VaeCodec.seeded(dtype=torch.float16)
    codec.vae.decoder.conv_out.weight.mul_(60000)
    with pytest.raises(ClipError, match="clip 3 .* vae-seeded as NaN .*, decoded in float16; try --dtype fp32"):
        latent_source("bf16", codec).clips([3])


def test_the_record_tells_the_type_of_the_vae():
    assert latent_source().record["codec dtype"] == "float32"
    assert "codec dtype" not in source().record


@pytest.mark.parametrize("codec", ["last bits", "vae"])
@pytest.mark.parametrize("name", ALL)
def test_switches_of_the_caller_change_no_clip_and_stay(name, codec, switch):
    made = source(codec=LastBits()) if codec == "last bits" else latent_source()
    expected = made.clips([1]).pixels
    switch(name)
    before = state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made.clips([1]).pixels
    assert state() == before
    assert torch.equal(found, expected)


def latent_source(dtype: str = "fp32", codec: VaeCodec | None = None) -> SampledSource:
    model = small_latte(dataclasses.replace(SMALL, channels=4, frames=2))
    settings = dataclasses.replace(FAST, dtype=dtype, steps=2)
    return SampledSource(checkpoint(model), model, codec or VaeCodec.seeded(), settings, 5)


def test_progress_counts_every_step_of_a_batch():
    seen: list[tuple[int, int]] = []
    source(on_step=lambda done, total: seen.append((done, total))).clips(range(CPU_CLIPS + 1))
    assert seen == [(n, 8) for n in range(1, 9)]


def test_the_fingerprint_is_of_all_that_changes_a_clip():
    model = small_latte()
    sources = [
        source(),
        source(dataclasses.replace(FAST, seed=1)),
        source(dataclasses.replace(FAST, steps=5)),
        source(dataclasses.replace(FAST, guidance_interval=(0.0, 1.0))),
        SampledSource(checkpoint(model, "b" * 64), model, IdentityCodec(), FAST, 40),
        SampledSource(checkpoint(model), Latte.from_state_dict(model.state_dict(), heads=8), IdentityCodec(), FAST, 40),
    ]
    assert len({each.fingerprint for each in sources}) == len(sources)
    assert source(count=7).fingerprint == source().fingerprint == source(on_step=print).fingerprint


def test_latents_go_through_the_vae():
    model = small_latte(dataclasses.replace(SMALL, channels=4))
    codec = VaeCodec.seeded()
    vae = SampledSource(checkpoint(model), model, codec, FAST, 5)
    clips = vae.clips([0, 1, 4])
    assert clips.pixels.shape == (3, 4, 3, 64, 64)
    assert torch.equal(vae.clips([4]).pixels, clips.pixels[2:])
    assert codec.sha256 and codec.sha256 in json.dumps(vae.record)


class Counted(SampledSource):
    asked: list[int] = []

    def clips(self, indices):
        self.asked = [*self.asked, *indices]
        return super().clips(indices)


def counted(settings=FAST) -> Counted:
    model = small_latte(LatteConfig(16, 4, 3, 32, 2, 4, 4, 3))
    return Counted(checkpoint(model), model, IdentityCodec(), settings, 100)


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.mp4"))}


def test_samples_are_written_once(tmp_path):
    out, first = tmp_path / "out", counted()
    done: list[int] = []
    assert write_samples(first, range(5), out, batch_size=2, on_clips=done.append) == (5, 0)
    assert (first.asked, done) == ([0, 1, 2, 3, 4], [2, 2, 1])
    files = read(out)
    assert list(files) == [f"{i:06d}.mp4" for i in range(5)]
    again = counted()
    assert write_samples(again, range(5), out, on_clips=done.append) == (0, 5)
    assert (again.asked, done[3:]) == ([], [5])


def test_missing_and_damaged_samples_come_back_the_same(tmp_path):
    write_samples(counted(), range(5), tmp_path / "out")
    files = read(tmp_path / "out")
    (tmp_path / "out" / "000001.mp4").unlink()
    (tmp_path / "out" / "000003.mp4").write_bytes(files["000003.mp4"][:100])
    again = counted()
    assert write_samples(again, range(6), tmp_path / "out", batch_size=1) == (3, 3)
    assert again.asked == [1, 3, 5]
    assert {name: data for name, data in read(tmp_path / "out").items() if name != "000005.mp4"} == files


def test_samples_survive_a_kill(tmp_path):
    class Killed(Counted):
        def clips(self, indices):
            if 4 in indices:
                raise KeyboardInterrupt
            return super().clips(indices)

    model = counted().model
    killed = Killed(checkpoint(model), model, IdentityCodec(), FAST, 100)
    with pytest.raises(KeyboardInterrupt):
        write_samples(killed, range(6), tmp_path / "killed", batch_size=2)
    again = counted()
    assert write_samples(again, range(6), tmp_path / "killed", batch_size=2) == (2, 4)
    write_samples(counted(), range(6), tmp_path / "whole")
    assert read(tmp_path / "killed") == read(tmp_path / "whole")


def test_samples_hold_the_clips(tmp_path):
    write_samples(counted(), [3], tmp_path)
    with av.open(str(tmp_path / "000003.mp4")) as container:
        assert container.streams.video[0].average_rate == 8
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    pixels = counted().clips([3]).pixels[0].permute(0, 2, 3, 1).contiguous()
    assert np.array_equal(frames, h264_round_trip(pixels.numpy()))


def test_a_folder_of_other_samples_is_not_mixed(tmp_path):
    write_samples(counted(), [0], tmp_path / "out")
    with pytest.raises(UsageError, match="holds clips made with steps 4, not 5: give another --out"):
        write_samples(counted(dataclasses.replace(FAST, steps=5)), [0], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000000.mp4").write_bytes(b"a film of my own")
    with pytest.raises(UsageError, match="holds mp4 files that were not written by `sample`"):
        write_samples(counted(), [0], tmp_path / "mine")
    assert (tmp_path / "mine" / "000000.mp4").read_bytes() == b"a film of my own"


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_samples(counted(), [0], tmp_path / "file")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "samples.json").write_text("{")
    with pytest.raises(StoreError, match="samples.json is damaged"):
        write_samples(counted(), [0], tmp_path / "damaged")
