"""What sampling will cost, said before it starts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from repository import ROOT

from latte_eval.core.features import Features
from latte_eval.core.progress import Reporter
from latte_eval.evaluation import cost_lines as cost
from latte_eval.evaluation.opened_model import open_model
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stored import StoredSource
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler import SampledSource, outlay
from latte_eval.sampler.diffusion import make_schedule
from latte_eval.sampler.guidance import Guidance
from latte_eval.sampler.outlay import forward_passes
from latte_eval.sampler.settings import SamplerSettings

TOY = Detector("toy", lambda clips: {}, None, "0" * 64)
PER_CLIP = "50 steps x 421 MFLOP"


@pytest.fixture(scope="module")
def source() -> StoredSource:
    return StoredSource(open_model(Request(ckpt="demo")).source(64, "cpu", Reporter()), ())


def lines(source: StoredSource, run: Path, count: int = 64) -> list[str]:
    return cost.cost_lines(source, [TOY], RunFolder(run), count, batch=8)


def store(source: StoredSource, run: Path, start: int, stop: int) -> None:
    indices = list(range(start, stop))
    features = Features({"features": np.zeros((len(indices), 2), np.float32)}, indices, [str(i) for i in indices], [])
    RunFolder(run).write_features(feature_key(source.fingerprint, TOY.record()), start, stop, features)


def test_operations_device_and_type(source: StoredSource, tmp_path: Path) -> None:
    work, place = lines(source, tmp_path)
    assert work == f"cost      64 clips x {PER_CLIP} = 1.35e+12 operations"
    assert place.startswith("          fp32 on cpu, ") and place.endswith("threads, 4 clips at once")


def test_clips_that_are_stored_cost_nothing(source: StoredSource, tmp_path: Path) -> None:
    store(source, tmp_path, 32, 64)
    assert lines(source, tmp_path)[0] == (
        f"cost      32 clips x {PER_CLIP} = 6.74e+11 operations; 32 of 64 clips are stored already"
    )
    store(source, tmp_path, 0, 32)
    assert lines(source, tmp_path) == ["cost      none: all 64 clips are stored already"]


def test_days_are_announced_with_what_shortens_them(
    source: StoredSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "MANY_OPERATIONS", 1e9)
    for speed, said in (
        (1e6, "at least 15 days 15 h: matrix products run at 1 MFLOP/s here"),
        (1e9, "at least 22 min"),
    ):
        monkeypatch.setattr("latte_eval.sampler.outlay.matrix_speed", lambda device, dtype, speed=speed: speed)
        found = lines(source, tmp_path)
        assert "MiB for weights and a step" in found[1] and found[2].strip().startswith(said)
        assert [line.startswith("WARNING") for line in found] == [False] * 3 + [True] * (speed < 1e9)
    monkeypatch.setattr("latte_eval.sampler.outlay.matrix_speed", lambda device, dtype: 1e12)
    assert len(lines(source, tmp_path)) == 2


def test_a_warning_names_what_can_be_typed(source: StoredSource) -> None:
    text = cost.warning(source.source)  # type: ignore[arg-type]
    assert "--clips" in text and "--sampler dpmsolver++ --steps 20" in text and "a GPU" in text
    assert forward_passes(SamplerSettings(method="dpmsolver++", steps=20)) == 20


def on_card(source: StoredSource, **settings: Any) -> Any:
    """What lines of cost ask of a source, for one whose model is on a card."""
    own = source.source
    assert isinstance(own, SampledSource)
    return SimpleNamespace(device=torch.device("cuda:0"), settings=dataclasses.replace(own.settings, **settings),
                           model=own.model, memory=own.memory, blocks=own.blocks)  # fmt: skip


def test_a_card_is_named_with_the_clips_that_are_left(source: StoredSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Toy 9000")
    for missing, said in ((64, "8 clips at once, "), (2, "2 clips at once, "), (1, "1 clip at once, ")):
        assert said in cost.sampling_lines(on_card(source), missing, 64, 8)[1]
    assert cost.sampling_lines(on_card(source), 2, 64, 8)[1].startswith("          fp32 on Toy 9000, 2 clips")


def test_guidance_is_in_the_arithmetic(source: StoredSource) -> None:
    text, operations = cost.work_text(on_card(source, guidance_scale=4.0), 2, 1)
    assert text.startswith("2 clips x 100 forward passes (50 steps, guided) x 421 MFLOP = ")
    assert operations == 2 * cost.work_text(on_card(source), 2, 1)[1]


def test_processes_work_at_the_same_time(source: StoredSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MANY_OPERATIONS", 1e9)
    monkeypatch.setattr("latte_eval.sampler.outlay.matrix_speed", lambda device, dtype: 1e9)
    monkeypatch.setenv("WORLD_SIZE", "4")
    found = lines(source, tmp_path)
    assert "threads, 4 processes, " in found[1]
    assert found[2] == "          at least 6 min: matrix products run at 4 GFLOP/s here"


def test_a_clip_that_one_of_two_detectors_has_seen_is_to_be_sampled(source: StoredSource, tmp_path: Path) -> None:
    other = Detector("other", lambda clips: {}, None, "1" * 64)
    store(source, tmp_path, 32, 64)
    both = cost.cost_lines(source, [TOY, other], RunFolder(tmp_path), 64, 8)
    assert both[0] == f"cost      64 clips x {PER_CLIP} = 1.35e+12 operations"


def test_no_more_clips_than_a_shard_step_together(source: StoredSource) -> None:
    assert [cost.clips_stepped(source, batch) for batch in (4, 32, 100)] == [4, 32, 32]


def test_what_shortens_a_run_depends_on_where_it_runs(source: StoredSource) -> None:
    assert "--dtype" not in cost.warning(source.source)  # type: ignore[arg-type]
    on_gpu = cost.warning(on_card(source))
    assert "--dtype bf16; more GPUs by torchrun" in on_gpu and "a GPU" not in on_gpu
    assert "--dtype" not in cost.warning(on_card(source, dtype="bf16"))


def test_a_product_of_matrices_tells_how_fast_a_device_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of a product of n x n matrices takes n multiplications and n additions."""
    monkeypatch.setattr(outlay, "PROBE_SIDE", {"cpu": 64})
    monkeypatch.setattr(outlay, "seconds_of", lambda product: 0.5 + 0 * product())
    assert outlay.matrix_speed(torch.device("cpu"), "fp32") == 4 * 64**3


