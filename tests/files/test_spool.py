"""Arrays in a temporary file: what was written is read, mapped; a full disk stops it; nothing is left."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from latte_eval.core.errors import MachineFault
from latte_eval.files import spool
from latte_eval.files.spool import Spool


def test_arrays_of_different_shapes_are_read_back_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written = [np.random.default_rng(i).integers(0, 256, (2 + i, 3, 4), dtype=np.uint8) for i in range(3)]
    made = Spool()
    for array in written:
        made.add(array[:, ::-1])
    found = made.arrays([array.shape for array in written])
    del made
    gc.collect()  # the mapping outlives the file
    for array, read in zip(written, found, strict=True):
        np.testing.assert_array_equal(read, array[:, ::-1])
        assert isinstance(read.base, np.memmap) and not read.flags.writeable
    assert not list(tmp_path.iterdir())


def test_the_file_is_closed_with_the_spool_and_arrays_outlive_it() -> None:
    made = Spool()
    made.add(np.arange(6, dtype=np.uint8))
    file, found = made.file, made.array((6,))
    del made
    gc.collect()
    assert file.closed and found.tolist() == [0, 1, 2, 3, 4, 5]


def test_other_types_and_nothing() -> None:
    made = Spool()
    made.add(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(made.array((2, 3), np.float32), np.arange(6).reshape(2, 3))
    assert Spool().array((0, 4)).shape == (0, 4) and Spool().arrays([]) == []


def test_a_disk_is_never_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Spool("clips=N")
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda path: SimpleNamespace(free=spool.LEFT_FREE + 100))
    made.add_bytes(b"0" * 50)
    monkeypatch.setattr(spool, "LOOK_BYTES", 100)
    with pytest.raises(MachineFault, match=r"has 1.0 GiB left after 0.0 GiB of clips were put there: clips=N"):
        made.add_bytes(b"0" * 101)
