"""Which choices of a protocol shape the clips of a place, and which of its decoders reads video files."""

from __future__ import annotations

from typing import Any

from latte_eval.benchmarks.readers import decord_frames
from latte_eval.benchmarks.readers.video import decoder_identity, decoder_record
from latte_eval.benchmarks.readers.windows import takes_any
from latte_eval.core.protocol import LATER, TORCH_FILTERS, Protocol


def honoured_fields(protocol: Protocol, side: str, has_video_files: bool) -> frozenset[str]:
    """Fields of the protocol, storage and counts apart, that shape the clips of this side."""
    by_torch = protocol.size is not None and protocol.resample in TORCH_FILTERS
    shifts = protocol.rounding == "floor-shifted" and side == "real"
    fields = {
        "crop": protocol.size is not None,
        "resample": protocol.size is not None,
        "rounding": by_torch or shifts,
        "decoder": has_video_files,
        f"{side}_offset": gives_one(protocol, side),
    }
    always = ("frames", "size", "windows", "real_selection", f"{side}_stride")
    return frozenset([*always, *(name for name, counts in fields.items() if counts)])


def gives_one(protocol: Protocol, side: str) -> bool:
    """Whether each video of a side gives one clip."""
    return protocol.windows != "all" and not takes_any(protocol, side)


def fingerprinted(protocol: Protocol, side: str) -> dict[str, Any]:
    """The choices that belong to the fingerprint of a side; later ones where they are not as they always were.

    So the features that earlier versions stored are found.
    """
    names = ["frames", "size", "windows", "crop", "resample", "real_selection", f"{side}_stride", f"{side}_storage"]
    names += ["real_offset"] if side == "real" else []
    later = [name for name in ("rounding", "fake_offset") if getattr(protocol, name) != LATER[name]]
    return {name: getattr(protocol, name) for name in [*names, *later] if (side, name) != ("real", "fake_offset")}


def file_decoder_record(protocol: Protocol) -> str:
    """What decodes video files under a protocol, with versions."""
    return decord_frames.decord_record() if protocol.decoder == "decord" else decoder_record()


def file_decoder_identity(protocol: Protocol) -> list[str | int]:
    """The versions on which the pixels of video files depend."""
    return decord_frames.decord_identity() if protocol.decoder == "decord" else decoder_identity()
