"""Model cards: the results come in, and nothing else of a README is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import latte_eval
from huggingface_hub import ModelCard
from result_makers import I3D, SEEDED, make_result, write_results

from latte_eval.report import card

README = """---
# written by hand
license: apache-2.0   # kept
model-index:
- name: Latte   # the others
  results:
  - task: {type: text-to-video}
    dataset: {name: UCF101, type: ucf101, extra: 1}
    metrics:
    - {type: fvd, value: 333.61, name: by somebody}
# of the tags
tags: [video,
  diffusion]
---

# Latte

---
Text with model-index: and ümlaut.
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    older = make_result(value=400.0, interval=None, started="2026-11-19T19:00:00Z")
    score = make_result(metric="is", better="higher", value=70.0, interval=None, real=0, real_source=None)
    write_results(
        tmp_path / "run/results.jsonl",
        make_result(),
        older,
        score,
        make_result(detector=SEEDED, value=9.0, interval=None),
    )
    return tmp_path / "run"


def entries(text: str) -> dict[tuple[str, str], Any]:
    """Metrics of a card by type and detector, as huggingface_hub reads them."""
    found = ModelCard(text).data.eval_results
    assert found
    return {(each.metric_type, (each.metric_args or {}).get("detector", "-")): each for each in found}


def test_it_prints_what_the_hub_reads(run: Path) -> None:
    done = latte_eval("card", run)
    assert done.returncode == 0 and done.stdout.startswith("---\nmodel-index:")
    found = entries(done.stdout)
    assert set(found) == {("fvd", "i3d"), ("fvd", "i3d-seeded"), ("is", "i3d")}
    fvd = found["fvd", "i3d"]
    assert (fvd.metric_value, fvd.dataset_type, fvd.dataset_name) == (300.0, "ucf101", "UCF101")
    assert fvd.metric_args["interval"] == [290.0, 310.0] and fvd.metric_args["fake_clips"] == 2048
    assert fvd.metric_config == make_result().protocol and fvd.metric_args["protocol_fields"]["real_stride"] == 3
    assert "interval" not in found["is", "i3d"].metric_args
    assert found["fvd", "i3d-seeded"].metric_args["comparable_with_published"] is False
    assert ModelCard(done.stdout).data.model_name == "ucf101"


def test_the_rest_of_a_readme_stays_byte_by_byte(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(README)
    done = latte_eval("card", run, "--into", file)
    assert done.returncode == 0 and done.stdout == f"{file}: 3 results, beside 1 that stay\n"
    text = file.read_text()
    before, after = (each.partition("model-index:\n") for each in (README, text))
    assert after[0] == before[0] and after[2].endswith(before[2][before[2].index("# of the tags") :])
    data = yaml.safe_load(text.split("---\n")[1])
    assert data["model-index"][0]["results"][0]["dataset"]["extra"] == 1
    assert data["model-index"][0]["name"] == "Latte" and len(data["model-index"]) == 1
    assert ("fvd", "-") in entries(text) and len(entries(text)) == 4
    again = latte_eval("card", run, "--into", file)
    assert again.returncode == 0 and file.read_text() == text


def test_a_newer_result_takes_the_place_of_its_own_alone(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(README)
    latte_eval("card", run, "--into", file)
    newer = make_result(value=250.0, interval=[240.0, 260.0], started="2026-11-25T00:00:00Z")
    write_results(tmp_path / "new.jsonl", newer, make_result(stem="stylegan-v", value=500.0, interval=None))
    assert latte_eval("card", tmp_path / "new.jsonl", "--into", file).returncode == 0
    found = ModelCard(file.read_text()).data.eval_results
    assert found and sorted(each.metric_value for each in found) == [9.0, 70.0, 250.0, 333.61, 500.0]


@pytest.mark.parametrize(
    "start", ["", "# A title\n", "---\nlicense: mit\n---\n", "---\n---\nx", "\ufeff---\na: 1\n---\n"]
)
def test_metadata_is_added_where_there_is_none(start: str, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    if start:
        file.write_bytes(start.encode())
    assert latte_eval("card", run, "--into", file, "--name", "mine").returncode == 0
    text = file.read_bytes().decode()
    assert len(entries(text.lstrip("\ufeff"))) == 3 and ModelCard(text.lstrip("\ufeff")).data.model_name == "mine"
    assert text.endswith(start[start.rfind("---\n") + 4 :] if "---\n" in start else start)
    assert text.startswith("\ufeff") == start.startswith("\ufeff") and "license: mit" in text or "mit" not in start


def test_ends_of_lines_are_those_of_the_file(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_bytes(README.replace("\n", "\r\n").encode())
    assert latte_eval("card", run, "--into", file).returncode == 0
    data = file.read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") and len(entries(data.decode())) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("---\na: [1\n---\n", "line 3: the metadata is broken YAML"),
        ("---\na: 1\nb\n", "has no --- at its end"),
        ("---\n- a\n---\n", "is a list, not names with values"),
        ("---\nmodel-index: 3\n---\n", "model-index is no list"),
        ("---\nmodel-index: [{name: a, results: [{metrics: 1}]}]\n---\n", "model-index is no list"),
        ("---\n{license: mit, model-index: []}\n---\n", "write a name a line"),
        ("---\nmodel-index: &x []\ntags: *x\n---\n", "broken YAML: found undefined alias"),
        ("---\na: !!python/object/apply:os.system [touch hacked]\n---\n", "broken YAML"),
    ],
)
def test_a_broken_readme_is_refused_and_left_alone(text: str, told: str, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(text)
    done = latte_eval("card", run, "--into", file)
    assert done.returncode == 1 or done.returncode > 2
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert file.read_text() == text and sorted(each.name for each in tmp_path.iterdir()) == ["README.md", "run"]


def test_a_card_is_of_one_model(tmp_path: Path) -> None:
    other = make_result(checkpoint={"name": "other.pt", "sha256": "e" * 64, "weights": "ema"}, value=1.0, interval=None)
    file = write_results(tmp_path / "results.jsonl", make_result(detector=I3D), other)
    done = latte_eval("card", file)
    assert done.returncode == 2 and "ucf101.pt, other.pt" in done.stderr and "--of NAME" in done.stderr
    chosen = latte_eval("card", file, "--of", "other.pt")
    assert chosen.returncode == 0, chosen.stderr
    assert [each.metric_value for each in entries(chosen.stdout).values()] == [1.0]


def test_a_write_that_fails_leaves_the_card(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "README.md"
    file.write_text(README)

    def full(path: Path, data: bytes) -> None:
        raise card.StoreError(f"cannot write {path}: no room")

    monkeypatch.setattr(card, "write_whole", full)
    done = latte_eval("card", run, "--into", file)
    assert "no room" in done.stderr and file.read_text() == README
