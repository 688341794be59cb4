"""Reports about runs that are damaged or hostile, two reports at once: what is whole is shown, the rest is named."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from report_makers import Elements, fill_run, pages_of, small_result
from result_makers import replaced, write_results

from latte_eval.core.result import Result
from latte_eval.files.locks import locked
from latte_eval.files.run_folder import FEATURES, RunFolder, feature_key
from latte_eval.report.write import INDEX, write_report

COUNT = 24
ODD = {
    "markup": "</title><script>alert(1)</script>",
    "handler": '"onload="alert(1)',
    "template": "{{ 7*7 }}{% raw %}",
    "section": "]]><b>",
    "link": "javascript:alert(1)",
    "control": "a\nb\r\n\0\a\x1b[31m\u2028\x85c",
    "direction": "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd",
    "not UTF-8": "caf\udce9.pt",
    "long": "x" * 600,
    "emoji": "\U0001f98a\U0001f3ac",
    "outside": "../../x",
    "empty": "",
    "index": "index",
}


def odd_run(folder: Path, name: str, number: int) -> Path:
    """A run in which every text from outside is `name`."""
    result = small_result(started=f"2026-11-21T00:00:{number:02d}Z", note=name, env={"gpu": name, name: name})
    assert result.checkpoint and result.real_source and result.sampler
    result = replaced(
        result,
        checkpoint={**result.checkpoint, "name": name, "run": name, "sha256": f"{number:064x}"},
        fake_source={**result.fake_source, "name": name, "fingerprint": f"{number:064x}"},
        real_source={**result.real_source, "name": name},
        sampler={**result.sampler, "codec": name, "method": name},
    )
    write_results(folder / "results.jsonl", result)
    fill_run(folder, result, video=name)
    return folder


def test_odd_names_stay_text_in_the_folder(tmp_path: Path) -> None:
    runs = [odd_run(tmp_path / f"run{i}", name, i) for i, name in enumerate(ODD.values())]
    done = latte_eval("report", *runs, "-o", tmp_path / "out/report", "--quiet", "--pages", "99")
    assert f"{len(ODD) + 1} pages, {len(ODD)} results" in done.stdout, done.stderr
    pages = pages_of(tmp_path / "out/report")
    assert len(pages) == len(ODD) + 1
    for text in pages.values():
        elements = Elements(text)
        assert not {"script", "b"} & set(elements.tags)
        assert not re.search("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", text)
        assert "onload" not in {name for name, _ in elements.attributes}
        targets = {link.partition("#")[0] for link in elements.links} - {"", "data:,"}
        assert all((tmp_path / "out/report" / target).is_file() for target in targets)
    assert any("{{ 7*7 }}" in text for text in pages.values())
    assert not list((tmp_path / "out").glob("*.html")) and not list(tmp_path.glob("*.html"))


def test_results_with_odd_names_are_read_back(tmp_path: Path) -> None:
    for name in ODD.values():
        file = write_results(tmp_path / "results.jsonl", small_result(note=name), small_result())
        lines = file.read_text().split("\n")
        assert [Result.from_json(line).note for line in lines[:-1]] == [name, None]


def test_a_training_run_that_begins_with_an_underscore_is_in_the_legend(tmp_path: Path) -> None:
    results = [
        small_result(
            value=float(9 - step + place),
            started=f"2026-11-2{step}T0{place}:00:00Z",
            interval=None,
            checkpoint={"name": f"{step}.pt", "run": run, "sha256": f"{step}{place}" * 32, "iteration": step},
            fake_source={"name": f"{step}.pt", "fingerprint": f"{step}{place}" * 32},
        )
        for step in (1, 2)
        for place, run in enumerate(("_old", None))
    ]
    write_results(tmp_path / "run/results.jsonl", *results)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report([tmp_path / "run"], tmp_path / "report")
    page = pages_of(tmp_path / "report")["index.html"]
    assert ">run _old</text>" in page and ">run without a name</text>" in page


def whole_run(folder: Path, **changes: Any) -> Result:
    result = small_result(**changes)
    write_results(folder / "results.jsonl", result)
    fill_run(folder, result)
    return result


def shard(folder: Path, result: Result, rows: np.ndarray, **notes: Any) -> None:
    """Other features of the fake side."""
    known = {"groups": [f"v{i}" for i in range(len(rows))], "rejected": []}
    key = feature_key(result.fake_source["fingerprint"], result.detector)
    arrays = {"indices": np.arange(len(rows)), "features": rows}
    RunFolder(folder).write_shard(FEATURES, key, (0, COUNT), arrays, known | notes)


def rows(dimensions: int = 8) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(COUNT, dimensions)).astype(np.float32)


def with_nan() -> np.ndarray:
    broken = rows()
    broken[3, 2] = np.nan
    return broken


@pytest.mark.parametrize(
    ("broken", "notes", "said"),
    [
        (with_nan(), {}, "1 of 24 clips of the fake side have NaN or infinity"),
        (rows(5), {}, "fake clips have features of shape (5,), real ones of (8,)"),
        (rows()[:, 0], {}, "no features of clips"),
        (rows(), {"groups": ["a"] * 3}, "no whole shard of features"),
        (rows()[:20], {}, "does not hold the features of these clips"),
    ],
)
def test_damaged_features_leave_the_numbers(tmp_path: Path, broken: np.ndarray, notes: Any, said: str) -> None:
    result = whole_run(tmp_path / "run")
    shard(tmp_path / "run", result, broken, **notes)
    done = latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet")
    page = pages_of(tmp_path / "report")["index.html"]
    assert done.returncode == 0 and said in page and "1.50" in page
    assert said in done.stderr or len(broken) < COUNT
    assert Elements(page).tags.count("svg") == 0 and "so there are only the numbers" in page


def test_features_of_another_measurement_are_said(tmp_path: Path) -> None:
    whole_run(tmp_path / "run")
    done = latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet")
    page = pages_of(tmp_path / "report")["index.html"]
    given = re.search(r"give FVD ([\d.]+), and not 1.50: they are not those", done.stderr)
    assert given and f"Of the distance {given[1]}," in page
    whole_run(tmp_path / "true", value=float(given[1]), interval=[0.0, 99.0])
    assert latte_eval("report", tmp_path / "true", "-o", tmp_path / "report", "--quiet").stderr == ""


def test_a_real_side_that_is_not_kept_leaves_the_fake_clips(tmp_path: Path) -> None:
    result = whole_run(tmp_path / "run")
    assert result.real_source
    shutil.rmtree(tmp_path / "run/features" / feature_key(result.real_source["fingerprint"], result.detector))
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").stderr == ""
    page = pages_of(tmp_path / "report")["index.html"]
    assert "does not hold the features of the real clips" in page and Elements(page).tags.count("img") == 8


def test_damaged_pictures_leave_the_charts(tmp_path: Path) -> None:
    result = whole_run(tmp_path / "cut")
    for path in (tmp_path / "cut/previews").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-50])
    fingerprint = result.fake_source["fingerprint"]
    whole_run(tmp_path / "foreign")
    drawing = b"<svg><script>alert(1)</script></svg>"
    RunFolder(tmp_path / "foreign").write_previews(fingerprint, 0, COUNT, dict.fromkeys(range(COUNT), drawing))
    for name, said, pictures in (("cut", "is damaged", 0), ("foreign", "is no WebP picture", 38)):
        done = latte_eval("report", tmp_path / name, "-o", tmp_path / f"{name}-report", "--quiet")
        page = pages_of(tmp_path / f"{name}-report")["index.html"]
        assert done.returncode == 0 and said in done.stderr and "they cannot be read" in page
        assert Elements(page).tags.count("svg") == 5 and Elements(page).tags.count("img") == pictures
        assert done.stderr.count("\n") <= 3  # at most one a side, and that the features are made up


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"schema": 1, "verd', "is not a whole JSON line"),
        ('{"schema": 9}', "newer than the 1"),
        (
            '{"schema": 1, "verdict": "pass", "new": "a", "accepted": "b", "rules": []}',
            "in a verdict, clips, budget, conf",
        ),
    ],
)
def test_a_gate_that_cannot_be_read_is_said(tmp_path: Path, line: str, said: str) -> None:
    whole_run(tmp_path / "run")
    (tmp_path / "run/gate.jsonl").write_text(line + "\n")
    done = latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet")
    page = pages_of(tmp_path / "report")["index.html"]
    assert done.returncode == 0 and said in done.stderr and said in page and "1.50" in page


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("schema", 99, "line 1 has schema 99, newer than"),
        ("started", "yesterday", "started of the fvd result is 'yesterday'"),
        ("corrected", {"x": 1}, "corrected of the fvd result"),
        ("floor", {"value": 1.0}, "floor of the fvd result"),
        ("interval", [1.0, 1.5, 2.0], "interval of the fvd result"),
        ("sampler", {"guidance_scale": "y"}, "in its sampler, guidance_scale is 'y'"),
        ("code", {"commit": 5}, "in its code, commit is 5"),
        ("details", {"table": [{}]}, "in its details, table is [{}]"),
    ],
)
def test_an_edited_result_gives_one_line(tmp_path: Path, field: str, value: Any, said: str) -> None:
    record = {**json.loads(small_result().to_json()), field: value}
    (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n")
    done = latte_eval("report", tmp_path, "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 5 and done.stderr.count("\n") == 1 and said in done.stderr


def test_results_that_do_not_belong_together_get_pages_of_their_own(tmp_path: Path) -> None:
    first = small_result()
    assert first.real_source
    other_real = replaced(first, real_source={**first.real_source, "fingerprint": "0" * 64}, value=1.6)
    other_detector = replaced(first, detector={**first.detector, "name": "i3d", "sha256": "0" * 64}, value=1.7)
    write_results(tmp_path / "run/results.jsonl", first, other_real, other_detector)
    done = latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet")
    assert "4 pages, 3 results" in done.stdout
    found = pages_of(tmp_path / "report")
    for value in ("1.50", "1.60", "1.70"):
        row = re.compile(rf'<a href="([^"]+)">[^<]*</a></td><td class="text">[^<]*</td><td class="number">{value}<')
        link = row.search(found["index.html"])
        assert link and f'<p class="value">{value}</p>' in found[link[1]]


@pytest.mark.parametrize("out", ["run/report", "report/", "./deep/er"])
def test_folders_as_they_are_typed(tmp_path: Path, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole_run(Path("run"))
    for _ in range(2):
        done = latte_eval("report", "run/", "-o", out, "--quiet")
        assert "1 page, 1 result" in done.stdout, done.stderr
    assert "1.50" in pages_of(Path(out))["index.html"]


def test_what_a_killed_report_left_is_replaced(tmp_path: Path) -> None:
    whole_run(tmp_path / "run")
    (tmp_path / "report/pictures").mkdir(parents=True)
    left = [tmp_path / "report/.index.html.77.partial", tmp_path / "report/pictures/.0123456789abcdef.webp.77.partial"]
    for path in left:
        path.write_bytes(b"half")
    assert latte_eval("report", tmp_path / "run", "-o", tmp_path / "report", "--quiet").returncode == 0
    assert not any(path.exists() for path in left) and "1.50" in pages_of(tmp_path / "report")["index.html"]


def test_two_reports_into_one_folder_come_one_after_the_other(tmp_path: Path) -> None:
    whole_run(tmp_path / "run")
    (tmp_path / "report").mkdir()
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "report" / INDEX):
            second = pool.submit(write_report, [tmp_path / "run"], tmp_path / "report")
            assert wait([second], timeout=3).not_done
            assert [path.name for path in (tmp_path / "report").iterdir()] == [f".{INDEX}.lock"]
        assert second.result(60).pages == 1
