"""What the comparisons work on, made when it is first asked for: frames, clips, weights in the formats of others."""

from __future__ import annotations

import ctypes.util
from functools import cached_property
from itertools import count
from pathlib import Path

import av
import numpy as np

from latte_eval.benchmarks.speed.footage import read_footage, write_clips, write_frames, write_videos
from latte_eval.benchmarks.speed.peer_weights import write_i3d_state, write_inception_archive, write_inception_state


class Material:
    """Files below a folder of our own.

    Args:
        folder: where they go; empty, and removed by the caller.
        filmed: a folder of real videos to cut frames and clips from; None to draw them.
    """

    def __init__(self, folder: Path, filmed: Path | None = None):
        self.folder, self.filmed = folder, filmed
        self.numbers = count()

    def fresh(self) -> Path:
        """A folder that nothing has been written to."""
        return self.folder / f"run{next(self.numbers)}"

    @cached_property
    def footage(self) -> list[np.ndarray]:
        """The videos that both sides are cut from."""
        return read_footage(self.filmed)

    @cached_property
    def frames(self) -> Path:
        """400 + 400 frames: see `write_frames`."""
        write_frames(self.footage, self.folder / "frames")
        return self.folder / "frames"

    @cached_property
    def clips(self) -> Path:
        """32 + 32 videos: see `write_clips`."""
        write_clips(self.footage, self.folder / "clips")
        return self.folder / "clips"

    @cached_property
    def videos(self) -> Path:
        """24 longer videos: see `write_videos`."""
        write_videos(self.footage, self.folder / "videos")
        return self.folder / "videos"

    @cached_property
    def inception_state(self) -> Path:
        """The seeded Inception as torch-fidelity and pytorch-fid load it."""
        return write_inception_state(self.folder / "inception.pth")

    @cached_property
    def inception_archive(self) -> Path:
        """The seeded Inception in a folder, as clean-fid loads it."""
        return write_inception_archive(self.folder / "inception-2015-12-05.pt").parent

    @cached_property
    def i3d_state(self) -> Path:
        """The seeded I3D as cd-fvd loads it."""
        return write_i3d_state(self.folder / "i3d.pt")

    @cached_property
    def ffmpeg(self) -> dict[str, str]:
        """The environment in which torchcodec finds FFmpeg: that of the system or, without one, that in PyAV's wheel,
        under the names that it looks for.
        """
        bundled = Path(av.__file__).parents[1] / "av.libs"
        if ctypes.util.find_library("avcodec") or not bundled.is_dir():
            return {}
        links = self.folder / "ffmpeg"
        links.mkdir()
        for path in bundled.glob("lib*.so*"):
            (links / path.name).symlink_to(path)
            if path.name.startswith(("libav", "libsw")):  # libavutil-5809ad29.so.60.26.102 -> libavutil.so.60
                name, _, version = path.name.partition(".so.")
                (links / f"{name.partition('-')[0]}.so.{version.partition('.')[0]}").symlink_to(path)
        return {"LD_LIBRARY_PATH": str(links)}
