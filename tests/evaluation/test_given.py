"""Which frames of clips that were given some are measured: all of them, or those that are generated, on both sides."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from quick_detectors import quick_detectors
from small_vdt import small_vdt

from latte_eval.cli.text import results_to_text
from latte_eval.compare.comparable import differences
from latte_eval.core.errors import ClipError, ProtocolError, SamplerError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import prepare
from latte_eval.evaluation.prepared import Evaluation
from latte_eval.evaluation.remeasure import open_bench
from latte_eval.evaluation.request import Request
from latte_eval.files.run_folder import RunFolder
from latte_eval.sampler.vdt import VDTConfig

FRAMES = 12
GENERATED = "counted=generated"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VDT of twelve frames of 16 pixels, and four real videos."""
    root = tmp_path_factory.mktemp("files")
    for video in range(4):
        write_frames(root / "real" / str(video), moving_frames(FRAMES, 16, 32)[:, :, video : video + 16])
    config = VDTConfig(input_size=16, patch=8, channels=3, width=32, depth=1, heads=4, frames=FRAMES)
    torch.save({"ema": small_vdt(config).state_dict(), "args": {"num_heads": 4}}, root / "vdt.pt")
    return root


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_detectors(monkeypatch)


def prepared(files: Path, *params: str, **options: object) -> Evaluation:
    usual = {"metrics": ("fvd",), "ckpt": str(files / "vdt.pt"), "real": files / "real", "detectors": ("seeded",)}
    return prepare(Request(**(usual | options), params=params, steps=2, out=files / "run"), Reporter())


def kept(given: set[int]) -> list[int]:
    return [frame for frame in range(FRAMES) if frame not in given]


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"given": "0:3"}, kept({0, 1, 2})),
        ({"given": "9:12"}, kept({9, 10, 11})),
        ({"task": "interpolation"}, kept({0, 4, 8})),
        ({"given": "0:3", "params": ("fake_storage=jpeg75",)}, kept({0, 1, 2})),
    ],
)
def test_both_sides_lose_what_was_given(files: Path, quick: None, options: dict, frames: list[int]) -> None:
    params = options.pop("params", ())
    whole, some = prepared(files, *params, **options), prepared(files, *params, GENERATED, **options)
    for side in ("fake", "real"):
        every, part = (getattr(each, side).source for each in (whole, some))
        assert torch.equal(part.clips([0, 2]).pixels, every.clips([0, 2]).pixels[:, frames]), side
        assert len({each.fingerprint for each in (part, every, dataclasses.replace(part, kept=(1, 2)))}) == 3
        assert part.about == {"counted_frames": frames}
    # What is given is that of whole clips.
    conditions = [each.fake.sampler["conditions"] for each in (whole, some)]
    assert conditions[0] == conditions[1] and some.protocol.id != whole.protocol.id


def test_a_distance_of_generated_frames_alone(files: Path, quick: None) -> None:
    typed = ("fvd", "--ckpt", files / "vdt.pt", "--real", files / "real", "--given", "0:3", "--detector", "seeded",
             "--device", "cpu", "--steps", "2", "--json", "--no-interval", "--out", files / "run")  # fmt: skip
    whole, some = (latte_eval(*typed, *more) for more in ((), ("--param", GENERATED)))
    assert some.returncode == 0, some.stderr
    assert "counted   9 of the 12 frames of a clip, on both sides" in some.stderr and "counted" not in whole.stderr
    results = [Result.from_json(done.stdout) for done in (whole, some)]
    assert "counted   9 of 12 frames of a clip: those that are generated" in results_to_text(results[1:])
    assert "counted" not in results_to_text(results[:1])
    assert results[1].value > results[0].value and results[1].protocol_fields["counted"] == "generated"
    assert results[1].fake_source["counted_frames"] == results[1].real_source["counted_frames"] == kept({0, 1, 2})
    telling = [each.label for each in differences(*results) if each.weight == "decides"]
    assert telling[0] == "counted"
    assert latte_eval("report", files / "run", "-o", files / "pages").returncode == 0
    pages = [path.read_text() for path in (files / "pages").glob("*.html")]
    assert any("frames that were given to the model are left out on both sides" in page for page in pages)
    assert any("of vdt.pt" in page and ", 9 frames" in page for page in pages), "pictures are of counted frames"
    with pytest.raises(UsageError, match="re-computes values of counted=all"):
        open_bench(results[1], files / "run", Request(), None, None, RunFolder(files), Reporter())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "predict"}, ClipError, "i3d-seeded takes clips of at least 9 frames, the protocol compares 6 of 12, "
         "those that are generated: give no more than --given 0:3, or leave fvd out"),
        ({"task": "one-frame"}, SamplerError, "--task one-frame gives other frames of every clip, .* name them by"),
        ({"task": "completion"}, SamplerError, "--task completion gives other frames of every clip"),
        ({"task": "arbitrary"}, SamplerError, "--task arbitrary gives other frames of every clip"),
        ({}, UsageError, "counted=generated changes no clip.*leave it at counted=all: it counts where a VDT is given"),
        ({"given": "0:3", "metrics": ("psnr",)}, UsageError, "counted leaves out frames that psnr looks at"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted(files: Path, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        prepared(files, GENERATED, **options)


def test_frames_of_which_a_part_is_given_are_generated(files: Path, quick: None, tmp_path: Path) -> None:
    import numpy as np

    mask = np.ones((FRAMES, 16, 16), np.uint8)
    mask[:, :8] = 0
    np.save(tmp_path / "half.npy", mask)
    with pytest.raises(SamplerError, match="a part of each of the 12 frames is generated: leave out"):
        prepared(files, GENERATED, mask=tmp_path / "half.npy")
    mask[:2] = 0
    np.save(tmp_path / "most.npy", mask)
    assert prepared(files, GENERATED, mask=tmp_path / "most.npy").fake.source.about == {"counted_frames": kept({0, 1})}


def test_frames_are_left_out_in_one_way(files: Path) -> None:
    with pytest.raises(ProtocolError, match="counted=generated and skip_frames=2 both leave frames out"):
        Protocol(counted="generated", skip_frames=2)
    # A checkpoint makes clips of one length: more frames cannot be asked for.
    with pytest.raises(ClipError, match="compares 6 of 12: give --param skip_frames=3, or leave fvd out"):
        prepared(files, "skip_frames=6", given="0:6")


def test_the_record_names_the_field(files: Path, quick: None) -> None:
    """At its first value the field is not hashed: protocols keep their names."""
    found = prepared(files, given="0:3").protocol
    assert found.counted == "all" and json.loads(json.dumps(found.to_dict()))["counted"] == "all"
    assert found.sha256 == Protocol.from_dict({k: v for k, v in found.to_dict().items() if k != "counted"}).sha256
