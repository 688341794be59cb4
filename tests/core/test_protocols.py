"""The named protocols against their sources, and what a benchmark fills in."""

from __future__ import annotations

import dataclasses

import pytest

from latte_eval.benchmarks.benchmark import BENCHMARKS
from latte_eval.core.errors import ProtocolError
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import PROTOCOLS, named_protocol
from latte_eval.evaluation.request import Request

FIELD = ("tats", "videogpt", "digan", "pvdm", "cd-fvd", "mcvd")


def fields(name: str, *wanted: str) -> tuple[object, ...]:
    return tuple(getattr(named_protocol(name), field) for field in wanted)


def test_they_are_what_their_code_does() -> None:
    """As read in the repositories that `source` names."""
    for name in ("tats", "videogpt"):
        assert fields(name, "crop", "resample", "rounding", "windows") == (
            "resize-crop-ceil", "torch-bilinear", "floor-shifted", "any",
        )  # fmt: skip
    assert fields("tats", "size", "real_split", "real_clips") == (128, "train", 2048)
    assert fields("videogpt", "size", "real_split", "real_clips", "fake_clips") == (128, "test", 256, 256)
    for name in ("digan", "pvdm"):
        assert fields(name, "crop", "resample", "rounding") == ("crop-resize", "torch-bilinear", "floor")
    assert fields("pvdm", "size", "windows", "real_offset") == (256, "one", "seeded")
    assert fields("cd-fvd", "resample", "rounding", "fake_offset", "covariance", "real_clips") == (
        "torch-antialias", "floor-unit", "seeded", "n", None,
    )  # fmt: skip
    assert fields("mcvd", "resample", "crop", "real_split", "i3d_eps", "skip_frames") == (
        "lanczos", "resize-crop", "test", "1e-3", 0,
    )  # fmt: skip
    assert {name for name in FIELD if named_protocol(name).covariance == "n"} == {"cd-fvd"}
    assert {name for name in FIELD if named_protocol(name).i3d_eps == "1e-3"} == {"mcvd"}


def test_a_benchmark_fills_in_what_is_otherwise_there() -> None:
    def on(benchmark: str, name: str) -> Protocol:
        return BENCHMARKS[benchmark].protocol(name)

    assert (on("taichi-hd", "tats").real_stride, on("skytimelapse", "tats").resample) == (4, "lanczos")
    assert on("ucf101", "cd-fvd").real_split == on("ucf101", "digan").real_split == "train+test"
    assert on("ucf101", "tats").real_split == on("faceforensics", "cd-fvd").real_split == "train"
    for row in PROTOCOLS.rows():
        for changes in row.on.values():
            assert set(changes) <= {field.name for field in dataclasses.fields(Protocol)}


@pytest.mark.parametrize("name", FIELD)
def test_every_one_says_where_it_comes_from(name: str) -> None:
    row = PROTOCOLS[name]
    assert "@" in row.source or "PyPI" in row.source
    assert row.protocol.stem == name and row.beside and row.differs and row.golden


@pytest.mark.parametrize("name", FIELD)
def test_they_measure_with_their_detector(name: str) -> None:
    wanted = "i3d" if name == "mcvd" else "i3d-port"
    assert Request(protocol=name).detector_for("fvd") == wanted
    assert Request(protocol=name, detectors=("seeded",)).detector_for("fvd") == f"{wanted}-seeded"
    assert Request(("fvd", "is"), protocol=name).detector_for("is") == "c3d"


def test_a_counted_frame_remains() -> None:
    assert Protocol(frames=16, skip_frames=7).counted_frames == 9
    for skipped in (-1, 16):
        with pytest.raises(ProtocolError, match=f"skip_frames is {skipped}; it must be from 0 to 15"):
            Protocol(skip_frames=skipped)
