"""What the native networks share: seeded weights, batch-norm folding, fixed batches."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from latte_eval.core.seeding import numpy_generator, words_to_normal

Outputs = dict[str, Tensor]

# Values that are made at once: few enough for the processor's cache.
CHUNK = 1 << 16


def seeded_normal(shape: Sequence[int], *identity: object) -> Tensor:  # -> shape, float32, mean 0, variance 1
    """Approximately normal values that are a function of `identity` alone."""
    stream, count = numpy_generator(*identity).bit_generator, math.prod(shape)
    values = np.empty(count, np.float32)
    for start in range(0, count, CHUNK):
        words = stream.random_raw(min(CHUNK, count - start))
        values[start : start + len(words)] = words_to_normal(words)
    return torch.from_numpy(values).reshape(tuple(shape))


def he_scaled(shape: Sequence[int], *identity: object) -> Tensor:  # -> shape, float32
    """Weights [out, in, ...] of variance 2 / fan-in, which keep activations at their scale through ReLU layers."""
    return seeded_normal(shape, *identity).mul_(math.sqrt(2 / math.prod(shape[1:])))


def centred_he_scaled(shape: Sequence[int], *identity: object) -> Tensor:  # -> shape, float32
    """As `he_scaled`, each output's weights summing to zero, rescaled for what is left of a rectified normal input.

    Plain random ReLU layers map every input to nearly the same point; without the common part inputs stay apart
    (scaled weight standardisation, Brock et al. 2021). In float64, so that the order of summation leaves no trace.
    """
    weight = he_scaled(shape, *identity).flatten(1).double()
    centred = (weight - weight.mean(1, keepdim=True)) / math.sqrt(1 - 1 / math.pi)
    return centred.float().reshape(tuple(shape))


def in_fixed_batches(network: Callable[[Tensor], Outputs], inputs: Tensor, size: int) -> Outputs:
    """The outputs for `inputs` [N, ...], computed `size` rows at a time, the last batch filled up with zeros.

    Convolution kernels are chosen by the shape of the batch, so a fixed shape makes row i depend on input i alone.
    """
    parts = []
    for batch in inputs.split(size):
        filling = batch.new_zeros(size - len(batch), *batch.shape[1:])
        outputs = network(torch.cat([batch, filling]))
        parts.append({name: value[: len(batch)] for name, value in outputs.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def rows_at_once(device: torch.device | str, on_cpu: int, on_gpu: int) -> int:
    """The fixed size of batches on a device."""
    return on_cpu if torch.device(device).type == "cpu" else on_gpu


def recipe_sha256(recipe: str, seed: int, shapes: Mapping[str, Sequence[int]]) -> str:
    """Hash of all that seeded weights depend on: the name of the recipe, the seed, the tensors' names and shapes."""
    text = json.dumps([recipe, seed, {name: list(shape) for name, shape in shapes.items()}])
    return hashlib.sha256(text.encode()).hexdigest()


def fold_batch_norm(
    weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that does convolution and batch-norm; computed in float64."""
    scale = gamma.double() / torch.sqrt(var.double() + eps)
    folded = weight.double().mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return folded.float(), (beta.double() - mean.double() * scale).float()


def probe_clips(frames: int, height: int = 48, width: int = 64) -> Tensor:  # -> [1, 3, frames, height, width] uint8
    """A clip of seeded noise on which two versions of a network are compared."""
    count = 3 * frames * height * width
    words = numpy_generator("probe").bit_generator.random_raw(count)
    return torch.from_numpy((words >> np.uint64(56)).astype(np.uint8)).reshape(1, 3, frames, height, width)


def relative_difference(values: Tensor, reference: Tensor) -> float:
    """Largest absolute difference over the root mean square of the reference."""
    values, reference = values.cpu().double(), reference.cpu().double()
    return float((values - reference).abs().max() / reference.square().mean().sqrt())