@pytest.mark.parametrize("method", ["ddpm", "ddim", "dpmsolver++", "unipc"])
def test_guidance_takes_a_second_pass_where_it_acts(method: str) -> None:
    settings = SamplerSettings(method=method, steps=20)
    assert forward_passes(settings) == 20
    assert forward_passes(dataclasses.replace(settings, guidance_scale=4.0)) == 40
    within = dataclasses.replace(settings, guidance_scale=4.0, guidance_interval=(0.3, 5.0))
    assert 20 < forward_passes(within) < 40
    if method == "ddpm":
        guided = [t for t in make_schedule(20).timesteps if Guidance(4.0, (0.3, 5.0)).scale_at(int(t)) != 1]
        assert forward_passes(within) == 20 + len(guided)


def test_other_sources_have_no_cost(tmp_path: Path) -> None:
    from latte_eval.benchmarks.shapes.sources import NoiseSource

    assert cost.cost_lines(NoiseSource(4, 0), [TOY], RunFolder(tmp_path), 4, 2) == []
    assert cost.clips_stepped(NoiseSource(4, 0), 2) is None


def test_the_demo_starts_without_what_it_does_not_use(tmp_path: Path) -> None:
    """Each of these takes from a tenth of a second to two seconds to import."""
    script = (
        "import sys; from pathlib import Path\n"
        "from latte_eval.core.progress import Reporter\n"
        "from latte_eval.evaluation.pipeline import prepare\n"
        "from latte_eval.evaluation.request import Request\n"
        "prepare(Request(ckpt='demo', clips=16, out=Path(sys.argv[1])), Reporter())\n"
        "import latte_eval.metrics.detectors.inception\n"
        "unused = {'diffusers', 'transformers', 'matplotlib', 'pandas', 'torchvision', 'triton', 'sympy',"
        " 'torch._dynamo'}\n"
        "assert not unused & set(sys.modules), unused & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
