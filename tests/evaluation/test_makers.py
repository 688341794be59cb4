"""What makes the fake side: generators, pipelines, and checkpoints with choices that their weights do not tell."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from latte_eval.core.errors import GeneratorError, SamplerError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.evaluation.extract import extract
from latte_eval.evaluation.opened_model import open_model
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.sides import open_sides
from latte_eval.files.run_folder import SHARD_CLIPS, RunFolder
from latte_eval.metrics.detectors import Detector
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig

MODEL = """
import numpy as np
class Model:
    {attributes}
    fingerprint = "1"
    def __len__(self): return 64
    def generate(self, indices, seeds):
        if open("broken.txt").read() == "yes" and indices[-1] >= 40: raise RuntimeError("out of luck")
        with open("asked.txt", "a") as file: file.write(f"{{indices[0]}}\\n")
        return np.full((len(seeds), {frames}, {size}, {size}, 3), 7, np.uint8)
"""


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """`generator(frames, size, attributes)` writes a model where a user stands and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("broken.txt").write_text("no")
    count = iter(range(100))

    def write(frames: int = 16, size: int = 16, attributes: str = "") -> str:
        name = f"maker_{abs(hash(tmp_path))}_{next(count)}"
        Path(f"{name}.py").write_text(MODEL.format(frames=frames, size=size, attributes=attributes or "pass"))
        return f"{name}:Model"

    return write


def means(pixels):  # [N, 3, T, H, W] uint8 -> [N, 3] float32
    """A stand-in for a network."""
    return {"features": pixels.float().mean(dim=(2, 3, 4))}


detector = Detector("mean", means, weights=None, sha256="0" * 64)


def request(**choices) -> Request:
    return Request(**{"benchmark": "shapes", "clips": 48, "detectors": ("seeded",), **choices})


def test_a_generator_is_the_fake_side(generator):
    protocol, real, fake = open_sides(request(generator=generator()), Reporter())
    assert (protocol.frames, fake.wanted, len(real.source)) == (16, 48, 48)
    assert fake.checkpoint is None and fake.sampler is None
    assert fake.source.clips([0, 5]).pixels.shape == (2, 16, 3, 16, 16)


