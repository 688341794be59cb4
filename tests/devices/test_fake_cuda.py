"""The GPU road on fake tensors at published size: sampling, decoding, hand-over, detectors; and faults that must fail.

All steps of a sampler are alike, and so are all blocks of one kind: few of them stand for all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_cuda import (
    CUDA,
    MODE,
    MixedTypes,
    NoWaiting,
    Waits,
    asks_for_a_driver,
    fake_gpu,
    fake_latte,
    with_fake_weights,
)
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    unset_fake_temporarily,
)

from latte_eval.core.clips import Clips
from latte_eval.files.lossy import apply_storage
from latte_eval.metrics.detectors import C3D, I3D, Detector, InceptionV3
from latte_eval.metrics.detectors.c3d import as_probabilities
from latte_eval.metrics.detectors.i3d import as_features
from latte_eval.metrics.detectors.inception import on_frames
from latte_eval.sampler import Checkpoint, SampledSource, SamplerSettings, VaeCodec
from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.memory import StepMemory
from latte_eval.sampler.vae import SD_VAE_CONFIG, quiet_autoencoder

pytestmark = pytest.mark.skipif(asks_for_a_driver(), reason="this version of torch fakes no GPU without its driver")

XL, TWO_BLOCKS = latte_config("Latte-XL/2", classes=101), latte_config("Latte-XL/2", classes=101, depth=2)
SAMPLERS = ("ddpm", "ddim", "dpmsolver++", "unipc")
GUIDED = {"none": (1.0, None), "guided": (4.0, None), "interval": (4.0, (0.3, 5.0))}
GIB = 2**30
# What a batch hands to the host, in this order: are its latents and its frames finite, and its pixels.
HANDED_OVER = ["bool of cuda", "bool of cuda", "uint8 of cuda"]


def fake_source(settings: SamplerSettings, config: Any = TWO_BLOCKS) -> SampledSource:
    """A checkpoint of published width with the published VAE; inside `fake_gpu`."""
    precision = torch.float16 if settings.dtype == "fp16" else torch.float32
    with unset_fake_temporarily(), torch.device("meta"):
        vae = quiet_autoencoder()(**SD_VAE_CONFIG)
    codec = VaeCodec(with_fake_weights(vae, precision), "vae", None, CUDA, precision)
    model, checkpoint = fake_latte(config, settings.dtype), Checkpoint("x.pt", Path("x.pt"), "0" * 64, 1, {}, "ema")
    return SampledSource(checkpoint, model, codec, settings, 8, CUDA)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("guided", GUIDED)
def test_no_step_waits_for_the_gpu_or_mixes_types(monkeypatch, sampler, dtype, guided):
    scale, interval = GUIDED[guided]
    settings = SamplerSettings(sampler, 3, scale, dtype=dtype, guidance_interval=interval)
    with fake_gpu(monkeypatch) as waits:
        states = list(fake_source(settings).states([0, 3]))
    assert [(x.shape, x.dtype, str(x.device)) for x in states] == [((2, 16, 4, 32, 32), torch.float32, CUDA)] * 3
    assert waits == []


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_blocks_of_the_largest_model(monkeypatch, sampler):
    with fake_gpu(monkeypatch) as waits:
        states = list(fake_source(SamplerSettings(sampler, 2, 4.0, dtype="bf16"), XL).states([0]))
    assert states[-1].device.type == "cuda" and waits == []


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_frames_come_to_the_host_once_a_batch(monkeypatch, dtype):
    with fake_gpu(monkeypatch) as waits:
        clips = fake_source(SamplerSettings("ddim", 2, dtype=dtype)).clips([0, 1, 5])
    assert (clips.pixels.shape, clips.pixels.device.type) == ((3, 16, 3, 256, 256), "cpu")
    assert waits == HANDED_OVER
    # Storage works on values: the same hand-over with real pixels.
    stored = apply_storage(Clips(torch.zeros(clips.pixels.shape, dtype=torch.uint8), clips.indices), ["jpeg75"])
    assert stored.to_detector().shape == (3, 3, 16, 256, 256)


def test_little_memory_means_few_frames_at_once(monkeypatch):
    found = {}
    for free in (2**34, 2**30):
        with fake_gpu(monkeypatch, free):
            codec = fake_source(SamplerSettings("ddim", 2)).codec
            found[free] = codec.frames_at_once(torch.empty(64, 4, 32, 32, device=CUDA))
    assert 1 <= found[2**30] < found[2**34] <= 64


def test_decoding_leaves_room_for_the_step_that_is_sampled_meanwhile(monkeypatch):
    monkeypatch.setattr("latte_eval.sampler.sources.free_bytes", lambda device: 16 * GIB)
    monkeypatch.setattr(SampledSource, "memory", property(lambda source: StepMemory(GIB, GIB, GIB)))
    asked = []
    with fake_gpu(monkeypatch, free=0):
        source = fake_source(SamplerSettings("ddim", 2))
        at_once = source.codec.frames_at_once
        source.codec.frames_at_once = lambda frames, room: asked.append(room) or at_once(frames, room)
        sample, decode = source.clip_stages()
        batch = decode.work([0, 1], torch.empty(2, 16, 4, 32, 32, device=CUDA), None)
        fewer = at_once(torch.empty(64, 4, 32, 32, device=CUDA), GIB)
    assert (sample.cuda, decode.cuda, sample.beside, decode.beside) == (CUDA, CUDA, True, True)
    # 16 GiB less 1 and 2 times 1, in halves.
    assert asked == [int(6.5 * GIB)] and len(batch.clips) == 2 and 1 < fewer < 32


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], dict[str, tuple[int, ...]]]] = {
    "i3d": (I3D, as_features, {"features": (2, 400)}),
    "inception": (InceptionV3, lambda network: on_frames(network.outputs),
                  {"features": (2, 16, 2048), "probabilities": (2, 16, 1008)}),
    "c3d": (C3D, as_probabilities, {"probabilities": (2, 101)}),
}  # fmt: skip


def fake_detector(name: str) -> Detector:
    """A detector whose network has no weights; inside `fake_gpu`."""
    made, forward, _ = NETWORKS[name]
    with unset_fake_temporarily():
        network = made()
    return Detector(name, forward(with_fake_weights(network)), None, "0" * 64, CUDA)


@pytest.mark.parametrize("name", NETWORKS)
def test_detectors_wait_for_their_outputs_alone(monkeypatch, name):
    with fake_gpu(monkeypatch):
        detector = fake_detector(name)
        outputs = detector.forward(torch.empty(2, 3, 16, 256, 256, dtype=torch.uint8, device=CUDA))
        assert {each.device.type for each in outputs.values()} == {"cuda"}
    with MODE:
        outputs = detector(torch.empty(2, 3, 16, 256, 256, dtype=torch.uint8))
    assert {key: value.shape for key, value in outputs.items()} == NETWORKS[name][2]
    assert {(value.device.type, value.dtype) for value in outputs.values()} == {("cpu", torch.float32)}


def left_on_the_cpu(source: SampledSource) -> None:
    layer = source.model.blocks[0].mlp.fc1
    layer.bias = torch.nn.Parameter(torch.empty(layer.bias.shape, dtype=layer.bias.dtype), False)


def of_another_type(source: SampledSource) -> None:
    layer = source.model.final_layer.linear
    layer.weight = torch.nn.Parameter(torch.empty(layer.weight.shape, device=CUDA), False)


def scaled_in_float32(source: SampledSource) -> None:
    source.model.pos_embed = torch.nn.Parameter(torch.empty(source.model.pos_embed.shape, device=CUDA), False)


def in_a_block(fault: Callable[[torch.Tensor], Any]) -> Callable[[SampledSource], None]:
    def spoil(source: SampledSource) -> None:
        source.model.blocks[1].register_forward_hook(lambda block, given, out: [fault(out), out][1])

    return spoil


FAULTS: dict[str, tuple[Callable[[SampledSource], None], type[Exception], str]] = {
    "a bias on the CPU": (left_on_the_cpu, RuntimeError, "device"),
    "a float32 weight": (of_another_type, RuntimeError, "dtype|takes torch.bfloat16 and torch.float32"),
    "a float32 table": (scaled_in_float32, MixedTypes, "takes torch.bfloat16 and torch.float32"),
    "item": (in_a_block(lambda x: x.mean().item()), DataDependentOutputException, "_local_scalar_dense"),
    "if": (in_a_block(lambda x: 1 if x.isnan().any() else 0), DataDependentOutputException, "_local_scalar_dense"),
    "cpu": (in_a_block(lambda x: x.cpu()), Waits, "from cuda to cpu"),
    "copy_": (in_a_block(lambda x: torch.empty(x.shape, dtype=x.dtype).copy_(x)), Waits, "from cuda to cpu"),
    "a boolean index": (in_a_block(lambda x: x[x > 0]), DynamicOutputShapeException, "nonzero|index"),
    "nonzero": (in_a_block(lambda x: x.nonzero()), DynamicOutputShapeException, "nonzero"),
    "a copy to the GPU": (in_a_block(lambda x: torch.ones(3).to(CUDA)), Waits, "from cpu to cuda"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_every_kind_fails(monkeypatch, fault):
    spoil, error, message = FAULTS[fault]
    with fake_gpu(monkeypatch):
        source = fake_source(SamplerSettings("ddim", 2, 4.0, dtype="bf16"))
        assert list(source.states([0]))
        spoil(source)
        with pytest.raises(error, match=message):
            list(source.states([0]))


def test_pixels_that_wait_clip_by_clip_fail(monkeypatch):
    """The hand-over itself is watched: a second way to the host is not open."""
    with fake_gpu(monkeypatch):
        source = fake_source(SamplerSettings("ddim", 2))
        monkeypatch.setattr("latte_eval.sampler.sources.to_host", lambda x: x.cpu())
        with pytest.raises(Waits, match="from cuda to cpu"):
            source.clips([0])


def test_a_copy_that_does_not_wait_is_let_through():
    with MODE, NoWaiting():
        assert torch.ones(3).to(CUDA, non_blocking=True).device.type == "cuda"
