"""Files damaged by bytes, of every codec and container: each is read or rejected with its reason, twice the same.

Pixels are compared where a file was cut. Where bits changed within it, a decoder of HEVC may leave a part of a picture
unwritten without a sign: its pixels are what lay in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from footage import ENCODINGS, FRAMES, frame_numbers

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import count_frames, read_video
from latte_eval.core.errors import ClipError, NotEnoughClips
from latte_eval.core.protocol import Protocol

WINDOWS = Protocol(frames=4, size=None, windows="all", real_selection="sorted")
Footage = Callable[[str], Path]
Damage = Callable[[bytes], bytes]


def middle(data: bytes) -> slice:
    """A twentieth of a file, from its middle on."""
    return slice(len(data) // 2, len(data) // 2 + len(data) // 20)


def replace(data: bytes, place: slice, change: Damage) -> bytes:
    return data[: place.start] + change(data[place]) + data[place.stop :]


def index(data: bytes) -> slice:
    """What a player reads first: the moov box of mp4 and mov, else what follows the mark of the format."""
    at = data.find(b"moov")
    return slice(at, at + 400) if at >= 0 else slice(16, 200)


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


CUTS: dict[str, Damage] = {
    "half": lambda data: data[: len(data) // 2],
    "without its last tenth": lambda data: data[: len(data) * 9 // 10],
    "without its trailer": lambda data: data[:-10],
    "without its head": lambda data: data[len(data) // 4 :],
    "without its first bytes": lambda data: data[100:],
}
DAMAGES: dict[str, Damage] = {
    "flipped": lambda data: replace(data, middle(data), lambda part: bytes(255 - byte for byte in part)),
    "zeroed": lambda data: replace(data, middle(data), zeros),
    "a hole": lambda data: replace(data, middle(data), lambda part: b""),
    "no index": lambda data: replace(data, index(data), zeros),
    "one bit": lambda data: replace(data, slice(len(data) // 2, len(data) // 2 + 1), lambda part: bytes([part[0] ^ 1])),
    "one byte": lambda data: data[:1],
    "empty": lambda data: b"",
}
# One encoding of every codec in every container, and those with open groups.
KINDS = list({(each.codec, each.suffix, "open" in name): name for name, each in ENCODINGS.items()}.values())

Outcome = tuple[list[int], np.ndarray, list[str]]


def read(path: Path) -> Outcome:
    """Indices and frames [N, T, H, W, 3] of the clips of one file, and why others are missing."""
    try:
        source = FolderSource.open(path, WINDOWS, 0, "real")
        clips = source.clips(range(len(source)))
    except (ClipError, NotEnoughClips) as error:
        return [], np.empty((0, 4, 1, 1, 3), np.uint8), [str(error)]
    return list(clips.indices), clips.pixels.permute(0, 1, 3, 4, 2).numpy(), [each.reason for each in source.rejected]


def read_twice(whole: Path, name: str, damage: Damage, folder: Path) -> Outcome:
    """The outcome of a damaged copy, after a check that it is the same twice and that each reason is one line."""
    path = folder / whole.name
    path.write_bytes(damage(whole.read_bytes()))
    first, again = read(path), read(path)
    assert first[0] == again[0] and first[2] == again[2], name
    if name in CUTS:
        np.testing.assert_array_equal(first[1], again[1])
    assert all(reason and "\n" not in reason for reason in first[2]), name
    assert len(first[0]) or first[2], name
    return first


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_was_cut_gives_whole_frames_or_a_reason(name: str, footage: Footage, tmp_path: Path) -> None:
    encoding = ENCODINGS[name]
    source = encoding.frames().astype(float)
    for kind, damage in CUTS.items():
        indices, clips, _ = read_twice(footage(name), kind, damage, tmp_path)
        assert indices == list(range(len(indices))) and len(indices) <= FRAMES // 4
        if not indices:
            continue
        frames = clips.reshape(-1, *clips.shape[2:])
        numbers = frame_numbers(frames)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), (kind, numbers)
        errors = np.abs(frames - source[numbers[0] : numbers[0] + len(numbers)]).mean(axis=(1, 2, 3))
        assert errors.max() <= encoding.error, kind


@pytest.mark.parametrize("name", KINDS)
def test_damage_inside_ends_in_clips_or_in_a_reason(name: str, footage: Footage, tmp_path: Path) -> None:
    """Not every damage shows: H.264 and later codecs decode other bits to other pixels. But the outcome is one."""
    for kind, damage in DAMAGES.items():
        indices, _, reasons = read_twice(footage(name), kind, damage, tmp_path)
        if kind in ("one byte", "empty"):
            assert not indices and ("empty file" if kind == "empty" else "not a video file") in reasons[0]
        assert len(indices) <= FRAMES // 4


@pytest.mark.parametrize("name", [name for name in KINDS if ENCODINGS[name].suffix in ("mp4", "mov", "m4v", "3gp")])
def test_without_an_index_there_is_no_frame(name: str, footage: Footage, tmp_path: Path) -> None:
    indices, _, reasons = read_twice(footage(name), name, DAMAGES["no index"], tmp_path)
    assert not indices and "damaged" in reasons[0]


@pytest.mark.parametrize("name", ["FFV1", "FFV1 in AVI", "FFV1, YUV", "FFV1, grey", "GIF", "motion JPEG"])
def test_damage_that_only_the_log_of_the_decoder_tells_rejects_the_file(
    name: str, footage: Footage, tmp_path: Path
) -> None:
    """The frame is not marked. Each bit of a slice of FFV1 counts, not every byte of the others."""
    whole = footage(name)
    path, chance = tmp_path / whole.name, random.Random(0)
    ends = []
    for _ in range(12):
        data = bytearray(whole.read_bytes())
        at = len(data) // 2 + chance.randrange(200)
        data[at : at + 4] = chance.randbytes(4)
        path.write_bytes(data)
        indices, _, reasons = read(path)
        ends.append(not indices and "does not decode" in reasons[0])
    assert all(ends) if name.startswith("FFV1") else any(ends)


def test_what_a_decoder_says_of_one_file_is_told_of_the_next_too(footage: Footage, tmp_path: Path) -> None:
    """FFmpeg's log may leave out a message that is the same as the one before."""
    path, data = tmp_path / "bad.gif", bytearray(footage("GIF").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    assert len({str(outcome) for outcome in (video_error(path), video_error(path), video_error(path))}) == 1


def video_error(path: Path) -> str:
    with pytest.raises(ClipError) as error:
        list(read_video(path, range(count_frames(path))))
    return str(error.value)
