"""`latte-eval curve`: checkpoints found and sorted, values against iterations, plots, runs overlaid, resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from latte_eval.cli.curve import curve, plot_paths
from latte_eval.core.errors import CheckpointError, NotComparable, StoreError, UsageError
from latte_eval.core.notices import Notice
from latte_eval.core.progress import Reporter
from latte_eval.core.result import Result
from latte_eval.evaluation import curve as curve_module
from latte_eval.evaluation.curve import (
    Measured,
    Point,
    curve_to_text,
    draw_curve,
    find_points,
    measure_curve,
    run_names,
)
from latte_eval.evaluation.request import Request
from latte_eval.sampler.checkpoint import load_checkpoint
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig

SHAPES = LatteConfig(input_size=16, patch=8, channels=3, width=16, depth=2, heads=4, frames=16, classes=4)


def save(path: Path, scale: float = 0.1) -> Path:
    torch.manual_seed(0)
    model = Latte(SHAPES)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"ema": model.state_dict(), "config": SHAPES.to_dict()}, path)
    return path


def made_up(value: float, **changes) -> Result:
    fields = {"protocol": "demo-1", "protocol_sha256": "1" * 64, "protocol_fields": {}, "fake": 8, "real": 8,
              "fake_source": {}, "real_source": {}, "checkpoint": {}, "detector": {"name": "i3d-seeded"},
              "sampler": {}, "seeds": [0, 7], "started": "", "seconds": 1.0, "code": {}, "env": {},
              "better": "lower"}  # fmt: skip
    return Result("fvd", value, **{**fields, "interval": [value - 1, value + 2], **changes})


def measured(run: str, iteration: int, value: float, **changes) -> Measured:
    return Measured(Point(run, iteration, f"{run}/{iteration}.pt"), made_up(value, **changes))


def test_checkpoints_become_points(tmp_path):
    late, early = save(tmp_path / "a" / "0000200.pt"), save(tmp_path / "a" / "0000100.pt")
    other = save(tmp_path / "b" / "model_step300.pt")
    (tmp_path / "a" / "log.txt").write_text("")
    points = find_points([str(late), str(other), str(early)])
    assert [(p.run, p.iteration) for p in points] == [("a", 100), ("a", 200), ("b", 300)]
    assert [p.iteration for p in find_points([str(tmp_path / "a")])] == [100, 200]


def test_checkpoints_that_cannot_be_points(tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        find_points([str(tmp_path)])
    with pytest.raises(CheckpointError, match="0000900.pt does not exist"):
        find_points([str(tmp_path / "0000900.pt")])
    with pytest.raises(UsageError, match="tells the iteration"):
        find_points([str(save(tmp_path / "last.pt"))])
    two = [save(tmp_path / "run" / "100.pt"), save(tmp_path / "run" / "0000100.pt")]
    with pytest.raises(UsageError, match="both iteration 100 of one run"):
        find_points([str(path) for path in two])


def test_a_folder_of_a_running_training(tmp_path, monkeypatch):
    """The good are drawn, the bad are named: cut, of another model, half written, hidden, and latest.pt."""
    run = tmp_path / "run"
    good = [save(run / f"{step:07d}.pt") for step in (100, 300)]
    cut = run / "0000200.pt"
    cut.write_bytes(good[0].read_bytes()[:500])
    (run / "latest.pt").symlink_to(good[1])
    (run / "0000400.pt.tmp").write_bytes(b"x")
    (run / "._0000100.pt").write_bytes(b"x")
    with pytest.warns(Notice, match=r"latest.pt is passed over"):
        points = find_points([str(run)])
    assert [(p.iteration, Path(p.path).name) for p in points] == [
        (100, "0000100.pt"), (200, "0000200.pt"), (300, "0000300.pt"),
    ]  # fmt: skip

    def evaluate(request, reporter):
        load_checkpoint(request.ckpt)
        return [made_up(1.0)]

    monkeypatch.setattr(curve_module, "evaluate", evaluate)
    with pytest.warns(Notice, match="0000200.pt is passed over"):
        found = list(measure_curve(Request(), points, Reporter()))
    assert [each.point.iteration for each in found] == [100, 300]
    with pytest.warns(Notice), pytest.raises(CheckpointError):
        list(measure_curve(Request(), points[1:2], Reporter()))


def test_runs_get_the_shortest_names_that_differ():
    assert run_names(["/x/a", "/x/b"]) == {"/x/a": "a", "/x/b": "b"}
    assert run_names(["/x/a/run", "/x/b/run"]) == {"/x/a/run": "a/run", "/x/b/run": "b/run"}


def test_the_table():
    text = curve_to_text([measured("a", 1000, 12.345), measured("long name", 20000, 0.12345, interval=None)])
    assert text.splitlines() == [
        "run        iteration    FVD  95 % interval   clips",
        "a              1,000  12.35  11.35 to 14.35      8",
        "long name     20,000  0.123                      8",
        "",
        "protocol  demo-1",
    ]


def test_plots_of_several_runs(tmp_path):
    points = [measured("a", 100, 9.0), measured("a", 200, 5.0), measured("b", 100, 8.0)]
    paths = [tmp_path / "new" / "curve.png", tmp_path / "new" / "curve.svg"]
    draw_curve(points, paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    svg = paths[1].read_text()
    assert "<svg" in svg and "<dc:date>" not in svg
    figure = curve_module.plot_curve(points)
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.get_lines()] == ["a", "b"]
    assert axes.get_lines()[0].get_xydata().tolist() == [[100, 9], [200, 5]]
    assert axes.get_ylabel() == "FVD (lower is better)"
    draw_curve(points, [tmp_path / "again.svg"])
    assert (tmp_path / "again.svg").read_text() == svg
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        draw_curve(points, [tmp_path / "file" / "curve.png"])


def test_plot_names():
    assert plot_paths(Path("x/curve")) == [Path("x/curve.png"), Path("x/curve.svg")]
    assert plot_paths(Path("x.v2")) == [Path("x.v2.png"), Path("x.v2.svg")]
    assert plot_paths(Path("c.svg")) == [Path("c.svg")]
    with pytest.raises(UsageError, match="plots are .png or .svg"):
        plot_paths(Path("c.pdf"))


def test_protocols_that_differ_are_refused(monkeypatch):
    other = {"protocol": "demo-2", "protocol_sha256": "2" * 64, "protocol_fields": {"real_stride": 3}}
    results = {"a": made_up(1.0), "b": made_up(2.0, **other)}
    monkeypatch.setattr(curve_module, "evaluate", lambda request, reporter: [results[request.ckpt]])
    points = [Point("run", 1, "a"), Point("run", 2, "b")]
    with pytest.raises(NotComparable, match="b was measured under demo-2"):
        list(measure_curve(Request(), points, Reporter()))


def test_a_curve_from_files_to_plot(tmp_path, monkeypatch):
    """The whole road on tiny checkpoints; the second time nothing is sampled."""
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for step, scale in ((100, 0.3), (200, 0.05)):
        save(tmp_path / "run" / f"{step:07d}.pt", scale)
    options = ["run", "--benchmark", "shapes", "--detector", "seeded", "--clips", "3", "--steps", "2",
               "--sampler", "unipc", "--no-interval", "--device", "cpu", "--out", "out"]  # fmt: skip
    first = CliRunner().invoke(curve, options, catch_exceptions=False)
    lines = [line.split() for line in first.stdout.splitlines()]
    assert [line[:2] for line in lines[1:3]] == [["run", "100"], ["run", "200"]]
    assert (tmp_path / "curve.png").is_file() and (tmp_path / "curve.svg").is_file()

    from latte_eval.sampler import SampledSource

    def refuse(self, indices):
        raise AssertionError("sampled again")

    monkeypatch.setattr(SampledSource, "clips", refuse)
    second = CliRunner().invoke(curve, [*options, "--json"], catch_exceptions=False)
    values = [Result.from_json(line).value for line in second.stdout.splitlines()]
    assert [f"{value:,.2f}" if value >= 1 else f"{value:.4g}" for value in values] == [line[2] for line in lines[1:3]]
