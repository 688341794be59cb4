"""What is given: frames, files and tasks as a person types them, and clips that are made from parts of real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from small_latte import small_latte
from small_vdt import SMALL_VDT, small_vdt

from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import ClipError, NotEnoughClips, SamplerError, UsageError
from latte_eval.sampler import Checkpoint, IdentityCodec, SamplerSettings, VaeCodec
from latte_eval.sampler.masked_source import Conditions, MaskedSource, codec_round_trip
from latte_eval.sampler.sources import SampledSource
from latte_eval.sampler.tasks import TaskSettings, check_takes_tasks, given_frames, read_mask
from latte_eval.sampler.vdt import VDTConfig
from latte_eval.sampler.vdt.masks import task_to_mask


@pytest.mark.parametrize(
    ("text", "frames"),
    [("0:8", list(range(8))), ("0,4,8,12", [0, 4, 8, 12]), ("3", [3]), ("12:16, 0", [0, 12, 13, 14, 15]), ("2,2", [2])],
)
def test_frames_as_they_are_typed(text, frames):
    assert given_frames(text, 16) == frames


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must read FIRST:END"),
        ("a", "must read FIRST:END"),
        ("-1", "must read FIRST:END"),
        ("1:2:3", "must read FIRST:END"),
        ("8:8", "8:8 is not within the frames 0..15"),
        ("0:17", "0:17 is not within the frames 0..15"),
        ("16", "16 is not within the frames 0..15"),
        ("0:16", "gives all 16 frames of a clip: nothing is left to generate"),
        ("9999999999", "must read FIRST:END"),
    ],
)
def test_frames_that_cannot_be(text, message):
    with pytest.raises(SamplerError, match=message):
        given_frames(text, 16)


def save_mask(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_masks_in_files(tmp_path, kind):
    mask = (np.random.default_rng(0).random((4, 8, 8)) < 0.5).astype(kind)
    assert np.array_equal(read_mask(save_mask(tmp_path / "m.npy", mask), 4, 8).numpy(), mask.astype(bool))
    whole = read_mask(save_mask(tmp_path / "f.npy", np.array([0, 1, 1, 0], kind)), 4, 8)
    assert whole.flatten(1).float().mean(1).tolist() == [0.0, 1.0, 1.0, 0.0]


FILES = {
    "another side": (np.ones((4, 16, 16)), r"is \(4, 16, 16\), this model needs \(4, 8, 8\)"),
    "another length": (np.ones(5), r"is \(5,\), this model needs \(4, 8, 8\)"),
    "grey": (np.full((4, 8, 8), 0.5), "other values than 0"),
    "NaN": (np.full((4, 8, 8), np.nan), "other values than 0"),
    "text": (np.full(4, "a"), "other values than 0"),
    "objects": (np.array([None] * 4), "no .npy file that can be read"),
    "nothing to generate": (np.zeros((4, 8, 8)), "has nothing to generate: all of it is 0"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_masks(tmp_path, case):
    array, message = FILES[case]
    with pytest.raises(SamplerError, match=message):
        read_mask(save_mask(tmp_path / "m.npy", array), 4, 8)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "m.npy").write_bytes(content)
    with pytest.raises(SamplerError, match="no .npy file that can be read"):
        read_mask(tmp_path / "m.npy", 4, 8)
    with pytest.raises(SamplerError, match="absent.npy is no .npy file"):
        read_mask(tmp_path / "absent.npy", 4, 8)
    np.savez(tmp_path / "z.npz", a=np.zeros(4))
    with pytest.raises(SamplerError, match="an archive"):
        read_mask(tmp_path / "z.npz", 4, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "forward"}, "--task cannot be 'forward'"),
        ({"task": "predict", "given": "0:2"}, "--task and --given both say what is given"),
        ({"given": "0:2", "mask": Path("m.npy")}, "--given and --mask both say"),
        ({"rule": "upstream"}, "--mask-rule upstream goes with --task"),
        ({"rule": "old", "task": "completion"}, "--mask-rule cannot be 'old'"),
        ({"conditioning": "concat"}, "--cond, --given-pixels and --given-latents go with --task"),
        ({"given_pixels": "real", "task": "unconditional"}, "--given-pixels and --given-latents go with --task"),
        ({"given_latents": "drawn"}, "--given-pixels and --given-latents go with --task"),
        ({"given_latents": "some", "task": "predict"}, "--given-latents cannot be 'some'"),
    ],
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises(SamplerError, match=message):
        TaskSettings(**options)


def test_only_a_vdt_takes_tasks():
    check_takes_tasks(SMALL_VDT)
    with pytest.raises(UsageError, match="need a VDT checkpoint, this is a Latte"):
        check_takes_tasks(small_latte().config)


SIXTEEN = VDTConfig(input_size=8, patch=4, channels=3, width=32, depth=1, heads=4, frames=16)


@pytest.mark.parametrize(("options", "message"), [
    ({"given": "0:7"}, "7 frames are given, and the model was trained with 8 of 16: with fewer it returns noise"),
    ({"given": "8:16"}, "takes the first frames of a clip alone"),
    ({"task": "interpolation"}, "takes the first frames of a clip alone"),
    ({"task": "completion"}, "takes the first frames of a clip alone"),
])  # fmt: skip
def test_concatenation_is_of_as_many_frames_as_in_training(options, message):
    with pytest.raises(SamplerError, match=message):
        TaskSettings(conditioning="concat", **options).masks(SIXTEEN, 0)


def test_concatenation_is_the_mask_of_the_first_frames():
    for options in ({"task": "predict"}, {"given": "0:8"}):
        found = TaskSettings(conditioning="concat", **options).masks(SIXTEEN, 0).mask(5)
        assert torch.equal(found, task_to_mask("predict", 0, 5, 16, 8))
    assert TaskSettings(conditioning="concat", given="0:12").masks(SIXTEEN, 0).mask(0).any(2).any(1).sum() == 4


def test_records_tell_masks_apart(tmp_path):
    told = [TaskSettings(task="predict"), TaskSettings(given="0:8"), TaskSettings(given="0:9"),
            TaskSettings(task="completion"), TaskSettings(task="completion", rule="upstream"),
            TaskSettings(given="0:8", given_pixels="real")]  # fmt: skip
    records = [settings.masks(SIXTEEN, 0).record for settings in told]
    assert len({json.dumps(record) for record in records}) == len(told)
    file = save_mask(tmp_path / "m.npy", (np.arange(16) >= 8).astype(np.uint8))
    assert TaskSettings(mask=file).masks(SIXTEEN, 0).record["mask_sha256"] == records[1]["mask_sha256"]


@dataclass
class Reals:
    """Real clips of noise, one of which may not be readable."""

    count: int = 12
    side: int = 8
    unreadable: tuple[int, ...] = ()
    name, fingerprint = "reals", "f" * 64

    @property
    def rejected(self) -> list[Rejected]:
        return [Rejected(str(index), "the file is damaged") for index in self.unreadable]

    def __len__(self) -> int:
        return self.count

    def clips(self, indices: Sequence[int]) -> Clips:
        there = [index for index in indices if index not in self.unreadable]
        return Clips(torch.stack([self.clip(index) for index in there]), tuple(there))

    def clip(self, index: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(index)
        return torch.randint(0, 256, (4, 3, self.side, self.side), generator=generator).to(torch.uint8)

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [str(index) for index in indices]


STEPS = SamplerSettings("ddim", 4, clip_x0=True)


def masked(real: Reals | None = None, settings: SamplerSettings = STEPS, count: int = 12, **options) -> MaskedSource:
    task = TaskSettings(**(options or {"task": "predict"}))
    model = small_vdt()
    checkpoint = Checkpoint("small.pt", Path("small.pt"), "a" * 64, 1, model.state_dict(), "ema")
    conditions = Conditions(real or Reals(), task.masks(model.config, settings.seed))
    return MaskedSource(conditions, checkpoint, model, IdentityCodec(), settings, count)


@pytest.mark.parametrize("task", ["predict", "backward", "interpolation", "one-frame", "arbitrary", "completion"])
def test_given_parts_are_those_of_the_real_clip_of_the_same_index(task):
    source, real = masked(task=task), Reals()
    clips = source.clips([3, 8])
    for pixels, index in zip(clips.pixels, (3, 8), strict=True):
        given = ~source.conditions.masks.mask(index).unsqueeze(1).expand_as(pixels)
        assert torch.equal(pixels[given], real.clip(index)[given]), "pixels are latents here: the bytes come back"
        assert not torch.equal(pixels[~given], real.clip(index)[~given])


def test_a_clip_is_a_function_of_seed_and_index():
    together = masked(task="arbitrary").clips(list(range(6)))
    for index in (0, 5):
        assert torch.equal(masked(task="arbitrary").clips([index]).pixels[0], together.pixels[index])


def test_what_is_given_changes_what_is_generated():
    one, other = masked(given="0:2"), masked(given="2:4")
    mask = (one.conditions.masks.mask(0) & True).unsqueeze(1)
    plain = SampledSource(one.checkpoint, small_vdt(), IdentityCodec(), STEPS, 12)
    at = mask.expand(4, 3, 8, 8)
    made = [source.clips([0]).pixels[0][at] for source in (one, plain)]
    assert not torch.equal(*made)
    assert len({one.fingerprint, other.fingerprint, plain.fingerprint, masked(given="0:2", settings=SamplerSettings(
        "ddim", 4, clip_x0=True, seed=1)).fingerprint}) == 4  # fmt: skip


class Dark(IdentityCodec):
    """A codec that loses light."""

    def decode(self, latents):
        return super().decode(latents * 0.5 - 0.5)


def test_given_positions_show_the_round_trip_or_the_real_pixels():
    real = Reals()
    shown = {}
    for pixels in ("round-trip", "real"):
        source = masked(given="0:2", given_pixels=pixels)
        source.codec = Dark()
        shown[pixels] = source.clips([1]).pixels[0]
    assert torch.equal(shown["real"][:2], real.clip(1)[:2])
    assert torch.equal(shown["round-trip"][:2], codec_round_trip(Dark(), real.clip(1)[None])[0, :2])
    assert not torch.equal(shown["round-trip"][:2], shown["real"][:2])
    assert torch.equal(shown["round-trip"][2:], shown["real"][2:])


def test_every_byte_comes_back_from_pixels():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 16, 16).expand(1, 1, 3, 16, 16)
    assert torch.equal(codec_round_trip(IdentityCodec(), pixels), pixels)


def test_the_vae_encodes_the_most_likely_latents():
    """Frame by frame, the same every time, at the scale that the decoder takes off again."""
    codec, pixels = VaeCodec.seeded(), torch.randint(0, 256, (1, 2, 3, 16, 16)).to(torch.uint8)
    latents = codec.encode(pixels)
    assert latents.shape == (1, 2, 4, 2, 2) and torch.equal(latents, codec.encode(pixels))
    mean = codec.vae.encode(pixels[0, :1].float() / 127.5 - 1).latent_dist.mean
    assert torch.allclose(latents[0, :1], mean * 0.18215, atol=1e-6)


def test_given_latents_are_drawn_by_seed_and_clip():
    """Mean and spread are the encoder's; a clip draws the same in every batch, and another seed draws others."""
    codec, pixels = VaeCodec.seeded(), torch.randint(0, 256, (1, 2, 3, 16, 16)).to(torch.uint8)
    noise = torch.randn(1, 2, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    found = codec.vae.encode(pixels[0, 1:].float() / 127.5 - 1).latent_dist
    drawn = codec.encode(pixels, noise)
    assert torch.allclose(drawn[0, 1:], (found.mean + found.std * noise[0, 1:]) * 0.18215, atol=1e-6)
    assert torch.equal(codec.encode(pixels, noise * 0), codec.encode(pixels))

    def noises(seed: int, *clips: int) -> torch.Tensor | None:
        masks = TaskSettings("predict", given_latents="drawn").masks(SMALL_VDT, seed)
        return Conditions(Reals(), masks).noise(clips, (4, 3, 8, 8))

    one, both = noises(0, 3), noises(0, 1, 3)
    assert torch.equal(one[0], both[1]) and not torch.equal(both[0], both[1])
    assert not torch.equal(one, noises(1, 3)) and abs(float(both.std()) - 1) < 0.1
    assert Conditions(Reals(), TaskSettings("predict").masks(SMALL_VDT, 0)).noise([3], (4, 3, 8, 8)) is None
    with pytest.raises(SamplerError, match="--given-latents drawn needs a VAE"):
        masked(task="predict", given_latents="drawn")


def test_conditions_that_cannot_be():
    with pytest.raises(
        NotEnoughClips, match="12 clips are each given a part of a real clip, and reals has 5; use --clips 5"
    ):
        masked(Reals(count=5))
    with pytest.raises(
        ClipError, match="fake clip 2 is given a part of real clip 2, which cannot be: the file is damaged"
    ):
        masked(Reals(unreadable=(2,))).clips([1, 2])
    with pytest.raises(SamplerError, match=r"real clips are \(4, 3, 16, 16\), this checkpoint is given \(4, 3, 8, 8\)"):
        masked(Reals(side=16)).clips([0])
    with pytest.raises(SamplerError, match=r"of 12 clips have nothing to generate under --mask-rule upstream \(clip "):
        masked(task="completion", rule="upstream")
    source = masked()
    source.codec.encode = lambda pixels, noise: torch.full(pixels.shape, torch.nan)
    with pytest.raises(SamplerError, match="given latents of clip 0 of the batch are NaN"):
        source.clips([0])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A VDT and a Latte of nine frames of 16 pixels, and five real videos."""
    root = tmp_path_factory.mktemp("files")
    for video in range(5):
        write_frames(root / "real" / str(video), moving_frames(9, 16, 32)[:, :, video : video + 16])
    nine = VDTConfig(input_size=16, patch=8, channels=3, width=32, depth=1, heads=4, frames=9)
    torch.save({"ema": small_vdt(nine).state_dict(), "args": {"num_heads": 4}}, root / "vdt.pt")
    torch.save({"ema": small_latte().state_dict(), "args": {"num_heads": 4}}, root / "latte.pt")
    return root


def run(files: Path, *arguments: str | Path, ckpt: str = "vdt.pt", out: str = "run", metrics: str = "fvd"):
    return latte_eval(
        "evaluate", "--metrics", metrics, "--ckpt", files / ckpt, "--real", files / "real", "--detector", "seeded",
        "--device", "cpu", "--steps", "2", "--out", files / out, "--json", *arguments,
    )  # fmt: skip


def test_a_task_from_the_command_line(files):
    """The value says how it was made, and is another one than that of an unconditional run."""
    done = run(files, "--task", "predict", "--clips", "4")
    assert done.returncode == 0, done.stderr
    result, plain = json.loads(done.stdout), json.loads(run(files, "--clips", "4").stdout)
    sampler = result["sampler"]
    assert (sampler["task"], sampler["mask_rule"], sampler["given_pixels"]) == ("predict", "corrected", "round-trip")
    assert "task" not in plain["sampler"] and plain["value"] > result["value"]
    again = json.loads(run(files, "--task", "predict", "--clips", "4", "--batch-size", "1", out="other").stdout)
    assert again["value"] == result["value"]


def test_paired_metrics_of_a_task(files):
    """One pass over the clips for all; the anchors stand beside the model, and pixels come back from this codec."""
    done = latte_eval(
        "evaluate", "--metrics", "fvd,psnr,ssim", "--ckpt", files / "vdt.pt", "--real", files / "real", "--task",
        "predict", "--clips", "4", "--detector", "seeded", "--device", "cpu", "--steps", "2", "--out", files / "paired",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "copy nearest given frame" in done.stdout and ", task predict" in done.stdout
    lines = [json.loads(line) for line in (files / "paired" / "results.jsonl").read_text().splitlines()]
    results = {line["metric"]: line for line in lines}
    assert set(results) == {"fvd", "psnr", "ssim"}
    for metric, most in (("psnr", 100.0), ("ssim", 1.0)):
        table = {(row["shown"], row["positions"]): row["value"] for row in results[metric]["details"]["paired"]}
        assert results[metric]["value"] == table["model", "generated"] < table["model", "whole"]
        assert table["codec round trip of the truth", "generated"] == most
        assert table["model", "generated"] < table["copy nearest given frame", "generated"] < most
        assert len(table) == 6 and results[metric]["interval"][0] < results[metric]["value"]
    alone = run(files, "--task", "predict", "--clips", "4", out="paired", metrics="psnr")
    assert json.loads(alone.stdout)["value"] == results["psnr"]["value"]


def test_the_mean_and_the_best_of_several_samples(files):
    """Sample k is the clip of seed + k under the masks of the seed; the anchors stay as they are."""

    def table(*more):
        done = run(files, "--task", "one-frame", "--clips", "4", *more, out="samples", metrics="psnr")
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["details"]["paired"]
        return {(row["shown"], row["positions"]): row for row in rows}

    one, two = table(), table("--samples", "2")
    model, copy = ("model", "generated"), ("copy nearest given frame", "generated")
    assert two[copy] == one[copy] and "best" not in one[model]
    assert two[model]["best"] >= max(two[model]["value"], one[model]["value"])
    assert two[model]["value"] != one[model]["value"]
    done = run(files, "--task", "predict", "--samples", "2")
    assert done.returncode != 0 and "--samples 2 takes a number from 1, and a paired metric" in done.stderr


def test_paired_metrics_want_a_task(files):
    done = run(files, "--clips", "4", metrics="ssim")
    assert done.returncode != 0 and "ssim compares a clip with the real clip" in done.stderr
    given = latte_eval("fvd", "--fake", files / "real", "--real", files / "real", "--task", "predict")
    assert given.returncode != 0 and "go with --ckpt of a VDT" in given.stderr
    folder = latte_eval("evaluate", "--metrics", "psnr", "--fake", files / "real", "--real", files / "real")
    assert folder.returncode != 0 and "--task, --given or --mask" in folder.stderr


@pytest.mark.parametrize(
    ("arguments", "ckpt", "message"),
    [
        (("--task", "predict"), "latte.pt", "need a VDT checkpoint, this is a Latte"),
        (("--given", "0:9"), "vdt.pt", "gives all 9 frames of a clip"),
        (("--task", "predict", "--given", "0:2"), "vdt.pt", "both say what is given"),
        (("--cond", "concat", "--given", "0:3"), "vdt.pt", "3 frames are given, and the model was trained with 4 of 9"),
        (("--task", "predict", "--clips", "6"), "vdt.pt", "6"),
        (("--mask", "absent.npy"), "vdt.pt", "absent.npy"),
    ],
)
def test_what_cannot_be_is_refused_before_sampling(files, arguments, ckpt, message):
    done = run(files, *arguments, ckpt=ckpt)
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr
    assert not done.stdout
