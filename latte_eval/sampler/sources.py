"""`SampledSource`: a checkpoint as a source of clips.

Clip i is a function of (seed, i) alone. Its generator gives, in this order, a number that chooses its class, its
initial noise, and the noise of every step; they are drawn on the CPU, so they are the same for every device.

Rounding in matrix products depends on how many rows they have, so two batch sizes differ in the last bits of the
latents, and now and then in one value of a pixel. On the CPU the model therefore always runs on the same number of
clips, whatever is asked for: there a clip has the same bits in every batch and for every number of threads. Bits may
differ between devices, types of processor, versions of torch, and batch sizes on a GPU, where the whole batch runs at
once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.clips import Clips, Rejected
from latte_eval.core.errors import ClipError, SamplerError
from latte_eval.core.notices import notice
from latte_eval.core.seeding import clip_generator, numpy_generator
from latte_eval.core.stages import Batch, Stage
from latte_eval.core.stops import check_stop
from latte_eval.sampler.checkpoint import Checkpoint
from latte_eval.sampler.compiled import CompiledBlocks, Say, compiling_pays
from latte_eval.sampler.diffusion import DTYPES, Denoiser, make_schedule, sample_steps
from latte_eval.sampler.guidance import guided_denoiser
from latte_eval.sampler.memory import StepMemory, free_bytes, gib, step_memory
from latte_eval.sampler.model import RunBlock, VideoModel, run_block
from latte_eval.sampler.noise import drawn_ahead
from latte_eval.sampler.settings import SamplerSettings
from latte_eval.sampler.vae import Codec, FramesNotFinite, codec_record, decode_in, to_host

# Counts up when a change here changes the clips.
CODE_VERSION = 1

# On the CPU the model runs on as many clips as hold this many tokens, at most 4. Larger batches gain nothing.
CPU_TOKENS, CPU_CLIPS = 1024, 4

OnStep = Callable[[int, int], None]


class SampledSource:
    """Clips of a checkpoint; implements `latte_eval.core.clips.ClipSource`.

    Args:
        checkpoint: where the model came from.
        model: moved to `device` and to the type that `settings` names.
        codec: makes frames from latents.
        count: clips 0..count-1 exist.
        on_step: called with (steps done, steps in all) of the batch that is being sampled.
        compiled: whether `torch.compile` is used; None is on a GPU alone, where clips are many enough to pay for it.
        say: takes sentences for a person; without it they are notices.

    Raises:
        SamplerError: settings that the model cannot serve.
    """

    # How often the model makes a clip of its own length for one clip.
    blocks = 1

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: VideoModel,
        codec: Codec,
        settings: SamplerSettings,
        count: int,
        device: str = "cpu",
        on_step: OnStep | None = None,
        compiled: bool | None = None,
        say: Say = notice,
    ):
        settings.check_model(model.config)
        self.checkpoint, self.codec, self.settings, self.count = checkpoint, codec, settings, count
        self.device, self.on_step = torch.device(device), on_step
        self.model = model.to(self.device, DTYPES[settings.dtype]).eval()
        self.schedule = make_schedule(settings.steps)
        self.compiled = CompiledBlocks(say) if self.compiles(compiled) else None
        self.draws_ahead = self.device.type == "cuda"
        if self.device.type == "cuda":
            self.tabulate()

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @property
    def record(self) -> dict[str, object]:
        """Everything that changes a clip, in JSON types."""
        config = vars(self.model.config)
        # A field that came later is left out at its first value: features that were made before keep their names.
        model = {f"model {key}": value for key, value in config.items() if (key, value) != ("null_row", True)}
        return {
            "checkpoint": self.checkpoint.sha256,
            "weights": self.checkpoint.weights,
            **model,
            **json.loads(json.dumps(vars(self.settings))),
            **{key.replace("_", " "): value for key, value in codec_record(self.codec).items()},
            "sampler version": CODE_VERSION,
        }

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()

    @property
    def about(self) -> dict[str, object]:
        """What a result says beside name and fingerprint: that blocks were compiled, which moves the last bits."""
        return {"compiled": True} if self.compiled and self.compiled.known else {}

    @property
    def rejected(self) -> Sequence[Rejected]:
        """Nothing: a checkpoint gives every clip or fails."""
        return ()

    def __len__(self) -> int:
        return self.count

    def groups(self, indices: Sequence[int]) -> list[str]:
        """Clips are drawn independently: one group each."""
        return [f"clip-{index:06d}" for index in indices]

    def clips(self, indices: Sequence[int]) -> Clips:
        """Sample exactly these clips, whatever the caller has set of TF32 and autocast.

        Raises `SamplerError` for one that does not exist, `ClipError` for latents or pixels that are NaN or infinite.
        """
        return self.latents_to_clips(self.latents(indices), indices)

    def clip_stages(self) -> tuple[Stage, ...]:
        """Sampling, then decoding: beside each other on a CUDA device; on a CPU they would share its cores anyway."""
        cuda = str(self.device) if self.device.type == "cuda" else None
        free, beside = free_bytes(self.device) if cuda else None, cuda is not None
        sample = Stage(lambda indices, given, workers: self.latents(indices), beside, cuda=cuda)
        return sample, Stage(lambda indices, latents, workers: self.decoded(latents, indices, free), beside, cuda=cuda)

    def decoded(self, latents: Tensor, indices: Sequence[int], free: int | None) -> Batch:
        """As `latents_to_clips`, in half of what a step of as many clips leaves of the memory that was free before."""
        room = None if free is None else max(0, free - self.memory.beside_weights(len(indices))) // 2
        return Batch(self.latents_to_clips(latents, indices, room))

    @exact_float32()
    def latents(self, indices: Sequence[int]) -> Tensor:  # -> [N, T, C, H, W] float32
        """The sampled latents of exactly these clips, on the device of the model. Raises as `clips`."""
        for index in indices:
            if not 0 <= index < self.count:
                raise SamplerError(f"clip {index} is outside 0..{self.count - 1}")
        if not indices:
            return torch.zeros(0, self.clip_frames, *self.latent_shape[1:])
        parts = self.parts(indices)
        try:
            sampled = [self.part_latents(part, i, len(parts)) for i, part in enumerate(parts)]
        except torch.OutOfMemoryError as error:
            error.add_note(self.memory_note(len(parts[0])))
            raise
        latents = torch.cat(sampled)[: len(indices)]
        self.check_finite(latents, indices)
        return latents

    @exact_float32()
    def latents_to_clips(
        self, latents: Tensor, indices: Sequence[int], room: int | None = None
    ) -> Clips:  # [N, T, C, H, W] float32
        """The frames of the latents of these clips, decoded in so many bytes of a GPU, or as the codec chooses.

        Raises `ClipError` for pixels that are NaN or infinite.
        """
        if not indices:
            side = self.latent_shape[2]
            return Clips(torch.zeros(0, self.clip_frames, 3, *[side * self.codec.factor] * 2, dtype=torch.uint8), ())
        try:
            pixels = to_host(decode_in(room, self.codec, latents))
        except FramesNotFinite as error:
            raise ClipError(
                f"clip {indices[error.position]} came out of the codec {self.codec.name} as NaN or infinite, "
                f"decoded in {error.dtype}{self.dtype_hint}"
            ) from error
        return Clips(pixels, tuple(indices), self.labels(indices))

    def parts(self, indices: Sequence[int]) -> list[list[int]]:
        """The clips of each batch; on the CPU always `clips_at_once`, filled up with copies of the last clip."""
        size = len(indices) if self.device.type == "cuda" else self.clips_at_once
        parts = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
        parts[-1] += parts[-1][-1:] * (size - len(parts[-1]))
        return parts

    @property
    def clips_at_once(self) -> int:
        """Clips that the model takes at once on the CPU."""
        config = self.model.config
        return max(1, min(CPU_CLIPS, CPU_TOKENS // (config.tokens * config.tubes)))

    @property
    def least_clips(self) -> int:
        """Fewer clips take as much time as so many."""
        return 1 if self.device.type == "cuda" else self.clips_at_once

    @property
    def clips_that_fit(self) -> int | None:
        """Clips whose steps fit into the free memory of the GPU; None on another device."""
        return self.memory.clips_in(free_bytes(self.device)) if self.device.type == "cuda" else None

    @property
    def memory(self) -> StepMemory:
        """What a step needs, by the count of `sampler/memory.py`."""
        s = self.settings
        return step_memory(self.model.config, s.dtype, s.guidance_scale != 1, s.method)

    def memory_note(self, clips: int) -> str:
        """How much a batch needs beside the weights, and how much is free."""
        needed, there = gib(self.memory.beside_weights(clips)), free_bytes(self.device)
        return f"a step of {clips} clips needs {needed}, {gib(there)} are free: {self.memory.clips_in(there)} fit"

    def compiles(self, asked: bool | None) -> bool:
        """Whether blocks are compiled: as asked, else where it pays."""
        s = self.settings
        if asked is None and self.device.type == "cuda":
            return compiling_pays(self.model.config, s.steps, s.guidance_scale != 1, self.count)
        return bool(asked)

    @exact_float32()
    def tabulate(self) -> None:
        """Embed all timesteps once. On the CPU each step embeds its own, which gives the same bits in every version."""
        self.model.tabulate()

    def part_latents(self, indices: Sequence[int], part: int, parts: int) -> Tensor:  # -> [N, T, C, H, W] float32
        steps, latents = self.settings.steps, torch.empty(0)
        for done, latents in enumerate(self.states(indices), start=1):  # noqa: B007
            check_stop()
            if self.compiled and done == 1:
                self.compiled.tell()
            if self.on_step:
                self.on_step(part * steps + done, parts * steps)
        return latents

    def states(self, indices: Sequence[int]) -> Iterator[Tensor]:  # each [N, T, C, H, W] float32
        """The latents of these clips after every step; the last are the sampled ones."""
        generators = [self.generator(index)[0] for index in indices]
        labels, s = self.labels(indices), self.settings
        self.model.run_block = self.block_runner(len(indices))
        on_device = None if labels is None else torch.tensor(labels).to(self.device, non_blocking=True)
        denoiser = guided_denoiser(self.model, on_device, s.guidance)
        states = sample_steps(
            self.conditioned(lambda x, timesteps: denoiser(x.to(DTYPES[s.dtype]), timesteps), indices),
            self.on_device(self.noise(generators)),
            self.schedule,
            self.step_noise(generators),
            sampler=s.method,
            eta=s.eta,
            clip_x0=s.clip_x0,
        )
        return (x for x, _ in states)

    def conditioned(self, denoiser: Denoiser, indices: Sequence[int]) -> Denoiser:
        """The denoiser of these clips, as it is: nothing of them is given."""
        return denoiser

    def generator(self, index: int) -> tuple[Generator, float]:
        """The generator of a clip, and the number in 0..1 that it gave first, which chooses the class."""
        generator = clip_generator(self.settings.seed, index)
        return generator, float(torch.rand((), generator=generator, dtype=torch.float64))

    def block_runner(self, clips: int) -> RunBlock:
        """How the blocks of a batch of so many clips are run."""
        return self.compiled if self.compiled and self.compiled.serves(clips) else run_block

    def step_noise(self, generators: Sequence[Generator]) -> Callable[[int], Tensor]:
        """The noise of step after step; for a GPU it is drawn ahead."""
        if not self.draws_ahead:
            return lambda step: self.on_device(self.noise(generators))
        draws = drawn_ahead(lambda: self.noise(generators))
        return lambda step: self.on_device(next(draws))

    def noise(self, generators: Sequence[Generator]) -> Tensor:  # -> [N, T, C, H, W] float32, on the CPU
        noise = torch.stack([torch.randn(self.latent_shape, generator=generator) for generator in generators])
        # From pinned memory the copy does not wait for the step before.
        return noise.pin_memory() if self.device.type == "cuda" else noise

    def on_device(self, noise: Tensor) -> Tensor:
        return noise.to(self.device, non_blocking=True)

    @property
    def clip_frames(self) -> int:
        """Frames of a clip."""
        return self.model.config.frames

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width of one clip's latents."""
        c = self.model.config
        return c.frames, c.channels, c.input_size, c.input_size

    def labels(self, indices: Sequence[int]) -> tuple[int, ...] | None:
        """The class of every clip; None for an unconditional checkpoint."""
        if self.model.config.classes is None:
            return None
        return tuple(self.label(index, self.model.config.classes) for index in indices)

    def label(self, index: int, classes: int) -> int:
        """The class of one clip."""
        s = self.settings
        if s.label_mode == "balanced":
            order = numpy_generator("labels", s.seed, index // classes).permutation(classes)
            return int(order[index % classes])
        return choose(self.generator(index)[1], s.label_frequencies or (1.0,) * classes)

    def check_finite(self, latents: Tensor, indices: Sequence[int]) -> None:
        finite = to_host(torch.isfinite(latents).flatten(1).all(1)).tolist()
        if not all(finite):
            index, dtype = indices[finite.index(False)], self.settings.dtype
            raise ClipError(f"clip {index} came out as NaN or infinite, sampled in {dtype}{self.dtype_hint}")

    @property
    def dtype_hint(self) -> str:
        """What to type where numbers may have been too large for the dtype."""
        return "" if self.settings.dtype == "fp32" else "; try --dtype fp32"


def choose(chance: float, frequencies: Sequence[float]) -> int:
    """The class that a number in 0..1 falls on, where every class has its share of 0..1."""
    target, passed = chance * sum(frequencies), 0.0
    for label, share in enumerate(frequencies):
        passed += share
        if target < passed:
            return label
    return max(label for label, share in enumerate(frequencies) if share)
