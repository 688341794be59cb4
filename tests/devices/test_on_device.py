"""The same checks on a GPU and, in miniature, on the CPU: clips, features, memory, and that no step waits.

`pytest -m gpu tests/devices` runs those of a GPU alone; without one they are skipped. `LATTE_EVAL_TEST_DEVICE=cuda:1`
chooses another, and `cpu` runs their bodies at full size on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch
from allocated import allocated_peak
from small_latte import SMALL, relative, small_latte

from latte_eval.core.arithmetic import exact_float32
from latte_eval.metrics.detectors import open_detector
from latte_eval.metrics.detectors.network import probe_clips, relative_difference
from latte_eval.sampler import IdentityCodec, SampledSource, SamplerSettings, VaeCodec, compiled, load_checkpoint
from latte_eval.sampler.diffusion import make_schedule, sample_steps
from latte_eval.sampler.guidance import Guidance, guided_denoiser
from latte_eval.sampler.latte.attention import MOST_SEQUENCES, attend
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.memory import step_memory
from latte_eval.sampler.samplers import SAMPLERS

CHECKPOINT, CHOSEN = load_checkpoint("demo"), os.environ.get("LATTE_EVAL_TEST_DEVICE")
# Levels of a pixel by which two devices may differ: rounding of a sum moves a value over the edge of one.
LEVELS = 2
# Of latents and features, over their rms: float32 sums in another order.
CLOSE = 5e-3


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """`cpu`, or the GPU."""
    if request.param == "cpu":
        return "cpu"
    if not CHOSEN and not torch.cuda.is_available():
        pytest.skip("no CUDA device that torch can use")
    return CHOSEN or "cuda:0"


def demo(device: str, **choices: object) -> SampledSource:
    """The embedded checkpoint, sampled in few steps."""
    how = {"compiled": choices.pop("compiled", None)}
    settings = SamplerSettings(**{"method": "ddim", "steps": 4, "clip_x0": True, **choices})
    return SampledSource(CHECKPOINT, CHECKPOINT.build(), IdentityCodec(), settings, 100, device, **how)


def last_state(source: SampledSource, indices: list[int]) -> torch.Tensor:
    with exact_float32():
        *_, latents = source.states(indices)
    return latents


def levels(found: torch.Tensor, expected: torch.Tensor) -> int:
    return int((found.int() - expected.int()).abs().max())


@contextmanager
def no_waiting(device: str) -> Iterator[None]:
    """PyTorch raises where the host waits for the GPU; a CPU waits for nobody."""
    if not device.startswith("cuda"):
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("guided", [1.0, 3.0])
def test_clips_are_those_of_the_cpu(device: str, guided: float) -> None:
    here, there = demo(device, guidance_scale=guided), demo("cpu", guidance_scale=guided)
    assert relative(last_state(here, [0, 7]).cpu(), last_state(there, [0, 7])) < CLOSE
    clips, expected = here.clips([0, 7]), there.clips([0, 7])
    assert (clips.pixels.device.type, clips.labels) == ("cpu", expected.labels)
    assert levels(clips.pixels, expected.pixels) <= LEVELS


def test_a_clip_is_the_same_in_every_batch(device: str) -> None:
    source = demo(device)
    together = source.clips(range(5)).pixels
    assert levels(source.clips([3, 4]).pixels, together[3:]) <= LEVELS


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_agrees_and_no_step_waits(device: str, sampler: str) -> None:
    source = demo(device, method=sampler, guidance_scale=2.0, guidance_interval=(0.3, 50.0))
    last_state(source, [0, 3])  # what a library prepares at its first call may wait
    with no_waiting(device):
        latents = last_state(source, [0, 3])
    expected = last_state(demo("cpu", method=sampler, guidance_scale=2.0, guidance_interval=(0.3, 50.0)), [0, 3])
    assert relative(latents.cpu(), expected) < CLOSE


def test_reading_a_value_waits_on_a_gpu(device: str) -> None:
    """What the test above would see."""
    waits = pytest.raises(RuntimeError, match="synchronizing") if device.startswith("cuda") else nullcontext()
    with no_waiting(device), waits:
        torch.ones(3, device=device).sum().item()


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_near_float32(device: str, dtype: str) -> None:
    found = demo(device, dtype=dtype).clips([0, 1]).pixels
    expected = demo("cpu").clips([0, 1]).pixels
    assert (found.int() - expected.int()).abs().float().mean() < {"bf16": 8, "fp16": 2}[dtype]


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_decoded_frames_are_those_of_the_cpu(device: str, dtype: str) -> None:
    precision = torch.float16 if dtype == "fp16" else torch.float32
    latents = torch.randn(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.18215
    frames = VaeCodec.seeded(device, precision).decode(latents.to(device))
    different = levels(frames.cpu(), VaeCodec.seeded().decode(latents))
    assert different <= (LEVELS if dtype == "fp32" else 12)


@pytest.mark.parametrize(("device", "name"), [
    ("cpu", "i3d-seeded"), *(pytest.param("gpu", name, marks=pytest.mark.gpu) for name in
                             ("i3d-seeded", "inception-seeded", "c3d-seeded")),
], indirect=["device"])  # fmt: skip
def test_features_are_those_of_the_cpu(device: str, name: str) -> None:
    """One network is enough on the CPU."""
    clips, reference = probe_clips(16), open_detector(name)
    detector = reference if device == "cpu" else open_detector(name, device)
    found, expected = detector(clips), reference(clips)
    for output, values in expected.items():
        assert found[output].device.type == "cpu"
        assert relative_difference(found[output], values) < CLOSE, output


def test_float32_is_exact_whatever_the_caller_allows(device: str, switch) -> None:
    """TF32 has 10 bits: its error would be a thousand times as large."""
    a, b = (torch.randn(512, 512, generator=torch.Generator().manual_seed(k)).to(device) for k in (0, 1))
    images, kernel = a.reshape(1, 16, 128, 128), b[:32, :144].reshape(32, 16, 3, 3)
    switch("high")
    switch("older matmul")
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16), exact_float32():
        product, convolved = a @ b, torch.nn.functional.conv2d(images, kernel)
    assert relative_difference(product, a.double() @ b.double()) < 1e-5
    assert relative_difference(convolved, torch.nn.functional.conv2d(images.double(), kernel.double())) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_attention_of_more_sequences_than_a_grid_has_rows(device: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, MOST_SEQUENCES + 2, 1, 2, 8, generator=generator).to(device, dtype)
    found = attend(*x)
    assert len(found) == MOST_SEQUENCES + 2
    for part in (slice(0, 3), slice(-3, None)):
        q, k, v = x[:, part].double()
        exact = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v
        assert (found[part] - exact).abs().max() < (1e-5 if dtype == torch.float32 else 3e-2)


# Large enough on a GPU that workspaces do not decide; small on the CPU.
SIZES = {
    "cpu": LatteConfig(16, 2, 4, 96, 2, 4, 4, 5),
    "gpu": LatteConfig(32, 2, 4, 384, 4, 6, 16, 101),
}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_memory_is_what_was_predicted(device: str, dtype: str) -> None:
    config, clips = SIZES["cpu" if device == "cpu" and not CHOSEN else "gpu"], 4
    predicted = step_memory(config, dtype, True)
    source = SampledSource(
        load_checkpoint("demo"), small_latte(config), IdentityCodec4(), SamplerSettings(steps=2, guidance_scale=4.0,
        dtype=dtype), 8, device,
    )  # fmt: skip
    last_state(source, list(range(clips)))
    found = allocated_peak(lambda: last_state(source, list(range(clips))), device)
    assert 0.8 * predicted.beside_weights(clips) < found < predicted.beside_weights(clips) / 0.8
    assert predicted.weights == sum(value.nbytes for value in source.model.state_dict().values())


class IdentityCodec4(IdentityCodec):
    """Latents of four channels are decoded by nobody here."""

    channels = 4


def test_the_batch_follows_from_free_memory(device: str) -> None:
    fitting = demo(device).clips_that_fit
    assert (fitting is None) == (device == "cpu")
    if fitting is not None:
        free, _ = torch.cuda.mem_get_info(device)
        assert step_memory(demo("cpu").model.config, "fp32", False, "ddim").beside_weights(fitting) <= free


def test_the_denoiser_compiles(device: str) -> None:
    model = small_latte(SMALL).to(device)
    denoiser = guided_denoiser(model, torch.tensor([0, 2]).to(device), Guidance(3.0))
    compiled = torch.compile(denoiser, fullgraph=True, backend="eager" if device == "cpu" else "inductor")
    x = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
    ends = []
    with exact_float32():
        for each in (denoiser, compiled):
            *_, (end, _) = sample_steps(each, x, make_schedule(4), torch.randn_like, sampler="ddim", clip_x0=True)
            ends.append(end.cpu())
    torch._dynamo.reset()
    assert relative(*ends) < CLOSE


def test_compiled_blocks_agree_and_no_step_waits(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cpu":
        monkeypatch.setattr(compiled.torch, "compile", partial(torch.compile, backend="eager"))
    plain, fast = (demo(device, compiled=each, method="ddpm", guidance_scale=3.0) for each in (False, True))
    last_state(fast, [0, 3])  # compiles
    with no_waiting(device):
        found = last_state(fast, [0, 3])
    assert relative(found.cpu(), last_state(plain, [0, 3]).cpu()) < CLOSE
    assert fast.compiled is not None and not fast.compiled.failed and fast.about == {"compiled": True}
    torch._dynamo.reset()


def test_noise_drawn_ahead_is_that_of_the_step(device: str) -> None:
    ahead, serial = (demo(device, method="ddpm") for _ in range(2))
    ahead.draws_ahead, serial.draws_ahead = True, False
    assert relative(last_state(ahead, [0, 3]).cpu(), last_state(serial, [0, 3]).cpu()) < CLOSE


def test_out_of_memory_is_told(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = demo(device)
    if device == "cpu":
        monkeypatch.setattr("latte_eval.sampler.sources.free_bytes", lambda device: 2**20)
        monkeypatch.setattr(source, "states", out_of_memory)
    else:
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info(device)[1]
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + 2**21) / total, device)
    try:
        with pytest.raises(torch.OutOfMemoryError) as caught:
            source.clips(range(100))
    finally:
        if device != "cpu":
            torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert "a step of " in caught.value.__notes__[0] and " are free: " in caught.value.__notes__[0]


def out_of_memory(indices: object) -> Iterator[torch.Tensor]:
    raise torch.OutOfMemoryError("CUDA out of memory")
