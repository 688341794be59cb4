"""Frames and clips for both sides of a comparison: cut from video files of real cameras, or drawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from latte_eval.core.errors import UsageError
from latte_eval.files.h264 import from_frames, write_clip

# Of each of so many videos the first frames serve: one half for the real side, the other for the fake side.
VIDEOS, FRAMES_USED = 5, 160
FRAMES, FRAME_SIZE, CLIP_FRAMES = 400, 128, 16
CLIPS, CLIP_SIZE, CLIP_STEP = 32, 256, 8
LONG_VIDEOS = 24
VIDEO_SUFFIXES = {".mp4", ".mkv", ".avi", ".webm", ".mov"}


def read_footage(folder: Path | None) -> list[np.ndarray]:  # -> 5 of [160, H, W, 3] uint8
    """Frames of the first videos of a folder that are long enough, in order of their names; drawn ones without it."""
    if folder is None:
        return [drawn_frames(seed) for seed in range(VIDEOS)]
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    found = list(islice((frames for frames in map(first_frames, paths) if len(frames) == FRAMES_USED), VIDEOS))
    if len(found) < VIDEOS:
        raise UsageError(
            f"{folder} holds {len(found)} videos of at least {FRAMES_USED} frames, {VIDEOS} are needed; without "
            "--frames, moving pictures are drawn"
        )
    return found


def first_frames(path: Path) -> np.ndarray:  # -> [T <= 160, H, W, 3] uint8
    """The first frames of a video, as many as can be decoded."""
    frames = []
    try:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), FRAMES_USED)]
    except av.FFmpegError:
        pass
    return np.stack(frames) if frames else np.empty((0, 1, 1, 3), np.uint8)


def drawn_frames(seed: int) -> np.ndarray:  # -> [160, 256, 340, 3] uint8
    """A view that moves over a picture of smooth random colours, with the noise of a sensor."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 236, (30, 60, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((960, 480), Image.Resampling.BICUBIC), np.float32)
    views = [scene[t : t + 256, 3 * t : 3 * t + 340] for t in range(FRAMES_USED)]
    return np.stack([(view + random.normal(0, 3, view.shape)).clip(0, 255).astype(np.uint8) for view in views])


def squared(frames: np.ndarray, size: int) -> np.ndarray:  # [T, H, W, 3] -> [T, size, size, 3] uint8
    """The middle square of every frame, brought to one size."""
    side = min(frames.shape[1:3])
    top, left = ((length - side) // 2 for length in frames.shape[1:3])
    box = (left, top, left + side, top + side)
    resized = (Image.fromarray(frame).resize((size, size), Image.Resampling.LANCZOS, box) for frame in frames)
    return np.stack([np.asarray(frame) for frame in resized])


def halves(footage: list[np.ndarray], size: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Side, name and frames [80, size, size, 3] of both halves of every video."""
    for number, frames in enumerate(footage):
        real, fake = np.split(squared(frames, size), 2)
        yield "real", f"{number:02d}", real
        yield "fake", f"{number:02d}", fake


def write_frames(footage: list[np.ndarray], folder: Path) -> None:
    """400 + 400 frames as PNG in folders of 16, `real/00_0/000.png`, and without, `flat/real/00_0_000.png`."""
    for side, name, frames in halves(footage, FRAME_SIZE):
        for t, frame in enumerate(frames):
            video = f"{name}_{t // CLIP_FRAMES}"
            path = folder / side / video / f"{t % CLIP_FRAMES:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(path)
            link = folder / "flat" / side / f"{video}_{path.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def write_clips(footage: list[np.ndarray], folder: Path) -> None:
    """32 + 32 mp4 files of 16 frames of 256x256: `real/0000.mp4`."""
    clips: dict[str, list[np.ndarray]] = {"real": [], "fake": []}
    for side, _, frames in halves(footage, CLIP_SIZE):
        starts = range(0, len(frames) - CLIP_FRAMES + 1, CLIP_STEP)
        clips[side] += [frames[start : start + CLIP_FRAMES] for start in starts]
    for side, found in clips.items():
        (folder / side).mkdir(parents=True)
        chosen = torch.linspace(0, len(found) - 1, CLIPS).round().int().tolist()
        for number, index in enumerate(chosen):
            write_clip(folder / side / f"{number:04d}.mp4", from_frames(found[index]))


def write_videos(footage: list[np.ndarray], folder: Path) -> None:
    """24 mp4 files of 160 frames, in their own size; they repeat."""
    folder.mkdir()
    for number in range(LONG_VIDEOS):
        path = folder / f"{number:04d}.mp4"
        if number < len(footage):
            write_clip(path, from_frames(footage[number]))
        else:
            shutil.copy(folder / f"{number % len(footage):04d}.mp4", path)
