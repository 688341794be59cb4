"""Moving footage made on the spot, with its number drawn into every frame, and how encoders of every kind store it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from media_makers import write_video
from PIL import Image

FRAMES, HEIGHT, WIDTH = 36, 64, 96

# The number of a frame in binary, most significant digit first: blocks of so many pixels along the lower edge.
BLOCK, DIGITS = 16, 6
DARK, LIGHT = 40, 215

# Frames between two cuts.
SCENE = 14


@cache
def lifelike_frames(
    count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH, seed: int = 0
) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """Textures that drift at different speeds, noise of a sensor, and cuts; frame t carries the number t."""
    random = np.random.default_rng(seed)
    frames = np.stack([scene_frame(t, height, width, seed) for t in range(count)])
    frames = (frames + random.normal(0, 3, frames.shape)).clip(0, 255).astype(np.uint8)
    for t, frame in enumerate(frames):
        for digit in range(DIGITS):
            value = LIGHT if t >> (DIGITS - 1 - digit) & 1 else DARK
            frame[-BLOCK:, digit * BLOCK : (digit + 1) * BLOCK] = value
    frames.flags.writeable = False
    return frames


def scene_frame(t: int, height: int, width: int, seed: int) -> np.ndarray:  # -> [H, W, 3] float
    """Frame t without noise: a far texture, and half of it covered by a near one that moves faster."""
    scene, step = divmod(t, SCENE)
    far, near = (texture(height, width, seed + 2 * scene + layer) for layer in (0, 1))
    frame = far[step : step + height, step : step + width].astype(float)
    left = (5 * step) % (width // 2)
    frame[8 : height // 2, left : left + width // 2] = near[8 : height // 2, 3 * step : 3 * step + width // 2]
    return frame


@cache
def texture(height: int, width: int, seed: int) -> np.ndarray:  # -> [2 H, 2 W, 3] uint8
    """Smooth random colours."""
    coarse = np.random.default_rng(seed).integers(20, 236, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))


def frame_numbers(frames: np.ndarray) -> list[int]:  # [T, H, W, 3] uint8
    """The number that each frame carries, as far as it survived."""
    rows = frames[:, -BLOCK + 4 : -4, : BLOCK * DIGITS].astype(float).mean(axis=(1, 3))
    digits = rows.reshape(len(frames), DIGITS, BLOCK)[:, :, 4:-4].mean(axis=2) > (DARK + LIGHT) / 2
    return [int(number) for number in digits @ (1 << np.arange(DIGITS)[::-1])]


@dataclass(frozen=True)
class Encoding:
    """How a file is written.

    Attributes:
        suffix: of the file; names its container, unless `container` does.
        error: the most that a frame may differ from its source on average, in levels of 255; 0 for a lossless one.
        grey: the file holds no colours.
        height, width: of the frames.
    """

    suffix: str
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    container: str | None = None
    times: Callable[[int], int] | None = None
    error: float = 10
    grey: bool = False
    height: int = HEIGHT
    width: int = WIDTH

    def frames(self, count: int = FRAMES) -> np.ndarray:  # -> [T, H, W, 3] uint8
        """What `write` stores."""
        frames = lifelike_frames(count, self.height, self.width)
        if not self.grey:
            return frames
        return np.stack([np.stack([np.asarray(Image.fromarray(frame).convert("L"))] * 3, -1) for frame in frames])

    def write(self, path: Path, count: int = FRAMES) -> Path:
        """Write the file, or skip the test where this PyAV has no such encoder."""
        require(self.codec)
        times = [self.times(t) for t in range(count)] if self.times else None
        return write_video(
            path, self.frames(count), self.codec, self.pix_fmt, options=self.options,
            container_options=self.container_options, times=times, format=self.container,
        )  # fmt: skip


def require(codec: str) -> None:
    """Skip the test where this PyAV cannot write with a codec."""
    try:
        av.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no encoder {codec}")


def x264(params: str, **options: str) -> dict[str, str]:
    return {"preset": "veryfast", "x264-params": params, **options}


def x265(params: str = "") -> dict[str, str]:
    return {"preset": "ultrafast", "x265-params": ":".join(filter(None, ("log-level=none", params)))}


OPEN_H264 = x264("open-gop=1:keyint=10:min-keyint=10:bframes=3:scenecut=0:b-pyramid=normal")
OPEN_H265 = x265("open-gop=1:keyint=10:min-keyint=10:bframes=3:b-adapt=0:scenecut=0")
SHARP = {"b": "1M"}
B_FRAMES = {"bf": "2", "g": "10", **SHARP}
VP8 = VP9 = {"deadline": "realtime", "cpu-used": "8", "threads": "1"}
VP9_GOOD = {**VP9, "deadline": "good", "lag-in-frames": "16"}
AV1 = {"preset": "8", "crf": "20"}


def uneven(t: int) -> int:
    """Times in milliseconds with gaps of 7 to 100."""
    return 180 * (t // 4) + (0, 33, 133, 173)[t % 4]


ENCODINGS: dict[str, Encoding] = {
    "H.264": Encoding("mp4"),
    "H.264 in mov": Encoding("mov"),
    "H.264 in m4v": Encoding("m4v"),
    "H.264 in Matroska": Encoding("mkv"),
    "H.264 in AVI": Encoding("avi", options=x264("bframes=0")),
    "H.264 in FLV": Encoding("flv"),
    "H.264 in a transport stream": Encoding("ts"),
    "H.264, packets of a camera": Encoding("m2ts", container_options={"mpegts_m2ts_mode": "1"}, container="mpegts"),
    "H.264, index first": Encoding("mp4", container_options={"movflags": "+faststart"}),
    "H.264 in pieces": Encoding("mp4", container_options={"movflags": "+frag_keyframe+empty_moov"}),
    "H.264, open groups": Encoding("mp4", options=OPEN_H264),
    "H.264, open groups in a transport stream": Encoding("ts", options=OPEN_H264),
    "H.264, closed groups": Encoding("mp4", options=x264("open-gop=0:keyint=8:bframes=2")),
    "H.264, intra refresh": Encoding("mp4", options=x264("intra-refresh=1:keyint=10:bframes=0")),
    "H.264, interlaced": Encoding("mp4", options=x264("interlaced=1")),
    "H.264, many references": Encoding("mkv", options=x264("ref=8:bframes=8:b-adapt=2:b-pyramid=normal")),
    "H.264, full chroma": Encoding("mp4", pix_fmt="yuv444p"),
    "H.264, ten bits": Encoding("mp4", pix_fmt="yuv420p10le"),
    "H.264, full range": Encoding("mp4", pix_fmt="yuvj420p"),
    "H.264, RGB": Encoding("mp4", "libx264rgb", "rgb24", {"qp": "0"}, error=0),
    "H.264, uneven times": Encoding("mp4", times=uneven),
    "H.264, uneven times in Matroska": Encoding("mkv", times=uneven),
    "H.264, starts late": Encoding("mp4", times=lambda t: 5000 + 40 * t),
    "H.264, no edit list": Encoding("mp4", container_options={"use_editlist": "0"}),
    "H.264, odd size": Encoding("mp4", pix_fmt="yuv444p", height=65, width=97),
    "HEVC": Encoding("mp4", "libx265", options=x265()),
    "HEVC in mov": Encoding("mov", "libx265", options=x265()),
    "HEVC in Matroska": Encoding("mkv", "libx265", options=x265()),
    "HEVC, open groups": Encoding("mkv", "libx265", options=OPEN_H265),
    "HEVC, ten bits": Encoding("mp4", "libx265", "yuv420p10le", x265()),
    "HEVC in a transport stream": Encoding("ts", "libx265", options=OPEN_H265),
    "VP8": Encoding("webm", "libvpx", options=VP8),
    "VP8 in IVF": Encoding("ivf", "libvpx", options=VP8),
    "VP8 in Ogg": Encoding("ogv", "libvpx", options=VP8, container="ogg"),
    "VP9": Encoding("webm", "libvpx-vp9", options=VP9),
    "VP9, hidden references": Encoding("webm", "libvpx-vp9", options=VP9_GOOD),
    "VP9, odd size": Encoding("mkv", "libvpx-vp9", options=VP9, height=65, width=97),
    "AV1": Encoding("mkv", "libsvtav1", options=AV1),
    "AV1 in mp4": Encoding("mp4", "libsvtav1", options=AV1),
    "AV1, ten bits": Encoding("webm", "libsvtav1", "yuv420p10le", AV1),
    "MPEG-4 in AVI": Encoding("avi", "mpeg4", options={"vtag": "XVID", **SHARP}),
    "MPEG-4 in AVI, B-frames": Encoding("avi", "mpeg4", options={"vtag": "XVID", **B_FRAMES}),
    "MPEG-4 in 3GP": Encoding("3gp", "mpeg4", options=SHARP),
    "MPEG-4, quarter pixels": Encoding("mkv", "mpeg4", options={"flags": "+qpel+mv4", **B_FRAMES}),
    "MPEG-4, odd size": Encoding("avi", "mpeg4", options=SHARP, height=65, width=97),
    "MS MPEG-4": Encoding("avi", "msmpeg4", options=SHARP),
    "MPEG-2": Encoding("mpg", "mpeg2video", options=B_FRAMES),
    "MPEG-2 in a transport stream": Encoding("ts", "mpeg2video", options=B_FRAMES),
    "MPEG-2 of a disc": Encoding("vob", "mpeg2video", options=B_FRAMES),
    "MPEG-2 without a container": Encoding("m2v", "mpeg2video", options=B_FRAMES),
    "MPEG-2 in MXF": Encoding("mxf", "mpeg2video", "yuv422p", options=SHARP),
    "MPEG-1": Encoding("mpeg", "mpeg1video", options=B_FRAMES),
    "Windows Media": Encoding("wmv", "wmv2", options=SHARP),
    "Flash video": Encoding("flv", "flv", options=SHARP),
    "motion JPEG": Encoding("avi", "mjpeg", "yuvj420p"),
    "motion JPEG in mov": Encoding("mov", "mjpeg", "yuvj420p"),
    "ProRes": Encoding("mov", "prores_ks", "yuv422p10le"),
    "GIF": Encoding("gif", "gif", "rgb8", error=25),
    "GIF of uneven times": Encoding("gif", "gif", "rgb8", times=lambda t: 10 * (2 * t + t % 2), error=25),
    "FFV1": Encoding("mkv", "ffv1", "bgr0", error=0),
    "FFV1 in AVI": Encoding("avi", "ffv1", "bgr0", error=0),
    "FFV1, odd size": Encoding("mkv", "ffv1", "bgr0", height=65, width=97, error=0),
    "FFV1, grey": Encoding("mkv", "ffv1", "gray", error=1, grey=True),
    "FFV1, YUV": Encoding("mkv", "ffv1", "yuv444p", error=1.5),
    "HuffYUV": Encoding("avi", "huffyuv", "rgb24", error=0),
    "Ut Video": Encoding("avi", "utvideo", "gbrp", error=0),
    "QuickTime animation": Encoding("mov", "qtrle", "rgb24", error=0),
    "PNG in mov": Encoding("mov", "png", "rgb24", error=0),
    "raw in AVI": Encoding("avi", "rawvideo", "bgr24", error=0),
    "raw": Encoding("y4m", "rawvideo", "yuv444p", container="yuv4mpegpipe", error=1.5),
}  # fmt: skip
