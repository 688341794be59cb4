"""`data prepare`: the pixels that the readers would make, once, resumable, and never into the source."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from dataset_makers import make_faceforensics, make_frames, make_skytimelapse, make_taichi, make_ucf101, zip_folder
from media_makers import decode_all, moving_frames, stored, write_lossless
from PIL import Image

from latte_eval.benchmarks.check import Inspection
from latte_eval.benchmarks.convert import WRITERS, Preparation, Prepared
from latte_eval.benchmarks.dataset import find_dataset
from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.prepare import prepare_frame
from latte_eval.cli import group
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.protocol import Protocol
from latte_eval.files.lossy import jpeg_round_trip

NAME = "aS62n5PdTIU_1_8WGsQ0Y7uyU_1"


def prepare(name: str, source: Path, target: Path, store: str = "video", size: int = 32, **options: str) -> Prepared:
    return Preparation.open(find_dataset(name), source, target, store, size, **options).run(jobs=2)


def fingerprints(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of change and hash of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@pytest.fixture
def faces(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """One exact video of moving frames under a FaceForensics name, and its frames."""
    frames = moving_frames(12, 48, 64)
    write_lossless(tmp_path / "faces" / "train" / f"{NAME}.mkv", frames)
    return tmp_path / "faces", frames


@pytest.mark.parametrize("crop", ["crop-resize", "resize-crop"])
@pytest.mark.parametrize("store", ["video", "png"])
def test_lossless_stores_hold_the_pixels_of_the_readers(
    tmp_path: Path, faces: tuple[Path, np.ndarray], store: str, crop: str
) -> None:
    source, frames = faces
    expected = np.stack([prepare_frame(frame, Protocol(size=32, crop=crop)) for frame in frames])
    prepare("faceforensics", source, tmp_path / "out", store, crop=crop)
    stored = tmp_path / "out" / "train" / (NAME + (".mp4" if store == "video" else ""))
    pixels = decode_all(stored) if store == "video" else read_folder(stored)
    np.testing.assert_array_equal(pixels, expected)


def read_folder(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_jpg_frames_are_those_of_the_published_converters(tmp_path: Path, faces: tuple[Path, np.ndarray]) -> None:
    source, frames = faces
    prepare("faceforensics", source, tmp_path / "out", "jpg")
    expected = jpeg_round_trip(np.stack([prepare_frame(frame, Protocol(size=32)) for frame in frames]))
    np.testing.assert_array_equal(read_folder(tmp_path / "out" / "train" / NAME), expected)


@pytest.mark.parametrize("store", ["video", "png", "jpg"])
def test_a_prepared_copy_gives_the_clips_of_its_source(tmp_path: Path, store: str) -> None:
    for i in range(4):
        write_lossless(tmp_path / "faces" / "train" / f"{NAME}{i}.mkv", moving_frames(60 + i, 48, 64))
    prepare("faceforensics", tmp_path / "faces", tmp_path / "out", store)
    protocol = find_dataset("faceforensics").protocol("latte").replace(size=32, real_clips=3)
    folders = tmp_path / "faces" / "train", tmp_path / "out" / "train"
    before, after = (stored(FolderSource.open(folder, protocol, 5, "real")) for folder in folders)
    if store == "png":  # frames at the target size are never stored again: without the JPEG of the protocol
        before = stored(FolderSource.open(folders[0], protocol.replace(real_storage=()), 5, "real"))
    assert torch.equal(before.clips(range(3)).pixels, after.clips(range(3)).pixels)


def test_the_source_is_not_touched_and_the_target_passes_the_check(tmp_path: Path) -> None:
    source = make_skytimelapse(tmp_path / "sky_timelapse", side=48)
    before = fingerprints(source)
    done = prepare("skytimelapse", source, tmp_path / "out", "jpg")
    assert (done.written, done.kept, done.unreadable) == (3, 0, [])
    assert fingerprints(source) == before
    report = Inspection.open(find_dataset("skytimelapse"), tmp_path / "out").report()
    assert report.serves and report.sizes == {(32, 32): 3}
    assert [video.path for video in report.videos] == [
        "08ug3bzhV8Y/08ug3bzhV8Y_1", "3bufRYg7qxY/3bufRYg7qxY_1", "3bufRYg7qxY/3bufRYg7qxY_2",
    ]  # fmt: skip


def test_class_folders_stay(tmp_path: Path) -> None:
    folder = make_ucf101(tmp_path / "UCF-101", ("Archery", "YoYo"), "{name}/{video}.avi")
    done = prepare("ucf101", zip_folder(folder, tmp_path / "UCF-101.zip"), tmp_path / "out")
    assert done.written == 4
    assert (tmp_path / "out" / "YoYo" / "v_YoYo_g02_c01.mp4").is_file()


def test_it_continues_where_it_stopped(tmp_path: Path) -> None:
    source = make_taichi(tmp_path / "taichi-256", side=48)
    prepare("taichi-hd", source, tmp_path / "out")
    files = fingerprints(tmp_path / "out")
    lost = sorted(path for path in files if path.endswith(".mp4"))[1]
    Path(lost).unlink()
    done = prepare("taichi-hd", source, tmp_path / "out")
    assert (done.written, done.kept) == (1, 2)
    again = fingerprints(tmp_path / "out")
    assert again[lost][1] == files[lost][1]
    assert {path: again[path] for path in files if path != lost} == {p: f for p, f in files.items() if p != lost}


def test_a_killed_run_leaves_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from latte_eval.benchmarks import convert as module

    source = make_taichi(tmp_path / "taichi-256", side=48)
    frames_seen = []

    def interrupted(frame: np.ndarray, protocol: Protocol) -> np.ndarray:
        frames_seen.append(1)
        if len(frames_seen) > 150:
            raise KeyboardInterrupt
        return prepare_frame(frame, protocol)

    monkeypatch.setattr(module, "prepare_frame", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Preparation.open(find_dataset("taichi-hd"), source, tmp_path / "out", "png", 32).run(jobs=1)
    left = [path for path in (tmp_path / "out" / "train").iterdir() if path.is_dir()]
    assert len(left) == 1 and len(list(left[0].iterdir())) == 100
    monkeypatch.undo()
    done = prepare("taichi-hd", source, tmp_path / "out", "png")
    assert (done.written, done.kept) == (2, 1)


def test_other_options_need_another_folder(tmp_path: Path) -> None:
    source = make_taichi(tmp_path / "taichi-256", side=48)
    prepare("taichi-hd", source, tmp_path / "out")
    for options in ({"store": "png"}, {"size": 64}, {"crop": "resize-crop"}):
        with pytest.raises(StoreError, match=f"prepared with {next(iter(options))}"):
            prepare("taichi-hd", source, tmp_path / "out", **options)  # type: ignore[arg-type]
    (tmp_path / "out" / "train" / "prepared.json").write_text("{")
    with pytest.raises(StoreError, match=r"cannot read .*prepared.json"):
        prepare("taichi-hd", source, tmp_path / "out")


def test_a_target_inside_the_source_is_refused(tmp_path: Path) -> None:
    source = make_taichi(tmp_path / "taichi-256", side=48)
    (tmp_path / "link").symlink_to(source)
    before = fingerprints(source)
    for target in (source, source / "out", source / "frames" / "train", tmp_path / "link" / "out"):
        with pytest.raises(UsageError, match="only read"):
            prepare("taichi-hd", source, target)
    with pytest.raises(UsageError, match="holds the source"):
        prepare("taichi-hd", source, tmp_path)
    assert fingerprints(source) == before


def test_frames_at_the_target_size_are_copied_not_stored_again(tmp_path: Path) -> None:
    source = make_taichi(tmp_path / "taichi-256", side=32)
    folder = next((source / "frames" / "train").iterdir())
    done = prepare("taichi-hd", source, tmp_path / "out", "jpg")
    assert done.written == 3
    copies = sorted((tmp_path / "out" / "train" / folder.name).iterdir())
    assert [path.read_bytes() for path in copies] == [path.read_bytes() for path in sorted(folder.iterdir())]
    refused = prepare("taichi-hd", source, tmp_path / "video")
    assert refused.written == 0 and all("--store jpg" in each.reason for each in refused.unreadable)


def test_every_unreadable_file_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = make_faceforensics(tmp_path / "data")
    (source / "train" / "videos" / "broken.mp4").write_bytes(b"\x00\x00\x00\x18ftypisom and nothing")
    (source / "train" / "videos" / "empty.avi").touch()
    runner = CliRunner()
    arguments = ["data", "prepare", "faceforensics", str(source), str(tmp_path / "out"), "--size", "32"]
    done = runner.invoke(group, arguments)
    assert done.exit_code == 0
    assert "left out broken.mp4" in done.output and "left out empty.avi: empty file" in done.output
    assert done.output.rstrip().endswith("3 written, 0 were there, 2 left out")
    assert "0 written, 3 were there, 2 left out" in runner.invoke(group, arguments).output


def test_two_videos_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    source = tmp_path / "faces" / "train"
    write_lossless(source / f"{NAME}.mkv", moving_frames(3, 40, 40))
    make_frames(source / NAME, 3, 40, 40)
    done = prepare("faceforensics", source.parent, tmp_path / "out", "png")
    assert done.written == 1
    assert [each.reason for each in done.unreadable] == [f"has the same name as {NAME}.mkv"]


def test_an_unwritable_target(tmp_path: Path) -> None:
    source = make_taichi(tmp_path / "taichi-256", side=48)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        prepare("taichi-hd", source, tmp_path / "file" / "out")


def test_two_containers_with_one_process_id_do_not_disturb_each_other(
    tmp_path: Path, faces: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their process ids may be the same, and they write into one folder on a shared disk."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    used: list[Path] = []
    write = WRITERS["video"]
    monkeypatch.setitem(WRITERS, "video", lambda path, frames: (used.append(path), write(path, frames)))
    for name in ("one", "two"):
        prepare("faceforensics", faces[0], tmp_path / name)
    assert used[0].name != used[1].name
