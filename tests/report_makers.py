"""Run folders, small results and page readers for the tests of the report."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from result_makers import SEEDED, make_result, replaced

from latte_eval.core.clips import Rejected
from latte_eval.core.features import Features
from latte_eval.core.result import Result
from latte_eval.files.previews import clip_to_strip
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.report.curves import Point

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [Point(f"step {i}", 1000.0 * i, 100 / (i + 1), 90 / (i + 1), 110 / (i + 1)) for i in range(9)]


class Elements(HTMLParser):
    """Tags, ids, links and sources of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.alts: list[str | None] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.attributes += attrs
        self.tags.append(tag)
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [str(found[key]) for key in ("href", "src") if found.get(key)]
        self.alts += [found.get("alt")] if tag == "img" else []


def fill_run(folder: Path, result: Result, count: int = 24, classes: int = 3, video: str = "video") -> None:
    """Features and previews of both sides as `evaluate` keeps them, fake ones a little off."""
    import torch

    run, random = RunFolder(folder), np.random.default_rng(0)
    sides = {"fake": result.fake_source, "real": result.real_source}
    for side, source in sides.items():
        if source is None:
            continue
        rows = random.normal(size=(count, 8)).astype(np.float32) + (0.5 if side == "fake" else 0)
        features = Features(
            outputs(result, rows),
            list(range(count)),
            groups=[f"{video} {side} {i}" for i in range(count)],
            rejected=[Rejected(f"{video}.mp4", "cut short")] if side == "real" else [],
            labels=[i % classes for i in range(count)],
        )
        run.write_features(feature_key(source["fingerprint"], result.detector), 0, count, features)
        clips = torch.from_numpy(random.integers(0, 255, (count, 4, 3, 8, 8), dtype=np.uint8))
        run.write_previews(source["fingerprint"], 0, count, {i: clip_to_strip(clip) for i, clip in enumerate(clips)})


def outputs(result: Result, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What the detector of a result gives."""
    powers = np.exp(rows)
    shares = powers / powers.sum(axis=1, keepdims=True)
    return {"probabilities": shares} if result.metric == "is" else {"features": rows}


def small_result(**changes: object) -> Result:
    """A result of 24 clips on ucf101 by a seeded detector."""
    fields = {"fake_clips": 24, "real_clips": 24, "frames": 4}
    result = make_result(
        changes=fields, fake=24, real=24, detector=SEEDED, value=1.5, interval=[1.0, 2.0], seeds=[0, 23]
    )
    return replaced(result, **changes)


def pages_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.html")}


def texts(chart: str | None) -> set[str]:
    assert chart is not None
    return {"".join(each.itertext()) for each in ElementTree.fromstring(chart).iter(f"{SVG}text")}


def all_text(chart: str | None) -> str:
    assert chart is not None
    return " ".join("".join(each.itertext()) for each in ElementTree.fromstring(chart).iter(f"{SVG}text"))


def drawn_points(chart: str | None) -> int:
    """Marks of a chart."""
    assert chart is not None
    return len(re.findall(r"<use ", chart))
