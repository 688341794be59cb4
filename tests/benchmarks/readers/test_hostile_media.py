"""Files that a reader must refuse by name: too large, damaged in every way, with absurd names, or pipes."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import latte_eval
from mutations import damaged_bytes
from PIL import Image

from latte_eval.benchmarks.dataset import read_split_lists
from latte_eval.benchmarks.readers import FolderSource, array_files, images
from latte_eval.benchmarks.readers.entries import natural_key
from latte_eval.benchmarks.readers.listing import find_entries
from latte_eval.benchmarks.readers.opening import open_place
from latte_eval.benchmarks.readers.reading import Window, entry_size, read_windows, video_length
from latte_eval.core.errors import ClipError, LatteEvalError
from latte_eval.core.protocol import Protocol
from latte_eval.files.h264 import encode_mp4

PROTOCOL = Protocol(frames=2, size=16)
PIXELS = np.random.default_rng(0).integers(0, 255, (4, 24, 24, 3), np.uint8)


def png(width: int, height: int) -> bytes:
    """A PNG of one colour: small as a file, whatever its size in pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def fill(folder: Path, image: bytes) -> Path:
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.png").write_bytes(image)
    return folder


def test_frames_of_many_pixels_are_refused_by_name_and_the_others_count(tmp_path: Path) -> None:
    """Pillow would open them with a warning, half a gigabyte each and several at once."""
    fill(tmp_path / "videos/huge", png(13_000, 13_000))
    fill(tmp_path / "videos/good", png(20, 20))
    source = FolderSource.open(tmp_path / "videos", PROTOCOL, 0, "real")
    assert len(source) == 1
    (rejected,) = source.rejected
    assert rejected.path == "huge" and "0.png has 13,000x13,000 pixels, more than the 67,108,864" in rejected.reason


def test_a_command_says_nothing_else_of_them(tmp_path: Path) -> None:
    fill(tmp_path / "videos/huge", png(13_000, 13_000))
    done = latte_eval(
        "fvd", "--fake", tmp_path / "videos", "--real", tmp_path / "videos", "--param", "frames=2", "--quiet"
    )
    assert done.returncode == 5 and done.stderr.count("\n") == 1 and "13,000x13,000 pixels" in done.stderr


def test_a_video_of_many_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding_here: None
) -> None:
    (tmp_path / "a.mp4").write_bytes(encode_mp4(PIXELS, 8))
    monkeypatch.setattr(images, "MOST_PIXELS", 500)
    with pytest.raises(ClipError, match="24x24 pixels, more than the 500"):
        FolderSource.open(tmp_path, PROTOCOL, 0, "real")


@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_what_needs_too_much_memory_is_rejected(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    fill(tmp_path / "a", png(20, 20))
    np.save(tmp_path / "b.npy", PIXELS)
    what = (images.Image, "open") if suffix == "png" else (array_files.np, "memmap")
    monkeypatch.setattr(*what, full)
    source = FolderSource.open(tmp_path, PROTOCOL, 0, "real")
    (rejected,) = source.rejected
    assert rejected.path == {"png": "a", "npy": "b.npy"}[suffix]
    assert "memory to read it" in rejected.reason or "MemoryError" in rejected.reason


def test_a_member_whose_name_is_a_number_of_thousands_of_digits(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("9" * 5_000, "1" + "0" * 4_999, "0" * 6_000 + "7"):
            archive.writestr(f"video/{name}.png", png(20, 20))
    (entry,) = FolderSource.open(tmp_path / "a.zip", PROTOCOL, 0, "real").entries
    assert [(name[0], name[-5]) for name in entry.names] == [("0", "7"), ("1", "0"), ("9", "9")]


def test_numbers_in_names_keep_their_order() -> None:
    names = ["a10.png", "a9.png", "a010.png", "a2.png", "a.png", "b1.png", "a2b3.png", "a2b20.png"]
    assert sorted(names, key=natural_key) == [
        "a.png", "a2.png", "a2b3.png", "a2b20.png", "a9.png", "a010.png", "a10.png", "b1.png",
    ]  # fmt: skip


def save(kind: str, suffix: str, **options: object) -> Callable[[], bytes]:
    def data() -> bytes:
        buffer = io.BytesIO()
        images = [Image.fromarray(frame) for frame in PIXELS]
        several = {"save_all": True, "append_images": images[1:]} if options.pop("moving", False) else {}
        images[0].save(buffer, kind, **several, **options)
        return buffer.getvalue()

    data.__name__ = suffix
    return data


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, videos=PIXELS)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, PIXELS)
    return buffer.getvalue()


