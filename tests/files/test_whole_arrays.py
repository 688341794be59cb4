"""Files of arrays under damage: each comes back as it was written, or is known as damaged; never as other numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latte_eval.core.clips import Rejected
from latte_eval.core.errors import DamagedFile, StoreError
from latte_eval.core.features import Features
from latte_eval.core.notices import Notice
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.stats import StatsSource, write_stats
from latte_eval.files.run_folder import RunFolder
from latte_eval.files.whole_arrays import content_to_bytes, read_content
from latte_eval.gate.accepted import pack, unpack
from latte_eval.metrics.detectors import Detector

ROWS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
FEATURES = Features({"features": ROWS}, [*range(12)], [f"v{i}" for i in range(12)], [Rejected("x", "cut")], [1] * 12)
DETECTOR = Detector("i3d-seeded", lambda clips: {}, None, "0" * 64)


def write_shard(path: Path) -> Path:
    RunFolder(path).write_features("key", 0, 12, FEATURES, [f"c{i}" for i in range(12)])
    return path / "features/key/000000-000012.safetensors"


def read_shard(path: Path) -> Any:
    found = RunFolder(path).read_features("key")
    assert found is not None
    return content_of(found)


def write_strips(path: Path) -> Path:
    RunFolder(path).write_previews("source", 0, 12, {i: bytes([i] * 40) for i in range(12)})
    return next(path.glob("previews/*/*"))


def read_strips(path: Path) -> Any:
    return RunFolder(path).read_previews("source", range(12))


def write_statistics(path: Path) -> Path:
    source = {"name": "real", "fingerprint": "f" * 64}
    write_stats(path / "stats.safetensors", {DETECTOR.name: FEATURES}, [DETECTOR], named_protocol("clean"), source)
    return path / "stats.safetensors"


def read_statistics(path: Path) -> Any:
    opened = StatsSource.open(path / "stats.safetensors")
    return content_of(opened.features(DETECTOR)), opened.meta


def write_accepted(path: Path) -> Path:
    (path / "accepted").write_bytes(pack({"fake": FEATURES}, "features"))
    return path / "accepted"


def read_accepted(path: Path) -> Any:
    return content_of(unpack((path / "accepted").read_bytes(), path / "accepted")["fake"])


def content_of(features: Features) -> Any:
    outputs = {name: array.tolist() for name, array in features.outputs.items()}
    return outputs, features.indices, features.groups, features.rejected, features.labels


KINDS = {
    "shard": (write_shard, read_shard),
    "previews": (write_strips, read_strips),
    "statistics": (write_statistics, read_statistics),
    "accepted features": (write_accepted, read_accepted),
}


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """A flipped bit, a zeroed stretch, a lost end, or the bytes of another place."""
    changed, at = bytearray(data), int(random.integers(len(data)))
    length = min(int(random.integers(1, 64)), len(data) - at)
    kind = random.integers(8)
    if kind < 5:
        changed[at] ^= 1 << int(random.integers(8))
    elif kind == 5:
        changed[at : at + length] = bytes(length)
    elif kind == 6:
        del changed[at:]
    else:
        start = int(random.integers(len(data) - length))
        changed[at : at + length] = data[start : start + length]
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_gives_the_same_or_an_error(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read = KINDS[kind]
    path = write(tmp_path)
    whole, expected, refused = path.read_bytes(), read(tmp_path), 0
    random = np.random.default_rng(7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is taken for a file of version 0.1 either
        for _ in range(400):
            path.write_bytes(damaged(whole, random))
            try:
                assert read(tmp_path) == expected
            except StoreError as error:
                assert path.name in str(error)
                refused += 1
    assert refused > 300


def test_equal_content_gives_equal_bytes() -> None:
    notes = {name: [name] for name in "abcdefgh"}
    shuffled = dict(reversed(notes.items()))
    files = {content_to_bytes("k", {"y": ROWS, "x": ROWS[0]}, each) for each in (notes, shuffled, notes, notes)}
    assert len(files) == 1
    assert len({pack({"fake": FEATURES, "real": FEATURES}, "features") for _ in range(8)}) == 1


def test_a_file_in_the_place_of_another_is_damaged(tmp_path: Path) -> None:
    path = write_shard(tmp_path)
    path.rename(path.with_name("000032-000044.safetensors"))
    with pytest.raises(DamagedFile, match="000032-000044.safetensors is damaged"):
        RunFolder(tmp_path).read_features("key")


@pytest.mark.parametrize("array", [np.zeros((0, 4), np.float32), np.zeros(()), np.arange(6)[::-2], np.ones((2, 3)).T])
def test_any_array_comes_back(tmp_path: Path, array: np.ndarray) -> None:
    (tmp_path / "file").write_bytes(content_to_bytes("key", {"x": array}, {"n": [1, None]}))
    content = read_content(tmp_path / "file", "key", ())
    assert content.verified and content.notes == {"n": [1, None]}
    np.testing.assert_array_equal(content.arrays["x"], array)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: No such file") as caught:
        read_content(tmp_path / "absent", "key", ())
    assert not isinstance(caught.value, DamagedFile)


def old_file(path: Path, strip: Callable[[dict[str, str]], dict[str, str]] = lambda notes: notes) -> None:
    """The same file as version 0.1 wrote it: without a digest."""
    from safetensors import safe_open
    from safetensors.numpy import load, save

    with safe_open(path, framework="numpy") as file:
        notes = {name: text for name, text in file.metadata().items() if name not in ("digest", "candidates")}
    path.write_bytes(save(load(path.read_bytes()), strip(notes)))


@pytest.mark.parametrize("kind", ["shard", "statistics"])
def test_a_file_of_the_first_version_is_read_with_one_notice(kind: str, tmp_path: Path) -> None:
    write, read = KINDS[kind]
    path = write(tmp_path)
    expected = read(tmp_path)
    old_file(path)
    with pytest.warns(Notice, match=r"written by version 0.1, without a digest: damage to .* cannot be seen") as told:
        assert read(tmp_path) == expected
    assert len(told) == 1
    old_file(path, lambda notes: {**notes, "dhgest": '"' + "0" * 64 + '"'})
    with pytest.raises(DamagedFile):
        read(tmp_path)
