"""Results as `evaluate` writes them, without the evaluation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from latte_eval.benchmarks.dataset import find_dataset
from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result

I3D = {"name": "i3d", "sha256": "b" * 64, "comparable": True, "used": "native", "agreement": 1e-6}
SEEDED = {"name": "i3d-seeded", "sha256": "c" * 64, "comparable": False, "used": "native", "agreement": None}


def make_result(
    benchmark: str = "ucf101", stem: str = "latte", changes: dict[str, Any] | None = None, **fields: Any
) -> Result:
    """A result of the published checkpoint of a benchmark, 2,048 clips, FVD 300 with the interval 290 to 310."""
    entry = find_dataset(benchmark)
    protocol = entry.protocol(stem).replace(**(changes or {}))
    name = entry.checkpoint.rpartition("/")[2]
    known: dict[str, Any] = {
        "metric": "fvd",
        "value": 300.0,
        "better": "lower",
        "interval": [290.0, 310.0],
        "fake": 2048,
        "real": 2048,
        "fake_source": {"name": name, "fingerprint": "f" * 64, "rejected": 0, "videos": 2048},
        "real_source": {"name": f"/data/{benchmark}", "fingerprint": "d" * 64, "rejected": 0, "videos": 2048},
        "checkpoint": {"name": name, "sha256": "a" * 64, "weights": "ema"},
        "detector": I3D,
        "sampler": {**entry.sampler, "eta": 0.0, "dtype": "fp32", "seed": 0, "codec": "vae"},
        "seeds": [0, 2047],
        "started": "2026-11-20T19:00:00Z",
        "seconds": 412.7,
        "code": {"version": "0.1.0", "commit": None, "dirty": None},
        "env": {"python": "3.11"},
    }
    return Result(**{**known, **protocol_fields(protocol), **fields})


def protocol_fields(protocol: Protocol) -> dict[str, Any]:
    return {"protocol": protocol.id, "protocol_sha256": protocol.sha256, "protocol_fields": protocol.to_dict()}


def write_results(path: Path, *results: Result) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(result.to_json() + "\n" for result in results))
    return path


def replaced(result: Result, **changes: Any) -> Result:
    return dataclasses.replace(result, **changes)
