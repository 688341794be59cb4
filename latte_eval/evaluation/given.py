"""From a request to what of the fake clips is given, and to the real clips that it is taken from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from latte_eval.core.errors import UsageError
from latte_eval.evaluation.stats import StatsSource
from latte_eval.evaluation.stored import StoredSource

if TYPE_CHECKING:
    from latte_eval.core.protocol import Protocol
    from latte_eval.evaluation.opened_model import OpenedModel
    from latte_eval.evaluation.request import Request
    from latte_eval.evaluation.side import Side
    from latte_eval.sampler.model import ModelConfig
    from latte_eval.sampler.tasks import TaskSettings


def request_to_task(request: Request, config: ModelConfig) -> TaskSettings:
    """What of the clips is given. Raises `SamplerError` or `UsageError` for what the model cannot be given."""
    from latte_eval.sampler.tasks import TaskSettings, check_takes_tasks

    how = request.mask_rule, request.cond, request.given_pixels, request.given_latents
    task = TaskSettings(request.task, request.given, request.mask, *how)
    if task.conditional:
        check_takes_tasks(config)
        task.masks(config, request.seed)
    return task


def with_conditions(opened: OpenedModel, real: Side | None) -> OpenedModel:
    """The model, given parts of the real clips. Raises `UsageError` where the real side has no clips to show."""
    from latte_eval.sampler.masked_source import Conditions

    if opened.task is None or not opened.task.conditional:
        return opened
    if real is None or isinstance(real.source, StatsSource):
        have = "there is none" if real is None else "statistics hold features, not clips"
        raise UsageError(f"clips are given a part of real ones, and {have}; give --real FOLDER")
    # Frames that are not counted (`skip_frames`) are given all the same.
    source = dataclasses.replace(real.source, skipped=0) if isinstance(real.source, StoredSource) else real.source
    conditions = Conditions(source, opened.task.masks(opened.model.config, opened.settings.seed, opened.longer))
    return dataclasses.replace(opened, conditions=conditions)


def counted_sides(opened: OpenedModel, protocol: Protocol, real: Side | None, fake: Side) -> tuple[Side | None, Side]:
    """Both sides, without the frames that are given whole where the protocol counts generated ones alone.

    Raises `SamplerError` where these are not the same frames of every clip.
    """
    if protocol.counted == "all" or opened.conditions is None:
        return real, fake
    assert real is not None  # parts are given of its clips
    kept = opened.conditions.masks.generated_frames()
    return only_frames(real, kept), only_frames(fake, kept)


def only_frames(side: Side, kept: tuple[int, ...]) -> Side:
    """The side with these frames of every clip."""
    assert isinstance(side.source, StoredSource)  # `with_conditions` refuses statistics
    return dataclasses.replace(
        side, source=dataclasses.replace(side.source, kept=kept), honours=side.honours | {"counted"}
    )
