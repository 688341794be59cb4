"""What is said and recorded of the files of both sides: not used, decoded by what, the same on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from media_makers import moving_frames, write_frames, write_lossless
from result_makers import make_result

from latte_eval.compare.comparable import differences
from latte_eval.core.errors import NotEnoughClips
from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.announce import same_place_notes, side_notes
from latte_eval.evaluation.pipeline import prepare
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import open_fake


class Said(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for i in range(2):
        write_lossless(tmp_path / "videos" / f"{i}.mkv", moving_frames(4))
        (tmp_path / "videos" / f"{i}.xyz").write_text("x")
    return tmp_path / "videos"


def request(fake: Path, real: Path | None = None) -> Request:
    return Request(metrics=("fid",), fake=fake, real=real, params=("frames=4", "size=32"), detectors=("seeded",))


def test_files_that_were_not_used_and_one_folder_on_both_sides_are_told(videos: Path, tmp_path: Path) -> None:
    link, said = tmp_path / "link", Said()
    link.symlink_to(videos)
    prepare(request(link, videos), said)
    assert said.lines[:2] == ["real: not used: 2 .xyz", "fake: not used: 2 .xyz"]
    assert said.lines[2].startswith("real and fake are the same")
    assert same_place_notes(request(videos, tmp_path)) == ["fake lies within real: its videos count on both sides"]
    assert same_place_notes(request(tmp_path, videos)) == ["real lies within fake: its videos count on both sides"]
    assert same_place_notes(request(videos, tmp_path / "x")) == same_place_notes(request(videos)) == []
    assert side_notes("real", None) == []


def test_a_result_says_what_was_not_used_and_what_decoded(videos: Path) -> None:
    asked = request(videos)
    record = open_fake(asked, asked.resolved_protocol(), Reporter()).record(Features({}, [0, 1], ["0", "1"], []), 0)
    assert record["ignored"] == {".xyz": 2} and record["decoder"].startswith("PyAV ")


def test_explain_compares_decoders() -> None:
    first = make_result()
    second = make_result(env={**first.env, "av": "15.0.0"}, real_source={**(first.real_source or {}), "decoder": "x"})
    reasons = {each.field: each.reason for each in differences(first, second)}
    assert "decoder" in reasons["av"] and "decoder" in reasons["real decoder"]


def test_images_in_one_folder(tmp_path: Path) -> None:
    write_frames(tmp_path, moving_frames(6), "{}.png")
    asked = request(tmp_path)
    with pytest.raises(NotEnoughClips, match="gives 1 clips.*6 images in one folder count as the frames of one video"):
        open_fake(asked, asked.resolved_protocol(), Reporter())
