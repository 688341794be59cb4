"""The storage step between a source and the detectors."""

from __future__ import annotations

import numpy as np
import torch
from media_makers import moving_frames

from latte_eval.core.clips import Clips, ClipSource
from latte_eval.core.stages import Batch
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.h264 import from_frames
from latte_eval.files.lossy import apply_storage


def make_clips(count: int = 3, frames: int = 4) -> Clips:
    pixels = torch.stack([from_frames(moving_frames(frames, 32, 32) // (i + 1)) for i in range(count)])
    return Clips(pixels, tuple(range(10, 10 + count)), tuple(range(count)))


class Source:
    """Three clips in memory."""

    name, fingerprint, rejected = "three", "f" * 64, ()

    def __len__(self) -> int:
        return 3

    def clips(self, indices: list[int]) -> Clips:
        return Clips(make_clips().pixels[list(indices)], tuple(indices))

    def groups(self, indices: list[int]) -> list[str]:
        return [f"video {i}" for i in indices]


def test_stored_source() -> None:
    source, steps = Source(), ("h264-crf5", "jpeg75")
    stored = StoredSource(source, steps)
    assert isinstance(stored, ClipSource)
    assert (stored.name, len(stored), stored.rejected) == ("three", 3, ())
    assert stored.groups([2, 0]) == ["video 2", "video 0"]
    assert torch.equal(stored.clips([2, 0]).pixels, apply_storage(source.clips([2, 0]), steps).pixels)


def test_fingerprint_names_the_steps() -> None:
    source = Source()
    prints = {StoredSource(source, steps).fingerprint for steps in ((), ("jpeg75",), ("h264-crf5", "jpeg75"))}
    assert len(prints) == 3 and source.fingerprint in prints


def test_a_source_that_names_its_storage_keeps_its_fingerprint() -> None:
    source = Source()
    source.named_storage = ("jpeg75",)  # type: ignore[attr-defined]
    assert StoredSource(source, ("jpeg75",)).fingerprint == source.fingerprint
    assert StoredSource(source, ()).fingerprint != source.fingerprint


def test_without_steps_the_source_is_itself() -> None:
    stored = StoredSource(Source(), ())
    assert stored.fingerprint == Source.fingerprint
    assert torch.equal(stored.clips([1]).pixels, Source().clips([1]).pixels)


def test_frames_that_do_not_count_are_left_out_after_storage() -> None:
    """H.264 predicts frames from earlier ones: what is left out is stored with the others first."""
    source, steps = Source(), ("h264-crf5",)
    whole, cut = StoredSource(source, steps), StoredSource(source, steps, 2)
    np.testing.assert_array_equal(cut.clips([0, 1]).pixels, whole.clips([0, 1]).pixels[:, 2:])
    assert cut.fingerprint != whole.fingerprint
    (*_, last) = cut.clip_stages()
    batch = last.work([0], Batch(source.clips([0]), ()), None)
    np.testing.assert_array_equal(batch.clips.pixels, whole.clips([0]).pixels[:, 2:])
