"""The command on a page measures the same again."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from result_makers import SEEDED, make_result, replaced

from latte_eval.compare.results import read_results
from latte_eval.core.features import Features
from latte_eval.core.protocols import named_protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.pipeline import stored_features
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.stats import StatsSource, write_stats
from latte_eval.files.run_folder import RunFolder, feature_key
from latte_eval.metrics.detectors import open_detector
from latte_eval.report.reproduce import plain_number, real_folder, reproduce_arguments, reproduce_command
from latte_eval.report.runs import read_runs
from latte_eval.report.sections import array_sentences


@pytest.mark.parametrize(
    "result",
    [
        make_result(),
        make_result("taichi-hd", "clean"),
        make_result("faceforensics", "stylegan-v", {"real_clips": 100, "fake_clips": 100}, detector=SEEDED),
        make_result(changes={"real_stride": 2, "real_storage": (), "size": None}),
    ],
)
def test_the_command_measures_the_same(result: Result) -> None:
    from latte_eval.cli import group
    from latte_eval.cli.score import to_request

    words = reproduce_arguments([result])
    command = group.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    options = command.make_context(words[0], words[1:], resilient_parsing=False).params
    for name in ("as_json", "quiet", "shard"):
        options.pop(name)
    request = to_request(("fvd",), **options)
    assert request.resolved_protocol().id == result.protocol
    assert request.detector_for("fvd") == result.detector["name"]
    assert result.sampler and (request.sampler, request.steps) == (result.sampler["method"], result.sampler["steps"])


@pytest.mark.parametrize(
    "result",
    [
        make_result(),
        make_result("ucf101", "tats"),
        make_result("taichi-hd", "clean", {"decoder": "decord"}),
        make_result("faceforensics", "stylegan-v", {"real_clips": 100, "fake_clips": 100}, detector=SEEDED),
    ],
)
def test_the_command_as_a_file_asks_for_the_same(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of a page, written as a file and read from it, is one request; its paths are absolute."""
    monkeypatch.chdir(tmp_path)
    words = reproduce_arguments([result])
    typed = latte_eval(*words, "--print-config")
    assert typed.returncode == 0, typed.stderr
    (tmp_path / "eval.toml").write_text(typed.stdout)
    typed_request = requested(words)
    expected = dataclasses.replace(typed_request, ckpt=str(tmp_path / str(typed_request.ckpt)))
    assert requested([words[0], "--config", str(tmp_path / "eval.toml")]) == expected
    assert typed_request.resolved_protocol().id == result.protocol


def requested(words: list[str]) -> Request:
    """What a command line asks for."""
    from latte_eval.cli import group
    from latte_eval.cli.score import to_request

    command = group.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    options = command.make_context(words[0], words[1:]).params
    return to_request(
        ("fvd",), **{name: options[name] for name in options if name not in ("as_json", "quiet", "shard")}
    )


def test_the_command_of_several_metrics_and_of_a_folder() -> None:
    result = make_result(checkpoint=None, sampler=None, seeds=None)
    named = replaced(result, fake_source={**result.fake_source, "name": "my clips"})
    words = reproduce_arguments([named, replaced(named, metric="fid", detector={**SEEDED, "name": "inception"})])
    assert words[:3] == ["evaluate", "--metrics", "fvd,fid"] and words[words.index("--fake") + 1] == "my clips"
    assert "'my clips'" in shlex.join(words) and "--sampler" not in words


def detectors_of(words: list[str]) -> tuple[str, ...]:
    return tuple(word for before, word in zip(words, words[1:], strict=False) if before == "--detector")


@pytest.mark.parametrize("fid", ["inception", "inception-seeded"])
@pytest.mark.parametrize("score", ["c3d", "c3d-seeded", "inception", "inception-seeded"])
def test_every_metric_gets_its_detector_again(fid: str, score: str) -> None:
    if score.startswith("inception") and score != fid:
        return  # no command gives these two together
    used = {"fid": fid, "is": score}
    results = [make_result(metric=metric, detector={**SEEDED, "name": name}) for metric, name in used.items()]
    asked = Request(metrics=("fid", "is"), ckpt="x", detectors=detectors_of(reproduce_arguments(results)))
    assert {metric: asked.detector_for(metric) for metric in used} == used


def test_counts_that_were_not_met_are_upper_bounds() -> None:
    both = {"real_clips": 20, "fake_clips": 20}
    assert "--clips" in reproduce_arguments([make_result(changes=both, fake=20, real=20)])
    words = reproduce_arguments([make_result(changes=both, fake=20, real=12)])
    assert {"real_clips=20", "fake_clips=20"} <= set(words) and "--clips" not in words


def test_a_pipeline_is_asked_with_prompts() -> None:
    sampler = {"method": "DDIMScheduler", "steps": 50, "guidance_scale": 7.5, "clip_x0": False, "dtype": "fp16",
               "seed": 3, "codec": "AutoencoderKL", "codec_sha256": None, "prompts_sha256": "ab"}  # fmt: skip
    words = shlex.join(reproduce_arguments([make_result(sampler=sampler)]))
    assert "--prompts PROMPTS.txt --sampler ddim --steps 50 --guidance-scale 7.5 --dtype fp16 --seed 3" in words
    own = reproduce_arguments([make_result(sampler={**sampler, "method": "EulerDiscreteScheduler", "steps": None})])
    assert "--sampler" not in own and "--steps" not in own and "None" not in own


