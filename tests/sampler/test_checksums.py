"""Damaged checkpoints: every flipped bit of a torch archive is seen, and one of another file if it was seen before."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_latte import small_latte

from latte_eval.core.errors import CheckpointError
from latte_eval.core.notices import Notice
from latte_eval.files.seen import SEEN, note_seen
from latte_eval.sampler import Checkpoint, load_checkpoint

EMA = {key: value.clone() for key, value in small_latte(seed=1).state_dict().items()}


def digest_of(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256()
    for key, value in checkpoint.items():
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("content", ["tensors", "objects"])
def test_no_flipped_bit_of_an_archive_loads_as_other_weights(content: str, tmp_path: Path) -> None:
    """Beside tensors alone, with an object that is passed over: such a file is read in another way."""
    extra = {"args": Path("x")} if content == "objects" else {}
    torch.save({"ema": EMA, **extra}, tmp_path / "c.pt")
    whole, expected = (tmp_path / "c.pt").read_bytes(), digest_of(load_checkpoint(tmp_path / "c.pt"))
    random, refused = np.random.default_rng(3), 0
    for number in range(70):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))
        path = tmp_path / f"{number}.pt"  # tensors are mapped from the file: it must stay
        path.write_bytes(data)
        try:
            assert digest_of(load_checkpoint(path)) == expected
        except CheckpointError as error:
            assert path.name in str(error)
            refused += 1
        path.unlink()
    assert refused > 50


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    torch.save({"ema": EMA}, tmp_path / "c.pt")
    data = bytearray((tmp_path / "c.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "c.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"c.pt is damaged: its record c/data/\d+ does not have the checksum"):
        load_checkpoint(tmp_path / "c.pt")


def test_an_archive_without_checksums_loads(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"ema": EMA}, tmp_path / "c.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load_checkpoint(tmp_path / "c.pt")["pos_embed"], EMA["pos_embed"])


def safetensors(path: Path, flip: int | None = None) -> Checkpoint:
    if not path.exists():
        save_file(EMA, path)
    if flip is not None:
        state, data = path.stat(), bytearray(path.read_bytes())
        data[flip] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))  # as seen by this process, it has changed
    return load_checkpoint(path)


def test_a_file_that_was_written_anew_is_told(tmp_path: Path) -> None:
    run, path = tmp_path / "run", tmp_path / "c.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        safetensors(path).note_in(run)
        safetensors(path).note_in(run)
        safetensors(tmp_path / "other.safetensors").note_in(run)
    changed = safetensors(path, flip=-100)
    with pytest.warns(Notice, match=r"c.safetensors is not the file that this run folder saw on .*T.*Z: sha256"):
        changed.note_in(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        changed.note_in(run)
        load_checkpoint("demo").note_in(run)
    assert len((run / SEEN).read_text().splitlines()) == 3


def test_a_file_that_changed_and_kept_its_size_and_time_is_refused(tmp_path: Path) -> None:
    run, path = tmp_path / "run", tmp_path / "c.safetensors"
    path.write_bytes(b"weights")
    note_seen(run, path, [path], "1" * 64)
    with pytest.raises(
        CheckpointError, match=r"c.safetensors is damaged: it has other bytes than on .* \(sha256 22222"
    ):
        note_seen(run, path, [path], "2" * 64)
    (run / SEEN).unlink()
    note_seen(run, path, [path], "2" * 64)
