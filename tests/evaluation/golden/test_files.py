"""The golden files: their seeded stream, and the part of them that travels with the package."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from latte_eval.evaluation.golden import seeded
from latte_eval.evaluation.golden.files import FOLDER, open_golden

SUBSET = Path(__file__).parents[2] / "golden" / "subset.py"


@pytest.fixture(scope="module")
def subset() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_subset", SUBSET)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_seeded_stream_has_the_published_check_value() -> None:
    values = seeded.seeded_tensor("fc6.weight", (4096, 8192), 1)
    assert hashlib.sha256(values.tobytes()).hexdigest().startswith("41dc10554573d911")


def test_seeded_weights_follow_the_rule_of_their_name() -> None:
    draw = lambda name, shape, gain=1.0: seeded.seeded_tensor(name, shape, 7, gain)  # noqa: E731
    assert draw("a.num_batches_tracked", ()).dtype == np.int64 and draw("a.num_batches_tracked", ()) == 0
    assert draw("a.running_var", (4000,)).min() >= 0.5
    assert draw("a.running_mean", (4000,)).std() == pytest.approx(0.1, rel=0.05)
    assert draw("a.weight", (4000,)).mean() == pytest.approx(1, abs=0.01)
    assert draw("a.bias", (4000,)).mean() == pytest.approx(0, abs=0.01)
    assert draw("a.weight", (100, 10, 4), 2.0).std() == pytest.approx(2 / np.sqrt(40), rel=0.05)


def test_seeded_clips_hold_blocks_of_eight_pixels_for_four_frames() -> None:
    clip = seeded.seeded_clip("clip", (3, 9, 17, 24), 1).astype(int)
    assert clip.shape == (3, 9, 17, 24) and seeded.seeded_clip("clip", (3, 9, 17, 24), 1).dtype == np.uint8
    means = clip[:, :8, :16].reshape(3, 2, 4, 2, 8, 3, 8).mean((2, 4, 6))
    assert means.std() > 40 and clip[0, :4, :8, :8].std() < 25


def test_the_packaged_files_are_part_of_the_whole_ones(subset: ModuleType) -> None:
    """`python tests/golden/subset.py` writes them."""
    assert {path.stem for path in FOLDER.glob("*")} == set(subset.SUBSET)
    for name in subset.SUBSET:
        with np.load(FOLDER / f"{name}.npz") as packaged:
            whole = subset.subset(name)
            assert set(packaged) == set(whole)
            for key in packaged:
                assert packaged[key].dtype == whole[key].dtype, (name, key)
                np.testing.assert_array_equal(packaged[key], whole[key], f"{name}: {key}")


def test_the_packaged_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*")) < 1_000_000


def test_a_golden_file_tells_its_source() -> None:
    assert open_golden("latte_cond").meta["source"].startswith("Vchitect/Latte@b27c24a")
