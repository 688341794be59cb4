"""Which images in one folder are one video: by their names alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from latte_eval.benchmarks.readers.sequences import find_frames


def named(pattern: str, values: Sequence[object]) -> list[str]:
    return [pattern.format(value) for value in values]


ONE_VIDEO = {
    "padded": named("{:04d}.png", range(12)),
    "unpadded": named("frame{}.png", range(12)),
    "the name of the video before": named("z6Yr7KDZhm0_frames_{:08d}.jpg", range(12)),
    "two numbers, one counts": [f"frame_{i:03d}_of_12.png" for i in range(12)],
    "number and time": [f"f{i:03d}_t{i / 25:.2f}.jpg" for i in range(60)],
    "suffixes of one format": ["0.jpg", "1.JPG", "2.jpeg", "3.jfif"],
    "capital letters": ["IMG_1.png", "img_2.png"],
    "padded times": named("{:.2f}.png", [i / 2 for i in range(12)]),
    "times": named("t{}.png", [i / 2 for i in range(12)]),
    "times of any length": named("{:g}.png", [i / 25 for i in range(30)]),
    "video and number with a point": named("clip1.{:04d}.png", range(12)),
    "one image": ["picture.png"],
}


@pytest.mark.parametrize("kind", ONE_VIDEO)
def test_one_video(kind: str) -> None:
    found = find_frames(list(reversed(ONE_VIDEO[kind])))
    assert list(found.names) == ONE_VIDEO[kind] and not found.others and not found.problem


@pytest.mark.parametrize("other", ["flow_x_{:05d}.jpg", "img_{:05d}.png", "img_{:05d}_mask.jpg", "depth{:05d}.jpg"])
def test_two_kinds_of_images(other: str) -> None:
    found = find_frames([*named("img_{:05d}.jpg", range(9)), *named(other, range(9))])
    assert found.problem.startswith("images of 2 kinds in one folder (9 like ") and "img_00000.jpg" in found.problem


@pytest.mark.parametrize(
    "names",
    [
        [f"video{v}_frame{t:04d}.png" for v in range(3) for t in range(8)],
        [f"{v}-{t}.png" for v in range(3) for t in range(8)],
        [f"v_Archery_g01_c0{v}_{t:04d}.jpg" for v in range(3) for t in range(8)],
        [f"video{v}.{t:03d}.png" for v in range(3) for t in range(8)],
    ],
)
def test_frames_of_several_videos(names: list[str]) -> None:
    problem = find_frames(names).problem
    assert problem.startswith("the numbers of its 24 images begin 3 times") and "folder of its own" in problem


def test_frames_of_videos_that_have_names() -> None:
    names = [f"{word}_{t:03d}.png" for word in ("walk", "run") for t in range(8)]
    assert "images of 2 kinds" in find_frames(names).problem


@pytest.mark.parametrize("other", ["cover.png", "thumb.jpg", "first.png", "thumbnail_01.png", "0000_poster.png"])
def test_pictures_about_a_video_are_no_frames(other: str) -> None:
    frames = named("{:04d}.png", range(9))
    found = find_frames([other, *frames])
    assert list(found.names) == frames and found.others == (other,) and not found.problem
