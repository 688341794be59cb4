"""`latte-eval report`: pages about runs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from command_line import latte_eval
from report_makers import Elements, fill_run, pages_of, small_result
from result_makers import SEEDED, make_result, replaced, write_results

from latte_eval.report.words import protocol_in_words

EVIL = '<script>alert("x")</script>'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder, result = tmp_path / "run", small_result()
    write_results(folder / "results.jsonl", result)
    fill_run(folder, result)
    return folder


def test_one_run_is_one_page_with_everything(run: Path, tmp_path: Path) -> None:
    done = latte_eval("report", run, "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/report/index.html: 1 page, 1 result\n"
    page = pages_of(tmp_path / "report")["index.html"]
    for said in (
        "1.50",
        "95 % interval 1.00 to 2.00",
        "lower is better",
        "333.61",
        "every 3rd frame",
        "H.264",
        "At most 8 clips of each side",
        "Value and number of clips",
        "What the distance is made of",
        "Most like a copy",
        "ApplyEyeMakeup",
        "By class",
        "first axis",
        "device seconds a fake clip",
        "latte-eval fvd --ckpt",
        "video.mp4: cut short",
    ):
        assert said in page, said
    elements = Elements(page)
    assert len(elements.ids) == len(set(elements.ids))
    assert elements.tags.count("svg") == 5 and elements.tags.count("img") >= 40
    assert all(elements.alts)


def test_every_link_stays_in_the_folder_and_leads_somewhere(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_results(other / "results.jsonl", small_result(started="2026-11-21T00:00:00Z"))
    assert latte_eval("report", run, other, "-o", tmp_path / "report", "--quiet").returncode == 0
    for name, text in pages_of(tmp_path / "report").items():
        elements = Elements(text)
        for link in elements.links:
            target, _, anchor = link.partition("#")
            assert not re.match(r"[a-z]+:|//|/", link) or link == "data:,", link
            assert (
                (tmp_path / "report" / target).is_file() or (not target and anchor in elements.ids) or link == "data:,"
            )
        assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/", ""), name


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    result = small_result()
    assert result.checkpoint and result.real_source
    evil = replaced(
        result,
        checkpoint={**result.checkpoint, "name": EVIL},
        note=EVIL,
        real_source={**result.real_source, "name": EVIL},
    )
    write_results(tmp_path / "run/results.jsonl", evil)
    fill_run(tmp_path / "run", evil, video=EVIL)
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").returncode == 0
    page = pages_of(tmp_path / "report")["index.html"]
    assert "script" not in Elements(page).tags
    assert "&lt;script&gt;" in page and "<script" not in page


def test_runs_of_several_protocols_are_kept_apart(run: Path, tmp_path: Path) -> None:
    other = replaced(make_result(stem="clean", detector=SEEDED), started="2026-11-21T00:00:00Z")
    write_results(tmp_path / "clean/results.jsonl", other)
    done = latte_eval("report", run, tmp_path / "clean", "-o", tmp_path / "report", "--quiet")
    assert "3 pages, 2 results" in done.stdout
    index = pages_of(tmp_path / "report")["index.html"]
    assert "2 combinations of metric, protocol and detector are kept apart" in index
    assert Elements(index).tags.count("svg") == 0  # one value each: nothing to draw


def test_parts_of_other_protocols_have_other_titles(tmp_path: Path) -> None:
    other = {"fake_clips": 20, "real_clips": 24, "frames": 4}
    second = make_result(changes=other, fake=20, detector=SEEDED, started="2026-11-21T00:00:00Z")
    write_results(tmp_path / "results.jsonl", small_result(), second)
    assert latte_eval("report", tmp_path, "-o", tmp_path / "report", "--quiet").returncode == 0
    titles = re.findall(r'<a href="#time-\d">([^<]+)</a>', pages_of(tmp_path / "report")["index.html"])
    assert len(titles) == len(set(titles)) == 2 and all("i3d-seeded" in title for title in titles)


def test_a_curve_over_checkpoints(tmp_path: Path) -> None:
    results = [
        small_result(
            value=9.0 - step,
            interval=[8.0 - step, 10.0 - step],
            started=f"2026-11-2{step}T00:00:00Z",
            checkpoint={"name": f"{step}000.pt", "sha256": f"{step}" * 64, "weights": "ema", "iteration": 1000 * step},
            fake_source={"name": f"{step}000.pt", "fingerprint": f"{step}" * 64, "rejected": 0, "videos": 24},
        )
        for step in (1, 2, 3)
    ]
    write_results(tmp_path / "run/results.jsonl", *results)
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").returncode == 0
    found = pages_of(tmp_path / "report")
    assert set(found) == {"index.html", "1000-pt.html", "2000-pt.html", "3000-pt.html"}
    assert "iteration" in found["index.html"] and Elements(found["index.html"]).tags.count("svg") == 1
    lines = (tmp_path / "report/all-results.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == [8.0, 7.0, 6.0]


def test_training_runs_are_drawn_over_each_other(tmp_path: Path) -> None:
    results = [
        small_result(
            value=float(9 - step + run),
            interval=None,
            started=f"2026-11-2{step}T0{run}:00:00Z",
            checkpoint={
                "name": f"{step}000.pt",
                "run": f"seed{run}",
                "sha256": f"{step}{run}" * 32,
                "weights": "ema",
                "iteration": 1000 * step,
            },
            fake_source={"name": f"{step}000.pt", "fingerprint": f"{step}{run}" * 32, "rejected": 0, "videos": 24},
        )
        for step in (1, 2)
        for run in (0, 1)
    ]
    write_results(tmp_path / "run/results.jsonl", *results)
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").returncode == 0
    found = pages_of(tmp_path / "report")
    assert {"seed0-1000-pt.html", "seed1-2000-pt.html"} <= set(found)
    for said in ("2 training runs are drawn over each other", ">seed0</text>", ">seed1</text>", ">seed1/2000.pt<"):
        assert said in found["index.html"], said


def test_a_score_without_a_real_side_still_shows_clips(tmp_path: Path) -> None:
    detector = {**SEEDED, "name": "c3d-seeded"}
    result = small_result(metric="is", better="higher", real=0, real_source=None, detector=detector)
    write_results(tmp_path / "run/results.jsonl", result)
    fill_run(tmp_path / "run", result)
    done = latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0, done.stderr
    page = pages_of(tmp_path / "report")["index.html"]
    assert Elements(page).tags.count("img") == 8 and "higher is better" in page and "Real clips</h3>" not in page


def test_an_accepted_file_is_read_beside_the_run_it_came_from(run: Path, tmp_path: Path) -> None:
    accepted = tmp_path / "accepted.jsonl"
    assert latte_eval("gate", "accept", run, "--into", accepted, "--why", "looks right", "--who", "me").returncode == 0
    done = latte_eval("report", run, accepted, "-o", tmp_path / "report", "--quiet")
    assert "1 page, 1 result" in done.stdout, done.stderr
    page = pages_of(tmp_path / "report")["index.html"]
    assert Elements(page).tags.count("img") >= 40
    alone = latte_eval("report", accepted, "-o", tmp_path / "alone", "--quiet")
    assert "1 page, 1 result" in alone.stdout and "1.50" in pages_of(tmp_path / "alone")["index.html"]


def test_results_without_their_run_give_the_numbers(tmp_path: Path) -> None:
    write_results(tmp_path / "alone/results.jsonl", small_result())
    assert latte_eval("report", tmp_path / "alone/results.jsonl", "-o", tmp_path / "report", "--quiet").returncode == 0
    page = pages_of(tmp_path / "report")["index.html"]
    assert "does not hold the features" in page and "1.50" in page


def test_a_comparable_result_stands_among_the_published_rows(tmp_path: Path) -> None:
    write_results(tmp_path / "run/results.jsonl", make_result(value=400.0, interval=[390.0, 410.0]))
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").returncode == 0
    page = pages_of(tmp_path / "report")["index.html"]
    assert "Beside published Latte+IMG 333.61 (+66.39), Latte 477.97 (-77.97)" in page
    rows = re.findall(r'<td class="text">([^<]+)</td><td class="number">([\d.]+)</td>', page)
    values = [float(value) for _, value in rows[:12]]
    assert values == sorted(values) and ("▶ ucf101.pt", "400.00") in rows


def test_bad_input_gives_one_line(run: Path, tmp_path: Path) -> None:
    cases = {
        ("report", tmp_path / "none"): "none does not exist",
        ("report", tmp_path): None,
        ("report", run, "-o", run): "is a run folder: give another folder",
    }
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("<h1>mine</h1>")
    cases[("report", run, "-o", tmp_path / "site")] = "is not a page of latte-eval"
    (tmp_path / "empty").mkdir()
    cases[("report", tmp_path / "empty", "-o", tmp_path / "r")] = "holds no results.jsonl"
    (tmp_path / "begun/features/key").mkdir(parents=True)
    (tmp_path / "begun/features/key/000000-000032.safetensors").touch()
    cases[("report", tmp_path / "begun", "-o", tmp_path / "r")] = "has no result yet, only 1 shards"
    for arguments, said in cases.items():
        if said:
            done = latte_eval(*arguments, "--quiet")
            assert done.returncode in (2, 5) and done.stderr.count("\n") == 1 and said in done.stderr, done
    assert (tmp_path / "site/index.html").read_text() == "<h1>mine</h1>"


def test_a_torn_line_is_passed_over_and_said(run: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn/results.jsonl"
    torn.parent.mkdir()
    torn.write_text('{"schema": 1, "metr')
    done = latte_eval("report", run, torn.parent, "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0 and f"Note: {torn} line 1 is not a whole JSON line" in done.stderr
    done = latte_eval("report", torn, "-o", tmp_path / "none", "--quiet")
    assert done.returncode == 5 and "holds no result yet" in done.stderr and "line 1" in done.stderr


def test_an_unfinished_run_beside_a_finished_one_is_said(run: Path, tmp_path: Path) -> None:
    (tmp_path / "begun/features/key").mkdir(parents=True)
    done = latte_eval("report", run, tmp_path / "begun", "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0 and "begun has no result yet" in done.stderr
    assert "begun has no result yet" in pages_of(tmp_path / "report")["index.html"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(run: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = latte_eval("report", run, "-o", tmp_path / "closed/report", "--quiet")
    assert done.returncode == 5 and "cannot write to" in done.stderr


def test_a_second_report_replaces_the_first(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    other = tmp_path / "other"
    write_results(other / "results.jsonl", small_result(started="2026-11-21T00:00:00Z"))
    assert latte_eval("report", run, other, "-o", out, "--quiet").returncode == 0
    (out / "mine.html").write_text("kept")
    (out / "pictures/0123456789abcdef.webp").write_bytes(b"old")
    assert latte_eval("report", run, "-o", out, "--quiet").returncode == 0
    assert set(pages_of(out)) == {"index.html", "mine.html"}
    assert not (out / "pictures/0123456789abcdef.webp").exists()


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert latte_eval("report", run, "-o", tmp_path / name, "--quiet").returncode == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_ten_thousand_results(tmp_path: Path) -> None:
    base = small_result()
    lines = []
    for i in range(10_000):
        checkpoint = {"name": f"{i}.pt", "sha256": f"{i:064x}", "weights": "ema", "iteration": i}
        source = {**base.fake_source, "fingerprint": f"{i:064x}"}
        started = f"2026-{1 + i // 1000:02d}-01T{i % 1000 // 60:02d}:{i % 60:02d}:00Z"
        lines.append(replaced(base, checkpoint=checkpoint, fake_source=source, started=started).to_json())
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    done = latte_eval("report", tmp_path / "results.jsonl", "-o", tmp_path / "report", "--quiet", "--pages", "2")
    assert "3 pages, 10,000 results" in done.stdout
    assert len(pages_of(tmp_path / "report")["index.html"]) < 500_000
    assert "9,998 older evaluations have no page of their own" in done.stderr


def test_a_protocol_in_words() -> None:
    from latte_eval.benchmarks.dataset import find_dataset

    said = " ".join(protocol_in_words(find_dataset("taichi-hd").protocol("latte")))
    for words in (
        "the train split of taichi-hd, at most 2,048, chosen by the seed",
        "every 6th frame",
        "256 pixels (Lanczos)",
        "2,048 clips",
        "H.264 (crf 5",
        "JPEG of quality 75",
    ):
        assert words in said, said
    whole = " ".join(protocol_in_words(find_dataset("ucf101").protocol("stylegan-v")))
    assert "the first in order of their paths" in whole and "consecutive frames" in whole


def test_the_gate_stands_on_top(run: Path, tmp_path: Path) -> None:
    record = {
        "schema": 1,
        "verdict": "regression",
        "exit_code": 1,
        "new": "ucf101.pt",
        "accepted": "old.pt",
        "clips": 24,
        "budget": 48,
        "saved": 24,
        "confidence": 0.95,
        "when": "2026-11-21T00:00:00Z",
        "rules": [{"rule": "fvd:+5%", "verdict": "regression", "new": 1.5, "accepted": 1.0, "notes": [EVIL]}],
    }
    (run / "gate.jsonl").write_text(json.dumps(record) + "\n")
    assert latte_eval("report", run, "-o", tmp_path / "report", "--quiet").returncode == 0
    page = pages_of(tmp_path / "report")["index.html"]
    assert '<div class="verdict regression">' in page and "fvd:+5%: regression; new 1.50, accepted 1.00" in page
    assert "24 of 48 were saved" in page and "<script" not in page
