"""Clips that are predicted further than the model's clips reach, block after block: sampling and command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from small_vdt import small_vdt
from torch import Tensor

from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import SamplerError
from latte_eval.core.seeding import clip_generator
from latte_eval.evaluation.cost_lines import work_text
from latte_eval.sampler import Checkpoint, IdentityCodec, SamplerSettings
from latte_eval.sampler.diffusion import make_schedule
from latte_eval.sampler.longer_source import LongerSource
from latte_eval.sampler.masked import sample_longer
from latte_eval.sampler.masked_source import Conditions, MaskedSource
from latte_eval.sampler.tasks import TaskSettings

FRAMES, LENGTH = 4, 9
STEPS = SamplerSettings("ddpm", 3)


class Reals:
    """Real clips of noise."""

    name, fingerprint = "reals", "f" * 64
    rejected: tuple[Rejected, ...] = ()

    def __init__(self, frames: int):
        self.frames = frames

    def __len__(self) -> int:
        return 6

    def clips(self, indices: Sequence[int]) -> Clips:
        return Clips(torch.stack([self.clip(index) for index in indices]), tuple(indices))

    def clip(self, index: int) -> Tensor:
        """The first frames of a longer clip are those of a shorter one."""
        generator = torch.Generator().manual_seed(index)
        return torch.randint(0, 256, (LENGTH, 3, 8, 8), generator=generator).to(torch.uint8)[: self.frames]

    def groups(self, indices: Sequence[int]) -> list[str]:
        return [str(index) for index in indices]


def made(longer: bool = True, seed: int = 0, length: int = LENGTH, **options: str) -> MaskedSource:
    model, task = small_vdt(), TaskSettings(**(options or {"given": "0:1"}))
    settings = SamplerSettings("ddpm", 3, seed=seed)
    checkpoint = Checkpoint("small.pt", Path("small.pt"), "a" * 64, 1, model.state_dict(), "ema")
    masks = task.masks(model.config, seed, length if longer else None)
    kind = LongerSource if longer else MaskedSource
    return kind(Conditions(Reals(masks.clip_frames), masks), checkpoint, model, IdentityCodec(), settings, 6)


def test_it_is_what_python_predicts_block_after_block() -> None:
    """Noise and steps come from one generator a clip and block."""
    source = made()
    generators = [[clip_generator(0, index, block) for index in (1, 4)] for block in range(3)]
    [torch.rand((), generator=each, dtype=torch.float64) for each in generators[0]]  # which chooses a class

    def draw(block: int, step: int = 0) -> Tensor:
        return torch.stack([torch.randn((FRAMES, 3, 8, 8), generator=each) for each in generators[block]])

    first = source.codec.encode(source.conditions.pixels([1, 4])).float()[:, :1]
    with torch.no_grad():
        expected = sample_longer(source.model, first, LENGTH, draw, make_schedule(3), draw, sampler="ddpm")
    found = source.latents([1, 4])
    assert found.shape == (2, LENGTH, 3, 8, 8)
    assert torch.allclose(found, expected, atol=1e-4)
    assert torch.equal(found[:, :1], first)


def test_a_clip_is_a_function_of_seed_and_index_and_begins_like_a_short_one() -> None:
    together = made().clips(list(range(6))).pixels
    for index in (0, 5):
        assert torch.equal(made().clips([index]).pixels[0], together[index])
        assert torch.equal(made(longer=False).clips([index]).pixels[0], together[index, :FRAMES])
    assert not torch.equal(made(seed=1).clips([0]).pixels[0], together[0])
    assert made().clips([]).pixels.shape == (0, LENGTH, 3, 8, 8)
    others = made(longer=False), made(given="0:2"), made(length=LENGTH - 1)
    assert len({made().fingerprint, *(other.fingerprint for other in others)}) == 4


def test_real_pixels_may_stand_at_given_positions() -> None:
    clips = made(given="0:2", given_pixels="real").clips([2])
    assert torch.equal(clips.pixels[0, :2], Reals(LENGTH).clip(2)[:2])


def test_what_is_generated_and_what_it_costs() -> None:
    source = made(given="0:2")
    assert source.conditions.masks.generated_frames() == tuple(range(2, LENGTH))
    assert source.blocks == 4 and made().blocks == 3
    text, operations = work_text(source, 5, 1)
    assert text.startswith("5 clips x 4 blocks x 3 steps x ")
    assert operations == 4 * work_text(made(longer=False, given="0:2"), 5, 1)[1]


@pytest.mark.parametrize("options", [{"given": "1:2"}, {"task": "backward"}, {"task": "arbitrary"}])
def test_other_frames_than_the_first_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(SamplerError, match="goes on from its first frames: give --task predict or --given 0:N"):
        made(**options)


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for video in range(3):
        write_frames(tmp_path / "real" / str(video), moving_frames(24, 16, 16 + 4 * video))
    words = ("evaluate", "--metrics", "psnr", "--ckpt", "demo-vdt", "--real", "real", "--clips", "3", "--steps", "2",
             "--no-interval", "--device", "cpu", "--out", "run")  # fmt: skip
    done = latte_eval(*words, "--given", "0:2", "--param", "frames=20")
    assert done.returncode == 0, done.stderr
    assert "3 clips x 2 blocks x 2 steps" in done.stderr and "clean-20f-" in done.stdout
    refused = latte_eval(*words, "--given", "2:4", "--param", "frames=20")
    assert refused.returncode == 2 and "a longer clip goes on from its first frames" in refused.stderr
    shorter = latte_eval(*words, "--given", "0:2", "--param", "frames=12")
    assert shorter.returncode == 5 and "makes clips of that length alone, not of 12" in shorter.stderr
