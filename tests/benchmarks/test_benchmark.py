"""The four benchmarks: protocols, and finding their clips in the layouts that people have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dataset_makers import (
    copy_video,
    make_faceforensics,
    make_frames,
    make_skytimelapse,
    make_split_lists,
    make_taichi,
    make_ucf101,
    make_video,
    zip_folder,
)

from latte_eval.benchmarks import tree
from latte_eval.benchmarks.dataset import datasets, find_dataset, share_of_names
from latte_eval.benchmarks.readers import FolderSource, listing
from latte_eval.core.errors import ClipError, UsageError
from latte_eval.core.protocol import Protocol

TWO = ("Archery", "YoYo")


@pytest.mark.parametrize("name", [each.name for each in datasets()])
def test_protocols_carry_the_choices_of_the_dataset(name: str) -> None:
    benchmark = find_dataset(name)
    latte, clean, stylegan = (benchmark.protocol(stem) for stem in ("latte", "clean", "stylegan-v"))
    assert latte.real_stride == clean.real_stride == (6 if name == "taichi-hd" else 3)
    assert stylegan.real_stride == 1
    split = "train+test" if name == "ucf101" else "train"
    for protocol in (latte, clean, stylegan):
        assert protocol.benchmark == name and protocol.real_split == split
        assert protocol.real_clips == protocol.fake_clips == 2048
    assert latte.fake_storage and not clean.fake_storage and not clean.real_storage


def test_published_settings() -> None:
    ucf101, ffs = find_dataset("ucf101"), find_dataset("faceforensics")
    assert ucf101.sampler == {"method": "ddpm", "steps": 250, "guidance_scale": 7.0, "clip_x0": False}
    assert ffs.sampler["guidance_scale"] == 1.0
    assert len(set(ucf101.classes)) == 101 and list(ucf101.classes) == sorted(ucf101.classes)
    checkpoints = {name: find_dataset(name).checkpoint for name in [each.name for each in datasets()]}
    assert checkpoints == {
        "faceforensics": "hf://maxin-cn/Latte/ffs.pt",
        "skytimelapse": "hf://maxin-cn/Latte/skytimelapse.pt",
        "taichi-hd": "hf://maxin-cn/Latte/taichi-hd.pt",
        "ucf101": "hf://maxin-cn/Latte/ucf101.pt",
    }


@pytest.mark.parametrize(("typed", "meant"), [("ucf-101", "ucf101"), ("taichi", "taichi-hd"), ("shape", "shapes")])
def test_an_unknown_name_suggests_one(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"Did you mean {meant}"):
        find_dataset(typed)


def test_shapes_needs_no_folder() -> None:
    with pytest.raises(UsageError, match="drawn on the fly"):
        find_dataset("shapes")


@pytest.mark.parametrize(("name", "classes", "words"), [("ucf101", None, "unconditional"), ("ucf101", 4, "4 classes"),
                                                        ("skytimelapse", 101, "101 classes")])  # fmt: skip
def test_a_checkpoint_of_other_classes_does_not_fit(name: str, classes: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_dataset(name).check_classes(classes)
    find_dataset("ucf101").check_classes(101)
    find_dataset("taichi-hd").check_classes(None)


def found_names(benchmark: str, root: Path, split: str | None = None) -> set[str]:
    """Names of the videos that an evaluation would use."""
    found = find_dataset(benchmark).locate(root, split)
    protocol = Protocol(frames=2, size=8, real_selection="sorted")
    source = FolderSource.open(found.path, protocol, 0, "real", within=found.within, keep=found.keeps)
    return {group.rpartition("/")[2] for group in source.groups(range(len(source)))}


def test_skytimelapse_as_released_nested_flat_and_zipped(tmp_path: Path) -> None:
    release = make_skytimelapse(tmp_path / "sky_timelapse")
    make_frames(release / "sky_test" / "07U1fSrk9oI" / "07U1fSrk9oI_1", 50, 64, 36)
    clips = {"08ug3bzhV8Y_1", "3bufRYg7qxY_1", "3bufRYg7qxY_2"}  # without the bad clip and the empty folder
    benchmark = find_dataset("skytimelapse")
    assert benchmark.locate(release).layout.title == "release, clips nested in videos"
    for root in (release, tmp_path, release / "sky_train"):
        assert found_names("skytimelapse", root) == clips
    assert found_names("skytimelapse", release, "test") == {"07U1fSrk9oI_1"}
    assert found_names("skytimelapse", zip_folder(release, tmp_path / "sky_timelapse.zip")) == clips
    assert found_names("skytimelapse", make_skytimelapse(tmp_path / "flat", "train", flat=True, side=256)) == clips


def test_the_test_split_is_not_taken_for_the_train_split(tmp_path: Path) -> None:
    make_skytimelapse(tmp_path / "sky", "sky_test")
    for root in (tmp_path / "sky" / "sky_test", tmp_path / "sky"):
        with pytest.raises(ClipError, match="test split of SkyTimelapse; .* against train"):
            find_dataset("skytimelapse").locate(root)
    with pytest.raises(ClipError, match="test split of FaceForensics"):
        find_dataset("faceforensics").locate(make_faceforensics(tmp_path / "ffs", "test") / "test" / "videos")


def test_faceforensics_videos_frames_and_one_folder(tmp_path: Path) -> None:
    names = {"aS62n5PdTIU_1_8WGsQ0Y7uyU_1", "qEnKi82wWgE_2_rJPM8EdWShs_1", "W4DfuBnFAQU_0_ak2uO5hmVJ0_0"}
    videos = make_faceforensics(tmp_path / "videos" / "preprocess_ffs")
    make_faceforensics(videos, "test")
    assert found_names("faceforensics", videos) == {f"{name}.mp4" for name in names}
    assert found_names("faceforensics", videos.parent) == {f"{name}.mp4" for name in names}
    frames = make_faceforensics(tmp_path / "frames" / "FaceForensics", kind="images")
    assert found_names("faceforensics", frames) == names
    assert find_dataset("faceforensics").locate(frames / "train" / "images").layout.title == "one folder"
    assert found_names("faceforensics", frames / "train" / "images") == names


def test_taichi_as_hosted(tmp_path: Path) -> None:
    root = make_taichi(tmp_path / "taichi-256")
    make_taichi(root, "test")
    found = find_dataset("taichi-hd").locate(root)
    assert (found.path, found.layout.title) == (root / "frames" / "train", "hub copy, frames")
    assert len(found_names("taichi-hd", tmp_path)) == 3


@pytest.mark.parametrize("layout", ["UCF-101/{name}/{video}.avi", "UCF101/UCF-101/{name}/{video}.avi", "{video}.avi",
                                    "{name}/{video}.avi", "{split}/{name}/{video}.avi"])  # fmt: skip
def test_ucf101_counts_train_and_test_in_every_layout(tmp_path: Path, layout: str) -> None:
    root = make_ucf101(tmp_path / "data", TWO, layout)
    expected = {f"v_{name}_g0{group}_c01.avi" for name in TWO for group in (1, 2)}
    assert found_names("ucf101", root) == expected


def test_ucf101_official_lists_choose_a_split(tmp_path: Path) -> None:
    root = make_ucf101(tmp_path / "data", TWO)
    with pytest.raises(ClipError, match=r"neither trainlist01.txt nor a folder train"):
        find_dataset("ucf101").locate(root, "train")
    make_split_lists(tmp_path / "data" / "ucfTrainTestlist", TWO)
    assert found_names("ucf101", root, "train") == {"v_Archery_g01_c01.avi", "v_YoYo_g01_c01.avi"}
    assert found_names("ucf101", root / "UCF-101", "test") == {"v_Archery_g02_c01.avi", "v_YoYo_g02_c01.avi"}
    by_folder = make_ucf101(tmp_path / "other", TWO, "{split}/{name}/{video}.avi")
    assert found_names("ucf101", by_folder, "train") == {"v_Archery_g01_c01.avi", "v_YoYo_g01_c01.avi"}
    assert found_names("ucf101", by_folder / "test", "test") == {"v_Archery_g02_c01.avi", "v_YoYo_g02_c01.avi"}


def test_ucf101_labels_are_positions_of_class_folders(tmp_path: Path) -> None:
    benchmark = find_dataset("ucf101")
    found = benchmark.locate(make_ucf101(tmp_path / "data", TWO))
    protocol = Protocol(frames=2, size=8, real_selection="sorted")
    source = FolderSource.open(found.path, protocol, 0, "real", classes=benchmark.classes, keep=found.keeps)
    assert source.clips([0, 3]).labels == (benchmark.classes.index("Archery"), benchmark.classes.index("YoYo"))


@pytest.mark.parametrize("asked", [each.name for each in datasets()])
def test_another_of_the_four_is_recognised(tmp_path: Path, asked: str) -> None:
    roots = {
        "ucf101": make_ucf101(tmp_path / "a", TWO, "{video}.avi"),
        "skytimelapse": make_skytimelapse(tmp_path / "b", flat=True, side=64) / "sky_train",
        "faceforensics": make_faceforensics(tmp_path / "c", kind="images") / "train",
        "taichi-hd": make_taichi(tmp_path / "d") / "frames" / "train",
    }
    for name, root in roots.items():
        if name == asked:
            find_dataset(asked).locate(root)
        else:
            with pytest.raises(ClipError, match=f"is {find_dataset(name).title}, not .*Use --benchmark {name}"):
                find_dataset(asked).locate(root)


def test_names_of_one_dataset_are_not_those_of_another() -> None:
    examples = {
        "ucf101": "v_HandStandPushups_g25_c07",
        "skytimelapse": "08ug3bzhV8Y_1",
        "faceforensics": "aS62n5PdTIU_1_8WGsQ0Y7uyU_1",
        "taichi-hd": "-0cNPWOTdhc#000500#000900",
    }
    for name, example in examples.items():
        assert [b for b in examples if share_of_names(find_dataset(b), [example])] == [name]


def test_renamed_files_are_taken_as_they_are(tmp_path: Path) -> None:
    video = make_video(tmp_path / "template.mp4", 4, 16, 16)
    for i in range(3):
        copy_video(video, tmp_path / "mine" / f"{i:04d}.mp4")
    assert len(found_names("taichi-hd", tmp_path / "mine")) == 3


def test_folders_that_cannot_be_the_dataset(tmp_path: Path) -> None:
    benchmark = find_dataset("ucf101")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.txt").write_text("hello")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    for path, words in {
        tmp_path / "absent": "does not exist",
        tmp_path / "docs": "holds no videos .* README.txt",
        tmp_path / "docs" / "README.txt": "neither a folder nor a zip",
        tmp_path / "broken.zip": "cannot read .*broken.zip",
    }.items():
        with pytest.raises(ClipError, match=words):
            benchmark.locate(path)


def test_a_folder_without_read_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    if os.geteuid() == 0:  # root may read everything: refuse as the system would
        monkeypatch.setattr(tree.os, "scandir", refuse)
    with pytest.raises(ClipError, match="cannot read .*closed: Permission denied"):
        find_dataset("ucf101").locate(closed)


def test_data_folders_are_found_under_usual_names(tmp_path: Path) -> None:
    (tmp_path / "UCF-101").mkdir()
    (tmp_path / "sky_timelapse.zip").touch()
    assert find_dataset("ucf101").folder_in(tmp_path) == tmp_path / "UCF-101"
    assert find_dataset("skytimelapse").folder_in(tmp_path) == tmp_path / "sky_timelapse.zip"
    assert find_dataset("taichi-hd").folder_in(tmp_path) is None


def test_looking_at_names_knows_the_same_files_as_the_readers() -> None:
    assert set(tree.VIDEO_SUFFIXES) == set(listing.VIDEO_SUFFIXES)
    assert set(tree.FRAME_SUFFIXES) == set(listing.FRAME_SUFFIXES)


def test_the_catalogue_needs_no_torch() -> None:
    modules = "latte_eval.compare.tables, latte_eval.cli.data, latte_eval.cli.tables"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
