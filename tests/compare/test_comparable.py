"""The one rule: which fields of two results differ, which of them decide, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from result_makers import I3D, SEEDED, make_result, replaced

from latte_eval.benchmarks.dataset import Dataset, find_dataset
from latte_eval.compare.comparable import (
    FAKE_ONLY,
    PROTOCOL_REASONS,
    Conditions,
    beside_published,
    decisive,
    differences,
    line_key,
    published_conditions,
    standing,
)
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.table_runs import answers, request_conditions


def reasons_against(result: Result, dataset: Dataset) -> list[str]:
    """Why a result does not stand beside published rows; empty where it does, with care or without."""
    found = beside_published(result, dataset)
    return [] if found.compares else list(found.reasons)


def labels(*pair: object) -> list[str]:
    return [each.label for each in decisive(differences(*pair))]  # type: ignore[arg-type]


def test_every_field_of_a_protocol_has_a_reason() -> None:
    fields = {field.name for field in dataclasses.fields(Protocol)}
    assert set(PROTOCOL_REASONS) | {"stem"} == fields and set(FAKE_ONLY) <= fields


def test_equal_results_differ_in_nothing() -> None:
    assert differences(make_result(), make_result()) == []


@pytest.mark.parametrize("name", sorted(PROTOCOL_REASONS))
def test_every_field_of_a_protocol_decides(name: str) -> None:
    before = make_result().protocol_fields
    value = {int: 7, str: {"real_split": "all", "real_selection": "sorted", "windows": "all", "real_offset": "zero",
                           "crop": "none", "resample": "bilinear", "labels": "balanced", "covariance": "n-1",
                           "fid_resize": "clean", "frame_rule": "first", "fake_offset": "seeded",
                           "rounding": "floor", "decoder": "decord", "i3d_eps": "1e-5",
                           "counted": "generated"}.get(name, "shapes"),
             list: ["jpeg75", "jpeg75"]}[type(before[name])]  # fmt: skip
    (found,) = differences(make_result(), make_result(changes={name: value}))
    assert (found.label, found.weight, found.reason) == (name, "decides", PROTOCOL_REASONS[name])


def test_a_name_of_the_same_fields_does_not_decide() -> None:
    assert differences(make_result(), make_result(changes={"stem": "other"})) == []


@pytest.mark.parametrize(
    ("changes", "label", "sentence"),
    [
        ({"fake": 64}, "fake clips", "2,048 fake clips, not 64"),
        ({"real": 64}, "real clips", "2,048 real clips, not 64"),
        ({"real_source": {"name": "/data/ucf101", "fingerprint": "9" * 64, "rejected": 0, "videos": 2048}},
         "real data", "real data is dddddddddddd, not 999999999999"),
        ({"sampler": {"steps": 50}}, "sampler steps", "sampler steps is 250, not 50"),
    ],
)  # fmt: skip
def test_what_else_decides(changes: dict[str, object], label: str, sentence: str) -> None:
    if "sampler" in changes:
        changes = {"sampler": {**(make_result().sampler or {}), "steps": 50}}
    (found,) = decisive(differences(make_result(), make_result(**changes)))
    assert (found.label, found.sentence()) == (label, sentence) and found.reason


def test_what_is_compared_and_what_only_pairs_clips_does_not_decide() -> None:
    seeds = {"sampler": {**(make_result().sampler or {}), "seed": 5}, "seeds": [5, 2052]}
    checkpoint = {"name": "y.pt", "sha256": "e" * 64, "weights": "model"}
    other = make_result(checkpoint=checkpoint, env={"python": "3.12"}, **seeds)
    found = differences(make_result(), other)
    assert {each.part for each in found} == {"checkpoint", "sampler", "counts", "code"}
    assert not decisive(found) and all(each.weight == "free" and each.reason for each in found)


def test_a_folder_beside_a_checkpoint_was_not_sampled_here() -> None:
    folder = replaced(make_result(), checkpoint=None, sampler=None, seeds=None)
    assert not decisive(differences(make_result(), folder))


def test_other_weights_of_a_detector_decide() -> None:
    assert labels(make_result(), make_result(detector=SEEDED)) == [
        "detector name", "detector sha256", "detector comparable",
    ]  # fmt: skip


def test_published_rows_know_less() -> None:
    """The number of real clips is an upper bound there, and how other rows were sampled is not known."""
    ucf101 = find_dataset("ucf101")
    few = make_result(real=1900, sampler={**(make_result().sampler or {}), "steps": 50})
    assert reasons_against(few, ucf101) == []
    care = [each for each in differences(few, published_conditions(ucf101)) if each.weight == "care"]
    assert [(each.label, each.values) for each in care] == [("real clips", (1900, 2048)), ("sampler steps", (50, 250))]
    assert reasons_against(make_result(detector=SEEDED), ucf101) == ["detector i3d-seeded is not the published one"]
    assert reasons_against(make_result(fake=64), ucf101) == ["64 fake clips, not 2,048"]
    told_once = make_result(fake=64, changes={"fake_clips": 64})
    assert reasons_against(told_once, ucf101) == ["fake_clips is 64, not 2048"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"real": 3}, "3 real clips, not 2,048"),
        ({"checkpoint": {"name": "x.pt", "frames": 16, "size": 32}}, "checkpoint size is 32, not 256"),
        ({"checkpoint": {"name": "x.pt", "frames": 8, "size": 256}}, "checkpoint frames is 8, not 16"),
        ({"sampler": {"codec": "vae-seeded"}}, "sampler codec is vae-seeded, not the published VAE"),
        ({"sampler": {"codec": "identity"}}, "sampler codec is identity, not the published VAE"),
    ],
)
def test_what_a_published_row_implies_is_data_too(fields: dict[str, object], reason: str) -> None:
    result = make_result(**fields)  # type: ignore[arg-type]
    assert reasons_against(result, find_dataset("ucf101")) == [reason]


def test_real_clips_that_a_published_row_had() -> None:
    def weights(benchmark: str, real: int) -> list[str]:
        published = published_conditions(find_dataset(benchmark))
        return [each.weight for each in differences(make_result(benchmark, real=real), published)]

    assert weights("faceforensics", 704) == weights("faceforensics", 2048) == []  # all that the training split has
    assert weights("faceforensics", 700) == ["care"] and weights("faceforensics", 3) == ["decides"]
    assert weights("skytimelapse", 2048) == [] and weights("skytimelapse", 3) == ["care"]  # nobody published a count


def test_three_grades() -> None:
    ucf101, published = find_dataset("ucf101"), make_result()
    assert beside_published(published, ucf101).grade == "comparable"
    few = make_result(sampler={**ucf101.sampler, "steps": 50, "codec": "vae"})
    assert (beside_published(few, ucf101).grade, beside_published(few, ucf101).reasons) == (
        "with care", ("sampler steps is 50, not 250",)
    )  # fmt: skip
    unpinned = make_result(detector={**I3D, "pinned": False})
    assert beside_published(unpinned, ucf101).grade == "with care"
    worse = make_result(detector=SEEDED, sampler={**ucf101.sampler, "steps": 50, "codec": "vae"})
    assert beside_published(worse, ucf101).reasons == ("detector i3d-seeded is not the published one",)
    assert standing(differences(few, published)).grade == "not comparable"  # of two results the sampler decides


def test_a_request_is_compared_before_it_runs(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"weights")
    request = Request(ckpt=str(tmp_path / "x.pt"), benchmark="ucf101", real=tmp_path)
    conditions = request_conditions(request, "fvd")
    own = conditions.parts["checkpoint"]["sha256"]
    result = make_result(checkpoint={"name": "x.pt", "sha256": own, "weights": "ema"})
    assert differences(result, conditions) == [] and answers(result, request)
    for changes in ({"steps": 50}, {"detectors": ("i3d-seeded",)}, {"params": ("real_stride=1",)}, {"seed": 3}):
        other = dataclasses.replace(request, **changes)
        assert not answers(result, other) or changes == {"seed": 3}
    assert not answers(make_result(), request)  # another file


def test_fields_that_one_side_does_not_know_are_left_alone() -> None:
    assert differences(make_result(), Conditions({"detector": {"name": "i3d"}})) == []
    assert labels(make_result(), Conditions({"detector": {"name": "c3d"}})) == ["detector name"]


def test_one_line_over_time_has_one_metric_protocol_and_detector() -> None:
    result = make_result()
    assert line_key(result) == ("fvd", result.protocol, "i3d")
    assert line_key(make_result(detector=SEEDED)) != line_key(result)


def test_arithmetic_is_compared_where_both_know_it_and_never_decides() -> None:
    process = {"tf32": True, "autocast": []}
    env = {"python": "3.11", "arithmetic": {"tf32": False, "attention": ["math"], "process": process}}
    other = {
        "python": "3.11",
        "arithmetic": {"tf32": False, "attention": ["math"], "process": {**process, "tf32": False}},
    }
    found = differences(make_result(env=env), make_result(env=other))
    assert [(each.part, each.field, each.weight) for each in found] == [("arithmetic", "process tf32", "free")]
    assert differences(make_result(env=env), make_result(env={"python": "3.11"})) == []


@pytest.mark.parametrize(
    ("part", "field", "value"), [("sampler", "codec_dtype", "float32"), ("detector", "pinned", True)]
)
def test_fields_that_older_results_lack_do_not_part_them(part: str, field: str, value: object) -> None:
    old = make_result()
    new = make_result(**{part: {**getattr(old, part), field: value}})
    assert not decisive(differences(old, new)) and differences(old, new)


TASK = {"task": "predict", "given": None, "mask_rule": "corrected", "mask_sha256": None, "conditioning": "mask",
        "given_pixels": "round-trip", "conditions": "c" * 64, "conditions_of": "/data/real",
        "conditions_latents": "mode"}  # fmt: skip


def sampled(**told: object) -> Result:
    return make_result(sampler={**(make_result().sampler or {}), **TASK, **told})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("task", "backward", "another part of every clip is given"),
        ("given", "0:8", "another part of every clip is given"),
        ("mask_rule", "upstream", "another part of every clip is given"),
        ("mask_sha256", "d" * 64, "another part of every clip is given"),
        ("given_pixels", "real", "the same weights give other clips"),
        ("conditions_latents", "drawn", "the same weights give other clips"),
        ("conditions", "e" * 64, "parts of other real clips are given"),
    ],
)
def test_results_of_other_tasks_do_not_stand_beside_each_other(field: str, value: str, reason: str) -> None:
    found = differences(sampled(), sampled(**{field: value}))
    assert [(each.field, each.weight, each.reason) for each in found] == [(field, "decides", reason)]
    assert standing(differences(sampled(), make_result())).grade == "not comparable"
    assert standing(differences(sampled(), sampled(conditions_of="/elsewhere"))).grade == "comparable"


@pytest.mark.parametrize(("field", "told"), [("task", TASK), ("prompts_sha256", {"prompts_sha256": "a" * 64})])
def test_clips_made_from_more_than_noise_stand_in_no_published_table(field: str, told: dict[str, object]) -> None:
    made = make_result(sampler={**(make_result().sampler or {}), **told})
    published = published_conditions(find_dataset("ucf101"))
    found = standing(differences(made, published))
    assert found.grade == "not comparable" and any(f"sampler {field} is" in reason for reason in found.reasons)
    assert standing(differences(make_result(), published)).grade != "not comparable"
