"""Metric classes in two processes of torch.distributed, with torchmetrics and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from many_processes import environment, free_port

SCRIPT = """
import json, os, sys
sys.path.insert(0, sys.argv[3])
if sys.argv[2] == "alone":
    sys.modules["torchmetrics"] = None
import torch
from torch import distributed
from toy_networks import FRAME_OUTPUTS, register_toys
from latte_eval import FID, FVD, KVD, VideoInceptionScore
from latte_eval.evaluation import metric_classes

class SmallFID(FID):
    dimensions = FRAME_OUTPUTS

register_toys()
TOYS = {FVD: "toy-i3d", KVD: "toy-i3d", SmallFID: "toy-inception", VideoInceptionScore: "toy-c3d"}
REAL, FAKE = (torch.randint(0, 256, (22, 4, 8, 8, 3), generator=torch.Generator().manual_seed(i)) // (1 + i)
              for i in range(2))
REAL, FAKE = REAL.to(torch.uint8), FAKE.to(torch.uint8)
rank = int(os.environ["RANK"])

def make(kind):
    return kind(detector=TOYS[kind], frames=4, size=8)

def given(metric, real, fake):
    for side, clips in (("real", real), ("fake", fake)):
        if side in metric.sides:
            for batch in clips.split(3 + rank) if len(clips) else ():
                metric.update(**{side: batch})
    return metric

alone = {kind.__name__: given(make(kind), REAL, FAKE).compute().item() for kind in TOYS}
distributed.init_process_group("gloo")
shares = [(REAL[:9], FAKE[:4]), (REAL[9:], FAKE[4:])]
lopsided = [(REAL, FAKE[:0]), (REAL[:0], FAKE)]
found = {}
for name, parts, kept in (("uneven", shares, 2**26), ("lopsided", lopsided, 2**26), ("moments", shares, 0)):
    metric_classes.KEPT_BYTES = kept
    for kind in TOYS:
        metric = given(make(kind), *parts[rank])
        found[name, kind.__name__] = metric.compute().item()
        metric.update(fake=FAKE[:1])  # goes on where it was
        if kind is FVD and kept:
            assert metric.interval() == metric.interval()
            assert sum(map(len, metric.fake_rows)) == len(parts[rank][1]) + 1, "unsynced"
        del metric
out = {" ".join(key): (value, alone[key[1]]) for key, value in found.items()}
print(json.dumps([metric_classes.Metric.__module__.split(".")[0], out]))
distributed.destroy_process_group()
"""


@pytest.mark.parametrize(("base", "package"), [("with", "torchmetrics"), ("alone", "latte_eval")])
def test_two_processes_give_the_value_of_all_clips(base: str, package: str, tmp_path: Path) -> None:
    if base == "with":
        pytest.importorskip("torchmetrics")
    script, tests = tmp_path / "ranks.py", Path(__file__).parents[1]
    script.write_text(SCRIPT)
    port = str(free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), "-", base, str(tests)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port),
        )
        for rank in range(2)
    ]  # fmt: skip
    ended = [rank.communicate(timeout=200) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(err[-2000:] for _, err in ended)
    told = [json.loads(out.splitlines()[-1]) for out, _ in ended]  # Gloo of some versions speaks before
    assert told[0] == told[1] and told[0][0] == package and len(told[0][1]) == 12
    for name, (found, whole) in told[0][1].items():
        # Moments of fewer clips than features have numbers are singular: `frechet_distance` says how exact they are.
        exact = {"rel": 1e-6} if name.startswith("moments F") else {"rel": 1e-9, "abs": 1e-12}
        assert found == pytest.approx(whole, **exact), name


ALONE = """
import sys
sys.modules["torchmetrics"] = None
sys.path[:0] = sys.argv[1:]
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", "not command_line", FILE]))
"""


def test_all_of_it_without_torchmetrics() -> None:
    file = str(Path(__file__).with_name("test_metric_classes.py"))
    command = [sys.executable, "-c", ALONE.replace("FILE", repr(file))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=Path(__file__).parents[2])
    assert done.returncode == 0 and " 2 skipped" in done.stdout, done.stdout[-3000:]
