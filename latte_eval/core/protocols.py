"""The named protocols, one row each: fields, where they come from, and what a benchmark fills in."""

from __future__ import annotations

from dataclasses import dataclass

from latte_eval.core.choices import check_choice
from latte_eval.core.protocol import Protocol
from latte_eval.core.registry import Registry

JPEG, MP4_JPEG = ("jpeg75",), ("h264-crf5", "jpeg75")
COUNTS = ("real_clips", "fake_clips")


@dataclass(frozen=True)
class NamedProtocol:
    """One protocol by name.

    Attributes:
        protocol: its fields, apart from any benchmark.
        source: the paper and the code that it was read from.
        of_benchmark: fields that a benchmark sets to its own values.
    """

    protocol: Protocol
    source: str
    of_benchmark: tuple[str, ...]


PROTOCOLS: Registry[NamedProtocol] = Registry(
    "protocol",
    {
        "clean": NamedProtocol(
            Protocol(),
            "latte without lossy storage on either side: symmetric and reproducible",
            of_benchmark=("real_split", "real_stride", *COUNTS),
        ),
        "latte": NamedProtocol(
            Protocol(
                stem="latte", real_stride=3, real_split="train", real_clips=2048, fake_clips=2048,
                real_storage=JPEG, fake_storage=MP4_JPEG,
            ),
            "Ma et al. 2024, Table 2; Vchitect/Latte@b27c24a: stride 3, random subset, samples as mp4, frames as JPEG",
            of_benchmark=("real_split", "real_stride", *COUNTS),
        ),
        "stylegan-v": NamedProtocol(
            Protocol(
                stem="stylegan-v", real_split="train", real_selection="sorted", real_clips=2048, fake_clips=2048,
                crop="resize-crop", real_storage=JPEG, labels="dataset",
            ),
            "Skorokhodov et al. 2022; universome/stylegan-v@3fecd69: the first 2,048 videos in sorted order, stride 1",
            of_benchmark=("real_split",),
        ),
    },
)  # fmt: skip


def named_protocol(name: str) -> Protocol:
    """The fields of the protocol called `name`. Raises `ProtocolError` with a suggestion."""
    check_choice("--protocol", name, PROTOCOLS)
    return PROTOCOLS[name].protocol
