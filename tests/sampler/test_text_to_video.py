"""Text-to-video: prompt files, one prompt and one seed per clip, and a tiny real pipeline of diffusers."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latte_eval.core.clips import ClipSource
from latte_eval.core.errors import CheckpointError, NotEnoughClips, SamplerError, UsageError
from latte_eval.sampler.pipelines import PipelineSettings, is_pipeline, load_pipeline
from latte_eval.sampler.text_to_video import PromptSource, open_text_to_video, read_prompts

PROMPTS = ["a dog runs", "a cat sleeps", "a dog on the moon"]


def test_prompt_files(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("\ufeffa dog\r\n  ein Bär \n")
    assert read_prompts(file) == ["a dog", "ein Bär"]
    file.write_text("a dog\n\na cat\n")
    with pytest.raises(UsageError, match="line 2 is empty"):
        read_prompts(file)
    file.write_bytes(b"a dog\nein B\xe4r\n")
    with pytest.raises(UsageError, match="not UTF-8 in line 2"):
        read_prompts(file)
    file.write_text("a dog\n", encoding="utf-16-le")
    with pytest.raises(UsageError, match="zero bytes"):
        read_prompts(file)
    file.write_text("")
    with pytest.raises(UsageError, match="is empty; it holds one prompt a line"):
        read_prompts(file)
    with pytest.raises(UsageError, match="No such file"):
        read_prompts(tmp_path / "absent.txt")


def test_what_is_a_pipeline(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    assert is_pipeline(str(tmp_path)) and is_pipeline("hf://maxin-cn/Latte-1") and is_pipeline("hf://a/b@main")
    assert not is_pipeline("hf://maxin-cn/Latte/ffs.pt") and not is_pipeline("demo") and not is_pipeline("x.pt")


@pytest.mark.parametrize("place", ["evil.py", "scheduler/evil.py", "None.py"])
def test_code_in_a_pipeline_is_not_run(place, tmp_path):
    """As of a stranger's folder that names it as the class of the pipeline, or of a part."""
    pytest.importorskip("transformers")
    name = ["evil", "Evil"] if place == "evil.py" else "DDPMPipeline"
    part = ["evil" if "/" in place else "diffusers", "DDIMScheduler"]
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name, "scheduler": part}))
    (tmp_path / place).write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')")
    with pytest.raises(CheckpointError, match=rf"has code of its own \({place}\), and nothing in a checkpoint is run"):
        load_pipeline(tmp_path, "fp32")
    assert not (tmp_path / "it ran").exists()


class Pipeline:
    """Stands in for a diffusers pipeline: frames tell which prompt, seed and arguments they were made with."""

    def __init__(self):
        self.calls, self.broken = [], None
        self.scheduler = SimpleNamespace(config={"beta_start": 1e-4})

    def __call__(self, prompt, num_frames=8, height=32, width=32, guidance_scale=5.0, generator=None, output_type="x"):
        self.calls.append((prompt, num_frames, height, guidance_scale, output_type))
        noise = torch.rand(1, num_frames, height, width, 3, generator=generator).numpy()
        if self.broken == "nan":
            noise[:] = np.nan
        return SimpleNamespace(frames=noise[:, :-1] if self.broken == "short" else noise)


def source(pipeline=None, **settings) -> PromptSource:
    return PromptSource(
        pipeline or Pipeline(), PROMPTS, PipelineSettings(**{"frames": 4, **settings}), "fake", "0" * 64
    )


def test_one_prompt_a_clip_and_a_seed_a_clip():
    pipeline = Pipeline()
    clips = source(pipeline, size=8, guidance_scale=2.0).clips([0, 2])
    assert pipeline.calls == [(PROMPTS[0], 4, 8, 2.0, "np"), (PROMPTS[2], 4, 8, 2.0, "np")]
    assert clips.pixels.shape == (2, 4, 3, 8, 8)
    assert torch.equal(source(size=8).clips([2]).pixels[0], clips.pixels[1])
    assert not torch.equal(source(size=8, seed=1).clips([2]).pixels[0], clips.pixels[1])


def test_it_is_a_clip_source():
    made = source()
    assert isinstance(made, ClipSource)
    assert (len(made), made.size, made.groups([1])) == (3, 32, [PROMPTS[1]])
    prints = {made.fingerprint, source(seed=1).fingerprint, source(guidance_scale=1.0).fingerprint}
    assert len(prints) == 3 and made.fingerprint == source().fingerprint
    assert made.checkpoint_record()["weights"] == "Pipeline"


def test_frames_that_are_not_clips():
    pipeline = Pipeline()
    pipeline.broken = "short"
    with pytest.raises(SamplerError, match=r"gave clip 1 as \(3, 32, 32, 3\), \(4, 32, 32, 3\) was asked for"):
        source(pipeline).clips([1])
    pipeline.broken = "nan"
    with pytest.raises(SamplerError, match="NaN or infinite"):
        source(pipeline).clips([1])


