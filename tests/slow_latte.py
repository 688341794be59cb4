"""Latte once more, token by token in float64 with plain loops: slow, obvious, and sharing nothing with the package.

A clip is a dictionary {(frame, position): vector}. Images after the frames are frames that no temporal step sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

Tokens = dict[tuple[int, int], np.ndarray]


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def normalised(x):
    return (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-6)


class SlowLatte:
    """One clip at a time: `SlowLatte(config, state)(latents, sinusoid, label, image_labels)`.

    The sinusoid of the timestep is given: it is float32 by definition, all else is float64 here.
    """

    def __init__(self, config, state: Mapping):
        self.c = config
        self.w = {key: np.asarray(value, dtype=np.float64) for key, value in state.items()}

    def linear(self, name, x):
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"]

    def timestep_vector(self, sinusoid):
        return self.linear("t_embedder.mlp.2", silu(self.linear("t_embedder.mlp.0", sinusoid)))

    def turned(self, x, place):
        """Rotary: channels k and k + half are one complex number, multiplied by exp(i place 10000^(-k/half))."""
        half = len(x) // 2
        z = np.array([complex(x[k], x[k + half]) for k in range(half)])
        z = z * np.exp([1j * place * 10000 ** (-k / half) for k in range(half)])
        return np.concatenate([z.real, z.imag])

    def attend(self, name, sequence, heads, rotary):
        """Self-attention of a list of vectors; its place in the list is a vector's position."""
        per_head = self.c.width // self.c.heads
        inner = heads * per_head
        rows = [self.linear(f"{name}.qkv", x) for x in sequence]
        out = []
        for i in range(len(sequence)):
            heard = []
            for head in range(heads):
                part = slice(head * per_head, (head + 1) * per_head)
                q = [row[:inner][part] for row in rows]
                k = [row[inner : 2 * inner][part] for row in rows]
                v = [row[2 * inner :][part] for row in rows]
                if rotary:
                    q = [self.turned(x, place) for place, x in enumerate(q)]
                    k = [self.turned(x, place) for place, x in enumerate(k)]
                scores = np.array([math.exp(q[i] @ k[j] / math.sqrt(per_head)) for j in range(len(sequence))])
                heard.append(sum(s * x for s, x in zip(scores / scores.sum(), v, strict=True)))
            out.append(self.linear(f"{name}.proj", np.concatenate(heard)))
        return out

    def in_space(self, name, x: Tokens, heads) -> Tokens:
        out = {}
        for frame in sorted({f for f, _ in x}):
            places = [key for key in sorted(x) if key[0] == frame]
            for key, y in zip(places, self.attend(name, [x[p] for p in places], heads, False), strict=True):
                out[key] = y
        return out

    def in_time(self, name, x: Tokens, heads) -> Tokens:
        """Only the frames of the video are in the answer."""
        out, rotary = {}, self.c.temporal_position == "rotary"
        for position in sorted({p for _, p in x}):
            places = [key for key in sorted(x) if key[1] == position and key[0] < self.frames]
            for key, y in zip(places, self.attend(name, [x[p] for p in places], heads, rotary), strict=True):
                out[key] = y
        return out

    def mlp(self, name, x):
        return self.linear(f"{name}.fc2", gelu(self.linear(f"{name}.fc1", x)))

    def before(self, block, branch, x, condition):
        """What goes into attention (branch 0) or MLP (branch 1)."""
        if self.c.conditioning == "all-tokens":
            weight, bias = self.w[f"{block}.norm{branch + 1}.weight"], self.w[f"{block}.norm{branch + 1}.bias"]
            return normalised(x) * weight + bias
        shift, scale, _ = self.modulation(block, condition)[3 * branch : 3 * branch + 3]
        return normalised(x) * (1 + scale) + shift

    def gate(self, block, branch, condition):
        if self.c.conditioning == "all-tokens":
            return 1.0
        return self.modulation(block, condition)[3 * branch + 2]

    def modulation(self, block, condition):
        return np.split(self.linear(f"{block}.adaLN_modulation.1", silu(condition)), 6)

    def residual(self, block, branch, x: Tokens, conditions, inside, video_only=False) -> Tokens:
        """x + gate * inside(norm(x)); a temporal step leaves what is not video alone."""
        given = {k: self.before(block, branch, x[k], conditions[k[0]]) for k in x}
        answer = inside(given)
        kept = [k for k in x if not video_only or k[0] < self.frames]
        return x | {k: x[k] + self.gate(block, branch, conditions[k[0]]) * answer[k] for k in kept}

    def block(self, i, x: Tokens, conditions) -> Tokens:
        c, name = self.c, f"blocks.{i}"

        def mlp(y):
            return {k: self.mlp(f"{name}.mlp", v) for k, v in y.items()}

        def space(y):
            return self.in_space(f"{name}.attn", y, c.heads)

        def time(y, part="attn"):
            return self.in_time(f"{name}.{part}", y, c.heads)

        def halves(y):
            spatial = self.in_space(f"{name}.attn", y, c.heads // 2)
            temporal = self.in_time(f"{name}.temporal_attn", y, c.heads // 2)
            return {k: spatial[k] + temporal.get(k, 0) for k in spatial}

        temporal_block = {1: i % 2 == 1, 2: i >= c.depth // 2}.get(c.variant, False)
        if temporal_block:
            x = self.residual(name, 0, x, conditions, time, video_only=True)
            return self.residual(name, 1, x, conditions, mlp, video_only=True)
        x = self.residual(name, 0, x, conditions, halves if c.variant == 4 else space)
        if c.variant == 3:
            x = self.residual(name, 0, x, conditions, lambda y: time(y, "temporal_attn"), video_only=True)
        return self.residual(name, 1, x, conditions, mlp)

    def patches(self, latents) -> Tokens:
        """Patch or tube embedding, plus the position of the patch in its frame."""
        c, grid = self.c, self.c.input_size // self.c.patch
        kernel = self.w["x_embedder.proj.weight"].reshape(c.width, c.channels, c.tube, c.patch, c.patch)
        tokens = {}
        for f in range(len(latents) // c.tube):
            for row in range(grid):
                for column in range(grid):
                    tube = latents[f * c.tube : (f + 1) * c.tube, :, row * c.patch : (row + 1) * c.patch]
                    tube = tube[..., column * c.patch : (column + 1) * c.patch].transpose(1, 0, 2, 3)
                    value = np.array([(kernel[d] * tube).sum() for d in range(c.width)])
                    position = row * grid + column
                    tokens[f, position] = value + self.w["x_embedder.proj.bias"] + self.w["pos_embed"][0, position]
        return tokens

    def decode(self, x: Tokens, conditions) -> np.ndarray:
        c, grid, frames = self.c, self.c.input_size // self.c.patch, len({f for f, _ in x})
        channels = c.channels * (2 if c.learned_variance else 1)
        out = np.zeros((frames, channels, c.input_size, c.input_size))
        for (f, position), value in x.items():
            if c.conditioning == "all-tokens":
                value = normalised(value) * self.w["final_layer.norm.weight"] + self.w["final_layer.norm.bias"]
            else:
                shift, scale = np.split(self.linear("final_layer.adaLN_modulation.1", silu(conditions[f])), 2)
                value = normalised(value) * (1 + scale) + shift
            patch = self.linear("final_layer.linear", value)
            for p in range(c.patch):
                for q in range(c.patch):
                    row, column = position // grid * c.patch + p, position % grid * c.patch + q
                    first = (p * c.patch + q) * channels
                    out[f, :, row, column] = patch[first : first + channels]
        return out if c.tube == 1 else self.lengthened(out)

    def lengthened(self, x):
        """A transposed convolution over time: frame f * tube + s is kernel[..., s] applied to frame f."""
        kernel, bias = self.w["final_layer.temporal_upsample.weight"], self.w["final_layer.temporal_upsample.bias"]
        out = np.zeros((len(x) * self.c.tube, *x.shape[1:]))
        for f in range(len(x)):
            for s in range(self.c.tube):
                for o in range(x.shape[1]):
                    weighted = [kernel[i, o, s, 0, 0] * x[f, i] for i in range(x.shape[1])]
                    out[f * self.c.tube + s, o] = sum(weighted) + bias[o]
        return out

    def __call__(self, latents, sinusoid, label=None, image_labels=()):
        c = self.c
        self.frames = c.frames // c.tube
        x = self.patches(np.asarray(latents, dtype=np.float64))
        count = len({f for f, _ in x})
        t = self.timestep_vector(np.asarray(sinusoid, dtype=np.float64))
        labels = [label] * self.frames + list(image_labels)
        tables = [self.w["y_embedder.embedding_table.weight"][y] for y in labels] if label is not None else None
        conditions = [t if tables is None else t + tables[f] for f in range(count)]
        if c.conditioning == "all-tokens":
            for f in range(count):
                x[f, -2] = t
                if tables is not None:
                    x[f, -1] = tables[f]
        for i in range(c.depth):
            if i == {1: 1, 2: c.depth // 2}.get(c.variant, 0) and c.temporal_position == "absolute":
                x = {k: v + self.w["temp_embed"][0, k[0]] if k[0] < self.frames else v for k, v in x.items()}
            x = self.block(i, x, conditions)
        return self.decode({k: v for k, v in x.items() if k[1] >= 0}, conditions)
