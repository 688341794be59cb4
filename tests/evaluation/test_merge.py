"""Jobs of `--shard K/N` and `merge`: the number of one process, whatever is missing named, nothing wrong taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import latte_eval
from media_makers import moving_frames, write_frames
from share_makers import alike, evaluate, merge, only_result, results_of, save_toy, shares, toy_rows

from latte_eval.core.digests import with_digest
from latte_eval.core.errors import UsageError
from latte_eval.evaluation.shares import Share, share_of
from latte_eval.files.run_folder import FEATURES, SHARD_CLIPS


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with toy_rows():
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, measured whole in `whole` and by the jobs 1 and 3 of 3 in `two`."""
    checkpoint = save_toy(tmp_path_factory.mktemp("shares") / "toy.pt")
    evaluate(checkpoint, checkpoint.parent / "whole")
    shares(checkpoint, checkpoint.parent / "two", "3 1")
    return checkpoint


@pytest.fixture
def two(toy: Path, tmp_path: Path) -> Path:
    """A copy of the run folder with two of three shares."""
    return Path(shutil.copytree(toy.parent / "two", tmp_path / "two"))


@pytest.mark.parametrize("count", [1, 5, SHARD_CLIPS, 100, 2048])
@pytest.mark.parametrize("jobs", [1, 3, 64])
def test_shares_cover_every_clip_once(count: int, jobs: int) -> None:
    spans = {share: share.spans(count) for share in (Share(k, jobs) for k in range(1, jobs + 1))}
    clips = sorted(index for found in spans.values() for span in found for index in range(*span))
    assert clips == list(range(count))
    assert all(
        share_of(i, count, jobs) == share for share, found in spans.items() for a, b in found for i in (a, b - 1)
    )
    assert all(stop - start <= SHARD_CLIPS for found in spans.values() for start, stop in found)
    assert count < jobs or sum(map(bool, spans.values())) > jobs // 2


@pytest.mark.parametrize(("text", "words"), [("3", "K/N"), ("a/b", "K/N"), ("0/3", "from 1 to 3"), ("4/3", "K is 4"),
                                             ("1/0", "from 1"), ("-1/3", "K/N"), ("1/3/5", "K/N")])  # fmt: skip
def test_a_share_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Share.parse(text)


def test_three_jobs_and_a_merge_give_the_result_of_one_process(toy: Path, two: Path) -> None:
    shares(toy, two, "2")
    (result,) = results_of(merge(two, "--json").stdout)
    assert alike(result, only_result(toy.parent / "whole")) and result.env["world"] == 3
    assert only_result(two).value == result.value
    again = merge(two)
    assert "GAP" in again.stdout and len((two / "results.jsonl").read_text().splitlines()) == 1


def test_a_missing_share_is_named_with_what_to_type_and_nothing_is_lost(toy: Path, two: Path) -> None:
    said = merge(two, status=5).stderr
    assert "real clips 4-7" in said and "fake clips 4-7" in said and "--shard 2/3" in said and "--shard 1/3" not in said
    assert len(said.splitlines()) == 1 and not (two / "results.jsonl").exists()
    evaluate(toy, two)  # the same command without --shard finishes, too
    assert only_result(two).value == only_result(toy.parent / "whole").value


def test_a_share_that_ran_twice_counts_once(toy: Path, two: Path) -> None:
    for other in ("1/2", "2/2"):  # other blocks of the same clips, which the plan of three jobs knows nothing of
        evaluate(toy, two.parent / "half", "--shard", other)
    shutil.copytree(two.parent / "half" / FEATURES, two / FEATURES, dirs_exist_ok=True)
    spans = sorted(path.stem for path in next((two / FEATURES).iterdir()).glob("*.safetensors"))
    assert spans == ["000000-000004", "000000-000005", "000005-000010", "000008-000010"]
    (result,) = results_of(merge(two, "--json").stdout)
    assert result.value == only_result(toy.parent / "whole").value and (result.fake, result.real) == (10, 10)


def test_a_job_of_another_protocol_is_refused_with_the_field(toy: Path, two: Path) -> None:
    files = sorted(two.rglob("*"))
    changes = {"--param fake_storage=none": "protocol fake_storage is []", "--seed 3": "seed is 3",
               "--steps 2": "fake sampler steps is 2, there 3"}  # fmt: skip
    for words, field in changes.items():
        done = evaluate(toy, two, "--shard", "2/3", *words.split(), status=3)
        assert field in done.stderr and "fingerprint" not in done.stderr
    assert "shares is 4, there 3" in evaluate(toy, two, "--shard", "2/4", status=3).stderr
    assert sorted(two.rglob("*")) == files


