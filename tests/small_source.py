"""A small checkpoint as a source of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_latte import small_latte

from latte_eval.sampler import Checkpoint, IdentityCodec, Latte, SampledSource, SamplerSettings

FAST = SamplerSettings(method="ddim", steps=4, clip_x0=True)


def checkpoint(model: Latte, sha256: str = "a" * 64) -> Checkpoint:
    return Checkpoint("small.pt", Path("small.pt"), sha256, 1, model.state_dict(), "ema")


def source(
    settings: SamplerSettings = FAST, count: int = 40, model: Latte | None = None, codec: Any = None, **options: Any
) -> SampledSource:
    model = model or small_latte()
    return SampledSource(checkpoint(model), model, codec or IdentityCodec(), settings, count, **options)
