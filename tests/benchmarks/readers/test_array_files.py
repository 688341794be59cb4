"""Files of arrays in every format: mapped, checked as a whole, and nothing in them is run or leads elsewhere."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import moving_frames
from safetensors.numpy import save_file

from latte_eval.benchmarks.readers import FolderSource, array_files
from latte_eval.benchmarks.readers.arrays import open_videos, values_of
from latte_eval.benchmarks.readers.held import HeldVideos
from latte_eval.core.errors import ClipError, LatteEvalError, UsageError
from latte_eval.core.layouts import LAYOUTS, SHAPES, shape_to_layout
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.stats import is_stats_file

PROTOCOL = Protocol(frames=4, size=None)
VIDEOS = np.stack([moving_frames(6, 8, 10), moving_frames(6, 8, 10)[::-1], moving_frames(6, 8, 10) // 2])


def as_h5(path: Path, array: np.ndarray, **options: object) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("runs/clips", data=array, **options)
        file["names"] = ["a", "b"]


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "a.npy": np.save,
    "a.npz": lambda path, array: np.savez(path, clips=array, labels=np.arange(2)),
    "packed.npz": lambda path, array: np.savez_compressed(path, array),
    "a.pt": lambda path, array: torch.save({"clips": torch.from_numpy(array.copy()), "step": 3}, path),
    "a.safetensors": lambda path, array: save_file({"clips": array.copy(), "mean": np.zeros(3)}, path),
    "a.h5": as_h5,
    "packed.hdf5": lambda path, array: as_h5(path, array, compression="gzip", chunks=True),
}


def open_source(path: Path | HeldVideos, side: str = "fake") -> FolderSource:
    return FolderSource.open(path, PROTOCOL, 3, side)


def clips_of(source: FolderSource) -> tuple[list[str], np.ndarray]:
    return source.groups(range(len(source))), source.clips(range(len(source))).pixels.numpy()


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_mapped_and_gives_the_clips_of_the_array_itself(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, VIDEOS)
    for side in ("fake", "real"):  # a real window begins at an offset that its identity chooses
        found, held = (
            clips_of(open_source(tmp_path / name, side)),
            clips_of(open_source(HeldVideos(list(VIDEOS)), side)),
        )
        assert found[0] == held[0]
        np.testing.assert_array_equal(found[1], held[1])
    base = open_videos(tmp_path / name)
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    assert isinstance(base, np.memmap | torch.Tensor)


def test_one_of_several_arrays_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, before=VIDEOS[:, ::-1], after=VIDEOS)
    with pytest.raises(ClipError, match=r"holds 2 arrays .* name one behind the file, as in FILE:before"):
        open_source(path)
    source = open_source(tmp_path / "a.npz:after")
    np.testing.assert_array_equal(clips_of(source)[1], clips_of(open_source(HeldVideos(list(VIDEOS))))[1])
    assert sorted(source.groups([0, 1, 2])) == ["000000", "000001", "000002"]
    assert source.fingerprint != open_source(tmp_path / "a.npz:before").fingerprint
    with pytest.raises(ClipError, match="holds no array called 'never'"):
        open_source(tmp_path / "a.npz:never")
    as_h5(tmp_path / "a.h5", VIDEOS)
    assert len(open_source(tmp_path / "a.h5:runs/clips")) == 3


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def saved(save: Callable[..., object], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def test_arrays_in_a_tar_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"{i:04d}.npy": saved(np.save, video) for i, video in enumerate(VIDEOS[:2])}
    members |= {"0002.npz": saved(np.savez, clip=VIDEOS[2]), "0002.json": b"{}", "../out.npy": members["0000.npy"]}
    path = tar_of(tmp_path / "shard.tar", members)
    monkeypatch.setattr(array_files, "Spool", None)  # nothing is unpacked
    source = open_source(path)
    assert sorted(source.groups(range(len(source)))) == ["0000.npy", "0001.npy", "0002.npz"]
    assert source.about["ignored"] == {".json": 1}
    order = [int(group[:4]) for group in source.groups(range(3))]
    np.testing.assert_array_equal(clips_of(source)[1].transpose(0, 1, 3, 4, 2), VIDEOS[order][:, :4])
    assert [each.name for each in tmp_path.iterdir()] == ["shard.tar"]


def test_a_cut_array_in_a_tar_is_told(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"a.npy": saved(np.save, VIDEOS[0])[:-9], "b.npy": saved(np.save, VIDEOS[1])})
    (rejected,) = open_source(path).rejected
    assert (
        rejected.path == "a.npy"
        and "cut short: 1,440 bytes of values should follow, 1,431 are there" in rejected.reason
    )


def float_in_the_last_video(path: Path) -> None:
    videos = VIDEOS / np.float32(255)
    videos[-1] = videos[-1] * 2 - 1
    np.save(path, videos)


def not_a_number(path: Path) -> None:
    videos = VIDEOS.astype(np.float32)
    videos[2, 5, 0, 0] = np.nan
    np.save(path, videos)


def bomb(path: Path) -> None:
    """A kilobyte of zeros that says it is 200 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clips.npy", saved(np.save, np.zeros((200, 16, 144, 144, 3), np.uint8)))


