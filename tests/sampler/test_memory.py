"""Predicted memory: what the count follows, what the allocator really did, and the batch that is chosen from it."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
from allocated import allocated_peak
from click.testing import CliRunner
from small_latte import SMALL, small_latte

from latte_eval.cli import statuses
from latte_eval.cli.inspect import inspect
from latte_eval.core.statuses import Status
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stored import StoredSource
from latte_eval.sampler import Checkpoint, IdentityCodec, SampledSource, SamplerSettings, VaeCodec
from latte_eval.sampler.cost import on_meta
from latte_eval.sampler.diffusion import make_schedule, sample_steps
from latte_eval.sampler.latte.config import LatteConfig, latte_config
from latte_eval.sampler.memory import LiveBytes, StepMemory, free_bytes, gib, loop_bytes, peak_bytes, step_memory
from latte_eval.sampler.samplers import SAMPLERS
from latte_eval.sampler.vae import frame_bytes, vae_to_config

MIB = 2**20
# Between the count and what the allocator of the CPU did; what a library allocates inside an operation is not counted.
TOLERANCE = 0.02


def test_storages_count_once_and_until_they_are_freed() -> None:
    with LiveBytes() as live:
        x = torch.zeros(MIB, dtype=torch.uint8)
        view, twice = x.view(2, -1)[1], x + x
        assert (live.now, live.peak) == (2 * MIB, 2 * MIB)
        twice.add_(1)
        del x, twice
        assert live.now == MIB, "the view keeps the first"
        del view
        assert (live.now, live.peak) == (0, 2 * MIB)


SMALLER = LatteConfig(input_size=16, patch=2, channels=4, width=192, depth=2, heads=4, frames=4, classes=5)
MEASURED = {
    "S-AdaLN, guided": (SMALLER, True),
    "variant 3": (dataclasses.replace(SMALLER, variant=3), False),
    "all tokens": (dataclasses.replace(SMALLER, conditioning="all-tokens"), False),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_count_is_what_the_allocator_gives(name: str) -> None:
    """The real network with real weights on the CPU, for three clips."""
    config, guided = MEASURED[name]
    model, labels = small_latte(config), torch.tensor([0, 1, 2])
    noise = torch.randn(3, 4, 4, 16, 16)

    def denoiser(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return model.guided_forward(x, timesteps, labels, 4.0 if guided else 1.0)

    def loop() -> None:
        for _ in sample_steps(denoiser, noise.clone(), make_schedule(2), lambda k: noise.clone()):
            pass

    loop()
    predicted = step_memory(config, "fp32", guided)
    assert predicted.beside_weights(3) == pytest.approx(allocated_peak(loop), rel=TOLERANCE)
    assert predicted.weights == sum(value.numel() * 4 for value in model.state_dict().values())


def test_the_count_of_the_decoder_is_what_the_allocator_gives() -> None:
    codec = VaeCodec.seeded()
    latents = torch.randn(1, 4, 16, 16)
    codec.vae.decode(latents)
    found = allocated_peak(lambda: codec.vae.decode(latents, return_dict=False)[0])
    assert frame_bytes(vae_to_config(codec.vae.config), 16, torch.float32) == pytest.approx(found, rel=TOLERANCE)


@pytest.mark.parametrize("changes", [{}, {"variant": 2}, {"variant": 3}, {"variant": 4}, {"tube": 2},
                                     {"conditioning": "all-tokens"}, {"temporal_position": "rotary"}])  # fmt: skip
def test_two_blocks_have_the_peak_of_all_and_clips_add_up(changes: dict[str, object]) -> None:
    config = dataclasses.replace(SMALLER, depth=8, **changes)
    model, predicted = on_meta(config).requires_grad_(False), step_memory(config, "fp32", True)
    for clips in (1, 5):
        assert predicted.beside_weights(clips) == loop_bytes(model, clips, "fp32", True)


def test_the_published_model() -> None:
    """Guidance doubles the batch; half precision halves weights and activations."""
    config = latte_config("Latte-XL/2", classes=101)
    plain, guided, full = (step_memory(config, *how) for how in (("bf16", False), ("bf16", True), ("fp32", True)))
    assert guided.clip / plain.clip == pytest.approx(2, rel=0.02) == full.clip / guided.clip
    assert (
        full.weights == 2 * guided.weights == 4 * sum(value.numel() for value in on_meta(config).state_dict().values())
    )
    # The largest moment: input, modulated input and the two hidden tensors of an MLP, 10 widths a token, twice.
    assert guided.clip / (2 * 16 * 256 * 1152 * 2) == pytest.approx(11, abs=1)


@pytest.mark.parametrize("method", SAMPLERS)
def test_samplers_differ_by_a_few_states(method: str) -> None:
    config = latte_config("Latte-S/2")
    state = 16 * 4 * 32 * 32 * 4
    assert abs(step_memory(config, "bf16", False, method).clip - step_memory(config, "bf16", False).clip) < 10 * state


def test_what_fits() -> None:
    memory = StepMemory(weights=100 * MIB, fixed=4 * MIB, clip=10 * MIB)
    assert (memory.total(3), memory.beside_weights(3)) == (134 * MIB, 34 * MIB)
    # 70 % of 149 MiB are 104.3, less 4.
    assert [memory.clips_in(free * MIB) for free in (149, 148, 3, 0)] == [10, 9, 1, 1]
    assert [gib(count) for count in (96 * MIB, 205 * MIB, 27_400 * MIB)] == ["96.0 MiB", "0.20 GiB", "26.8 GiB"]


def test_free_memory_is_that_of_the_driver_and_what_torch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * MIB, 100 * MIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50 * MIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30 * MIB)
    assert free_bytes(torch.device("cuda:0")) == 30 * MIB


def on_gpu(monkeypatch: pytest.MonkeyPatch, free: int) -> SampledSource:
    """A source that takes its device for a GPU with so much free memory."""
    monkeypatch.setattr("latte_eval.sampler.sources.free_bytes", lambda device: free)
    model, settings = small_latte(), SamplerSettings("ddim", 4, 4.0, dtype="bf16")
    checkpoint = Checkpoint("small.pt", None, "a" * 64, 1, model.state_dict(), "ema")
    source = SampledSource(checkpoint, model, IdentityCodec(), settings, 40)
    assert source.clips_that_fit is None
    source.device = torch.device("cuda:0")
    return source


def test_the_batch_of_a_gpu_is_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = step_memory(SMALL, "bf16", True, "ddim").clip
    ask, on_cuda = Request(ckpt="demo", batch_size=100, device="cuda:0"), Request(ckpt="demo", device="cuda:0")
    for free, expected in ((100 * clip, 32), (int(10.1 * clip / 0.7), 10), (clip, 1)):
        source = StoredSource(on_gpu(monkeypatch, free), ())
        assert (on_cuda.clips_at_once(source), ask.clips_at_once(source)) == (expected, 100)
    assert on_cuda.clips_at_once(SimpleNamespace()) == 32, "a source that makes nothing"
    assert Request(ckpt="demo").clips_at_once(StoredSource(SimpleNamespace(), ())) == 8


def test_out_of_memory_says_what_was_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = on_gpu(monkeypatch, 2**21)

    def full(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(source, "part_latents", full)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        source.clips(range(32))
    assert statuses.report_error(caught.value) == Status.FAILED
    needed = gib(step_memory(SMALL, "bf16", True, "ddim").beside_weights(32))
    said = capsys.readouterr().err
    assert said.startswith(f"Error: out of memory (a step of 32 clips needs {needed}, 2.0 MiB are free: ")
    assert said.endswith(" fit); use a smaller --batch-size and run the same command again to continue\n")
    assert statuses.report_error(RuntimeError("CUDA out of memory")) == Status.FAILED
    assert capsys.readouterr().err.startswith("Error: out of memory; use a smaller --batch-size")


def test_inspect_tells_the_memory() -> None:
    lines = CliRunner().invoke(inspect, ["demo"]).output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("memory"))
    found = json.loads(CliRunner().invoke(inspect, ["demo", "--json"]).output)["memory"]
    weights, clip, guided = (found["bf16"][name] for name in ("weights", "clip", "guided_clip"))
    assert (
        lines[at].split(maxsplit=1)[1]
        == f"bf16: weights {gib(weights)}, a step {gib(clip)} a clip ({gib(guided)} guided)"
    )
    assert lines[at + 1].strip().endswith("guided clips fit in 24, 40 and 80 GiB, 70% of them used")
    assert found["fp32"]["weights"] == 2 * weights and found["bf16"]["frame"] is None


def test_nothing_is_kept_by_the_count() -> None:
    kept: list[torch.Tensor] = []
    assert peak_bytes(lambda: kept.append(torch.empty(MIB, dtype=torch.uint8, device="meta"))) == MIB