class Listener(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_generator_without_a_fingerprint_is_told_once(generator):
    listener, spec = Listener(), generator()
    open_sides(request(generator=spec), listener)
    assert listener.said == []
    path = Path(f"{spec.partition(':')[0]}.py")
    path.write_text(path.read_text().replace("fingerprint", "other"))
    sys.modules.pop(path.stem)
    open_sides(request(generator=spec), listener)
    assert [text.split(",")[0] for text in listener.said] == [f"{spec} has no fingerprint"]


def test_what_a_dying_generator_gave_is_kept(generator, tmp_path):
    fake = open_sides(request(generator=generator()), Reporter())[2]
    run = RunFolder(tmp_path / "run")
    Path("broken.txt").write_text("yes")
    with pytest.raises(GeneratorError, match=r"died at clips 40 to 47: RuntimeError: out of luck; .* is kept"):
        extract(fake.source, [detector], run, wanted=48, batch_size=8)
    Path("broken.txt").write_text("no")
    Path("asked.txt").unlink()
    features = extract(fake.source, [detector], run, wanted=48, batch_size=8)[0]
    assert len(features) == 48
    asked = [int(line) for line in Path("asked.txt").read_text().split()]
    assert min(asked) == SHARD_CLIPS


def test_lengths_and_sizes_of_a_generator(generator):
    plain = {"benchmark": None, "real": Path("real.safetensors")}
    with pytest.raises(GeneratorError, match="makes clips of 9 frames, 16 are needed; --param frames=9"):
        open_sides(request(generator=generator(9, 16, "frames = 9")), Reporter())
    own = request(metrics=("is",), generator=generator(16, 24, "size = 24"), **{**plain, "real": None})
    protocol, real, fake = open_sides(own, Reporter())
    assert protocol.size == 24 and real is None
    assert fake.source.clips([0]).pixels.shape == (1, 16, 3, 24, 24)


def save(path: Path, frames: int = 16, **choices) -> Path:
    config = LatteConfig(16, 8, 3, 16, 4, 4, frames, 4, **choices)
    torch.manual_seed(0)
    torch.save({"ema": Latte(config).state_dict(), "args": {"num_heads": config.heads}}, path)
    return path


def test_choices_that_the_weights_do_not_tell(tmp_path):
    path = str(save(tmp_path / "x.pt"))
    told = open_model(request(ckpt=path, variant=2, temporal_position="rotary", heads=2, guidance_interval="0.3,5"))
    config, settings = told.model.config, told.settings
    assert (config.variant, config.temporal_position, config.heads) == (2, "rotary", 2)
    assert settings.guidance_interval == (0.3, 5.0)
    assert open_model(request(ckpt=path)).model.config.variant == 1
    with pytest.raises(SamplerError, match="must read LOW,HIGH"):
        open_model(request(ckpt=path, guidance_interval="all"))


def test_clips_of_another_length(tmp_path):
    long, short = str(save(tmp_path / "long.pt")), str(save(tmp_path / "short.pt", frames=12))
    protocol, _, fake = open_sides(request(ckpt=long, params=("frames=12",)), Reporter())
    assert protocol.frames == 12 and fake.checkpoint["frames"] == 12
    with pytest.raises(UsageError, match="the clips have 12 frames, shapes compares 16; --param frames=12"):
        open_sides(request(ckpt=short), Reporter())


def test_prompts_without_a_pipeline_and_two_makers(tmp_path, monkeypatch):
    (tmp_path / "model_index.json").write_text('{"_class_name": "LattePipeline"}')
    monkeypatch.setattr("latte_eval.files.download.fetch_hub_file", lambda url: tmp_path / "model_index.json")
    path = str(save(tmp_path / "x.pt"))
    with pytest.raises(UsageError, match="--prompts goes with a text-to-video pipeline"):
        open_sides(request(ckpt=path, prompts=Path("prompts.txt")), Reporter())
    with pytest.raises(UsageError, match="one of --ckpt CHECKPOINT, .* and --generator MODULE:NAME, not both"):
        request(ckpt=path, generator="a:b").check_sides()
    with pytest.raises(UsageError, match="give its prompts with --prompts FILE"):
        open_sides(request(ckpt="hf://maxin-cn/Latte-1"), Reporter())


def test_a_pipeline_is_the_fake_side(tmp_path, monkeypatch):
    """With a stand-in for the pipeline itself; the real one is in test_text_to_video.py."""
    from latte_eval.sampler import text_to_video

    class Pipeline:
        scheduler = SimpleNamespace(config={})

        def to(self, device):
            return self

        def __call__(self, prompt, num_frames=16, height=24, width=24, generator=None, guidance_scale=3.0):
            return SimpleNamespace(frames=torch.rand(1, num_frames, height, width, 3, generator=generator).numpy())

    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "prompts.txt").write_text("a dog\n" * 4)
    monkeypatch.setattr(text_to_video, "pipeline_folder", Path)
    monkeypatch.setattr(text_to_video, "load_pipeline", lambda folder, dtype: Pipeline())
    prompts = tmp_path / "prompts.txt"
    asked = Request(metrics=("is",), ckpt=str(tmp_path), prompts=prompts, clips=3, detectors=("seeded",))
    protocol, _, fake = open_sides(asked, Reporter())
    assert (protocol.size, fake.wanted) == (24, 3)
    assert fake.source.clips([0, 2]).pixels.shape == (2, 16, 3, 24, 24)
    assert fake.sampler["guidance_scale"] == 3.0 and fake.checkpoint["weights"] == "Pipeline"
