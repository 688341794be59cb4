"""What people type and have: tilde, names in any case, addresses, other tools' files, a cache that is closed."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from command_line import latte_eval
from result_makers import make_result, write_results

from latte_eval.cli.bars import TerminalReporter
from latte_eval.cli.options import FOLDER, PLACE
from latte_eval.cli.score import metric_names
from latte_eval.cli.work import PULSE_SECONDS, Pulse
from latte_eval.core.errors import UsageError
from latte_eval.evaluation.doctor import folders
from latte_eval.evaluation.stats import refuse_foreign_statistics
from latte_eval.files.addresses import hub_advice


def test_metrics_in_any_case_and_none_at_all(tmp_path: Path) -> None:
    assert metric_names("FVD, is,fvd") == ("fvd", "is")
    done = latte_eval("evaluate", "--metrics", "", "--ckpt", "demo")
    assert done.returncode == 2 and "--metrics names no metric: give one or more of fvd, fid" in done.stderr
    path = write_results(tmp_path / "r.jsonl", make_result())
    assert "300.00" in latte_eval("history", path, "--metric", "FVD").stdout


def test_a_tilde_is_the_home_folder_wherever_a_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    @click.command()
    @click.option("--out", type=FOLDER)
    @click.option("--ckpt", type=PLACE)
    def say(out: Path, ckpt: str) -> None:
        click.echo(f"{out} {ckpt}")

    found = CliRunner().invoke(say, ["--out=~/x", "--ckpt=hf://owner/repo/x.pt"]).output
    assert found == f"{tmp_path / 'x'} hf://owner/repo/x.pt\n"
    write_results(tmp_path / "runs/results.jsonl", make_result())
    assert "300.00" in latte_eval("history", "~/runs").stdout
    assert str(tmp_path / "no.pt") in latte_eval("inspect", "~/no.pt").stderr


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("https://huggingface.co/owner/repo/resolve/main/a/x.pt", "hf://owner/repo/a/x.pt"),
        ("https://huggingface.co/owner/repo/blob/v1/x.pt?download=true", "hf://owner/repo/x.pt@v1"),
        ("https://huggingface.co/owner/repo", "hf://owner/repo/FILE"),
        ("https://example.org/x.pt", "download it"),
        ("maxin-cn/Latte", "hf://maxin-cn/Latte/FILE"),
        ("runs/x.pt", ""),
        ("a/b/c", ""),
    ],
)
def test_addresses_are_answered_with_what_to_type(name: str, advice: str) -> None:
    assert advice in hub_advice(name) and bool(hub_advice(name)) == bool(advice)
    if advice:
        for command in (["inspect", name], ["curve", name]):
            done = latte_eval(*command)
            assert done.returncode == 5 and hub_advice(name) in done.stderr, done.stderr


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "file/cache"))
    done = latte_eval("fvd", "--ckpt", "demo", "--quiet")
    assert done.returncode == 5 and "LATTE_EVAL_CACHE" in done.stderr and "give --out RUN" in done.stderr
    assert [found.status for found in folders() if found.name == "cache"] == ["broken"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_the_doctor_tries_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has every permission there, and still cannot."""
    monkeypatch.setenv("LATTE_EVAL_CACHE", "/proc/x")
    assert [found.status for found in folders() if found.name == "cache"] == ["broken"]


def test_statistics_of_another_tool_are_known(tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(UsageError, match="statistics of another tool .* latte-eval stats"):
        refuse_foreign_statistics(tmp_path / "real.npz")
    done = latte_eval("fvd", "--ckpt", "demo-early", "--real", tmp_path / "real.npz", "--detector", "seeded",
                      "--out", tmp_path / "run", "--vae", "identity", "--quiet", "--protocol", "clean",
                      "--steps", "2", "--param", "size=16")  # fmt: skip
    assert done.returncode == 2 and "statistics of another tool" in done.stderr, done.stderr
    np.savez(tmp_path / "clips.npz", clips=np.zeros(4))
    refuse_foreign_statistics(tmp_path / "clips.npz")


def test_a_log_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse(told=0.0)
    assert [pulse.line_due(3, now) for now in (1, PULSE_SECONDS, PULSE_SECONDS + 1)] == [None, 6, None]
    clock = iter(range(0, 10_000, PULSE_SECONDS))
    monkeypatch.setattr("latte_eval.cli.bars.time.perf_counter", lambda: float(next(clock)))
    for quiet, said in ((False, "sample: 2 of 4 clips"), (True, "")):
        with TerminalReporter(quiet).bar("sample", 4) as advance:
            advance(2)
        err = capsys.readouterr().err
        assert said in err and (said or not err)
