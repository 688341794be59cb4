"""Sampling a part of a clip: the rest is given, clean, at every step.

The model sees the given latents where the mask is 0 and the state of the diffusion where it is 1; nothing tells it
which is which. It answers for the whole clip, and the whole state is stepped with it, but at the given positions nobody
reads the state. In the end the given latents take their place. (RERV/VDT@cdbad2b; in RePaint conditions are noised.)

The older scheme of VDT puts S given frames before the noisy ones and keeps what the model says of these: it is the same
as a mask under which the first S frames are given, and `first_frames_given` makes that mask.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latte_eval.core.errors import SamplerError
from latte_eval.sampler.diffusion import Denoiser, Schedule, sample_steps
from latte_eval.sampler.guidance import on_device

if TYPE_CHECKING:
    from torch.nn import Module


def sample_masked(
    model: Module,
    noise: Tensor,
    given: Tensor,
    mask: Tensor,
    schedule: Schedule,
    step_noise: Callable[[int], Tensor],
    *,
    sampler: str = "ddpm",
    eta: float = 0.0,
    clip_x0: bool = False,
) -> tuple[Tensor, Tensor]:
    """Generate the masked part of clips.

    Args:
        model: `(latents [N, T, C, H, W], timesteps [N]) -> [N, T, 2C, H, W]`, such as a `VDT`.
        noise: where the state starts, [N, T, C, H, W] float32.
        given: clean latents, shaped like noise; what stands at the generated positions is not looked at.
        mask: [N, T, H, W] of 0 and 1, 1 = generate, for all channels of a position.
        schedule, step_noise, sampler, eta, clip_x0: as in `sample_steps`.

    Returns:
        The last state, and the composite: the state where it is generated, the given latents, bit for bit, elsewhere.

    Raises:
        SamplerError: sizes that do not fit each other, a mask of other values or with nothing to generate, given
            latents that are NaN or infinite.
    """
    check_condition(noise, given, mask)
    given, mask = given.to(noise), mask.to(noise.device).bool()
    dtype = next(model.parameters()).dtype
    denoiser = masked_denoiser(lambda x, t: model(x.to(dtype), on_device(t, x)), given, mask)
    state = noise
    for state, _ in sample_steps(denoiser, noise, schedule, step_noise, sampler=sampler, eta=eta, clip_x0=clip_x0):  # noqa: B007
        pass
    return state, composite(state, given, mask)


def masked_denoiser(denoiser: Denoiser, given: Tensor, mask: Tensor) -> Denoiser:
    """A denoiser that sees the given latents where the mask is False. # [N, T, C, H, W], [N, T, H, W] bool"""
    return lambda x, timesteps: denoiser(composite(x, given, mask), timesteps)


def composite(x: Tensor, given: Tensor, mask: Tensor) -> Tensor:  # [N, T, C, H, W] twice, [N, T, H, W] bool -> like x
    """x where the mask is True, the given latents elsewhere: chosen, not multiplied, so that they keep their bits."""
    return torch.where(mask.unsqueeze(2), x, given)


def first_frames_given(first: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Given latents and mask of clips whose first S frames are given.

    # [N, S, C, H, W] -> [N, frames, C, H, W], [N, frames, H, W] bool

    Raises `SamplerError` where no frame is left to generate.
    """
    n, known, c, h, w = first.shape
    if known >= frames:
        raise SamplerError(f"{known} frames are given of clips of {frames}: nothing is left to generate")
    given = torch.cat([first, first.new_zeros(n, frames - known, c, h, w)], dim=1)
    mask = (torch.arange(frames, device=first.device) >= known)[None, :, None, None].expand(n, -1, h, w)
    return given, mask


def check_condition(noise: Tensor, given: Tensor, mask: Tensor) -> None:
    """Raise `SamplerError` for given latents or a mask that do not go with these clips."""
    if noise.ndim != 5 or given.shape != noise.shape:
        raise SamplerError(
            f"given latents are {tuple(given.shape)}, the noise is {tuple(noise.shape)}; both must be (N, T, C, H, W)"
        )
    n, t, _, h, w = noise.shape
    if mask.shape != (n, t, h, w):
        raise SamplerError(
            f"the mask is {tuple(mask.shape)}, these clips need {(n, t, h, w)}: clips, frames, height, width"
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise SamplerError("the mask has other values than 0 (given) and 1 (generate)")
    generate = mask.bool()
    check_something_to_generate(generate)
    lost = (~torch.isfinite(given) & ~generate.to(given.device).unsqueeze(2)).flatten(1).any(1)
    if lost.any():
        raise SamplerError(f"given latents of clip {int(lost.nonzero()[0])} of the batch are NaN or infinite")


def check_something_to_generate(mask: Tensor) -> None:  # [N, T, H, W] bool
    """Raise `SamplerError` for a clip that is given whole: it would count as a generated one."""
    whole = ~mask.flatten(1).any(1)
    if whole.any():
        raise SamplerError(
            f"the mask of clip {int(whole.nonzero()[0])} of the batch has nothing to generate: all of it is given"
        )


def sample_longer(
    model: Module,
    first: Tensor,
    length: int,
    noise: Callable[[int], Tensor],
    schedule: Schedule,
    step_noise: Callable[[int, int], Tensor],
    **options: Any,
) -> Tensor:
    """Predict further than one clip reaches: blocks of T - S new frames, each given the last S frames before it.

    # [N, S, C, H, W] -> [N, length, C, H, W], the given frames among them

    Args:
        noise: block -> where its state starts, [N, T, C, H, W].
        step_noise: (block, step) -> noise of a step.
        options: `sampler`, `eta` and `clip_x0` of `sample_masked`.

    Raises:
        SamplerError: as many given frames as a clip has, or what `sample_masked` raises.
    """
    made, known, block = first, first.shape[1], 0
    while made.shape[1] < length:
        start = noise(block)
        given, mask = first_frames_given(made[:, -known:], start.shape[1])
        _, whole = sample_masked(model, start, given, mask, schedule, partial(step_noise, block), **options)
        made, block = torch.cat([made, whole[:, known:]], dim=1), block + 1
    return made[:, :length]
