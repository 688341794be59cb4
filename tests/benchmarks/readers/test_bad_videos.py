"""Bad input: every file that cannot serve is named with its reason, and the others are used."""

from __future__ import annotations

import os
import re
from pathlib import Path

import av
import numpy as np
import pytest
from footage import ENCODINGS, FRAMES
from media_makers import cut, moving_frames, write_frames, write_lossless, write_video
from PIL import Image
from remuxers import damage_packet

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import count_frames
from latte_eval.core.errors import ClipError, MachineFault, NotEnoughClips, UsageError
from latte_eval.core.protocol import Protocol

PROTOCOL = Protocol(frames=4, size=None)
FAST_START = {"movflags": "+faststart"}


def noisy_frames(count: int = 60) -> np.ndarray:
    """Frames that make every frame of a file cost bytes."""
    noise = np.random.default_rng(0).integers(-40, 40, (count, 48, 64, 3))
    return (moving_frames(count) + noise).clip(0, 255).astype(np.uint8)


def reason(folder: Path, name: str, protocol: Protocol = PROTOCOL) -> str:
    """Why a file is rejected beside a good one, which is used."""
    write_lossless(folder / "good.mkv", moving_frames(60))
    source = FolderSource.open(folder, protocol, 0, "real")
    clips = source.clips(range(len(source)))
    assert source.groups(clips.indices) == ["good.mkv"]
    reasons = [each.reason for each in source.rejected if each.path == name]
    assert len(reasons) == len(source.rejected) == 1
    assert "\n" not in reasons[0]
    return reasons[0]


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert reason(tmp_path, "a.mp4") == "empty file"


@pytest.mark.parametrize(
    "text",
    ["just text\n" * 50, "1\n00:00:01,000 --> 00:00:02,000\nHello\n", "#EXTM3U\n#EXTINF:5,\ngood.mkv\n#EXT-X-ENDLIST\n",
     "ffconcat version 1.0\nfile good.mkv\n"],
    ids=["text", "subtitles", "playlist", "concat"],
)  # fmt: skip
def test_foreign_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text(text)
    assert reason(tmp_path, "a.mp4") == "not a video file"


