"""Frames are counted without decoding: what packets show, what they do not, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage import ENCODINGS, FRAMES, OPEN_H265, Encoding, frame_numbers
from remuxers import (
    copy_packets,
    drop_pictures,
    hide_references,
    keyframes,
    packet_bytes,
    picture_type,
    uncoded_picture,
    video_packets,
)

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.animations import Damaged
from latte_eval.benchmarks.readers.packets import clock_bits, frames_behind_gap, is_not_coded
from latte_eval.benchmarks.readers.video import count_frames, read_video
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol

Footage = Callable[[str], Path]


def numbers(path: Path) -> list[int]:
    """The numbers of all frames that are counted; every one of them must be there, and whole."""
    count = count_frames(path)
    return frame_numbers(np.stack(list(read_video(path, range(count), check=1000))))


MPEG2 = Encoding("mkv", "mpeg2video", options={"bf": "2", "g": "10", "b": "1M"})
OPEN = {
    "H.264": ENCODINGS["H.264, open groups"],
    "H.264 in a transport stream": ENCODINGS["H.264, open groups in a transport stream"],
    "HEVC": ENCODINGS["HEVC, open groups"],
    "MPEG-2": MPEG2,
}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("H.264", "mkv"), ("H.264", "mp4"), ("H.264 in a transport stream", "ts"), ("HEVC", "mkv"), ("HEVC", "mp4"),
     ("HEVC", "ts"), ("MPEG-2", "mkv"), ("MPEG-2", "ts"), ("MPEG-2", "mpg")],
)  # fmt: skip
def test_a_video_cut_without_encoding_it_again(name: str, suffix: str, tmp_path: Path) -> None:
    """The frames before the first whole one refer to what was cut away: no decoder shows them, so they do not count."""
    whole = OPEN[name].write(tmp_path / f"whole.{OPEN[name].suffix}")
    start = keyframes(whole)[1]
    cut = copy_packets(whole, tmp_path / f"cut.{suffix}", start=start, use_editlist="0")
    found = numbers(cut)
    assert found == list(range(FRAMES - len(found), FRAMES)) and FRAMES - start - 3 <= len(found) < FRAMES - start


def test_early_frames_that_need_nothing_earlier_count(tmp_path: Path) -> None:
    """HEVC has frames before a keyframe that refer to it alone."""
    options = OPEN_H265["x265-params"].replace("open-gop=1", "open-gop=0:radl=2")
    encoding = dataclasses.replace(OPEN["HEVC"], options={**OPEN_H265, "x265-params": options})
    whole = encoding.write(tmp_path / "whole.mkv")
    start = keyframes(whole)[1]
    cut = copy_packets(whole, tmp_path / "cut.mkv", start=start)
    with av.open(str(cut)) as container:
        times = [packet.pts for packet in video_packets(container)]
    assert min(times) < times[0]
    assert numbers(cut) == list(range(start, FRAMES))


def test_a_recording_that_begins_anywhere(tmp_path: Path) -> None:
    for name in ("H.264 in a transport stream", "HEVC in a transport stream", "MPEG-2 in a transport stream"):
        encoding = OPEN.get(name, ENCODINGS[name])
        path = encoding.write(tmp_path / "a.ts")
        data = path.read_bytes()
        path.write_bytes(data[188 * 30 :])
        found = numbers(path)
        assert found == list(range(FRAMES - len(found), FRAMES)) and 10 < len(found) < FRAMES


@pytest.mark.parametrize("suffix", ["ts", "flv"])
def test_a_recording_that_ends_anywhere(suffix: str, tmp_path: Path) -> None:
    """Where the end is missing, a frame may be there without those that are shown before it."""
    path = dataclasses.replace(OPEN["H.264"], suffix=suffix).write(tmp_path / f"a.{suffix}")
    data = path.read_bytes()
    for size in range(len(data) // 2, len(data) // 2 + 3000, 300):
        path.write_bytes(data[:size])
        try:
            found = numbers(path)
        except Damaged as damage:  # a part of the last frame
            assert damage.frame >= count_frames(path) - 3
        else:
            assert found == list(range(len(found))) and len(found) > 5


def test_a_gap_counts_at_the_end_and_between_reordered_frames_only() -> None:
    steady = [0, 4, 2, 1, 3, 8, 6, 5, 7]
    assert frames_behind_gap(steady) == 0
    assert frames_behind_gap([*steady, 12]) == 1 and frames_behind_gap([*steady, 12, 10]) == 2
    assert frames_behind_gap([0, 30, 10, 20, 60, 40, 50]) == 0
    assert frames_behind_gap([0, 1, 2, 9]) == 0  # stored as shown: nothing can be waiting
    assert frames_behind_gap([0, 9, 3, 12, 10, 11]) == 0  # there was such a gap before
    assert frames_behind_gap([5]) == frames_behind_gap([]) == 0


def test_references_that_are_never_shown(footage: Footage, tmp_path: Path) -> None:
    hidden = {4, 5, 20, FRAMES - 1}
    path = hide_references(footage("VP8"), tmp_path / "a.webm", hidden)
    assert numbers(path) == [number for number in range(FRAMES) if number not in hidden]


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4"])
def test_pictures_that_the_encoder_left_out(suffix: str, tmp_path: Path) -> None:
    encoding = ENCODINGS["MPEG-4 in AVI, B-frames"]
    whole = dataclasses.replace(encoding, suffix=suffix, options={"bf": "1", "b": "1M"}).write(tmp_path / f"a.{suffix}")
    with av.open(str(whole)) as container:
        between = [i for i, packet in enumerate(video_packets(container)) if picture_type(bytes(packet)) == "B"]
    left_out = set(between[2::4])
    path = drop_pictures(whole, tmp_path / f"b.{suffix}", left_out)
    found = numbers(path)
    assert len(found) == FRAMES - len(left_out) > 5
    # A picture in the file before the one that it is shown after.
    assert found == [number for number in range(FRAMES) if number + 1 not in left_out]


@pytest.mark.parametrize("rate", [1, 2, 15, 25, 1000, 30000])
def test_the_clock_of_mpeg4_is_as_wide_as_its_rate(rate: int) -> None:
    stream = av.CodecContext.create("mpeg4", "w")
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
    stream.framerate, stream.time_base = rate, Fraction(1, rate)
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    frame.pts = 0
    (packet,) = [*stream.encode(frame), *stream.encode(None)]
    header = bytes(stream.extradata or b"") + bytes(packet)
    assert clock_bits(header) == max(1, (rate - 1).bit_length())
    assert not is_not_coded(bytes(packet), clock_bits(header))
    assert is_not_coded(uncoded_picture(bytes(packet), clock_bits(header)), clock_bits(header))


@pytest.mark.parametrize("data", [b"", b"\0\0\1\xb6", b"\0\0\1\xb6\xff\xff", b"\0\0\1\x20", b"\0\0\1\x20\xff\xff\xff"])
def test_headers_that_end_too_soon(data: bytes) -> None:
    assert 0 <= clock_bits(data) <= 16 and not is_not_coded(data, 5)


def rejected(path: Path) -> str:
    protocol = Protocol(frames=4, size=None, windows="all", real_selection="sorted")
    source = FolderSource.open(path, protocol, 0, "real")
    assert not len(source.clips(range(len(source))))
    (only,) = source.rejected
    return only.reason


def test_bytes_lost_on_the_way(footage: Footage, tmp_path: Path) -> None:
    """A transport stream numbers its packets."""
    path = tmp_path / "a.ts"
    data = footage("H.264 in a transport stream").read_bytes()
    middle = len(data) // 188 // 2 * 188
    path.write_bytes(data[:middle] + data[middle + 188 * 3 :])
    assert rejected(path).startswith("damaged: ")


def test_a_matroska_file_that_cannot_be_read_to_its_end(footage: Footage, tmp_path: Path) -> None:
    path, name = tmp_path / "a.mkv", "H.264 in Matroska"
    data, place = bytearray(footage(name).read_bytes()), packet_bytes(footage(name), 20)
    data[place.start - 20 : place.stop] = bytes(20 + place.stop - place.start)
    path.write_bytes(data)
    with pytest.raises(ClipError, match=r"^damaged: \d+ frames can be read, up to 0\.\d\d of 1\.\d\d seconds$"):
        count_frames(path)
