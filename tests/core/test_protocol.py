"""Protocols as data: ids and hashes follow the fields, overrides are checked."""

from __future__ import annotations

import dataclasses

import pytest

from latte_eval.core.errors import ProtocolError
from latte_eval.core.protocol import LATER, Protocol, fields_to_sha256
from latte_eval.core.protocols import PROTOCOLS, named_protocol


def test_every_field_changes_the_hash_and_the_id() -> None:
    base = Protocol()
    changes = {
        "stem": "latte", "benchmark": "ucf101", "frames": 17, "size": 128, "real_stride": 3, "fake_stride": 2,
        "real_split": "train", "real_selection": "sorted", "real_clips": 5, "fake_clips": 6, "windows": "all",
        "real_offset": "zero", "crop": "none", "resample": "bilinear", "real_storage": ("jpeg75",),
        "fake_storage": ("h264-crf5",), "labels": "balanced", "covariance": "n-1", "fid_resize": "clean",
        "frame_rule": "mean", "fake_offset": "seeded", "skip_frames": 1, "rounding": "floor", "decoder": "decord",
        "i3d_eps": "1e-5", "counted": "generated",
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(Protocol)}
    others = [base.replace(**{name: value}) for name, value in changes.items()]
    assert len({each.sha256 for each in [base, *others]}) == len(changes) + 1
    assert len({each.id for each in [base, *others]}) == len(changes) + 1
    for name, other in zip(changes, others, strict=True):
        assert base.differing_fields(other) == [name]


def test_dictionaries_round_trip() -> None:
    for protocol in (row.protocol for row in PROTOCOLS.rows()):
        assert Protocol.from_dict(protocol.to_dict()) == protocol
    with pytest.raises(ProtocolError, match="not known to this version"):
        Protocol.from_dict({**Protocol().to_dict(), "later": 1})


def test_ids_of_version_0_1_hold() -> None:
    """A field that came later is not hashed at the choice that was made before there was one."""
    latte = named_protocol("latte")
    assert Protocol().id == "clean-16f-stride1-256px-one-window-f9605549"
    assert latte.id == "latte-16f-stride3-256px-one-window-566e053e"
    old = {name: value for name, value in latte.to_dict().items() if name not in LATER}
    assert fields_to_sha256(old) == latte.sha256
    assert fields_to_sha256({**old, "covariance": "n-1"}) == latte.replace(covariance="n-1").sha256 != latte.sha256


def test_the_named_protocols_are_the_published_choices() -> None:
    latte, stylegan_v = named_protocol("latte"), named_protocol("stylegan-v")
    assert (latte.real_stride, latte.real_selection, latte.crop) == (3, "seeded", "crop-resize")
    assert latte.fake_storage == ("h264-crf5", "jpeg75") and latte.real_storage == ("jpeg75",)
    assert (stylegan_v.real_stride, stylegan_v.real_selection, stylegan_v.crop) == (1, "sorted", "resize-crop")
    assert latte.fake_clips == latte.real_clips == stylegan_v.real_clips == 2048
    assert named_protocol("clean").real_storage == named_protocol("clean").fake_storage == ()


def test_overrides_parse_every_kind_of_field() -> None:
    changed = Protocol().override(
        ["real_stride=3", "size=none", "real_storage=h264-crf5+jpeg75", "fake_storage=none", "windows=all"]
    )
    assert (changed.real_stride, changed.size, changed.windows) == (3, None, "all")
    assert changed.real_storage == ("h264-crf5", "jpeg75") and changed.fake_storage == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("real_strid=3", "Did you mean real_stride"),
        ("windows=every", "windows cannot be 'every'"),
        ("real_stride=0", "at least 1"),
        ("real_stride=x", "whole number"),
        ("real_storage=jpg75", "Did you mean jpeg75"),
        ("real_stride", "field=value"),
    ],
)
def test_a_wrong_override_says_what_to_type(text: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Protocol().override([text])
