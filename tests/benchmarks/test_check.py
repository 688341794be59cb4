"""`data check` on each dataset in miniature, and on what people give it by mistake."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
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
from footage import ENCODINGS
from media_makers import cut
from remuxers import damage_packet, pack_pictures

from latte_eval.benchmarks.check import Inspection, Report
from latte_eval.benchmarks.dataset import find_dataset
from latte_eval.benchmarks.datasets.ucf101 import CLASSES
from latte_eval.cli import group
from latte_eval.compare.comparable import coverage_rule
from latte_eval.core.errors import LatteEvalError


def run(*arguments: object) -> Result:
    """The command line in this process; an error of ours stays an exception."""
    return CliRunner().invoke(group, ["data", *map(str, arguments)], catch_exceptions=True)


def report(name: str, root: Path, **options: bool) -> Report:
    return Inspection.open(find_dataset(name), root).report(**options)


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_ucf101(tmp_path_factory.mktemp("ucf101") / "data")
    make_split_lists(root / "ucfTrainTestlist")
    return root


def test_ucf101_with_all_classes_serves(ucf101: Path) -> None:
    done = run("check", "ucf101", ucf101)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    for words in (
        "layout release, class folders",
        "split train+test; official lists: train 101 of 101, test 101 of 101",
        "videos 202 of 13,320 expected; 202 with the 48 frames",
        "sizes 320x240: 202",
        "classes 101 of 101",
        "known copy the release, 320x240",
        "nothing published: 202 videos where 13,320 are expected",
        "can serve yes: 202 real clips",
    ):
        assert words in text
    assert len(done.output.splitlines()) <= 24  # one screen


def test_ucf101_with_two_classes_missing_says_which(tmp_path: Path) -> None:
    classes = tuple(name for name in CLASSES if name not in ("Archery", "YoYo"))
    video = make_video(tmp_path / "template.avi", 48, 32, 24)
    for name in classes:
        copy_video(video, tmp_path / "data" / f"v_{name}_g01_c01.avi")
    done = run("check", "ucf101", tmp_path / "data")
    assert done.exit_code == 5
    assert "99 of 101 classes found; missing Archery, YoYo" in " ".join(done.output.split())


def test_two_classes_only(tmp_path: Path) -> None:
    found = report("ucf101", make_ucf101(tmp_path / "data", ("Archery", "YoYo")))
    assert found.problems == ["2 of 101 classes found; missing ApplyEyeMakeup, ApplyLipstick, BabyCrawling, "
                              "BalanceBeam, BandMarching and 94 more"]  # fmt: skip


def test_the_split_lists_show_what_is_absent(tmp_path: Path) -> None:
    root = make_ucf101(tmp_path / "data", ("Archery",), "UCF-101/{name}/{video}.avi")
    make_split_lists(tmp_path / "data" / "ucfTrainTestlist", ("Archery", "YoYo"))
    assert report("ucf101", root).listed == {"train": (1, 2), "test": (1, 2)}


def test_skytimelapse_names_the_bad_clip_and_the_empty_folder(tmp_path: Path) -> None:
    root = make_skytimelapse(tmp_path / "sky_timelapse")
    make_frames(root / "sky_train" / "short" / "short_1", 20, 640, 360)
    (root / "sky_train" / "readme.txt").touch()
    found = report("skytimelapse", root)
    assert found.serves and len(found.usable) == 3
    assert found.dropped == ["z6Yr7KDZhm0/z6Yr7KDZhm0_1"] and found.empty == ["empty"] and found.others == 1
    assert [(video.path, video.frames) for video in found.too_short] == [("short/short_1", 20)]
    assert found.copy and "640x360" in found.copy.title and "233.66" in found.comparable
    text = " ".join(run("check", "skytimelapse", root).output.split())
    assert "left out 1: z6Yr7KDZhm0/z6Yr7KDZhm0_1 (a clip of the release that users delete)" in text
    assert "too short 1: short/short_1 (20)" in text and "empty 1: empty" in text


def test_the_copy_at_256_is_told_from_the_release(tmp_path: Path) -> None:
    found = report("skytimelapse", make_skytimelapse(tmp_path / "sky", "train", flat=True, side=256))
    assert found.copy and "sky_timelapse_256" in found.copy.title and "50.00" in found.comparable


def test_faceforensics_and_taichi(tmp_path: Path) -> None:
    ffs = report("faceforensics", make_faceforensics(tmp_path / "preprocess_ffs"))
    assert ffs.serves and ffs.sizes == {(256, 256): 3} and ffs.needed == 48
    assert "3 videos where 704 are expected" in ffs.comparable
    taichi = report("taichi-hd", make_taichi(tmp_path / "taichi-256"))
    assert taichi.serves and taichi.needed == 96 and "stride 6" in taichi.comparable
    digan = report("taichi-hd", make_taichi(tmp_path / "digan", side=128))
    assert digan.copy and "DIGAN" in digan.copy.title and "256x256" in digan.comparable
    odd = report("taichi-hd", make_taichi(tmp_path / "odd", side=100))
    assert odd.copy is None and "nothing published" in odd.comparable


@pytest.mark.parametrize(("expected", "compares"), [(3, True), (3.3, True), (3.4, False)])
def test_enough_videos_are_those_that_a_result_needs_to_compare(
    expected: float, compares: bool, tmp_path: Path
) -> None:
    """The same share here and where a result is compared with a published row."""
    found = report("faceforensics", make_faceforensics(tmp_path / "preprocess_ffs"))
    counted = dataclasses.replace(found.benchmark, expected={found.found.split: expected})
    assert ("nothing published" in dataclasses.replace(found, benchmark=counted).comparable) != compares
    assert (coverage_rule(3 / expected, True)[0] == "care") == compares


def test_a_zip_archive(tmp_path: Path) -> None:
    archive = zip_folder(make_taichi(tmp_path / "taichi-256", side=64), tmp_path / "taichi-256.zip")
    found = report("taichi-hd", archive)
    assert found.serves and found.found.within == "taichi-256/frames/train" and len(found.videos) == 3


def test_unreadable_files_are_named_with_their_reason(tmp_path: Path) -> None:
    root = make_faceforensics(tmp_path / "data") / "train" / "videos"
    whole = make_video(tmp_path / "whole.mp4", 50, 256, 256)
    cut(whole, 0.5, root / "half.mp4")
    (root / "empty.mp4").touch()
    (root / "text.mp4").write_text("not a video")
    found = report("faceforensics", tmp_path / "data")
    assert found.serves and len(found.videos) == 3
    reasons = {each.path: each.reason for each in found.unreadable}
    assert set(reasons) == {"half.mp4", "empty.mp4", "text.mp4"} and reasons["empty.mp4"] == "empty file"
    text = " ".join(run("check", "faceforensics", tmp_path / "data").output.split())
    assert "unreadable 3:" in text and "text.mp4: not a video file" in text


def test_decoding_finds_damage_that_the_header_hides(tmp_path: Path) -> None:
    root = make_skytimelapse(tmp_path / "sky", flat=True, side=64)
    frame = root / "sky_train" / "08ug3bzhV8Y_1" / "08ug3bzhV8Y_frames_00000030.jpg"
    frame.write_bytes(frame.read_bytes()[:-20])
    assert not report("skytimelapse", root).unreadable
    (damaged,) = report("skytimelapse", root, decode=True).unreadable
    assert damaged.path == "08ug3bzhV8Y_1" and "frames_00000030.jpg" in damaged.reason


def test_frames_of_two_sizes(tmp_path: Path) -> None:
    root = make_taichi(tmp_path / "taichi-256", side=64)
    folder = next((root / "frames" / "train").iterdir())
    make_frames(folder, 1, 32, 32, "extra_{:06d}.jpg")
    (odd,) = report("taichi-hd", root).unreadable
    assert odd.path == folder.name and "64x64" in odd.reason and "32x32" in odd.reason


def test_all_videos_too_short(tmp_path: Path) -> None:
    video = make_video(tmp_path / "t.mp4", 20, 256, 256)
    for i in range(3):
        copy_video(video, tmp_path / "data" / f"{i}.mp4")
    done = run("check", "taichi-hd", tmp_path / "data")
    assert done.exit_code == 5 and "0 usable videos; a distance needs at least 2" in " ".join(done.output.split())


def test_another_dataset_fails_with_its_name(tmp_path: Path) -> None:
    done = run("check", "ucf101", make_faceforensics(tmp_path / "data", kind="images"))
    assert isinstance(done.exception, LatteEvalError) and done.exception.exit_code == 5
    assert "is FaceForensics, not UCF101" in str(done.exception)


def test_shapes_has_no_folder_to_check(tmp_path: Path) -> None:
    done = run("check", "shapes", tmp_path)
    assert isinstance(done.exception, LatteEvalError) and done.exception.exit_code == 2
    assert "drawn on the fly" in str(done.exception) and "\n" not in str(done.exception)


def test_json(tmp_path: Path) -> None:
    done = run("check", "taichi-hd", make_taichi(tmp_path / "taichi-256", side=64), "--json")
    record = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert record["serves"] and record["videos"] == 3 and record["frames"]["median"] == 100
    assert record["sizes"] == {"64x64": 3} and record["expected"] is None


def test_list_names_origin_licence_and_layouts() -> None:
    text = " ".join(run("list").output.split())
    for words in ("maxin-cn/FaceForensics", "request form", "UCF101.rar", "guidance 7", "at stride 6", "sky_train",
                  "shapes: drawn on the fly"):  # fmt: skip
        assert words in text
    assert run("check", "-h").output.rstrip().endswith("latte-eval data check ucf101 /data/UCF-101")


def test_files_as_ucf101_has_them(tmp_path: Path) -> None:
    """MPEG-4 part 2 whose B-frames are packed, and one file that is damaged inside."""
    encoding = ENCODINGS["MPEG-4 in AVI, B-frames"]
    plain = dataclasses.replace(encoding, options={**encoding.options, "bf": "1"}).write(tmp_path / "plain.avi", 60)
    packed = pack_pictures(plain, tmp_path / "packed.avi")
    for name in ("ApplyEyeMakeup", "Archery", "YoYo"):
        copy_video(packed, tmp_path / "UCF-101" / name / f"v_{name}_g01_c01.avi")
    damage_packet(tmp_path / "UCF-101" / "YoYo" / "v_YoYo_g01_c01.avi", 31)
    found = report("ucf101", tmp_path / "UCF-101", decode=True)
    assert [video.frames for video in found.videos] == [60, 60] and found.sizes == {(96, 64): 2}
    assert [each.path for each in found.unreadable] == ["YoYo/v_YoYo_g01_c01.avi"]
