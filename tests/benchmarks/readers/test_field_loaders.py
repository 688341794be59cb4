"""Frames under the protocols of the field: the bytes that their own loaders make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_makers import moving_frames, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.prepare import of_side, prepare_frame
from latte_eval.benchmarks.readers.torch_resize import shifted
from latte_eval.benchmarks.readers.video import read_video
from latte_eval.benchmarks.readers.windows import window_starts
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.golden.files import Golden
from latte_eval.evaluation.golden.frames import loader_frames

LOADERS = ("tats", "videogpt", "digan", "pvdm", "cd-fvd")
CASES = ("land", "port", "square", "native")


def loaded(golden: Golden, case: str, protocol: Protocol) -> np.ndarray:  # -> [T, size, size, 3] uint8
    protocol = protocol.replace(size=golden.meta["size"])
    return np.stack([prepare_frame(frame, protocol) for frame in loader_frames(golden, case)])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LOADERS)
def test_bytes_are_those_of_the_loader(name: str, case: str, golden: Callable[[str], Golden]) -> None:
    """Exactly, where the golden was made; another CPU may round a float otherwise, just beside a whole grey level."""
    file = golden("field_loaders")
    apart = np.abs(loaded(file, case, named_protocol(name)).astype(int) - file[f"{name}_{case}"])
    assert apart.max() <= 1 and (apart > 0).mean() <= 1e-3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tats", {"rounding": "floor-unit"}),
        ("tats", {"rounding": "nearest"}),
        ("tats", {"resample": "torch-antialias"}),
        ("tats", {"crop": "resize-crop"}),
        ("digan", {"rounding": "floor-unit"}),
        ("digan", {"crop": "resize-crop-ceil"}),
        ("cd-fvd", {"resample": "torch-bilinear"}),
        ("cd-fvd", {"resample": "bilinear"}),
    ],
)
def test_every_choice_of_a_loader_is_seen(name: str, change: dict[str, str], golden: Callable[[str], Golden]) -> None:
    file, protocol = golden("field_loaders"), named_protocol(name)
    other = protocol.replace(**change)
    assert any(not np.array_equal(loaded(file, case, other), loaded(file, case, protocol)) for case in CASES)


def test_the_package_itself_on_real_frames(clips_folder: Path) -> None:
    """As the golden, where cd-fvd is installed and the clips of cameras are there."""
    torch, loader = pytest.importorskip("torch"), pytest.importorskip("cdfvd.utils.data_utils")
    for path in sorted(clips_folder.glob("*_340x256.mp4")):
        frames = np.stack(list(read_video(path, range(4))))
        video = loader.preprocess(torch.from_numpy(frames), 128)["video"]
        theirs = (video * 255).permute(1, 2, 3, 0).byte().numpy()
        ours = [prepare_frame(frame, named_protocol("cd-fvd")) for frame in frames]
        np.testing.assert_array_equal(ours, theirs)


def test_the_shift_takes_a_level_off_some_pixels_of_the_real_side() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    lost = ramp.astype(int) - shifted(ramp)
    assert set(lost.ravel()) == {0, 1} and lost[..., 0].sum() == 63
    tats = named_protocol("tats").replace(size=16)
    assert np.array_equal(prepare_frame(ramp, of_side(tats, "real")), shifted(ramp))
    assert np.array_equal(prepare_frame(ramp, of_side(tats, "fake")), ramp)


def test_any_window_of_any_video(tmp_path: Path) -> None:
    """As VideoClips lists them: overlapping ones, each once, longer videos more often; the draw follows the seed."""
    for name, length in (("a", 12), ("b", 6)):
        write_lossless(tmp_path / f"{name}.mkv", moving_frames(length, 24, 32))
    protocol = Protocol(frames=4, size=None, windows="any")
    source = FolderSource.open(tmp_path, protocol, 0, "real")
    found = [(window.entry.path, window.frames.start) for window in source.windows]
    assert sorted(found) == [*(("a.mkv", start) for start in range(9)), *(("b.mkv", start) for start in range(3))]
    again = FolderSource.open(tmp_path, protocol.replace(real_clips=3), 0, "real", wanted=3)
    assert [(window.entry.path, window.frames.start) for window in again.windows] == found[:6]
    other = FolderSource.open(tmp_path, protocol, 1, "real")
    assert [(window.entry.path, window.frames.start) for window in other.windows] != found
    clips = source.clips(range(12)).pixels
    for clip, (path, start) in zip(clips, found, strict=True):
        expected = np.stack(list(read_video(tmp_path / path, range(start, start + 4))))
        np.testing.assert_array_equal(clip.permute(0, 2, 3, 1), expected)
    fake = FolderSource.open(tmp_path, protocol, 0, "fake")
    assert [window.frames.start for window in fake.windows] == [0, 0]


def test_generated_videos_may_start_anywhere() -> None:
    protocol = Protocol(frames=4, fake_offset="seeded")
    starts = {window_starts(40, protocol, "fake", 0, str(i))[0] for i in range(40)}
    assert len(starts) > 10 and starts <= set(range(37))
    assert window_starts(40, protocol.replace(fake_offset="zero"), "fake", 0, "1") == [0]


def test_frames_that_pass_through_torch_are_resized_whatever_holds_them(tmp_path: Path) -> None:
    frames = moving_frames(4, 24, 32)
    write_lossless(tmp_path / "videos" / "a.mkv", frames)
    write_frames(tmp_path / "frames" / "a", frames)
    protocol = named_protocol("pvdm").replace(frames=4, size=16)
    clips = [FolderSource.open(tmp_path / kind, protocol, 0, "real").clips([0]).pixels for kind in ("videos", "frames")]
    expected = np.stack([prepare_frame(frame, protocol) for frame in frames])
    for found in clips:
        np.testing.assert_array_equal(found[0].permute(0, 2, 3, 1), expected)