def test_a_damaged_shard_is_missing_and_the_job_makes_it_again(toy: Path, two: Path) -> None:
    shares(toy, two, "2")
    for path in (two / FEATURES).rglob("000004-000008.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = merge(two, status=5).stderr
    assert "000004-000008.safetensors is damaged" in said and "--shard 2/3" in said
    shares(toy, two, "2")
    assert results_of(merge(two, "--json").stdout)[0].value == only_result(toy.parent / "whole").value


def test_a_shard_of_another_detector_under_its_name_is_no_shard(toy: Path, two: Path) -> None:
    shares(toy, two, "2")
    one, other = sorted((two / FEATURES).iterdir())
    shutil.copy(one / "000004-000008.safetensors", other)
    assert "digest" in merge(two, status=5).stderr


def test_a_folder_that_is_no_run_and_a_plan_that_is_none(toy: Path, two: Path, tmp_path: Path) -> None:
    assert "holds no plan to merge" in merge(tmp_path, status=5).stderr
    assert "holds no plan" in merge(tmp_path / "absent", status=5).stderr
    assert "without --shard has finished" in merge(toy.parent / "whole", status=5).stderr
    assert "it holds" in merge(two, "--plan", "7", status=2).stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: {**record, "seed": 4}, "digest"),
        (lambda record: with_digest({**record, "shares": 0}), "shares is 0"),
        (lambda record: with_digest({**record, "fake": {**record["fake"], "limit": -1}}), "no whole plan"),
        (lambda record: with_digest({**record, "metrics": ["fvd"]}), "under another name"),
        (lambda record: with_digest({**record, "schema": 99}), "upgrade"),
        (lambda record: with_digest({**record, "version": "0.0"}), "ran version 0.0"),
        (lambda record: {}, "no schema"),
    ],
)
def test_a_plan_that_was_edited_is_refused(two: Path, change, words: str) -> None:
    (path,) = (two / "plans").iterdir()
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    done = merge(two, status=3 if "version" in words else 5)
    assert words in done.stderr and not done.stdout


def test_a_torn_plan_is_refused(two: Path) -> None:
    (path,) = (two / "plans").iterdir()
    path.write_text(path.read_text()[:100])
    assert "not a whole JSON" in merge(two, status=5).stderr


def test_of_two_plans_the_whole_one_is_measured_and_the_other_named(toy: Path, two: Path, tmp_path: Path) -> None:
    other = save_toy(tmp_path / "other.pt", 1)
    shares(other, two, "1 2 3")
    done = merge(two, "--json", status=5)
    (result,) = results_of(done.stdout)
    assert result.checkpoint and result.checkpoint["name"] == "other.pt" and "gap of toy.pt" in done.stderr
    key = done.stderr.partition("(plan ")[2].partition(")")[0]
    assert not merge(two, "--plan", key, "--json", status=5).stdout


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 videos as folders of frames; two of them have a frame that is cut."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(14):
        write_frames(folder / f"{number:02d}", moving_frames(4 + number, 16, 16)[number:])
    for number in ("03", "11"):
        image = folder / number / "000002.png"
        image.write_bytes(image.read_bytes()[:-40])
    return folder


def real(videos: Path) -> list[str | Path]:
    return ["--real", videos, "--protocol", "toy", "--param", "real_selection=sorted"]


@pytest.fixture(scope="module")
def replaced(toy: Path, videos: Path) -> Path:
    """A run folder with all shares of an evaluation of which one video cannot be read."""
    shares(toy, toy.parent / "replaced", "2 3 1", *real(videos))
    return toy.parent / "replaced"


def test_unreadable_videos_are_replaced_by_the_last_job(
    toy: Path, videos: Path, replaced: Path, tmp_path: Path
) -> None:
    evaluate(toy, tmp_path / "whole", *real(videos))
    (result,) = results_of(merge(shutil.copytree(replaced, tmp_path / "run"), "--json").stdout)
    assert result.real == 10 and result.real_source and result.real_source["rejected"] == 1
    assert alike(result, only_result(tmp_path / "whole"))


def test_jobs_that_ran_at_once_leave_the_replacement_to_the_next_one(
    toy: Path, videos: Path, replaced: Path, tmp_path: Path
) -> None:
    shutil.copytree(replaced, tmp_path / "run")
    for path in (tmp_path / "run" / FEATURES).rglob("000010-*"):
        path.unlink()
    said = merge(tmp_path / "run", status=5).stderr
    assert "real clips 10-10" in said and "--shard 1/3" in said and "--shard 2/3" not in said
    shares(toy, tmp_path / "run", "1", *real(videos))
    assert results_of(merge(tmp_path / "run", "--json").stdout)[0].real == 10


def test_too_few_readable_videos_are_said_and_no_number_is_given(toy: Path, videos: Path, tmp_path: Path) -> None:
    shares(toy, tmp_path / "run", "1 2 3", *real(videos), "--clips", "13")
    done = merge(tmp_path / "run", status=5)
    assert "gives 12 clips" in done.stderr and "13 were asked for" in done.stderr and not done.stdout


def test_features_in_a_file_serve_as_the_real_side(toy: Path, videos: Path, tmp_path: Path) -> None:
    stats = tmp_path / "real.safetensors"
    done = latte_eval("stats", "--metrics", "gap", *real(videos), "--out", stats, "--device", "cpu", "--quiet")
    assert done.returncode == 0, done.stderr
    words = ["--real", stats, *real(videos)[2:], "--clips", "24"]
    evaluate(toy, tmp_path / "whole", *words)
    shares(toy, tmp_path / "run", "2 3", *words)
    said = merge(tmp_path / "run", status=5).stderr
    assert "real clips" in said and "fake clips 0-7" in said and "--shard 1/3," in said
    shares(toy, tmp_path / "run", "1", *words)
    (result,) = results_of(merge(tmp_path / "run", "--json").stdout)
    assert alike(result, only_result(tmp_path / "whole")) and result.real == 12


def test_a_share_needs_a_run_folder_and_no_torchrun(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = latte_eval("evaluate", "--metrics", "gap", "--ckpt", toy, "--benchmark", "stripes", "--shard", "1/3")
    assert done.returncode == 2 and "--shard needs --out" in done.stderr
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "without torchrun" in evaluate(toy, tmp_path, "--shard", "1/3", status=2).stderr
