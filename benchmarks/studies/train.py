"""Train a small Latte or VDT on the `shapes` benchmark; this is how the shipped demo checkpoints are made.

    python -m latte_eval.benchmarks.studies.train --out DIR
    python -m latte_eval.benchmarks.studies.train --model vdt --steps 13000 --batch-size 8 --keep 7000 --out A
    python -m latte_eval.benchmarks.studies.train --model vdt --init A/0007000.pt --steps 1000 --batch-size 8 \\
        --learning-rate 5e-4 --seed 1 --out B

The objective is Latte's: mean squared error of the noise, plus the variational bound for the learned-range
variance alone (Nichol and Dhariwal 2021), AdamW, and an exponential moving average of the weights. One thing
differs: the noise error is weighted by 1/abar, at most 25, as in a velocity loss (Salimans and Ho 2022), because
what a clip shows is decided at large t, where the plain error of the noise is tiny; in a short training it would
not be learnt. Checkpoints have the published layout, `{"ema": state_dict}`, in half precision, and beside it the
model's config, because weights do not tell all of it. Options choose other members of the family; see `choices.py`.
The shipped VDT took the last two: 7,000 steps of a long training, then 1,000 in which the learning rate falls. A VDT
sees clean values where the mask of its task gives them, and learns at the other positions; see `mixture.py`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from latte_eval.benchmarks.shapes.draw import CLASSES, draw_clips
from latte_eval.benchmarks.studies.choices import Choices, choice_options, joint_forward, start_from_file, with_images
from latte_eval.benchmarks.studies.mixture import with_masks
from latte_eval.benchmarks.studies.objective import NoiseSchedule, diffusion_loss, masked_loss
from latte_eval.benchmarks.studies.start import initialise
from latte_eval.sampler.checkpoint import load_checkpoint
from latte_eval.sampler.diffusion import TRAINING_STEPS
from latte_eval.sampler.latte.network import Latte
from latte_eval.sampler.vdt import VDT, VDTConfig

TRAINING_CLIPS = 16_384
CLASS_DROPOUT = 0.1


def batches(batch_size: int, seed: int, interval: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches of clips in -1..1 and labels, a tenth of them the null class."""
    pixels, classes = draw_clips(seed, range(TRAINING_CLIPS), interval=interval)
    clips, labels = torch.from_numpy(pixels), torch.from_numpy(classes)
    while True:
        for chosen in torch.randperm(len(clips)).split(batch_size):
            dropped = torch.rand(len(chosen)) < CLASS_DROPOUT
            yield clips[chosen].float() / 127.5 - 1, torch.where(dropped, len(CLASSES), labels[chosen])


def stratified_timesteps(batch_size: int) -> Tensor:  # -> [N] int64, uniform over 0..999, one from each stratum
    u = (torch.arange(batch_size) + torch.rand(batch_size)) / batch_size
    return (u * TRAINING_STEPS).long()[torch.randperm(batch_size)]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 500 steps, then a cosine to 2 % of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * min(1.0, (step + 1) / 500) * (0.02 + 0.98 * cosine)


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, step: int) -> None:
    """Average with decay 0.9995, faster at the start."""
    decay = min(0.9995, (1 + step) / (10 + step))
    for average, current in zip(ema.parameters(), model.parameters(), strict=True):
        average.lerp_(current, 1 - decay)


def save_checkpoint(ema: Latte | VDT, path: Path, args: dict[str, Any]) -> None:
    """Write the weights in half precision, with the settings that they do not tell, under a temporary name first."""
    partial = path.with_suffix(".partial")
    state = {key: value.half() for key, value in ema.state_dict().items()}
    torch.save({"ema": state, "config": ema.config.to_dict(), "args": args}, partial)
    partial.rename(path)


def make_model(choices: Choices) -> Latte | VDT:
    """A new model, initialised."""
    config = choices.config
    if isinstance(config, VDTConfig):
        vdt = VDT(config)
        initialise(vdt)
        if choices.init is not None:
            vdt.load_state_dict({key: value.float() for key, value in load_checkpoint(choices.init).items()})
        return vdt
    model = Latte(config)
    initialise(model)
    if choices.init is not None:
        click.echo(f"not in {choices.init}: {', '.join(start_from_file(model, choices.init))}")
    return model


def make_forward(model: Latte | VDT, choices: Choices, compiled: bool) -> Callable[..., Tensor]:
    """The model as `diffusion_loss` calls it."""
    forward = joint_forward(model) if isinstance(model, Latte) and choices.images else model
    return torch.compile(forward) if compiled else forward


def make_data(batch_size: int, seed: int, choices: Choices) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of clips, and what the objective is told of them: their labels, or the masks of a VDT."""
    data = batches(batch_size, seed, choices.interval)
    if choices.model == "vdt":
        return with_masks(data, seed)
    return with_images(data, choices.images) if choices.images else data


Step = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


def train(
    out: Path,
    steps: int,
    batch_size: int,
    peak: float,
    seed: int,
    keep: set[int],
    compiled: bool,
    choices: Choices | None = None,
) -> None:
    """Train and write `out/{step:07d}.pt` at the steps in `keep` and at the end."""
    choices = choices or Choices()
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = make_model(choices)
    ema = copy.deepcopy(model).requires_grad_(False)
    step_on, data = make_step(model, peak, steps, choices, compiled), make_data(batch_size, seed, choices)
    bar, started, running = tqdm(range(steps), mininterval=10), time.perf_counter(), 0.0
    with sdpa_kernel(SDPBackend.MATH):
        for step in bar:
            error, bound = step_on(step, *next(data))
            update_ema(ema, model, step)
            running += (error.item() - running) * max(0.005, 1 / (step + 1))
            if (step + 1) % 200 == 0:
                bar.set_postfix(noise_error=f"{running:.4f}", bound=f"{bound.item():.3f}")
            if step + 1 in keep or step + 1 == steps:
                save_checkpoint(ema, out / f"{step + 1:07d}.pt", {"seed": seed, "steps": steps, **choices.to_dict()})
    click.echo(f"{steps} steps in {time.perf_counter() - started:.0f} s, noise error {running:.4f}")


def make_step(model: Latte | VDT, peak: float, steps: int, choices: Choices, compiled: bool) -> Step:
    """What one step does: step number, clips and what is told of them -> the two parts of the loss before it."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=peak, betas=(0.9, 0.99), weight_decay=0.0)
    forward, noise_schedule = make_forward(model, choices, compiled), NoiseSchedule()
    loss = masked_loss if choices.model == "vdt" else diffusion_loss

    def step_on(step: int, clips: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, peak)
        error, bound = loss(forward, clips, told, stratified_timesteps(len(clips)), noise_schedule)
        optimizer.zero_grad()
        (error + bound).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return error, bound

    return step_on


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the checkpoints.")
@click.option("--steps", default=14_000)
@click.option("--batch-size", default=16)
@click.option("--learning-rate", "peak", default=1e-3)
@click.option("--seed", default=0)
@click.option("--keep", default="1000", help="Steps to keep besides the last, with commas.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile the model; needs a C++ compiler.")
@choice_options
def main(keep: str, variant: str, out: Path, steps: int, batch_size: int, peak: float, seed: int, compiled: bool,
         **choices: Any) -> None:  # fmt: skip
    """Train a Latte or a VDT on the shapes benchmark; without choices, the demo model."""
    kept = {int(step) for step in keep.split(",") if step}
    train(out, steps, batch_size, peak, seed, kept, compiled, Choices(variant=int(variant), **choices))


if __name__ == "__main__":
    main()
