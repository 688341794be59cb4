"""The four datasets in miniature: the file types, names and folders that people really have."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
from media_makers import write_video
from PIL import Image

from latte_eval.benchmarks.datasets.ucf101 import CLASSES

SKY_CLIPS = ("08ug3bzhV8Y/08ug3bzhV8Y_1", "3bufRYg7qxY/3bufRYg7qxY_1", "3bufRYg7qxY/3bufRYg7qxY_2")
FACE_NAMES = ("aS62n5PdTIU_1_8WGsQ0Y7uyU_1", "qEnKi82wWgE_2_rJPM8EdWShs_1", "W4DfuBnFAQU_0_ak2uO5hmVJ0_0")
TAICHI_NAMES = ("A0lkQ-iGRdU#000123#000456", "-0cNPWOTdhc#000500#000900", "0kJ5fUm2bVs#000001#000200")
VIDEO_FRAMES = 50


def plain_frames(count: int, height: int, width: int) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """Grey frames that grow brighter: cheap to make and to encode."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 3, (count, height, width, 3))


def make_video(path: Path, frames: int = VIDEO_FRAMES, width: int = 320, height: int = 240) -> Path:
    """A small file of the type that its name says: MPEG-4 part 2 in AVI, as UCF101 has it, or H.264."""
    codec = ("mpeg4", {}) if path.suffix == ".avi" else ("libx264", {"preset": "ultrafast"})
    return write_video(path, np.ascontiguousarray(plain_frames(frames, height, width)), codec[0], options=codec[1])


def make_frames(folder: Path, count: int, width: int, height: int, name: str = "{:06d}.jpg") -> Path:
    """A folder of frames: one picture, under many names."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 200)).save(picture, "JPEG")
    for index in range(count):
        (folder / name.format(index)).write_bytes(picture.getvalue())
    return folder


def copy_video(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


def ucf_name(name: str, group: int = 1) -> str:
    """A released file name; one class is spelt otherwise in its files than in its folder."""
    return f"v_{name.replace('Handstand', 'HandStand') if name == 'HandstandPushups' else name}_g{group:02d}_c01"


def make_ucf101(root: Path, classes: tuple[str, ...] = CLASSES, layout: str = "UCF-101/{name}/{video}.avi") -> Path:
    """Two videos a class, laid out as `layout` says."""
    video = make_video(root.parent / "template.avi")
    for name in classes:
        for group in (1, 2):
            split = "train" if group == 1 else "test"
            copy_video(video, root / layout.format(name=name, video=ucf_name(name, group), split=split))
    return root


def make_split_lists(folder: Path, classes: tuple[str, ...] = CLASSES) -> None:
    """classInd.txt, trainlist01.txt and testlist01.txt as released: train lines end in the class number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(classes, 1)))
    train = [f"{name}/{ucf_name(name, 1)}.avi {i}\n" for i, name in enumerate(classes, 1)]
    (folder / "trainlist01.txt").write_text("".join(train))
    (folder / "testlist01.txt").write_text("".join(f"{name}/{ucf_name(name, 2)}.avi\n" for name in classes))


def make_skytimelapse(root: Path, split: str = "sky_train", flat: bool = False, side: int | None = None) -> Path:
    """Clip folders of frames, nested in video folders as released, with the empty folder and the bad clip."""
    width, height = (side, side) if side else (640, 360)
    for clip in (*SKY_CLIPS, "z6Yr7KDZhm0/z6Yr7KDZhm0_1"):
        folder = root / split / (clip.rpartition("/")[2] if flat else clip)
        make_frames(folder, 50, width, height, clip.partition("/")[0] + "_frames_{:08d}.jpg")
    (root / split / "empty").mkdir()
    return root


def make_faceforensics(root: Path, split: str = "train", kind: str = "videos") -> Path:
    """Cropped faces as hosted with Latte: videos, or the frames of them."""
    for name in FACE_NAMES:
        if kind == "videos":
            make_video(root / split / kind / f"{name}.mp4", 50, 256, 256)
        else:
            make_frames(root / split / kind / name, 50, 256, 256)
    return root


def make_taichi(root: Path, split: str = "train", side: int = 256) -> Path:
    """taichi-256/frames/train/NAME/*.jpg, long enough for stride 6."""
    for name in TAICHI_NAMES:
        make_frames(root / "frames" / split / name.replace("#", "_"), 100, side, side)
    return root


def zip_folder(folder: Path, archive: Path) -> Path:
    """An archive that holds the folder, stored with its own name first."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
    return archive