def leads_elsewhere(path: Path) -> None:
    as_h5(path.with_name("other.h5"), VIDEOS)
    with h5py.File(path, "w") as file:
        file.create_group("a")["clips"] = h5py.ExternalLink("other.h5", "runs/clips")


def values_elsewhere(path: Path) -> None:
    with h5py.File(path, "w") as file:
        (path.parent / "raw").write_bytes(VIDEOS.tobytes())
        file.create_dataset("clips", VIDEOS.shape, np.uint8, external=[(str(path.parent / "raw"), 0, VIDEOS.nbytes)])


def virtual(path: Path) -> None:
    as_h5(path.with_name("other.h5"), VIDEOS)
    layout = h5py.VirtualLayout(VIDEOS.shape, np.uint8)
    layout[:] = h5py.VirtualSource(path.with_name("other.h5"), "runs/clips", VIDEOS.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("clips", layout)


def never_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("clips", (10**6, 16, 256, 256, 3), np.uint8, chunks=(1, 1, 256, 256, 3))


def expanded(path: Path) -> None:
    torch.save(torch.ones(1, dtype=torch.uint8).expand(10**6, 16, 256, 256, 3), path)


def flipped_bit(path: Path) -> None:
    np.savez(path, VIDEOS)
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "floats": ("a.npy", float_in_the_last_video, r"float32 from -1 to 0.8941: .*\(\(x \+ 1\) \* 127.5\)"),
    "nan": ("a.npy", not_a_number, "float32 with 3 values that are NaN or infinite"),
    "wide floats": ("a.npy", lambda path: np.save(path, VIDEOS.astype(np.float16)), r"x.round\(\).clip\(0, 255\)"),
    "integers": ("a.npy", lambda path: np.save(path, VIDEOS.astype(int)), r"int64 from 0 to .* x.astype\('uint8'\)"),
    "complex": ("a.npy", lambda path: np.save(path, VIDEOS * 1j), "complex128: a clip is uint8 RGB"),
    "cast": ("a.npy", lambda path: np.save(path, VIDEOS // 128), r"every value of its 3 videos is 0 or 1 of 255"),
    "no rows": ("a.npy", lambda path: np.save(path, VIDEOS[:0]), r"holds no videos: shape \(0, 6, 8, 10, 3\)"),
    "six dimensions": ("a.npy", lambda path: np.save(path, VIDEOS[None]), "holds 0 arrays of 4 or 5 dimensions"),
    "objects": ("a.npy", lambda path: np.save(path, np.array([print] * 4)), "Python objects, which would run code"),
    "objects in npz": ("a.npz", lambda path: np.savez(path, a=np.array([print])), "Python objects, which would run"),
    "bomb": ("a.npz", bomb, r"clips.npy is refused: 199,065,728 bytes unpacked from [\d,]+; store it without"),
    "flipped bit": ("a.npz", flipped_bit, "Bad CRC-32"),
    "code": ("a.pt", lambda path: torch.save({"x": torch.ones(2, 4, 3, 8, 8), "f": print}, path), "arrays alone"),
    "expanded": ("a.pt", expanded, "says it has 3,145,728,000,000 values, its file 1,"),
    "bf16": ("a.pt", lambda path: torch.save(torch.ones(2, 4, 3, 8, 8).bfloat16(), path), "float32 from 1 to 1"),
    "link": ("a.h5", leads_elsewhere, "a/clips leads to another file, other.h5"),
    "raw": ("a.h5", values_elsewhere, "clips has its values in other files"),
    "virtual": ("a.h5", virtual, "clips has its values in other files"),
    "never written": ("a.h5", never_written, "clips is refused: 3,145,728,000,000 bytes unpacked from 0"),
    "no h5": ("a.h5", lambda path: path.write_bytes(b"no file"), "cannot be read as arrays alone"),
    "no safetensors": ("a.safetensors", lambda path: path.write_bytes(b"\1" * 40), "cannot be read as arrays alone"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    name, write, said = REFUSED[case]
    write(tmp_path / name)
    with pytest.raises(ClipError, match=said) as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_cycle_of_groups_ends(tmp_path: Path) -> None:
    as_h5(tmp_path / "a.h5", VIDEOS)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["runs/again"] = file["/"]
        file["soft"] = h5py.SoftLink("/runs/clips")
    assert len(open_source(tmp_path / "a.h5")) == 3


def test_without_h5py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h5").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"pip install 'latte-eval\[h5\]'"):
        open_source(tmp_path / "a.h5")


@pytest.mark.parametrize("name", [*WRITERS, "a.tar"])
def test_damaged_files_are_read_or_refused_and_nothing_else(name: str, tmp_path: Path) -> None:
    if name == "a.tar":
        tar_of(tmp_path / name, {"a.npy": saved(np.save, VIDEOS), "b.npz": saved(np.savez, VIDEOS)})
    else:
        WRITERS[name](tmp_path / name, VIDEOS)
    data, random = (tmp_path / name).read_bytes(), np.random.default_rng(len(name))
    for number in range(60):
        copy = bytearray(data)
        for place in random.integers(0, min(len(data), 2000 if number % 2 else len(data)), 1 + number % 3):
            copy[place] = random.integers(256)
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(copy[: random.integers(len(copy))] if number % 5 == 0 else copy)
        try:
            clips_of(open_source(path))
        except LatteEvalError as error:
            assert str(error)


def test_values_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.benchmarks.readers.arrays.BLOCK_BYTES", 700)
    array = np.random.default_rng(0).normal(size=(3, 4, 5, 6, 3)).astype(np.float32)
    array[1, 2, 0, 0, 0], array[2, 3, 1, 1, 1] = np.inf, np.nan
    found, finite = values_of(array), array[np.isfinite(array)]
    assert (found.low, found.high, found.unusable) == (finite.min(), finite.max(), 2)


shapes = st.lists(st.sampled_from([1, 2, 3, 4, 8]), min_size=4, max_size=5).map(tuple)


@given(shapes, st.sampled_from([None, *LAYOUTS]))
@settings(max_examples=300, deadline=None)
def test_a_layout_is_told_where_one_fits_and_refused_otherwise(shape: tuple[int, ...], said: str | None) -> None:
    five = shape if len(shape) == 5 else (1, *shape)
    fitting = [name for name, axis in LAYOUTS.items() if five[axis] == 3 and said in (None, name)]
    if len(fitting) == 1:
        assert shape_to_layout(shape, said) == fitting[0]
        return
    with pytest.raises(ClipError) as caught:
        shape_to_layout(shape, said)
    assert all(SHAPES[name] in str(caught.value) for name in fitting)
    assert not fitting or f"layout={fitting[0]!r}" in str(caught.value)


def test_safetensors_of_videos_and_of_statistics_are_told_apart(tmp_path: Path) -> None:
    save_file({"clips": VIDEOS.copy()}, tmp_path / "clips.safetensors")
    save_file({"i3d/features": np.zeros((8, 400), np.float32)}, tmp_path / "stats.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"\0" * 30)
    (tmp_path / "clips.npy").write_bytes(b"")
    found = {path.name: is_stats_file(path) for path in tmp_path.iterdir()}
    assert found == {"clips.safetensors": False, "stats.safetensors": True, "damaged.safetensors": True,
                     "clips.npy": False}  # fmt: skip