def test_picture_called_video(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert reason(tmp_path, "a.mp4") == "not a video file"


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        for frame in (sound, None):
            container.mux(stream.encode(frame))
    assert reason(tmp_path, "a.mp4") == "no video stream that can be decoded"


@pytest.mark.parametrize(
    ("name", "codec", "options", "expected"),
    [
        ("a.mp4", "libx264", FAST_START, "of 60 frames"),
        ("a.mov", "libx264", FAST_START, "of 60 frames"),
        ("a.avi", "mjpeg", None, "of 60 frames"),
        ("a.avi", "mpeg4", None, "of 60 frames"),
        ("a.mkv", "libx264", None, "of about 60 frames"),
        ("a.webm", "libvpx-vp9", None, "of about 60 frames"),
        ("a.gif", "gif", None, "frames, the end is missing"),
        ("late.mp4", "libx264", None, "truncated: no frame can be read, "),
        ("pieces.mp4", "libx264", {"movflags": "+frag_keyframe+empty_moov"}, "truncated: "),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_file(
    name: str, codec: str, options: dict[str, str] | None, expected: str, share: float, tmp_path: Path
) -> None:
    pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    path = write_video(tmp_path / name, noisy_frames(), codec, pix_fmt, container_options=options)
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    assert len(source) == 1 and not source.rejected
    cut(path, share)
    why = reason(tmp_path, name)
    assert why.startswith("truncated: ") and expected in why


def test_half_a_file_says_how_much_is_left(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noisy_frames(), container_options=FAST_START)
    size = path.stat().st_size
    why = reason(tmp_path, cut(path).name)
    left = int(why.split()[1])
    assert 20 < left < 40
    assert why == f"truncated: {left} of 60 frames, {size - size // 2:,} bytes are missing"


def test_a_file_that_lost_nothing_but_its_tail_is_used(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", noisy_frames(), "mjpeg", "yuvj420p")
    size = path.stat().st_size
    cut(path, (size - 100) / size)  # part of the index behind the last frame
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    assert len(source) == 1 and not source.rejected


def test_a_trimmed_phone_video_is_not_truncated(tmp_path: Path) -> None:
    """Cutting without re-encoding hides the frames before the cut behind an edit list."""
    path = write_video(tmp_path / "whole.mp4", noisy_frames(), options={"g": "20", "bf": "0"})
    with av.open(str(path)) as whole, av.open(str(tmp_path / "trimmed.mp4"), "w") as trimmed:
        source, target = whole.streams.video[0], trimmed.add_stream_from_template(whole.streams.video[0])
        first = None
        for packet in whole.demux(source):
            if packet.pts is None or packet.pts < 20 * source.duration / 60:
                continue
            first = first or packet.pts + int(10 * source.duration / 60)
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, target
            trimmed.mux(packet)
    path.unlink()
    videos = FolderSource.open(tmp_path, PROTOCOL.replace(windows="all"), 0, "real")
    clips = videos.clips(range(len(videos)))
    assert not videos.rejected and 7 <= len(clips) <= 10


@pytest.mark.parametrize("side", ["real", "fake"])
def test_damage_anywhere_in_a_file(side: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noisy_frames(), container_options=FAST_START)
    data = bytearray(path.read_bytes())
    data[-2000:-1000] = bytes(1000)
    path.write_bytes(data)
    write_lossless(tmp_path / "good.mkv", moving_frames(60))
    source = FolderSource.open(tmp_path, PROTOCOL, 0, side)
    assert len(source) == 2
    assert source.groups(source.clips([0, 1]).indices) == ["good.mkv"]
    assert [each.path for each in source.rejected] == ["a.mp4"]
    assert source.rejected[0].reason.startswith("damaged: frame 5")


def test_late_damage_spares_the_windows_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the frames that are always checked, a window is judged by what lies before its own last frame."""
    monkeypatch.setattr("latte_eval.benchmarks.readers.reading.CHECKED_FRAMES", 8)
    path = write_video(tmp_path / "a.mp4", noisy_frames(), options={"bf": "0"}, container_options=FAST_START)
    data = bytearray(path.read_bytes())
    at = data.find(b"mdat") + (len(data) - data.find(b"mdat")) // 2
    data[at : at + 1000] = bytes(1000)
    path.write_bytes(data)
    protocol = PROTOCOL.replace(windows="all", real_selection="sorted")
    source = FolderSource.open(tmp_path, protocol, 0, "real")
    together = source.clips(range(15)).indices
    assert together == tuple(range(len(together))) and 5 <= len(together) <= 9
    fresh = FolderSource.open(tmp_path, protocol, 0, "real")
    alone = [index for index in reversed(range(15)) if len(fresh.clips([index]))]
    assert tuple(reversed(alone)) == together
    assert [each.path for each in source.rejected] == ["a.mp4"]


def test_a_damaged_file_is_named_once(tmp_path: Path) -> None:
    damage_packet(ENCODINGS["H.264"].write(tmp_path / "bad.mp4"), 20)
    source = FolderSource.open(tmp_path, Protocol(size=32, frames=12, windows="all"), 0, "real")
    assert len(source) == 3
    for index in (0, 1, 2, 0):
        assert len(source.clips([index])) == 0
    assert len(source.rejected) == 1


DECODERS_SEE = ("H.264", "H.264, open groups", "H.264, ten bits", "MPEG-4 in AVI", "MPEG-2 without a container",
                "motion JPEG", "AV1 in mp4", "ProRes")  # fmt: skip


@pytest.mark.parametrize("name", DECODERS_SEE)
def test_damage_within_a_packet(name: str, tmp_path: Path) -> None:
    """Nothing in the container shows it; the decoder patches it up, and says so."""
    path = damage_packet(ENCODINGS[name].write(tmp_path / f"bad.{ENCODINGS[name].suffix}"), 20)
    assert count_frames(path) == FRAMES
    found = re.match(r"damaged: frame (\d+) does not decode", reason(tmp_path, path.name))
    assert found and 15 <= int(found[1]) <= 24


@pytest.mark.parametrize("number", [12, 20, 21, 30])
def test_damage_within_a_gif(number: int, tmp_path: Path) -> None:
    """The reader of GIF in FFmpeg takes the rest of the file for one frame then."""
    path = damage_packet(ENCODINGS["GIF"].write(tmp_path / "bad.gif"), number)
    assert re.fullmatch(r"truncated: \d+ (of about \d+ )?frames, the end is missing", reason(tmp_path, path.name))


def test_too_short(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(11))
    write_frames(tmp_path / "good.mkv", moving_frames(12))
    source = FolderSource.open(tmp_path, PROTOCOL.replace(real_stride=3), 0, "real")
    assert [(each.path, each.reason) for each in source.rejected] == [
        ("a.mkv", "too short: 11 frames, 12 needed (4 at stride 3)")
    ]


def test_all_too_short(tmp_path: Path) -> None:
    for count in (5, 7, 11):
        write_lossless(tmp_path / f"{count}.mkv", moving_frames(count))
    with pytest.raises(NotEnoughClips) as caught:
        FolderSource.open(tmp_path, PROTOCOL.replace(real_stride=3), 0, "real")
    assert str(caught.value) == (
        f"all 3 videos in {tmp_path} are too short: they have 5 to 11 frames, 12 are needed (4 at stride 3)"
    )


def test_none_usable(tmp_path: Path) -> None:
    write_lossless(tmp_path / "short.mkv", moving_frames(3))
    (tmp_path / "empty.mp4").touch()
    expected = r"none of the 2 videos in .* can be used \(1 are too short\); empty.mp4: empty file"
    with pytest.raises(ClipError, match=expected):
        FolderSource.open(tmp_path, PROTOCOL, 0, "real")


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        FolderSource.open(tmp_path / "nowhere", PROTOCOL, 0, "real")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="holds no videos and no folders of frames$"):
        FolderSource.open(tmp_path, PROTOCOL, 0, "real")


def test_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ClipError, match="holds no videos and no folders of frames, only 1 other files"):
        FolderSource.open(tmp_path, PROTOCOL, 0, "real")


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    write_frames(tmp_path, moving_frames(4), "{}.png")
    with pytest.raises(ClipError, match="neither a folder nor a zip archive"):
        FolderSource.open(tmp_path / "0.png", PROTOCOL, 0, "real")


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lossless(tmp_path / "open" / "a.mkv", moving_frames(4))
    (tmp_path / "closed").mkdir()
    refuse_to_list(monkeypatch, tmp_path / "closed")
    with pytest.raises(MachineFault, match=r"closed could not be read.*Permission denied \(EACCES\); make it readable"):
        FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    with pytest.raises(ClipError, match="cannot read .*closed: Permission denied"):
        FolderSource.open(tmp_path / "closed", PROTOCOL, 0, "real")


def refuse_to_list(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Close a folder, for root as well."""
    listing = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_unreadable_file(tmp_path: Path) -> None:
    path = write_lossless(tmp_path / "a.mkv", moving_frames(60))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(MachineFault, match="a.mkv could not be read.*Permission denied"):
        reason(tmp_path, "a.mkv")


def test_a_file_that_disappears(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(8))
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    (tmp_path / "a.mkv").unlink()
    with pytest.raises(MachineFault, match="a.mkv could not be read.*it was there a moment ago"):
        source.clips([0])
    assert not source.rejected


def test_broken_link(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert reason(tmp_path, "a.mp4") == "broken link: No such file or directory"


def test_videos_of_different_sizes_without_a_size(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(4, 48, 64))
    write_lossless(tmp_path / "b.mkv", moving_frames(4, 32, 40))
    source = FolderSource.open(tmp_path, PROTOCOL.replace(real_selection="sorted"), 0, "real")
    with pytest.raises(ClipError, match=r"are 64x48 and 40x32 \(b.mkv\); .* --param size=48"):
        source.clips([0, 1])


def test_the_size_is_checked_across_batches(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a.mkv", moving_frames(4, 48, 64))
    write_lossless(tmp_path / "b.mkv", moving_frames(4, 32, 40))
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    source.clips([0])
    with pytest.raises(ClipError, match="bring them to one size"):
        source.clips([1])
