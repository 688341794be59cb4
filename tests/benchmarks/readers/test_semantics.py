"""The windows, layouts, converters and encodings of the published evaluations, from golden/data_semantics.npz.

Every test here needs that file. The rules themselves are tested without it in the tests of the readers.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_makers import moving_frames, stored, write_frames, write_lossless

from latte_eval.benchmarks.readers import FolderSource
from latte_eval.benchmarks.readers.prepare import prepare_frame
from latte_eval.benchmarks.readers.windows import TooShort, frame_indices, highest_offset, seeded_offset, window_starts
from latte_eval.core.clips import Clips
from latte_eval.core.errors import ClipError
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.golden.frames import blocky_clip, ramp_clip, source_frame
from latte_eval.files.lossy import apply_storage, jpeg_frame

CASES = list(itertools.product(("land", "port", "square"), ("stylegan-v", "latte")))


@pytest.fixture
def semantics(golden: Callable[[str], Any]) -> Any:
    return golden("data_semantics")


def starts(length: int, n: int, s: int, side: str, seed: int = 0, path: str = "v") -> list[int] | None:
    protocol = Protocol(frames=n, real_stride=s, fake_stride=s)
    try:
        return window_starts(length, protocol, side, seed, path)
    except TooShort:
        return None


def test_which_real_videos_are_kept(semantics: Any) -> None:
    for length, n, s, kept, low, high, last, _ in semantics["keep_table"].astype(int):
        found = starts(length, n, s, "real")
        assert (found is not None) == kept
        if kept:
            assert (low, high) == (0, highest_offset(length, n, s))
            assert frame_indices(high, n, s)[-1] == last == length - 1


def test_offsets_cover_the_whole_range_and_nothing_else(semantics: Any) -> None:
    for length, n, s, kept, low, high, *_ in semantics["keep_table"].astype(int):
        if kept and high < 40:
            drawn = {seeded_offset(length, n, s, seed, "v") for seed in range(20 * (high + 1))}
            assert drawn == set(range(low, high + 1))


def test_the_draws_of_the_reference_follow_from_our_range(semantics: Any) -> None:
    """Each video was loaded twice: a row holds the first index of one draw and the last index of the next."""
    lengths = semantics.meta["directory_lengths"]
    rows = semantics["seeded_offsets"].astype(int)
    for (n, s), block in itertools.groupby(rows, key=lambda row: (row[0], row[1])):
        generator = random.Random(semantics.meta["seed"])
        for _, _, number, first, last in block:
            # The same generator over our range gives the reference's draws: the bounds are equal, not only wide enough.
            high = highest_offset(lengths[number], n, s)
            assert first == generator.randint(0, high)
            assert last == frame_indices(generator.randint(0, high), n, s)[-1]


def test_generated_side(semantics: Any) -> None:
    for length, n, s, ok, first, last, frames in semantics["generated_side_table"].astype(int):
        found = starts(length, n, s, "fake")
        assert (found is not None) == ok
        if found is not None:
            indices = frame_indices(found[0], n, s)
            assert (indices[0], indices[-1], len(indices)) == (first, last, frames)


def test_the_latte_protocol_reads_sky_as_latte_trained_on_it(semantics: Any) -> None:
    """Frames 0, 3, ..., 45 of a window, as in the training loader of frame folders at interval 3."""
    for key, value in semantics.meta["latte_training_indices"].items():
        if key.startswith("sky/interval3/begin_zero") and value != "dropped":
            protocol = named_protocol("latte").replace(real_offset="zero")
            length = int(key.rpartition("len")[2])
            (start,) = window_starts(length, protocol, "real", 0, "v")
            assert list(frame_indices(start, protocol.frames, protocol.real_stride)) == value["index"]


def test_the_first_videos_in_sorted_order(semantics: Any, tmp_path: Path) -> None:
    """One process of StyleGAN-V takes items 0..n-1; more processes share the same ones out."""
    names = [f"v{i}" for i in range(10)]
    for name in names:
        write_frames(tmp_path / name, moving_frames(2, 8, 8))
    source = FolderSource.open(tmp_path, Protocol(frames=2, size=8, real_selection="sorted"), 0, "real")
    for example in semantics.meta["item_subset_examples"]:
        taken = {item for rank in example["ranks"] for item in rank}
        assert source.groups(sorted(taken)) == names[: example["n"]]


@pytest.mark.parametrize(("case", "code_base"), CASES)
def test_converters(case: str, code_base: str, semantics: Any) -> None:
    """Before JPEG within 1 grey level, after it within 2: another Pillow or libjpeg may round differently."""
    before = prepare_frame(source_frame(semantics, case), named_protocol(code_base))
    after = jpeg_frame(before)
    assert before.shape == (256, 256, 3)
    key, patch = f"conv_{case}_{code_base}", slice(112, 144)
    assert_close(before[patch, patch], semantics[f"{key}_before_jpeg_patch"], 1)
    assert_close(before[-8:, -8:], semantics[f"{key}_before_jpeg_corner"], 1)
    assert_close(after[patch, patch], semantics[f"{key}_decoded_patch"], 2)
    record = semantics.meta["converter"][f"{case}/{code_base}"]
    assert before.mean() == pytest.approx(record["mean_before"], abs=0.01)
    assert after.mean() == pytest.approx(record["mean_decoded"], abs=0.05)


def assert_close(actual: np.ndarray, expected: np.ndarray, levels: int) -> None:
    assert np.abs(actual.astype(int) - expected).max() <= levels


@pytest.mark.parametrize(("case", "code_base"), CASES)
def test_converters_bit_for_bit(case: str, code_base: str, semantics: Any) -> None:
    import PIL

    if PIL.__version__.split(".")[0] != "13":
        pytest.skip(f"the hashes were made with Pillow 13, this is {PIL.__version__}")
    before = prepare_frame(source_frame(semantics, case), named_protocol(code_base))
    record = semantics.meta["converter"][f"{case}/{code_base}"]
    assert hashlib.sha256(before.tobytes()).hexdigest() == record["sha256_before_jpeg"]
    assert hashlib.sha256(jpeg_frame(before).tobytes()).hexdigest() == record["sha256_decoded"]


def test_the_order_of_crop_and_resize_shows(semantics: Any) -> None:
    """A twin that swaps the two converters is caught."""
    for case in ("land", "port"):
        wrong = prepare_frame(source_frame(semantics, case), named_protocol("latte"))[112:144, 112:144]
        assert np.abs(wrong.astype(int) - semantics[f"conv_{case}_stylegan-v_before_jpeg_patch"]).max() > 1


def test_a_real_video_through_the_whole_road(semantics: Any, tmp_path: Path) -> None:
    """The same frame inside a video file, under both protocols, with their storage."""
    frame = source_frame(semantics, "land")
    write_lossless(tmp_path / "v.mkv", np.repeat(frame[None], 16 * 3, axis=0))
    for code_base in ("stylegan-v", "latte"):
        clips = stored(FolderSource.open(tmp_path, named_protocol(code_base), 0, "real")).clips([0])
        patch = clips.pixels[0, 7, :, 112:144, 112:144].permute(1, 2, 0).numpy()
        assert_close(patch, semantics[f"conv_land_{code_base}_decoded_patch"], 2)


@pytest.mark.parametrize("name", ["blocky", "ramp"])
def test_mp4_round_trip(name: str, semantics: Any) -> None:
    """PSNR, in all and by channel, within 0.2 dB of imageio at quality 9 and 8 frames a second."""
    frames = {"blocky": blocky_clip, "ramp": ramp_clip}[name](semantics)
    clips = Clips(torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None], (0,))
    stored = apply_storage(clips, ["h264-crf5"]).pixels[0].permute(0, 2, 3, 1).numpy()
    record = semantics.meta["mp4"][name]
    assert list(stored.shape) == record["shape"]
    assert psnr(frames, stored) == pytest.approx(record["psnr"], abs=0.2)
    channels = [psnr(frames[..., c], stored[..., c]) for c in range(3)]
    assert channels == pytest.approx(record["psnr_per_channel"], abs=0.2)
    assert (stored.astype(float) - frames).mean() == pytest.approx(record["mean_err"], abs=0.05)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def make_layout(root: Path, files: dict[str, int]) -> Path:
    """Folders with so many frames of 8x8 pixels each."""
    for folder, count in files.items():
        write_frames(root / folder, moving_frames(count, 8, 8))
    return root


TWO = Protocol(frames=2, size=8, real_selection="sorted")


def names_in_order(source: FolderSource) -> list[list[Any]]:
    return [[window.entry.path, list(window.entry.names)] for window in source.windows]


def test_layouts_that_upstream_accepts(semantics: Any, tmp_path: Path) -> None:
    """Same videos, same frames, same order, where both code bases agree and a user would too."""
    cases = semantics.meta["layout_cases_load_2_consecutive"]
    plain = make_layout(tmp_path / "two", {"a": 3, "b": 2})
    assert names_in_order(FolderSource.open(plain, TWO, 0, "real")) == cases["two_videos"]
    letter = make_layout(tmp_path / "letter", {"a": 3, "ab": 3})
    assert names_in_order(FolderSource.open(letter, TWO, 0, "real")) == cases["prefix_letter"]
    short = make_layout(tmp_path / "short", {"a": 1, "b": 2})
    assert names_in_order(FolderSource.open(short, TWO, 0, "real")) == cases["one_frame_short"]
    stray = make_layout(tmp_path / "stray", {"a": 3})
    (stray / "dataset.json").write_text('{"labels": []}')
    (stray / "empty").mkdir()
    expected = cases["dataset_json"]
    assert names_in_order(FolderSource.open(stray, TWO, 0, "real")) == expected == cases["empty_video_dir"]


def test_a_layout_that_upstream_accepts_and_a_user_would_not(semantics: Any, tmp_path: Path) -> None:
    """Two ways of naming and two formats in one folder: the reference makes one video of them."""
    mixed = make_layout(tmp_path / "mixed", {})
    write_frames(mixed / "a", moving_frames(2, 8, 8), "{:06d}.jpg")
    write_frames(mixed / "a", moving_frames(3, 8, 8), "x{:03d}.png")
    assert len(semantics.meta["layout_cases_load_2_consecutive"]["mixed_ext"]) == 1
    with pytest.raises(ClipError, match="images of 2 kinds in one folder .3 like x000.png, 2 like 000000.jpg."):
        FolderSource.open(mixed, TWO, 0, "real")


def test_layouts_on_which_upstream_fails(semantics: Any, tmp_path: Path) -> None:
    """Where the reference raises, a user expects the videos."""
    cases = semantics.meta["layout_cases_load_2_consecutive"]
    layouts: dict[str, dict[str, int]] = {
        "class_subfolder": {"class/a": 3, "class/b": 2}, "prefix_dash": {"a": 3, "a-1": 2},
        "prefix_space": {"a": 3, "a b": 2}, "dir_with_image_suffix": {"a.mpg": 3}, "frames_in_root": {".": 3},
    }  # fmt: skip
    for case, files in layouts.items():
        assert cases[case] == "AssertionError"
        source = FolderSource.open(make_layout(tmp_path / case, files), TWO, 0, "real")
        assert [window.entry.path for window in source.windows] == list(files)


def test_layouts_that_we_read_differently_on_purpose(semantics: Any, tmp_path: Path) -> None:
    """Numbers in names count as numbers, and hidden folders are nobody's videos."""
    cases = semantics.meta["layout_cases_load_2_consecutive"]
    unpadded = tmp_path / "unpadded"
    write_frames(unpadded / "a", moving_frames(12, 8, 8), "{}.png")
    ((path, names),) = names_in_order(FolderSource.open(unpadded, TWO, 0, "real"))
    ((upstream_path, upstream_names),) = cases["unpadded_names"]
    assert path == upstream_path and sorted(names) == upstream_names and names != upstream_names
    hidden = make_layout(tmp_path / "hidden", {"a": 3, ".thumbs": 3})
    assert names_in_order(FolderSource.open(hidden, TWO, 0, "real")) == cases["hidden_dir"][1:]
