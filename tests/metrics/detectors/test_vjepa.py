"""V-JEPA and its probe against outputs of the reference, with and without its projection; JEDi's distance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from torch import Tensor

from latte_eval.core.errors import ClipError, WeightsError
from latte_eval.core.features import Features
from latte_eval.evaluation.golden.files import Golden
from latte_eval.evaluation.golden.vision_transformers import BACKBONE, POSITIONS, vjepa_positions, vjepa_states
from latte_eval.files.weights import VJEPA_ENCODER, VJEPA_PROBE
from latte_eval.metrics import jedi_distance, kernel_distance
from latte_eval.metrics.detectors import open_detector
from latte_eval.metrics.detectors.network import probe_clips, relative_difference
from latte_eval.metrics.detectors.vjepa import MEAN, STD, VJEPA, encoder_shapes, preprocess, probe_shapes
from latte_eval.metrics.rows import METRICS

pytest.importorskip("transformers")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def stored(golden: Callable[[str], Golden]) -> Golden:
    return golden("vjepa")


@pytest.fixture(scope="module")
def states(stored: Golden) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return vjepa_states(stored)


@pytest.fixture(scope="module")
def clips(stored: Golden) -> Tensor:
    return torch.from_numpy(stored.clip("square"))


def test_positions_are_those_of_the_reference(stored: Golden) -> None:
    assert np.abs(vjepa_positions(96)[stored.meta["pos_rows"]] - stored["pos_rows"]).max() < 1e-6


@pytest.mark.parametrize(("projected", "name"), [(True, "square_projected"), (False, "square_unprojected")])
def test_features_are_those_of_the_reference(
    stored: Golden, states: tuple[dict[str, Tensor], ...], clips: Tensor, projected: bool, name: str
) -> None:
    network = VJEPA.from_state_dicts(*states, heads=4, projected=projected)
    found, other = network(clips), "square_unprojected" if projected else "square_projected"
    assert relative_difference(found, torch.from_numpy(stored[name])) < TOLERANCE
    assert relative_difference(found, torch.from_numpy(stored[other])) > 0.01
    assert torch.equal(network(clips[1:]), found[1:])


def test_tokens_and_known_mistakes(
    stored: Golden, states: tuple[dict[str, Tensor], ...], clips: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = VJEPA.from_state_dicts(*states, heads=4)
    with torch.no_grad():
        tokens = network.encoder(pixel_values=preprocess(clips)).last_hidden_state[:, :4]
    assert relative_difference(tokens, torch.from_numpy(stored["square_tokens_0_3"])) < TOLERANCE
    want = torch.from_numpy(stored["square_projected"])
    encoder, probe = states
    for wrong in ({POSITIONS: encoder[POSITIONS].flip(1)},
                  {f"{BACKBONE}blocks.0.attn.qkv.bias": encoder[f"{BACKBONE}blocks.0.attn.qkv.bias"] * 0}):  # fmt: skip
        assert relative_difference(VJEPA.from_state_dicts({**encoder, **wrong}, probe, heads=4)(clips), want) > 1e-3
    monkeypatch.setattr("latte_eval.metrics.detectors.vjepa.MEAN", (0.0, 0.0, 0.0))
    assert relative_difference(network(clips), want) > 0.01


def test_large_frames_are_low_passed_before_pixels_are_left_out() -> None:
    """Of columns 0, 0, 0, 255 a resize by 4 that only looks beside its pixel would see none that are bright."""
    clips = torch.zeros(1, 3, 16, 896, 896, dtype=torch.uint8)
    clips[..., 3::4] = 255
    pixels = preprocess(clips)
    assert pixels.shape == (1, 16, 3, 224, 224)
    red = pixels[0, 0, 0, 100, 100] * STD[0] + MEAN[0]
    assert float(red) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("side", "change", "words"),
    [
        (1, {"module.pooler.query_tokens": None}, "no tensor 'pooler.query_tokens'"),
        (1, {"module.pooler.cross_attention_block.xattn.proj.weight": None}, "xattn.proj.weight"),
        (1, {"module.pooler.blocks.0.norm1.weight": torch.zeros(96)}, "another network"),
        (0, {"module.backbone.norm.weight": None}, "no tensor 'norm.weight'"),
        (0, {POSITIONS: torch.zeros(1, 784, 96)}, "pos_embed has the shape"),
    ],
)
def test_a_file_that_does_not_load_is_an_error(
    states: tuple[dict[str, Tensor], ...], side: int, change: dict[str, Any], words: str
) -> None:
    """Never a pooler as it was drawn."""
    pair = list(states)
    pair[side] = {name: value for name, value in {**pair[side], **change}.items() if value is not None}
    with pytest.raises(WeightsError, match=words):
        VJEPA.from_state_dicts(*pair, heads=4)


def test_published_files_are_opened_and_never_fetched_by_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"CC BY-NC 4.0.*weights fetch vjepa-vith16 vjepa-vith16-ssv2-probe"):
        open_detector("vjepa")
    draw = torch.Generator().manual_seed(0)
    for record, key, shapes in ((VJEPA_ENCODER, "target_encoder", encoder_shapes()),
                                (VJEPA_PROBE, "classifier", probe_shapes())):  # fmt: skip
        state = {f"module.{name}": torch.randn(shape, generator=draw) / 8 for name, shape in shapes.items()}
        torch.save({"epoch": 1, key: state, "encoder": {}}, tmp_path / record.filename)
        if record is VJEPA_ENCODER:
            with pytest.raises(WeightsError, match="not installed"):
                open_detector("vjepa")  # the probe is not there yet
    found = {name: open_detector(name) for name in ("vjepa", "vjepa-unprojected")}
    features = [detector(probe_clips(16))["features"] for detector in found.values()]
    assert relative_difference(*features) > 1e-3
    assert found["vjepa"].comparable and "no sha256" in found["vjepa"].note and "BY-NC" in found["vjepa"].note
    torch.save({"classifier": {"module.linear.weight": torch.zeros(2, 2)}}, tmp_path / VJEPA_PROBE.filename)
    (tmp_path / "cache" / f"{VJEPA_PROBE.filename}.sha256").unlink(missing_ok=True)
    with pytest.raises(WeightsError, match="no tensor"):
        open_detector("vjepa")


def test_fetching_all_leaves_out_what_asks_for_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr("latte_eval.cli.weights.fetch_weights", lambda record, **_: fetched.append(record.name))
    assert latte_eval("weights", "fetch", "--quiet").returncode == 0
    assert "i3d-archive" in fetched and not any(name.startswith("vjepa") for name in fetched)
    done = latte_eval("weights", "fetch", "vjepa-vith16")
    assert fetched[-1] == "vjepa-vith16" and "CC BY-NC 4.0" in done.stderr


def test_the_seeded_one_takes_clips_of_16_frames() -> None:
    detector = open_detector("vjepa-seeded")
    clips = torch.cat([probe_clips(16), probe_clips(16).flip(2)])
    features = detector(clips)["features"]
    assert features.shape == (2, 64) and not detector.comparable
    assert relative_difference(features[1:], features[:1]) > 1e-4  # it sees the order of frames
    with pytest.raises(ClipError, match="needs clips of 16 frames; these have 8"):
        detector(probe_clips(8))


def test_the_distance_by_hand_and_by_the_reference(golden: Callable[[str], Golden]) -> None:
    x = np.arange(1.0, 10).reshape(3, 3)
    y = np.array([[7.0, 6, 5], [4, 3, 2], [1, 1, 8], [0, 2, 5]])
    assert jedi_distance(x, y) == pytest.approx(100 * 270.7222, rel=1e-6)
    assert jedi_distance(x, x) == pytest.approx(0, abs=1e-9) and jedi_distance(x, -x) == pytest.approx(0, abs=1e-9)
    moments = [rows.T @ rows / len(rows) for rows in (x, y)]
    assert jedi_distance(x, y) == pytest.approx(100 * ((moments[0] - moments[1]) ** 2).sum() / 9, rel=1e-9)
    stack = golden("metric_stack")
    column = stack.meta["frechet_columns"].index("jedi_mmd_x100_f64")
    for row in stack["frechet_table"]:
        real, fake = stack["real"][: int(row[0])], stack["gen"][: int(row[1])]
        assert jedi_distance(real, fake) == pytest.approx(row[column], rel=1e-9)
        assert 100 * kernel_distance(real, fake, degree=2, offset=0.0) != pytest.approx(row[column], rel=1e-3)


def test_the_metric_has_an_interval_a_floor_and_a_contrast() -> None:
    random = np.random.default_rng(0)
    tables = {name: random.standard_normal((80, 6)) * scale for name, scale in (("r", 1), ("old", 1.2), ("new", 1.6))}
    sides = {name: Features({"features": each}, list(range(80)), [f"{name}{i}" for i in range(80)], [])
             for name, each in tables.items()}  # fmt: skip
    row = METRICS["jedi"]
    found = row.measure(sides["new"], sides["r"], True, lambda done, total: None)
    assert found.value == pytest.approx(jedi_distance(tables["r"], tables["new"]), rel=1e-9)
    assert found.interval and found.interval[0] < found.value < found.interval[1] and found.floor
    assert found.corrected and found.corrected["value"] < found.value  # it is too high at few clips
    assert row.contrast
    worse = row.contrast(sides["new"], sides["old"], sides["r"], 0.0, None)
    assert worse.value / worse.standard_error > 3
