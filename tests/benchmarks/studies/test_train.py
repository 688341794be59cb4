"""The training script on `shapes`: every choice starts, learns, and writes a file that says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from latte_eval.benchmarks.shapes import draw_clips
from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.benchmarks.studies import train as training
from latte_eval.benchmarks.studies.choices import Choices, with_images
from latte_eval.benchmarks.studies.mixture import draw_task
from latte_eval.benchmarks.studies.objective import NoiseSchedule, masked_loss
from latte_eval.core.errors import CheckpointError, UsageError
from latte_eval.sampler.checkpoint import load_checkpoint
from latte_eval.sampler.vdt.masks import WHOLE_FRAMES

CHOICES = {
    "demo": Choices(),
    "variant 2": Choices(variant=2),
    "variant 3": Choices(variant=3),
    "variant 4": Choices(variant=4),
    "tubes": Choices(patch_embedding="compression"),
    "all tokens": Choices(conditioning="all-tokens"),
    "rotary": Choices(temporal_position="rotary"),
    "images": Choices(images=2),
    "interval": Choices(interval=3),
    "small": Choices(size="small"),
    "vdt": Choices(model="vdt"),
}


@pytest.fixture(autouse=True)
def few_clips(monkeypatch):
    monkeypatch.setattr(training, "TRAINING_CLIPS", 8)


@pytest.mark.parametrize("name", [name for name, choices in CHOICES.items() if not choices.images])
def test_a_new_model_copies_its_input(name):
    torch.manual_seed(0)
    model = training.make_model(CHOICES[name])
    x = torch.randn(2, 16, 3, 16, 16)
    with torch.no_grad():
        labels = None if CHOICES[name].model == "vdt" else torch.tensor([0, 1])
        noise = model(x, torch.tensor([999, 999]), labels)[:, :, :3]
    assert float(torch.corrcoef(torch.stack([x.flatten(), noise.flatten()]))[0, 1]) > 0.98


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_trains_and_says_what_it_is(name, tmp_path):
    choices = CHOICES[name]
    before = training_start(choices)
    training.train(tmp_path, 2, 2, 1e-3, 0, {1}, False, choices)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000001.pt", "0000002.pt"]
    model = load_checkpoint(tmp_path / "0000002.pt").build()
    assert model.config == choices.config
    trained = model.state_dict()
    moved = [key for key, value in before.items() if not torch.equal(trained[key], value.half().float())]
    assert any(key.startswith("blocks.") for key in moved)
    assert not {"pos_embed", "temp_embed", "time_embed"} & set(moved)


def training_start(choices: Choices) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return training.make_model(choices).state_dict()


def test_the_same_seed_gives_the_same_model(tmp_path):
    for name in ("a", "b"):
        training.train(tmp_path / name, 2, 2, 1e-3, 0, set(), False)
    one, two = (load_checkpoint(tmp_path / name / "0000002.pt").state for name in ("a", "b"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_images_are_frames_of_the_batch_with_their_labels():
    clips, labels = torch.arange(6.0).view(3, 2, 1, 1, 1).expand(3, 2, 3, 4, 4), torch.tensor([10, 11, 12])
    joined, every = next(with_images(iter([(clips, labels)]), 5))
    assert joined.shape == (3, 7, 3, 4, 4) and every.shape == (3, 6)
    assert torch.equal(joined[:, :2], clips) and torch.equal(every[:, 0], labels)
    # Value 2n + t is frame t of clip n, whose label is 10 + n.
    assert torch.equal(10 + joined[:, 2:, 0, 0, 0].long() // 2, every[:, 1:])


def test_a_vdt_is_trained_with_the_mixture_of_tasks():
    """A fifth of the clips are completed, and every other task is as frequent as its share of the rest."""
    generator = np.random.default_rng(0)
    drawn = [draw_task(generator) for _ in range(6000)]
    assert abs(drawn.count("completion") / 6000 - 0.2) < 0.02
    assert all(abs(drawn.count(task) / 6000 - 0.8 / 6) < 0.02 for task in WHOLE_FRAMES)
    clips, masks = next(training.make_data(8, 0, Choices(model="vdt")))
    assert masks.shape == (8, 16, 16, 16) and masks.dtype == torch.bool and masks.flatten(1).any(1).all()
    assert len({mask.numpy().tobytes() for mask in masks}) > 1 and clips.shape == (8, 16, 3, 16, 16)


def test_a_masked_loss_looks_at_generated_positions_alone():
    """The model sees clean values where they are given, and what it says there counts for nothing."""
    seen, mask = [], torch.zeros(2, 4, 8, 8, dtype=torch.bool)
    mask[:, 2:] = True
    x0, timesteps, schedule = torch.rand(2, 4, 3, 8, 8), torch.tensor([100, 900]), NoiseSchedule()

    def loss(there: float) -> float:
        def model(x, timesteps):
            seen.append(x)
            out = torch.zeros(2, 4, 6, 8, 8)
            out[:, :2] += there
            return out

        torch.manual_seed(0)
        return float(sum(masked_loss(model, x0, mask, timesteps, schedule)))

    assert loss(0.0) == loss(7.0)
    assert torch.equal(seen[0][:, :2], x0[:, :2]) and not torch.equal(seen[0][:, 2:], x0[:, 2:])


def test_a_training_of_a_vdt_goes_on(tmp_path):
    training.train(tmp_path / "a", 1, 2, 1e-3, 0, set(), False, Choices(model="vdt", size="small"))
    file = tmp_path / "a" / "0000001.pt"
    on = Choices(model="vdt", size="small", init=file)
    assert on.to_dict()["init"] == "0000001.pt"
    started, kept = training_start(on), load_checkpoint(file)
    assert all(torch.equal(started[key], kept[key].float()) for key in kept)
    with pytest.raises(UsageError, match="--variant goes with --model latte: a VDT has no such choice"):
        Choices(model="vdt", variant=2)


def test_the_interval_is_the_distance_in_the_motion():
    plain, far = draw_clips(0, range(6))[0], draw_clips(0, range(6), interval=3)[0]
    assert np.array_equal(far[:, :5], plain[:, 0:15:3])
    assert ShapesSource(6, interval=3).fingerprint != ShapesSource(6).fingerprint


def dit_file(path: Path, width: int) -> Path:
    """A DiT as it is published: a bare state dict without a temporal table."""
    torch.manual_seed(3)
    model = training.make_model(Choices(size="demo" if width == 128 else "small"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.02)
    torch.save({key: value for key, value in model.state_dict().items() if key != "temp_embed"}, path)
    return path


def test_a_start_from_a_dit(tmp_path, capsys):
    path = dit_file(tmp_path / "dit.pt", 128)
    started = training_start(Choices(init=path))
    dit = torch.load(path, weights_only=True)
    assert torch.equal(started["blocks.3.mlp.fc1.weight"], dit["blocks.3.mlp.fc1.weight"])
    assert not started["y_embedder.embedding_table.weight"].any()
    with pytest.raises(CheckpointError, match="width 64, this Latte 128"):
        training_start(Choices(init=dit_file(tmp_path / "small.pt", 64)))


def test_the_command_takes_the_choices(tmp_path):
    arguments = ["--out", str(tmp_path), "--steps", "1", "--batch-size", "2", "--no-compile", "--variant", "4",
                 "--patch-embedding", "compression", "--temporal-position", "rotary", "--size", "demo"]  # fmt: skip
    done = CliRunner().invoke(training.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    config = load_checkpoint(tmp_path / "0000001.pt").build().config
    assert (config.variant, config.tube, config.temporal_position) == (4, 2, "rotary")
    assert CliRunner().invoke(training.main, ["--out", "x", "--variant", "5"]).exit_code == 2