def test_frames_and_size_are_the_transformers_or_the_calls_own():
    assert source(frames=None).frames == 8
    assert source().size == 32
    pipeline = Pipeline()
    pipeline.transformer = SimpleNamespace(config=SimpleNamespace(video_length=6, sample_size=3))
    pipeline.vae_scale_factor = 8
    assert source(pipeline, frames=None).frames == 6
    assert source(pipeline, frames=None).size == 24
    with pytest.raises(SamplerError, match="makes clips of 6 frames, 4 were asked for; --param frames=6"):
        source(pipeline)


def test_a_pipeline_that_makes_images():
    class Images:
        def __call__(self, prompt, height=32):
            raise AssertionError

    with pytest.raises(SamplerError, match="Images takes no number of frames"):
        source(Images())


def test_an_unknown_sampler():
    with pytest.raises(UsageError, match="Did you mean unipc"):
        source(sampler="unipcc")


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "prompts.txt").write_text("a dog\n")
    with pytest.raises(UsageError, match=r"pip install 'latte-eval\[t2v\]'"):
        open_text_to_video("hf://a/b", tmp_path / "prompts.txt", PipelineSettings())


@pytest.fixture(scope="module")
def tiny_pipeline(tmp_path_factory) -> Path:
    """A LattePipeline of a few thousand random weights, saved as diffusers saves it."""
    transformers = pytest.importorskip("transformers", reason="the extra t2v is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="the extra t2v is not installed")
    from diffusers import AutoencoderKL, DDIMScheduler, LattePipeline, LatteTransformer3DModel

    words = ["<pad>", "</s>", "<unk>", *sorted({word for prompt in PROMPTS for word in prompt.split()})]
    vocabulary = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(vocabulary)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    parts = {
        "tokenizer": transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        "text_encoder": transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        "transformer": LatteTransformer3DModel(
            sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3, in_channels=4,
            caption_channels=16, cross_attention_dim=24, out_channels=8, attention_bias=True, video_length=4,
            activation_fn="gelu-approximate", num_embeds_ada_norm=1000, norm_type="ada_norm_single",
            norm_elementwise_affine=False, norm_eps=1e-6,
        ),
        "vae": AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4, sample_size=8),
        "scheduler": DDIMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=False),
    }  # fmt: skip
    torch.nn.init.normal_(parts["transformer"].proj_out.weight, std=0.5)
    folder = tmp_path_factory.mktemp("pipeline")
    LattePipeline(**parts).save_pretrained(folder)
    return folder


@pytest.fixture
def prompts_file(tmp_path) -> Path:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(PROMPTS) + "\n")
    return file


TINY = PipelineSettings(frames=4, size=8, steps=3, guidance_scale=4.0)


def test_a_real_pipeline(tiny_pipeline, prompts_file):
    steps = []
    opened = open_text_to_video(str(tiny_pipeline), prompts_file, TINY, on_step=lambda *done: steps.append(done))
    clips = opened.clips([0, 1, 2])
    assert clips.pixels.shape == (3, 4, 3, 8, 8)
    assert steps[:3] == [(1, 3), (2, 3), (3, 3)]
    again = open_text_to_video(str(tiny_pipeline), prompts_file, TINY)
    assert torch.equal(again.clips([1]).pixels[0], clips.pixels[1])
    assert again.fingerprint == opened.fingerprint

    # The pipeline as a person would call it, prompt by prompt.
    from diffusers import LattePipeline

    from latte_eval.core.seeding import clip_generator

    plain = LattePipeline.from_pretrained(tiny_pipeline)
    frames = plain(
        PROMPTS[2], num_inference_steps=3, guidance_scale=4.0, video_length=4, height=8, width=8,
        clean_caption=opened.arguments["clean_caption"],
        generator=clip_generator(0, 2), output_type="np",
    ).frames  # fmt: skip
    expected = torch.from_numpy(np.rint(frames[0] * 255).astype(np.uint8)).permute(0, 3, 1, 2)
    assert torch.equal(clips.pixels[2], expected)
    assert clips.pixels.float().std() > 1


@pytest.mark.parametrize("sampler", ["ddpm", "dpmsolver++", "unipc"])
def test_a_real_pipeline_with_another_sampler(tiny_pipeline, prompts_file, sampler):
    settings = dataclasses.replace(TINY, sampler=sampler)
    opened = open_text_to_video(str(tiny_pipeline), prompts_file, settings)
    default = open_text_to_video(str(tiny_pipeline), prompts_file, TINY)
    assert not torch.equal(opened.clips([0]).pixels, default.clips([0]).pixels)
    assert opened.fingerprint != default.fingerprint


def test_bad_pipelines_and_counts(tiny_pipeline, prompts_file, tmp_path):
    with pytest.raises(NotEnoughClips, match="holds 3 prompts, 5 clips were asked for. Use --clips 3"):
        open_text_to_video(str(tiny_pipeline), prompts_file, TINY, clips=5)
    with pytest.raises(UsageError, match="give its prompts with --prompts FILE"):
        open_text_to_video(str(tiny_pipeline), None, TINY)
    (tmp_path / "model_index.json").write_text('{"_class_name": "LattePipeline"}')
    with pytest.raises(CheckpointError, match="is not a whole pipeline"):
        open_text_to_video(str(tmp_path), prompts_file, TINY)