def test_what_was_given_is_typed_again() -> None:
    told = {"task": "completion", "given": None, "mask_rule": "upstream", "mask_sha256": None, "conditioning": "mask",
            "given_pixels": "real", "conditions": "ab", "conditions_of": "/data/real",
            "conditions_latents": "drawn"}  # fmt: skip
    sampler = {**(make_result().sampler or {}), **told}
    words = shlex.join(reproduce_arguments([make_result(sampler=sampler)]))
    assert "--task completion --mask-rule upstream --given-pixels real --given-latents drawn" in words
    usual = {**sampler, "mask_rule": "corrected", "given_pixels": "round-trip", "conditions_latents": "mode"}
    frames = make_result(
        sampler={**usual, "task": "by mask", "given": "0:8", "conditioning": "concat"}, real_source=None
    )
    assert "--given 0:8 --cond concat" in reproduce_command([frames]) and "--real /data/real" in reproduce_command(
        [frames]
    )
    assert "--mask MASK.npy" in reproduce_command([make_result(sampler={**usual, "task": "by mask"})])
    image = {key: sampler[key] for key in ("method", "steps", "dtype", "seed", "codec") if key in sampler}
    image |= {
        "method": "EulerDiscreteScheduler",
        "task": "first frame",
        "conditions_of": "/data/real",
        "clip_x0": False,
    }
    words = reproduce_command([make_result(sampler={**image, "clip_x0": False})])
    assert "--task" not in words and "--sampler" not in words and "clip-x0" not in words


def test_what_a_checkpoint_does_not_tell_is_typed_again() -> None:
    result = make_result()
    assert result.checkpoint
    given = replaced(result, checkpoint={**result.checkpoint, "heads": 8, "temporal_position": "rotary"})
    assert "--ckpt ucf101.pt --heads 8 --temporal-position rotary" in reproduce_command([given])
    assert "--heads" not in reproduce_command([result])


def test_numbers_keep_their_digits() -> None:
    texts = [plain_number(value) for value in (7.0, 7.5, 1.23456789, 4, "ddim")]
    assert texts == ["7", "7.5", "1.23456789", "4", "ddim"]


def test_features_from_a_file_are_those_of_its_folder() -> None:
    assert real_folder("/data/UCF-101 (ucf101.safetensors)") == "/data/UCF-101"
    assert real_folder("/data/clips (old)") == "/data/clips (old)"


GENERATOR = """
import numpy as np

class Noise:
    name, fingerprint = "another name", "1"

    def __len__(self):
        return 4

    def generate(self, indices, seeds):
        draws = [np.random.default_rng(seed).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8) for seed in seeds]
        return np.stack(draws)
"""


@pytest.mark.parametrize(
    "typed",
    [
        ["is", "--ckpt", "demo", "--detector", "inception-seeded", "--clips", "3", "--steps", "2", "--seed", "2"],
        [
            "evaluate",
            "--metrics",
            "psnr",
            "--ckpt",
            "demo-vdt",
            "--task",
            "one-frame",
            "--given-pixels",
            "real",
            "--samples",
            "2",
            "--clips",
            "4",
            "--steps",
            "2",
        ],
        ["fvd", "--generator", "odd_noise:Noise", "--benchmark", "shapes", "--clips", "4", "--detector", "seeded"],
    ],
)
def test_typed_again_it_is_the_same_value(typed: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "odd_noise.py").write_text(GENERATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert latte_eval(*typed, "--out", "first", "--quiet").returncode == 0
    first = read_runs([Path("first")]).evaluations[0].first
    command = shlex.split(reproduce_command([first]))
    done = latte_eval(*command[1:], "--out", "again", "--quiet")
    assert done.returncode == 0, done.stderr
    again = read_results("again/results.jsonl")[0]
    kept = ("protocol", "detector", "value", "fake", "real", "seeds")
    assert [getattr(again, name) for name in kept] == [getattr(first, name) for name in kept]


def test_a_run_keeps_the_real_features_that_came_from_a_file(tmp_path: Path) -> None:
    run, detector = RunFolder(tmp_path / "run"), open_detector("i3d-seeded", "cpu")
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    features = Features({"features": rows}, [*range(2, 42)], [f"v{i}" for i in range(40)], [])
    protocol, source = named_protocol("clean"), {"name": "/data/clips", "fingerprint": "f" * 64}
    write_stats(tmp_path / "s.safetensors", {detector.name: features}, [detector], protocol, source)
    stored_features(StatsSource.open(tmp_path / "s.safetensors"), detector, run)
    found = run.read_features(feature_key("f" * 64, detector.record()))
    assert found and np.array_equal(found.outputs["features"], rows)
    assert (found.indices, found.groups) == (features.indices, features.groups)


def test_an_array_of_python_is_typed_as_the_file_that_gives_the_same() -> None:
    result = make_result("ucf101", checkpoint=None, sampler=None, seeds=None)
    array = {"shape": [4, 16, 8, 8, 3], "dtype": "uint8", "sha256": "5" * 64}
    source = {**result.fake_source, "name": "array [4, 16, 8, 8, 3] uint8, sha256 555555555555", "array": array}
    result = replaced(result, fake_source=source)
    words = reproduce_arguments([result])
    assert words[words.index("--fake") + 1] == "FAKE.npy"
    (said,) = array_sentences(result)
    assert said == f"FAKE.npy holds the array [4, 16, 8, 8, 3] uint8 with the sha256 {'5' * 64}, as np.save writes it."