def mp4() -> bytes:
    return encode_mp4(PIXELS, 8)


def archived() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(2):
            archive.writestr(f"v/{number}.png", png(20, 20))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("v/0.png", "v/\u00e9.png"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data := png(20, 20)), 1.5
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


KINDS = {
    "png": save("PNG", "png"), "jpg": save("JPEG", "jpg"), "bmp": save("BMP", "bmp"), "tif": save("TIFF", "tif"),
    "webp": save("WEBP", "webp"), "ppm": save("PPM", "ppm"), "tga": save("TGA", "tga"), "apng": save("PNG", "apng"),
    "tiff": save("TIFF", "tiff", moving=True), "gif": save("GIF", "gif", moving=True), "npz": npz, "npy": npy,
    "mp4": mp4, "zip": archived, "tar": tarred,
}  # fmt: skip


def read(path: Path) -> None:
    """Everything that a run does with a file, for each of its videos."""
    place = open_place(path if path.suffix in (".zip", ".tar") else path.parent)
    for entry in find_entries(place, place.folders()).entries:
        length = video_length(place, entry)
        entry_size(place, entry)
        read_windows(place, [Window(entry, 0, range(min(2, max(1, length))), ())], PROTOCOL, check=True)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "videos" / f"a.{suffix}"
    path.parent.mkdir()
    data = KINDS[suffix]()
    for copy in damaged_bytes(data, 11, 120):
        path.write_bytes(copy)
        try:
            read(path)
        except (LatteEvalError, OSError):
            pass
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__}: {error} on {copy[:500]!r}") from error


@pytest.mark.parametrize(
    "text", ["x" * 5_000, "a.mp4\n" + "y" * 5_000, "a.mp4\nb\0c", '"' * 100_000, "~\n", "//h/x\na.mp4"]
)
def test_lists_of_anything(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    for name in ("list.txt", "list.csv"):
        (tmp_path / name).write_text(text)
        try:
            list(open_place(tmp_path / name).folders())
        except ClipError as error:
            assert len(str(error)) < 1_000


def test_an_official_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "trainlist01.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ClipError, match="trainlist01.txt cannot be read as a list"):
        read_split_lists(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("p", "compare {pipe} {pipe}"), ("p", "explain {pipe} {pipe}"), ("p", "history {pipe}"),
        ("p", "report {pipe} -o {folder}/report"), ("p", "gate accept {pipe} --why x --into {folder}/a.jsonl"),
        ("p", "gate --results {pipe} --against {pipe} --fail fvd:+5%"), ("p.pt", "inspect {pipe}"),
        ("p.zip", "data check ucf101 {pipe}"), ("p.mp4", "fvd --fake {pipe} --real {pipe}"),
        ("p.safetensors", "fvd --ckpt demo --real {pipe} --out {folder}/run"),
        ("p.pt", "fvd --ckpt {pipe} --real {folder} --out {folder}/run"),
        ("p.txt", "fvd --fake {pipe} --real {folder}"),
    ],
)  # fmt: skip
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, name: str, command: str) -> None:
    """Opening one waits for a writer."""
    os.mkfifo(tmp_path / name)
    done = latte_eval(*command.format(pipe=tmp_path / name, folder=tmp_path).split())
    assert done.returncode in (2, 5) and "Traceback" not in done.stderr
    assert "pipe" in done.stderr or "is no file" in done.stderr


def test_a_pipe_of_a_shell_is_read(tmp_path: Path) -> None:
    """`compare <(command)` has its writer."""
    reading, writing = os.pipe()
    os.write(writing, b"{}\n")
    os.close(writing)
    done = latte_eval("history", f"/dev/fd/{reading}")
    os.close(reading)
    assert "line 1 is not a latte-eval result" in done.stderr
