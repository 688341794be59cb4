"""Accepted files: what a line says, and files that are not what they should be."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from gate_makers import OLD, REAL, gate, make_accepted, write_run

from latte_eval.core.errors import StoreError
from latte_eval.core.notices import Notice
from latte_eval.gate.accepted import read_accepted


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    return make_accepted(tmp_path)


def test_accepting_says_who_when_and_why(accepted: Path) -> None:
    line = read_accepted(accepted)[-1]
    assert line.about["why"] == "first" and line.about["who"] and line.about["when"].endswith("Z")
    assert np.array_equal(line.sides()["fake"].outputs["features"], OLD)
    assert np.array_equal(line.sides()["real"].outputs["features"], REAL)


def test_the_newest_line_counts_and_a_bare_result_is_a_number(tmp_path: Path, accepted: Path) -> None:
    with accepted.open("a") as file:
        file.write(dataclasses.replace(read_accepted(accepted)[-1].result, checkpoint=None).to_json() + "\n")
    done = gate(write_run(tmp_path / "new", OLD), accepted, "fvd:+90%")
    assert "there are no features of the accepted one" in done.stdout


def test_accepted_features_that_were_changed_or_lost(tmp_path: Path, accepted: Path) -> None:
    file = next((tmp_path / "accepted.features").iterdir())
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    new = write_run(tmp_path / "new", OLD)
    assert "its sha256 differs" in gate(new, accepted, "fvd:+9%").stderr
    file.unlink()
    done = gate(new, accepted, "fvd:+9%")
    assert done.returncode == 5 and "keep that folder beside the accepted file" in done.stderr


def test_a_torn_line_that_is_not_the_last_is_passed_over_with_a_word(tmp_path: Path, accepted: Path) -> None:
    """A job was stopped while it wrote, and another one accepted the run."""
    whole = accepted.read_text()
    accepted.write_text(whole[:90] + "\n" + whole)
    done = gate(write_run(tmp_path / "new", OLD), accepted, "fvd:+9%")
    assert done.returncode == 0 and "line 1 is not a whole JSON line" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "holds no accepted result"),
        (lambda text: text.replace('{"schema": 1', '{"schema": 9', 1), "schema 9, newer than the 1"),
        (lambda text: text.replace('{"schema": 1', '{"schema": 1, "schema": 1', 1), "the key 'schema' twice"),
        (lambda text: text.replace('"value":', '"value": 1, "value":', 1), "the key 'value' twice"),
        (lambda text: text.replace('"better": "lower"', '"better": ""', 1), "'fvd' has no direction"),
        (lambda text: text.replace('"metric": "fvd"', '"metric": "sharpness"', 1), "'sharpness' has no direction"),
        (lambda text: text.replace('"fake": 256', '"fake": "256"', 1), "was edited: fake is '256'"),
        (
            lambda text: text.replace('"fingerprint": "old', '"print": "old', 1),
            "fingerprint is not there",
        ),
        (lambda text: text[:-30], "not a whole JSON line"),
        (lambda text: '{"accepted": 3}\n', "is not an accepted result"),
        (lambda text: "[1]\n", "is not an accepted result"),
    ],
)
def test_bad_accepted_files(tmp_path: Path, accepted: Path, change: Any, said: str) -> None:
    accepted.write_text(change(accepted.read_text()))
    done = gate(write_run(tmp_path / "new", OLD), accepted, "fvd:+9%")
    assert done.returncode == 5 and said in done.stderr, done.stderr


@pytest.mark.parametrize("change", [
    lambda text: re.sub(r'("value": \d+\.\d\d)(\d)', lambda at: f"{at[1]}{(int(at[2]) + 1) % 10}", text, count=1),
    lambda text: text.replace('"standard_error": 0.', '"standard_error": 9.'),
    lambda text: text.replace('"digest"', '"dhgest"'),
    lambda text: text.replace('"digest": "', '"digest": "0'),
])  # fmt: skip
def test_a_line_with_other_numbers_is_refused(tmp_path: Path, accepted: Path, change: Any) -> None:
    changed = change(accepted.read_text())
    assert changed != accepted.read_text()
    accepted.write_text(changed)
    with pytest.raises(StoreError, match=r"accepted.jsonl line 1 is damaged or was edited.*accept the run again"):
        read_accepted(accepted)


def test_who_and_why_may_be_edited(accepted: Path) -> None:
    accepted.write_text(accepted.read_text().replace('"why": "first"', '"why": "the first of all"'))
    line = read_accepted(accepted)[-1]
    assert line.about["why"] == "the first of all" and line.verified


def test_lines_of_the_first_version_are_read_with_one_notice(accepted: Path) -> None:
    record = json.loads(accepted.read_text().splitlines()[0])
    del record["digest"]
    accepted.write_text((json.dumps(record) + "\n") * 2 + json.dumps(record["result"]) + "\n")
    with pytest.warns(Notice, match="accepted.jsonl has 2 lines of version 0.1, without a digest") as told:
        assert [each.verified for each in read_accepted(accepted)] == [False] * 3
    assert len(told) == 1


def test_no_write_permission(tmp_path: Path, accepted: Path) -> None:
    new, locked = write_run(tmp_path / "new", OLD), tmp_path / "file"
    locked.write_text("")
    done = latte_eval("gate", "accept", new, "--into", locked / "accepted.jsonl", "--why", "x")
    assert done.returncode == 5 and "cannot write" in done.stderr
    done = gate(new, accepted, "fvd:+9%", junit=locked / "j.xml")
    assert done.returncode == 5 and "cannot write" in done.stderr
