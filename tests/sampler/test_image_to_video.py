"""Image-to-video and text-to-video pipelines with random weights, from a folder and from a hub on the loopback."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Done, latte_eval
from hub import Site, serve
from media_makers import moving_frames, write_frames
from PIL import Image
from tiny_pipelines import save_image_to_video, save_text_to_video

from latte_eval.benchmarks.shapes.sources import ShapesSource
from latte_eval.cli.text import sampler_text
from latte_eval.core.errors import NotEnoughClips, SamplerError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.core.seeding import clip_generator
from latte_eval.evaluation.pipeline import compute_stats
from latte_eval.evaluation.request import Request
from latte_eval.report.reproduce import reproduce_command
from latte_eval.sampler.given_clips import GivenClips
from latte_eval.sampler.image_to_video import ImageSource, open_image_to_video, takes_images
from latte_eval.sampler.pipelines import PipelineSettings, pipeline_class

TESTS = Path(__file__).parents[1]
FRAMES, PROMPTS = 9, ["a dog runs", "a cat sleeps", "a dog sleeps", "a cat runs"]
TINY = PipelineSettings(steps=2, size=16)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Both pipelines, four real videos, and prompts."""
    root = tmp_path_factory.mktemp("files")
    save_image_to_video(root / "svd", FRAMES)
    save_text_to_video(root / "t2v", PROMPTS)
    for video in range(4):
        write_frames(root / "real" / str(video), moving_frames(FRAMES, 16, 32)[:, :, video : video + 16])
    (root / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    return root


def opened(files: Path, settings: PipelineSettings = TINY, count: int = 3, **real) -> ImageSource:
    return open_image_to_video(str(files / "svd"), settings).given(
        GivenClips(ShapesSource(**{"count": 4, **real})), count
    )


def test_a_clip_goes_on_from_the_first_frame_of_its_real_clip(files):
    """As a person would call the pipeline, image by image; alone and in a batch a clip is the same."""
    from diffusers import StableVideoDiffusionPipeline

    source = opened(files)
    clips = source.clips([0, 2])
    assert clips.pixels.shape == (2, FRAMES, 3, 16, 16) and clips.pixels.float().std() > 5
    plain = StableVideoDiffusionPipeline.from_pretrained(files / "svd")
    frame = ShapesSource(4).clips([2]).pixels[0, 0].permute(1, 2, 0).numpy()
    frames = plain(Image.fromarray(frame), height=16, width=16, num_inference_steps=2, generator=clip_generator(0, 2),
                   output_type="np").frames  # fmt: skip
    expected = torch.from_numpy(np.rint(np.asarray(frames)[0] * 255).astype(np.uint8)).permute(0, 3, 1, 2)
    assert torch.equal(clips.pixels[1], expected) and torch.equal(source.clips([2]).pixels[0], expected)
    other = opened(files, seed=1)
    assert not torch.equal(other.clips([2]).pixels[0], expected)
    assert len({source.fingerprint, other.fingerprint, opened(files).fingerprint}) == 2
    assert source.groups([1]) == ShapesSource(4).groups([1]) and len(source) == 3


def test_what_a_result_says_of_it(files):
    record = opened(files, PipelineSettings(steps=2, size=16, guidance_scale=2.5)).sampler_record()
    assert (record["task"], record["conditions"]) == ("first frame", ShapesSource(4).fingerprint)
    told = {name: record[name] for name in ("fps", "motion_bucket_id", "noise_aug_strength", "decode_chunk_size")}
    assert told == {"fps": 7, "motion_bucket_id": 127, "noise_aug_strength": 0.02, "decode_chunk_size": FRAMES}
    assert (record["guidance_scale"], record["min_guidance_scale"], record["max_guidance_scale"]) == (2.5, 1.0, 2.5)
    by_itself = open_image_to_video(str(files / "svd"), PipelineSettings())
    assert (by_itself.frames, by_itself.size, by_itself.guidance_scale) == (FRAMES, 576, 3.0)


TOLD = {"fps": 12, "motion_bucket_id": 30, "noise_aug_strength": 0.1, "min_guidance_scale": 1.5, "decode_chunk_size": 4}


def test_it_is_told_what_a_person_says(files):
    """As a person would say it in the call; each option makes other clips and another fingerprint, and is recorded."""
    from diffusers import StableVideoDiffusionPipeline

    source = opened(files, dataclasses.replace(TINY, told=TOLD))
    plain = StableVideoDiffusionPipeline.from_pretrained(files / "svd")
    frame = ShapesSource(4).clips([1]).pixels[0, 0].permute(1, 2, 0).numpy()
    frames = plain(Image.fromarray(frame), height=16, width=16, num_inference_steps=2, generator=clip_generator(0, 1),
                   output_type="np", **TOLD).frames  # fmt: skip
    expected = torch.from_numpy(np.rint(np.asarray(frames)[0] * 255).astype(np.uint8)).permute(0, 3, 1, 2)
    assert torch.equal(source.clips([1]).pixels[0], expected)
    assert {name: source.sampler_record()[name] for name in TOLD} == TOLD
    usual = opened(files)
    for name, value in TOLD.items():
        other = opened(files, dataclasses.replace(TINY, told={name: value}))
        assert other.fingerprint != usual.fingerprint and other.sampler_record()[name] == value
        assert not torch.equal(other.clips([1]).pixels, usual.clips([1]).pixels), name
    assert dataclasses.asdict(usual.settings)["told"] == {}


@pytest.mark.parametrize(("told", "message"), [
    ({"fps": 0}, "--fps 0 must be a whole number from 1 on"),
    ({"motion_bucket_id": -1}, "--motion-bucket-id -1 must be a whole number from 0 on"),
    ({"noise_aug_strength": float("nan")}, "--noise-aug-strength nan must be a number from 0 on"),
    ({"decode_chunk_size": 0}, "--decode-chunk-size 0 must be a whole number from 1 on"),
])  # fmt: skip
def test_what_it_cannot_be_told(files, told, message):
    with pytest.raises(SamplerError, match=message):
        open_image_to_video(str(files / "svd"), dataclasses.replace(TINY, told=told))


def test_which_pipelines_take_images(files):
    assert takes_images(pipeline_class(str(files / "svd"))) and not takes_images(pipeline_class(str(files / "t2v")))
    assert (
        not takes_images(None)
        and not takes_images(["x"])
        and not takes_images("NoPipeline")
        and not takes_images("LattePipeline")
    )
    with pytest.raises(SamplerError, match="StableVideoDiffusionLike wants an image and a prompt"):
        import diffusers

        with pytest.MonkeyPatch.context() as patch:
            both = type("Both", (), {"__call__": lambda self, image, prompt: None})
            patch.setattr(diffusers, "StableVideoDiffusionLike", both, raising=False)
            takes_images("StableVideoDiffusionLike")


def test_inspect_says_what_a_pipeline_is_given(files):
    for name, kind, use in (("svd", "image-to-video", ""), ("t2v", "text-to-video", " --prompts FILE")):
        done = latte_eval("inspect", files / name)
        assert kind in done.stdout and f"latte-eval fvd --ckpt {files / name}{use} --real DIR" in done.stdout


def test_real_clips_that_cannot_serve(files):
    with pytest.raises(NotEnoughClips, match="5 clips are each given a part of a real clip, and shapes has 4"):
        opened(files, count=5)
    with pytest.raises(SamplerError, match=r"real frames are \(16, 16\), .*asked for \(24, 24\); --param size=16"):
        opened(files, PipelineSettings(steps=2, size=24)).clips([0])
    with pytest.raises(UsageError, match="--sampler ddim goes with .* leave it out"):
        open_image_to_video(str(files / "svd"), PipelineSettings(sampler="ddim"))


def arguments(files: Path, ckpt: str, *more: str | Path) -> list[str]:
    words = ["fvd", "--ckpt", ckpt, "--clips", "2", "--steps", "2", "--detector", "seeded", "--device", "cpu", "--json",
             "--out", files / "run", "--param", "size=16", *more]  # fmt: skip
    return [str(word) for word in words]


def test_image_to_video_from_the_command_line(files):
    done = latte_eval(*arguments(files, str(files / "svd"), "--real", files / "real"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["protocol_fields"]["frames"] == FRAMES and (result["fake"], result["real"]) == (2, 2)
    assert result["sampler"]["task"] == "first frame" and result["sampler"]["conditions"]
    told = latte_eval(*arguments(files, str(files / "svd"), "--real", files / "real", "--fps", "12"))
    other = json.loads(told.stdout)
    assert (result["sampler"]["fps"], other["sampler"]["fps"]) == (7, 12) and other["value"] != result["value"]
    assert "--fps 12 --motion-bucket-id 127" in reproduce_command([Result.from_json(told.stdout)])
    assert "fps 12, motion bucket 127, noise augmentation 0.02, " in sampler_text(other["sampler"])
    alone = arguments(files, str(files / "svd"), "--real", files / "real", "--batch-size", "1")
    again = latte_eval(*[*alone, "--out", str(files / "other")])
    assert json.loads(again.stdout)["value"] == result["value"]


def test_text_to_video_from_the_command_line(files):
    """ModelScope's class: frames have the size of its U-Net, and a result holds the digest of its prompts."""
    words = arguments(files, str(files / "t2v"), "--real", files / "real", "--prompts", files / "prompts.txt")
    done = latte_eval(*words, "--param", f"frames={FRAMES}")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sampler"]["prompts_sha256"] and result["checkpoint"]["weights"] == "TextToVideoSDPipeline"
    assert "task" not in result["sampler"]


def test_what_cannot_be_is_one_clear_line(files):
    svd, real = str(files / "svd"), ["--real", files / "real"]

    def refused(*words: str | Path, command: str = "fvd") -> str:
        typed = arguments(files, svd, *words)
        done = latte_eval(command, *typed[1:])
        assert done.returncode != 0 and done.stderr.strip().count("\n") <= 2, done.stderr
        return done.stderr

    assert "give --real FOLDER" in refused()
    assert "makes clips from images; give --real FOLDER: fake clip i goes on from" in refused(command="is")
    assert "takes no prompts; leave --prompts out" in refused(*real, "--prompts", files / "prompts.txt")
    assert "--sampler ddim goes with" in refused(*real, "--sampler", "ddim")
    assert "need a VDT checkpoint" in refused(*real, "--task", "predict")
    assert "--fps 0 must be a whole number from 1 on" in refused(*real, "--fps", "0")
    for words in (("--ckpt", "demo"), ("--fake", files / "real", *real)):
        done = latte_eval("fvd", *words, "--motion-bucket-id", "3")
        assert done.returncode == 2 and "--motion-bucket-id 3 goes with --ckpt of an image-to-video" in done.stderr
    typed = arguments(
        files, str(files / "t2v"), *real, "--prompts", files / "prompts.txt", "--param", f"frames={FRAMES}"
    )
    done = latte_eval(*typed, "--noise-aug-strength", "0.1")
    said = "TextToVideoSDPipeline takes no noise_aug_strength: leave --noise-aug-strength 0.1 out"
    assert done.returncode != 0 and said in done.stderr
    stats = files / "stats.safetensors"
    compute_stats(
        Request(real=files / "real", params=("size=16", f"frames={FRAMES}"), detectors=("seeded",), out=files / "run"),
        stats, Reporter(),
    )  # fmt: skip
    assert "statistics hold features, not clips" in refused("--real", stats)
    done = latte_eval(*arguments(files, str(files / "t2v"), *real))
    assert done.returncode != 0 and "give its prompts with --prompts FILE" in done.stderr


COMMIT = "c" * 40


def put_repository(site: Site, repo: str, folder: Path) -> None:
    """All files of a folder as a repository of the hub, and what the hub says of it."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    about = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
    tree = [{"type": "file", "path": name, "size": path.stat().st_size, "oid": "0" * 40}
            for name, path in zip(names, paths, strict=True)]  # fmt: skip
    for revision in ("", "/revision/main", f"/revision/{COMMIT}"):
        site.files[f"/api/models/{repo}{revision}"] = json.dumps(about).encode()
    site.files[f"/api/models/{repo}/tree/{COMMIT}"] = json.dumps(tree).encode()
    for name, path in zip(names, paths, strict=True):
        for revision in ("main", COMMIT):
            site.files[f"/{repo}/resolve/{revision}/{name}"] = path.read_bytes()


@pytest.fixture
def hub(files: Path) -> Iterator[Site]:
    """A hub on the loopback with the repositories owner/svd and owner/t2v."""
    with serve() as site:
        for name in ("svd", "t2v"):
            put_repository(site, f"owner/{name}", files / name)
        yield site


TYPED = """
import json, os, sys
from pathlib import Path
from command_line import latte_eval
done = []
for words in json.loads(sys.argv[1]):
    said, there = latte_eval(*words), Path(os.environ["HF_HOME"]).rglob("*.*")
    done.append([said.returncode, said.stdout, said.stderr, sorted({path.name for path in there if path.is_file()})])
print(json.dumps(done))
"""


@dataclass(frozen=True)
class DoneOnHub(Done):
    """A command that went to a hub, and the names of the files that its cache holds then."""

    fetched: list[str]


def on_hub(hub: Site, cache: Path, *typed: list[str]) -> list[DoneOnHub]:
    """Command lines in one process of their own: the hub's client reads its address once, when it is imported."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in ("http_proxy", "hf_token")}
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "LATTE_EVAL_OFFLINE": "0",
           "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))}  # fmt: skip
    command = [sys.executable, "-c", TYPED, json.dumps(typed)]
    run = subprocess.run(command, env={**kept, **own}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return [DoneOnHub(*each) for each in json.loads(run.stdout)]


def local_result(files: Path, name: str, *more: str | Path) -> dict[str, Any]:
    """The result of a pipeline in a folder."""
    return json.loads(latte_eval(*arguments(files, str(files / name), "--real", files / "real", *more)).stdout)


def check_of_hub(found: dict[str, Any], local: dict[str, Any], repo: str) -> None:
    """What a pipeline of the hub gives is what its files give; the result says which files those were."""
    checkpoint = found["checkpoint"]
    assert found["value"] == local["value"] and checkpoint["name"] == f"hf://{repo}"
    # Of large files the digest holds what the cache calls their content, so it is not that of a folder.
    assert (
        len(checkpoint["sha256"]) == 64 and checkpoint["revision"] == COMMIT and "revision" not in local["checkpoint"]
    )
    assert f"--ckpt hf://{repo}@{COMMIT} " in reproduce_command([Result.from_record(found, "hub")])


def test_image_to_video_from_a_hub(files, hub, tmp_path):
    typed = arguments(files, "hf://owner/svd", "--real", files / "real"), arguments(files, "hf://owner/svd")
    done, without = on_hub(hub, tmp_path, typed[0], ["is", *typed[1][1:]])
    assert done.returncode == 0, done.stderr
    check_of_hub(json.loads(done.stdout), local_result(files, "svd"), "owner/svd")
    assert without.returncode != 0 and "give --real FOLDER: fake clip i goes on from" in without.stderr


def test_text_to_video_from_a_hub(files, hub, tmp_path):
    """Without prompts it is refused before weights are fetched."""
    real, prompts = ["--real", files / "real", "--param", f"frames={FRAMES}"], ["--prompts", files / "prompts.txt"]
    typed = [arguments(files, "hf://owner/t2v", *real, *more) for more in ((), prompts)]
    without, done = on_hub(hub, tmp_path, *typed)
    said = "hf://owner/t2v is a text-to-video pipeline; give its prompts with --prompts FILE, one a line"
    assert without.returncode != 0 and said in without.stderr and not without.stdout
    assert "model_index.json" in without.fetched and not any(".safetensors" in name for name in without.fetched)
    assert done.returncode == 0 and any(".safetensors" in name for name in done.fetched), done.stderr
    found, local = json.loads(done.stdout), local_result(files, "t2v", *real[2:], *prompts)
    check_of_hub(found, local, "owner/t2v")
    assert found["sampler"]["prompts_sha256"] == local["sampler"]["prompts_sha256"]
    assert found["checkpoint"]["weights"] == "TextToVideoSDPipeline"
