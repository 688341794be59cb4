"""Damaged clips are what they are called, and the study measures each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from media_makers import moving_frames, write_frames

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.benchmarks.studies import damage
from latte_eval.benchmarks.studies.damage import DAMAGES, MARKS, Side, main, moved, read_clips, video_clips
from latte_eval.metrics.metric import Measurement


@pytest.fixture(scope="module")
def sides() -> tuple[Side, Side]:
    every = read_clips(ShapesSource(24), 24)
    return every.take(range(12)), every.take(range(12, 24))


def test_every_damage_keeps_the_number_and_the_kind_of_clips(sides: tuple[Side, Side]) -> None:
    real, fake = sides
    for name, function in DAMAGES.items():
        found = function(fake, real)
        assert found.pixels.shape == fake.pixels.shape and found.pixels.dtype == torch.uint8, name
        assert len(found.groups) == len(found.labels) == 12
        assert not torch.equal(found.pixels, fake.pixels), name


def test_damages_are_what_they_are_called(sides: tuple[Side, Side]) -> None:
    real, fake = sides
    still = damage.frozen(fake, real).pixels
    assert torch.equal(still[:, 5], fake.pixels[:, 0])
    mixed = damage.shuffled(fake, real).pixels
    assert torch.equal(mixed.sort(1).values, fake.pixels.sort(1).values) and not torch.equal(mixed, fake.pixels)
    soft = damage.blurred(fake, real).pixels.float()
    assert soft.diff(dim=-1).abs().mean() < 0.8 * fake.pixels.float().diff(dim=-1).abs().mean()
    first = fake.painted(fake.pixels[:, :1])
    assert torch.equal(damage.blurred(first, real).pixels, damage.blurred(fake, real).pixels[:, :1])
    fewer = damage.without_classes(fake, real)
    assert set(fewer.labels) == set(sorted(set(fake.labels))[: len(set(fake.labels)) // 2])
    assert len(set(fewer.groups)) < len(set(fake.groups))
    videos = [f"video {i % 4}" for i in range(12)]
    alike = damage.without_classes(Side(fake.pixels, [0] * 12, videos), real)
    assert set(alike.groups) == {"video 0", "video 1"} and len(alike.groups) == 12
    assert torch.equal(damage.copied(fake, real).pixels, real.pixels)


def test_moves_are_worse_above_0() -> None:
    clean = Measurement(10.0, standard_error=2.0)
    assert moved(Measurement(14.0), clean, "lower") == 2.0 and moved(Measurement(14.0), clean, "higher") == -2.0
    assert moved(Measurement(14.0), Measurement(10.0), "lower") is None


def test_the_study_writes_its_table_into_a_page(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    page = tmp_path / "page.md"
    begin, end = MARKS["shapes"]
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    words = ["--clips", "24", "--metrics", "cd-fvd,prdc", "--detector", "videomae-seeded", "--write", str(page)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    for said in ("12 + 12 clips of drawn shapes", "| cd-fvd", "| coverage", "half the classes", "videomae-seeded"):
        assert said in text, said


def test_real_videos_give_windows_of_each_to_both_sides(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    for i in range(4):
        write_frames(tmp_path / "films" / f"{i}", moving_frames(96, 16, 16) // (i + 1))
    every = read_clips(video_clips(tmp_path / "films", "all"), 99)
    assert every.pixels.shape == (24, 16, 3, 256, 256) and len(set(every.groups[:12])) == 4
    assert len(read_clips(video_clips(tmp_path / "films", "one"), 99).groups) == 4
    page = tmp_path / "page.md"
    begin, end = MARKS["videos"]
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    words = ["--videos", str(tmp_path / "films"), "--windows", "all", "--metrics", "fd-dinov2", "--clips", "9"]
    done = CliRunner().invoke(main, [*words, "--detector", "seeded", "--write", str(page)], catch_exceptions=False)
    assert done.exit_code == 0 and "4 + 4 clips of 4 videos of films" in page.read_text()
