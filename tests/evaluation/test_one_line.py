"""`fvd(fake=..., real=...)` from Python: every form of a side is one road, and that of the command line to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import latte_eval
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_makers import moving_frames, write_frames
from quick_detectors import Counted, quick_detectors
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from latte_eval import Request, Result, evaluate, fid, fvd, inception_score
from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.core.devices import resolved_device
from latte_eval.core.errors import ClipError, GeneratorError, NotEnoughClips, UsageError, WeightsError
from latte_eval.evaluation import ask, pipeline
from latte_eval.evaluation.ask import to_request
from latte_eval.evaluation.inputs import Reading, array_to_videos, to_input, to_uint8

FAKE = np.stack([np.roll(moving_frames(6, 12, 12), shift, axis=2) for shift in range(5)])  # [5, 6, 12, 12, 3]
REAL = np.stack([np.roll(moving_frames(9, 12, 12)[::-1], shift, axis=1) for shift in range(6)])
PARAMS = {"frames": 4, "size": 8}


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    """Every detector is a quick one, and the cache is empty."""
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    return quick_detectors(monkeypatch)


def measured(fake: Any, real: Any, **options: Any) -> Result:
    return fvd(fake=fake, real=real, **{"params": PARAMS, "device": "cpu", **options})


def by_command(fake: Path, real: Path, *words: str) -> dict[str, Any]:
    done = latte_eval("fvd", "--fake", fake, "--real", real, "--param", "frames=4", "--param", "size=8", "--device",
                      "cpu", "--json", "--quiet", *words)  # fmt: skip
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.fixture
def files(tmp_path: Path) -> Path:
    np.save(tmp_path / "fake.npy", FAKE)
    np.save(tmp_path / "real.npy", REAL)
    for folder, clips in (("one_each", FAKE), ("videos", REAL)):
        (tmp_path / folder).mkdir()
        for number, clip in enumerate(clips):
            path = tmp_path / folder / f"{number:03d}"
            np.save(path, clip) if folder == "one_each" else write_frames(path, clip)
    return tmp_path


def test_an_array_a_tensor_an_iterable_and_a_file_give_one_number_to_the_bit(files: Path) -> None:
    expected = by_command(files / "fake.npy", files / "real.npy")
    tensors = torch.from_numpy(FAKE).permute(0, 1, 4, 2, 3)
    labelled = DataLoader(TensorDataset(tensors, torch.arange(5)), batch_size=2)
    forms: list[Any] = [
        FAKE, tensors, tensors.transpose(1, 2), list(FAKE), [tensors[:2], tensors[2:]], str(files / "fake.npy"),
        (clip for clip in FAKE), iter([FAKE[:3], FAKE[3:]]), DataLoader(tensors, batch_size=2), labelled,
        ({"video": clip, "label": 3, "audio": np.zeros(4)} for clip in FAKE),
    ]  # fmt: skip
    for form in forms:
        result = measured(form, REAL)
        assert (result.value, result.interval, result.protocol) == (
            expected["value"], expected["interval"], expected["protocol"],
        )  # fmt: skip


def test_what_the_record_says_and_that_features_are_found_again(files: Path, counted: Counted) -> None:
    first = measured(FAKE, files / "videos")
    assert counted.clips == 11
    assert (
        first.fake_source["name"]
        == f"array [5, 6, 12, 12, 3] uint8, sha256 {first.fake_source['array']['sha256'][:12]}"
    )
    assert first.fake_source["array"] == {"shape": [5, 6, 12, 12, 3], "dtype": "uint8", "sha256": sha256(FAKE)}
    assert first.fake_source["videos"] == 5 and first.real_source and first.real_source["name"].endswith("videos")
    again = measured(torch.from_numpy(FAKE.copy()).permute(0, 1, 4, 2, 3), files / "videos", seed=0)
    assert counted.clips == 11 and again.fake_source["fingerprint"] == first.fake_source["fingerprint"]
    changed = FAKE.copy()
    changed[4, 5, 11, 11, 2] ^= 1  # in a frame that no clip shows: it is another array all the same
    assert measured(changed, files / "videos").fake_source["fingerprint"] != first.fake_source["fingerprint"]
    assert counted.clips == 16


def sha256(array: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(array.tobytes()).hexdigest()


def test_a_folder_of_arrays_is_a_list_of_them_and_the_road_of_the_command(files: Path) -> None:
    expected = by_command(files / "one_each", files / "videos")
    assert measured(files / "one_each", files / "videos").value == expected["value"]
    paths = sorted((files / "one_each").iterdir())
    assert measured(paths, str(files / "videos")).value == expected["value"]
    assert measured(paths[:4], files / "videos").fake_source["name"] == f"4 paths from {paths[0]} on"


def test_sources_and_generators_of_either_side() -> None:
    class Model:
        name, frames, size, fingerprint = "toy", 4, 8, "1"

        def __len__(self) -> int:
            return 5

        def generate(self, indices: list[int], seeds: list[int]) -> np.ndarray:
            return np.stack([np.random.default_rng(s).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8) for s in seeds])

    shapes = ShapesSource(6)
    size = {"frames": 16, "size": shapes.clips([0]).pixels.shape[-1]}
    found = measured(Model(), REAL)
    assert found.fake == 5 and found.fake_source["name"] == "toy"
    assert measured(REAL, Model()).real == 5
    assert measured(REAL, Model(), clips=4).real == 4
    assert fvd(fake=ShapesSource(6), real=ShapesSource(6, start=6), params=size, device="cpu").fake == 6


def test_a_generator_without_fingerprint_is_never_found_again(counted: Counted) -> None:
    class Grey:
        frames, size = 4, 8

        def __init__(self, level: int):
            self.level = level

        def __len__(self) -> int:
            return 4

        def generate(self, indices: list[int], seeds: list[int]) -> np.ndarray:
            return np.stack([np.full((4, 8, 8, 3), self.level + i, np.uint8) for i in indices])

    assert measured(Grey(10), REAL).value != measured(Grey(90), REAL).value


def test_an_iterable_with_a_fingerprint_streams() -> None:
    class Loader:
        name, fingerprint = "loader", "v1"

        def __iter__(self) -> Iterator[np.ndarray]:
            yield from np.ascontiguousarray(FAKE[:, :4, :8, :8])

    result = measured(Loader(), REAL, clips=5)
    assert result.fake_source["name"] == "loader" and result.fake == 5


def test_several_metrics_and_other_names(files: Path) -> None:
    results = evaluate(fake=FAKE, real=REAL, metrics=["fvd", "kvd"], params=["frames=4", "size=8"], device="cpu")
    assert [result.metric for result in results] == ["fvd", "kvd"]
    assert results[0].value == measured(FAKE, REAL).value
    request = Request(fake=files / "fake.npy", real=files / "real.npy", params=("frames=4", "size=8"))
    assert evaluate(request)[0].value == results[0].value
    assert fid(FAKE, REAL, params=PARAMS, device="cpu").metric == "fid"
    assert inception_score(FAKE, params=PARAMS, splits=2, device="cpu").metric == "is"
    assert all(word in str(fvd.__doc__) for word in ("Fréchet video distance", "[N, T, 3, H, W]", "NotEnoughClips"))


def test_floats_are_refused_unless_normalize_says_what_they_are() -> None:
    floats = FAKE / np.float32(255)
    with pytest.raises(
        ClipError, match=r"fake: float32 from 0.* \(x \* 255\).round\(\).astype\('uint8'\), or give norm"
    ):
        measured(floats, REAL)
    with pytest.raises(
        ClipError, match=r"torch.float32 from -1 to .* \(\(x \+ 1\) \* 127.5\).round\(\).to\(torch.uint8\)$"
    ):
        measured(torch.from_numpy(floats * 2 - 1), REAL)
    with pytest.raises(ClipError, match=r"normalize=True takes floats in 0..1; float32 from -1"):
        measured(floats * 2 - 1, REAL / np.float32(255), normalize=True)
    with pytest.raises(ClipError, match="normalize=True takes floats in 0..1, and this is uint8 already"):
        measured(FAKE, REAL, normalize=True)
    spoilt = floats.copy()
    spoilt[3, 2, 1, 0] = np.nan
    with pytest.raises(ClipError, match="float32 with 3 values that are NaN or infinite"):
        measured(spoilt, REAL, normalize=True)
    half = torch.from_numpy(floats).bfloat16()
    assert measured(floats, REAL / 255, normalize=True).value == measured(FAKE, REAL).value
    assert measured(half, REAL / 255, normalize=True).fake == 5
    with pytest.raises(ClipError, match="every value of its 5 videos is 0 or 1 of 255"):
        measured(floats.astype(np.uint8), REAL)


def test_a_shape_that_fits_twice_wants_a_layout() -> None:
    unclear = np.ascontiguousarray(FAKE[:, :3].transpose(0, 1, 4, 2, 3))  # [5, 3, 3, 12, 12]
    real = REAL[:, :8]
    with pytest.raises(ClipError, match=r"\[N, T, 3, H, W\] \(5 clips of 3 .*\[N, 3, T, H, W\] .* layout='NTCHW'"):
        measured(unclear, real, params={"frames": 3, "size": 8})
    told = measured(unclear, list(real.transpose(0, 1, 4, 2, 3)), params={"frames": 3, "size": 8}, layout="NTCHW")
    last = measured(FAKE[:, :3], real, params={"frames": 3, "size": 8}, layout="NTHWC")
    assert told.value == last.value


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"protcol": "clean"}, UsageError, "Unknown keyword 'protcol'. Did you mean protocol"),
        ({"normalise": True}, UsageError, "Unknown keyword 'normalise'. Did you mean normalize"),
        ({"size": 8}, UsageError, r"size is a field of the protocol: params=\{'size': 8\}"),
        ({"layout": "THWC"}, UsageError, "layout cannot be 'THWC'. Did you mean NTHWC"),
        ({"device": "gpu"}, UsageError, "device gpu is unknown: torch has cpu"),
        ({"fake": 3}, UsageError, "fake is int; give a path, a list of paths, a uint8 array"),
        ({"fake": []}, UsageError, "fake is an empty list"),
        ({"fake": ["a.mp4", FAKE]}, UsageError, "fake is a list of ndarray and str"),
        ({"fake": ["nowhere/a.mp4"]}, UsageError, r"1 paths were given, none of which is there; the first is .*a.mp4"),
        ({"real": {"a": FAKE}}, UsageError, "real is dict"),
        ({"real": None}, UsageError, "a distance needs a real side"),
        ({"real": REAL, "benchmark": "ucf101"}, UsageError, "the real side of ucf101 is a folder, not array"),
        ({"fake": iter([])}, NotEnoughClips, "fake holds no clips"),
        ({"fake": (clip for clip in FAKE[:2]), "clips": 3}, NotEnoughClips, r"ended after 2 clips, 3 were .* clips=2"),
        ({"fake": iter([(FAKE, FAKE)])}, ClipError, r"fake at clip 0: tuple with several arrays .*0 \(5, 6, 12"),
        ({"fake": iter([{"id": 3}])}, ClipError, r"fake at clip 0: dict with no array .*'id' int\)"),
        ({"fake": iter([FAKE, FAKE / 255])}, ClipError, "fake at clip 5: float64 from 0"),
        ({"fake": FAKE[:1]}, NotEnoughClips, "gives 1 clips; a distance needs at least 2"),
        ({"fake": FAKE[:, :2]}, NotEnoughClips, "all 5 videos in array .* are too short"),
        ({"fake": FAKE[..., :2]}, ClipError, "is none of"),
        ({"fake": FAKE[None]}, ClipError, "has 6 dimensions; clips have 5, a single one 4"),
    ],
)  # fmt: skip
def test_what_is_refused(change: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        measured(**{"fake": FAKE, "real": REAL, **change})


def test_options_may_be_called_as_on_the_command_line() -> None:
    request = to_request(None, {"fake": "a", "real": "b", "metrics": "fvd", "detector": "seeded", "param": "size=8"})
    assert (request.detectors, request.params) == (("seeded",), ("size=8",))
    with pytest.raises(UsageError, match="detector and detectors are the same: give one"):
        to_request(None, {"fake": "a", "real": "b", "metrics": "fvd", "detector": "seeded", "detectors": ["i3d"]})


def test_a_device_is_named_as_on_the_command_line_or_is_one_of_torch() -> None:
    for device in ("cpu", torch.device("cpu"), None):
        assert to_request(None, {"fake": FAKE, "real": REAL, "device": device}).device == resolved_device(None)


def test_a_request_and_keywords_are_too_much() -> None:
    with pytest.raises(UsageError, match="a Request or keywords, not both: clips"):
        evaluate(Request(ckpt="demo"), clips=3)


def test_an_iterable_that_dies_says_where() -> None:
    def dying() -> Iterator[np.ndarray]:
        yield FAKE[0]
        raise RuntimeError("out of memory\nmore")

    with pytest.raises(GeneratorError, match="fake died at clip 1: RuntimeError: out of memory"):
        measured(dying(), REAL)


def test_what_can_fail_early_fails_before_an_iterable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise WeightsError("no weights")

    def untouched() -> Iterator[np.ndarray]:
        raise AssertionError("it was read")
        yield FAKE

    monkeypatch.setattr(ask, "open_detector", absent)
    with pytest.raises(WeightsError):
        measured(untouched(), REAL)
    with pytest.raises(UsageError, match="a distance needs a real side"):
        measured(untouched(), None)


def test_an_endless_iterable_gives_the_clips_that_are_asked_for() -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield from FAKE

    assert measured(endless(), REAL, clips=4).fake == 4


def test_both_sides_are_the_same_array() -> None:
    class Told(pipeline.Reporter):
        said: list[str] = []

        def say(self, text: str) -> None:
            self.said.append(text)

    measured(FAKE, FAKE.copy(), reporter=Told())
    assert any("real and fake are the same array" in text for text in Told.said)


AXES = {"NTHWC": (0, 1, 2, 3, 4), "NTCHW": (0, 1, 4, 2, 3), "NCTHW": (0, 4, 1, 2, 3)}
sizes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 4, 5]), st.sampled_from([2, 4, 6]))


@given(sizes, st.sampled_from(sorted(AXES)), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_layout_is_one_array(size: tuple[int, ...], layout: str, as_tensor: bool, floats: bool) -> None:
    clips = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
    given_array: Any = clips.transpose(AXES[layout])
    given_array = given_array / np.float32(255) if floats else given_array
    given_array = torch.from_numpy(np.ascontiguousarray(given_array)) if as_tensor else given_array
    found = array_to_videos(given_array, Reading(normalize=floats, layout=layout), "x")
    np.testing.assert_array_equal(found, clips)


def test_floats_are_rounded_and_not_cut() -> None:
    floats = np.array([0, 0.001, 0.002, 0.5, 0.999, 1], np.float64)
    assert to_uint8(floats, True).tolist() == [0, 0, 1, 128, 255, 255]


def test_an_array_is_not_copied() -> None:
    found = to_input(FAKE, "fake", Reading())
    assert np.shares_memory(found.videos[2], FAKE)  # type: ignore[union-attr]
    tensor: Callable[[], Tensor] = lambda: torch.from_numpy(FAKE).permute(0, 4, 1, 2, 3)  # noqa: E731
    assert np.shares_memory(to_input(tensor(), "fake", Reading()).videos[0], FAKE)  # type: ignore[union-attr]
