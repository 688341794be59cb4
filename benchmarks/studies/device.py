"""Everything that is to be run once on a new kind of device, in one call, with its outputs in one folder.

    python -m latte_eval.benchmarks.studies.device --out checked
    python -m latte_eval.benchmarks.studies.device --out checked --device cpu --model Latte-S/8 --clips 4 --only run

Four stages, each with a log of its own; one that fails or takes too long stops no other:

    verify   `latte-eval doctor --verify --json`: references, every type, this device against the CPU
    tests    `pytest -m gpu`
    speed    benchmarks/speed/sampling.py, whose tables belong into benchmarks/speed/RESULTS.md
    run      clips of a model of published size with random weights through the VAE and all detectors, killed once and
             run again with the same command
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch

from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.latte.network import Latte

SPEED = Path(__file__).parents[1] / "speed" / "sampling.py"
LATTE_EVAL = [sys.executable, "-m", "latte_eval"]
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Plan:
    """What was asked for; `limit` is the most seconds that a stage may take."""

    out: Path
    device: str
    model: str
    clips: int
    steps: int
    limit: float

    def log(self, stage: str, command: list[str], stdout: str | None = None) -> int:
        """Run a command, its output into the folder; the exit status, or 124 where it took too long."""
        logs = self.out / f"{stage}.log", self.out / (stdout or f"{stage}.log")
        with logs[0].open("a") as log, logs[1].open("a") as out:
            try:
                return subprocess.run(command, stdout=out, stderr=log, timeout=self.limit).returncode
            except subprocess.TimeoutExpired:
                return 124


def verify_stage(plan: Plan) -> dict[str, Any]:
    """References on the device."""
    command = [*LATTE_EVAL, "doctor", "--verify", "--device", plan.device, "--json"]
    status = plan.log("verify", command, "verified.json")
    lines = [json.loads(line) for line in (plan.out / "verified.json").read_text().splitlines()]
    compared = [line for line in lines if "tolerance" in line["details"]]
    broken = [f"{line['name']}: {line['text']}" for line in compared if line["status"] == "broken"]
    return {"status": status, "compared": len(compared), "broken": broken}


def tests_stage(plan: Plan) -> dict[str, Any]:
    """The tests of devices."""
    return {"status": plan.log("tests", [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-rs"])}


def speed_stage(plan: Plan) -> dict[str, Any]:
    """The tables of sampling, VAE and detectors."""
    command = [sys.executable, str(SPEED), "--device", plan.device, "--model", plan.model]
    return {"status": plan.log("speed", command, "sampling.md")}


def run_stage(plan: Plan) -> dict[str, Any]:
    """An evaluation that is killed after its first shards and goes on."""
    checkpoint, real, run = plan.out / "random.pt", plan.out / "real", plan.out / "run"
    write_checkpoint(checkpoint, plan.model)
    write_videos(real, plan.clips)
    command = [*LATTE_EVAL, "evaluate", "--metrics", "fvd,fid,is", "--detector", "seeded", "--vae", "vae-seeded",
               "--ckpt", str(checkpoint), "--real", str(real), "--protocol", "clean", "--clips", str(plan.clips),
               "--steps", str(plan.steps), "--device", plan.device, "--out", str(run), "--no-interval",
               "--json"]  # fmt: skip
    seconds = kill_after_a_shard(plan, command, run)
    kept = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    started = time.perf_counter()
    status = plan.log("run", command, "results.json")
    changed = sum(path.stat().st_mtime_ns != when for path, when in kept.items())
    checkpoint.unlink()
    return {"status": status, "killed after": seconds, "shards kept": len(kept), "shards made again": changed,
            "seconds of the second run": round(time.perf_counter() - started, 1)}  # fmt: skip


def write_checkpoint(path: Path, model: str) -> None:
    """Weights of published shape; what they are does not change what they cost."""
    torch.manual_seed(0)
    config = latte_config(model)
    state = {key: torch.randn_like(value) * 0.02 for key, value in Latte(config).state_dict().items()}
    torch.save({"ema": state, "args": {"num_heads": config.heads}}, path)


def write_videos(folder: Path, count: int) -> None:
    """Videos of 20 frames at 256x256, of blocks that move."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        wide = random.integers(0, 256, (16, 36, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        with av.open(str(folder / f"{i:04d}.mp4"), "w") as file:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
            for t in range(20):
                frame = np.ascontiguousarray(wide[:, 8 * t : 8 * t + 256])
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())


def kill_after_a_shard(plan: Plan, command: list[str], run: Path) -> float:
    """Start, wait until the run folder holds a shard of features, kill; seconds until then."""
    started = time.perf_counter()
    with (plan.out / "run.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while process.poll() is None and time.perf_counter() - started < plan.limit:
            if any(run.rglob("features/*/*.safetensors")):
                break
            time.sleep(POLL_SECONDS)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return round(time.perf_counter() - started, 1)


STAGES: dict[str, Callable[[Plan], dict[str, Any]]] = {
    "verify": verify_stage, "tests": tests_stage, "speed": speed_stage, "run": run_stage,
}  # fmt: skip


def card(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for everything.")
@click.option("--device", default="cuda")
@click.option("--model", default="Latte-XL/2")
@click.option("--clips", default=64)
@click.option("--steps", default=10, help="Of sampling, in the stage run.")
@click.option("--limit", default=240.0, help="Seconds that one command may take.")
@click.option("--only", type=click.Choice(list(STAGES)), multiple=True, help="Some of the stages.")
def main(out: Path, device: str, model: str, clips: int, steps: int, limit: float, only: tuple[str, ...]) -> None:
    """Run the stages and write summary.json; exit status 1 if one of them did not end well."""
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(out.resolve(), device, model, clips, steps, limit)
    summary: dict[str, Any] = {"device": card(device), "torch": torch.__version__, "model": model}
    for name in only or STAGES:
        summary[name] = STAGES[name](plan)
        click.echo(f"{name}: {json.dumps(summary[name])}")
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    sys.exit(any(summary[name]["status"] for name in only or STAGES))


if __name__ == "__main__":
    main()
