"""Matrix and range of a video's colours: what its file says counts, whatever the version of the decoder."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from footage import require
from media_makers import moving_frames, write_frames, write_video

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.video import read_video, to_rgb
from latte_eval.core.protocol import Protocol

# Matrix -> weights of red and blue (ITU-R BT.601, BT.709, BT.2020), by its code in a file.
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 2: (0.299, 0.114)}
COLOURS = ((220, 40, 40), (40, 200, 60), (50, 70, 210), (210, 200, 60))
LIMITED, FULL = 1, 2


def tagged_frame(colour: tuple[int, int, int], matrix: int, code: int, bits: int = 8) -> av.VideoFrame:
    """A frame of one colour, converted by hand."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = (value / 255 for value in colour)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    blueness, redness = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale = 2 ** (bits - 8)
    values = (255 * luma, 128 + 255 * blueness, 128 + 255 * redness) if code == FULL else (
        16 + 219 * luma, 128 + 224 * blueness, 128 + 224 * redness)  # fmt: skip
    frame = av.VideoFrame(32, 32, "yuv444p" if bits == 8 else "yuv444p10le")
    for plane, value in zip(frame.planes, values, strict=True):
        dtype = np.dtype("u1" if bits == 8 else "<u2")
        plane.update(np.full(plane.buffer_size // dtype.itemsize, round(scale * value), dtype).tobytes())
    frame.colorspace, frame.color_range = matrix, code
    return frame


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("code", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_come_back(matrix: int, code: int, bits: int) -> None:
    for colour in COLOURS:
        pixels = to_rgb(tagged_frame(colour, matrix, code, bits)).to_ndarray().astype(int)
        assert np.abs(pixels - colour).max() <= 3


FILES = [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("libx265", "mp4"), ("libvpx-vp9", "webm"),
         ("ffv1", "mkv"), ("libx264", "mov")]  # fmt: skip


@pytest.mark.parametrize("code", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize(("codec", "suffix"), FILES)
def test_colours_of_files_that_name_matrix_and_range(
    codec: str, suffix: str, matrix: int, code: int, tmp_path: Path
) -> None:
    require(codec)
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"x265-params": "log-level=none", "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, code
        for colour in COLOURS:
            container.mux(stream.encode(tagged_frame(colour, matrix, code)))
        container.mux(stream.encode(None))
    frames = np.stack(list(read_video(path, range(4)))).astype(int)
    assert np.abs(frames - np.array(COLOURS)[:, None, None]).mean(axis=(1, 2, 3)).max() <= 3


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "nv12", "yuv422p10le"])
def test_matrix_and_range_are_given_and_never_those_of_the_target(name: str) -> None:
    """PyAV 15 and 16 read everything as BT.601 where they are not, or are the same on both sides."""
    given: list[dict[str, object]] = []

    class Spy:
        format, colorspace, color_range = av.VideoFormat(name, 32, 32), 1, 0

        def reformat(self, **arguments: object) -> None:
            given.append(arguments)

    for code in (0, LIMITED, FULL):
        spy = Spy()
        spy.color_range = code
        to_rgb(spy)  # type: ignore[arg-type]
    assert [each["src_color_range"] for each in given] == [LIMITED, LIMITED, FULL]
    assert all(each["src_colorspace"] == 1 != each["dst_colorspace"] for each in given)


def test_rgb_and_grey_have_no_matrix() -> None:
    for name in ("rgb24", "gray"):
        array = np.full((8, 8, 3) if name == "rgb24" else (8, 8), 200, np.uint8)
        frame = av.VideoFrame.from_ndarray(array, format=name)
        assert (to_rgb(frame).to_ndarray() == 200).all()


def test_the_decoder_belongs_to_the_identity_of_video_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "videos" / "a.mp4", moving_frames(4))
    write_frames(tmp_path / "frames" / "a", moving_frames(4))
    protocol = Protocol(frames=4, size=None)
    sources = {name: FolderSource.open(tmp_path / name, protocol, 0, "real") for name in ("videos", "frames")}
    before = {name: source.fingerprint for name, source in sources.items()}
    assert av.__version__ in sources["videos"].about["decoder"] and "decoder" not in sources["frames"].about
    monkeypatch.setattr(av, "__version__", "99.0.0")
    assert sources["videos"].fingerprint != before["videos"] and sources["frames"].fingerprint == before["frames"]


def test_a_change_in_reading_videos_is_a_change_of_videos_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "videos" / "a.mp4", moving_frames(4))
    write_frames(tmp_path / "frames" / "a", moving_frames(4))
    protocol = Protocol(frames=4, size=None)
    sources = [FolderSource.open(tmp_path / name, protocol, 0, "real") for name in ("videos", "frames")]
    before = [source.fingerprint for source in sources]
    monkeypatch.setattr("latte_eval.benchmarks.readers.video.STEP_VERSION", 99)
    assert [source.fingerprint == mark for source, mark in zip(sources, before, strict=True)] == [False, True]
