"""The runner of the speed comparisons: table, JSON, refusals, processes. How fast anything is, is not tested."""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from repository import ROOT
from scipy.linalg import sqrtm

from latte_eval.benchmarks.speed import cold, command, end_to_end, footage, records, table
from latte_eval.benchmarks.speed.measured import Measured, Timed, relative
from latte_eval.benchmarks.speed.turns import take_turns
from latte_eval.core.errors import UsageError
from latte_eval.metrics import frechet_distance_from_features

SPEED = ROOT / "benchmarks" / "speed"
TOY = table.Comparison("two prints", "a slower print", "end_to_end:toy", 1.0, 1e-3)


def python(program: str) -> cold.MakeCommand:
    return lambda: cold.Command([sys.executable, "-S", "-c", program])


def answer(value: float) -> cold.MakeCommand:
    return python(f"""print('talk'); print('{{"value": {value}}}')""")


def toy(value: float = 2.0) -> Any:
    return lambda material, turns: cold.cold_turns(answer(2.0), answer(value), turns)


@pytest.fixture
def toy_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of one comparison that needs no other project."""
    monkeypatch.setattr(table, "TABLE", {"toy": TOY})
    monkeypatch.setattr(end_to_end, "toy", toy(), raising=False)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command.main, [str(each) for each in arguments])


def test_every_row_has_its_function() -> None:
    for row in table.TABLE.values():
        module, _, name = row.measure.partition(":")
        assert callable(getattr(importlib.import_module(f"latte_eval.benchmarks.speed.{module}"), name))


def test_what_a_row_needs_can_be_installed() -> None:
    needed = {name for row in table.TABLE.values() for name, _ in row.peers}
    named = re.findall(r"^([\w-]+)[=>]=", (SPEED / "requirements.txt").read_text(), re.MULTILINE)
    assert needed == set(named)


def test_peers_do_not_import_us() -> None:
    """What another project takes has no import of ours in it."""
    scripts = sorted((SPEED / "peers").glob("ask_*.py"))
    assert len(scripts) == 4 and not any("latte_eval" in script.read_text() for script in scripts)


def test_turns_go_into_a_file_and_into_a_table(toy_table: None, tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.json"
    shown = invoke("--turns", 2, "--out", out)
    assert shown.exit_code == 0, shown.output
    written = json.loads(out.read_text())
    assert {"schema", "machine", "versions", "code", "frames", "command", "written", "rows"} == set(written)
    assert set(written["machine"]) == {"cpu", "cores", "threads", "vectors"}
    (row,) = written["rows"]
    assert [len(row[side]["seconds"]) for side in ("ours", "theirs")] == [2, 2]
    assert row["ratio"] == pytest.approx(row["theirs"]["median"] / row["ours"]["median"], rel=0.25)
    assert row["ours"]["peak_mib"] > 1 and row["apart"] == 0 and row["agrees"] is True
    assert row["load"] >= 0
    assert "| toy | two prints | a slower print" in shown.output and "the same | 1x |" in shown.output


def test_a_later_run_replaces_a_row_or_adds_turns(toy_table: None, tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.json"
    for turns, options in ((2, ()), (1, ()), (3, ("--add",))):
        assert invoke("--turns", turns, "--out", out, *options).exit_code == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert len(row["ours"]["seconds"]) == 4


def test_rows_of_another_machine_are_not_mixed_in(toy_table: None, tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.json"
    out.write_text(json.dumps(records.to_record([], "drawn") | {"machine": {"cpu": "another"}}))
    shown = invoke("--out", out)
    assert shown.exit_code == 1 and "measured with other machine; name another --out" in shown.output
    assert json.loads(out.read_text())["machine"] == {"cpu": "another"}


def test_a_foreign_file_is_not_overwritten(toy_table: None, tmp_path: Path) -> None:
    out = tmp_path / "notes.json"
    out.write_text("[1]")
    shown = invoke("--out", out)
    assert shown.exit_code == 1 and "is no file of this benchmark" in shown.output and out.read_text() == "[1]"


def test_an_unknown_name_is_refused() -> None:
    shown = invoke("--only", "fid-torch-fidelty")
    assert shown.exit_code == 1 and "fid-torch-fidelity" in shown.output


def test_the_list_names_all() -> None:
    shown = invoke("--list")
    assert shown.exit_code == 0 and [line.split()[0] for line in shown.output.splitlines()] == list(table.TABLE)


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = table.Comparison("work", "another", "end_to_end:toy", 2, None, (("no-such-project", "no_such_project"),))
    monkeypatch.setattr(table, "TABLE", {"toy": absent})
    shown = invoke()
    assert shown.exit_code == 0
    assert "no-such-project not installed: pip install -r benchmarks/speed/requirements.txt" in shown.output


def test_a_command_that_fails_is_a_row_and_a_status(toy_table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = python("import sys; print('weights are gone', file=sys.stderr); sys.exit(3)")
    monkeypatch.setattr(end_to_end, "toy", lambda material, turns: cold.cold_turns(answer(1), broken, turns))
    shown = invoke()
    assert shown.exit_code == 1 and "ended with status 3: weights are gone" in shown.output


def test_another_value_is_a_status(toy_table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "toy", toy(2.1))
    shown = invoke("--turns", 1)
    assert shown.exit_code == 1 and "MORE THAN 0.001" in shown.output


def test_turns_within_this_process_count_processor_seconds() -> None:
    found = take_turns(lambda: sum(range(10**5)), lambda: time.sleep(0.2) or 1, 2, relative, warm=1)  # type: ignore[func-returns-value]
    assert [len(side.seconds) for side in (found.ours, found.theirs)] == [2, 2]
    assert max(found.theirs.cpu_seconds) < 0.1 < min(found.theirs.seconds) and min(found.ours.cpu_seconds) > 0
    assert found.apart == sum(range(10**5)) - 1


def test_the_median_counts() -> None:
    measured = Measured(Timed([1.0, 9.0, 2.0]), Timed([6.0, 4.0, 60.0]))
    assert measured.ratio == 3.0 and relative(1.5, -1.0) == 2.5


def test_covariances_divided_as_the_peers_do() -> None:
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(40, 5)), 1.5 * random.normal(size=(30, 5)) + 0.2
    gap = real.mean(0) - fake.mean(0)
    real_cov, fake_cov = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    expected = gap @ gap + np.trace(real_cov + fake_cov - 2 * np.real(sqrtm(real_cov @ fake_cov)))
    found = frechet_distance_from_features(real, fake, ddof=1)
    assert found == pytest.approx(expected, rel=1e-9)


def test_frames_and_clips_of_both_sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"CLIPS": 2, "CLIP_SIZE": 32, "FRAME_SIZE": 16}.items():
        monkeypatch.setattr(footage, name, value)
    drawn = [footage.drawn_frames(0)]
    footage.write_frames(drawn, tmp_path / "frames")
    footage.write_clips(drawn, tmp_path / "clips")
    for side in ("real", "fake"):
        assert len(list((tmp_path / "frames" / side).glob("*/*.png"))) == 80
        assert len(list((tmp_path / "frames" / "flat" / side).glob("*.png"))) == 80
        assert len(list((tmp_path / "clips" / side).glob("*.mp4"))) == 2


def test_too_few_videos_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(UsageError, match="holds 0 videos of at least 160 frames, 5 are needed"):
        footage.read_footage(tmp_path)
