"""What this machine can measure, and what has been checked against which reference."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from latte_eval import __version__
from latte_eval.core.errors import first_line
from latte_eval.evaluation.claims import CLAIMS, claim_text
from latte_eval.files.download import is_offline
from latte_eval.files.weights import all_weights, cache_folder, user_folder, weights_paths, weights_state
from latte_eval.files.whole_files import make_writable

if TYPE_CHECKING:
    from latte_eval.metrics.detectors.verify import Check

Status = Literal["ok", "missing", "broken", "note"]

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "av", "pillow", "diffusers", "huggingface_hub",
            "safetensors", "matplotlib")  # fmt: skip
MODULES = {"pillow": "PIL"}
# Packages of extras, or without a wheel everywhere, and what needs them.
OPTIONAL = {
    "transformers": "cd-fvd, fd-dinov2, kd-dinov2 and jedi need it: pip install 'latte-eval[features]'",
    "decord": "--decoder decord needs it; it has wheels for x86-64, on Linux and Windows",
}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `details` are its numbers, in JSON types."""

    section: str
    name: str
    status: Status
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


def examine() -> Iterator[Finding]:
    """Everything the doctor looks at, section by section."""
    yield Finding("program", "latte-eval", "ok", f"{__version__}, Python {platform.python_version()}")
    yield from packages()
    yield from hardware()
    yield from folders()
    yield from weights()
    for claim in CLAIMS:
        yield Finding("shown by", claim.name, "note", claim_text(claim), asdict(claim))


def packages() -> Iterator[Finding]:
    """Each package is imported, not only looked up: a wheel can be installed and still not load."""
    for name in PACKAGES:
        try:
            importlib.import_module(MODULES.get(name, name))
            yield Finding("packages", name, "ok", metadata.version(name))
        except (ImportError, OSError) as error:
            yield Finding("packages", name, "broken", f"does not import: {first_line(error)}")
    for name, needed in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        yield Finding("packages", name, "ok" if there else "note", metadata.version(name) if there else needed)


def hardware() -> Iterator[Finding]:
    """CPU cores and GPUs."""
    import torch

    yield Finding("hardware", "cpu", "ok", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        yield Finding("hardware", "gpu", "note", "none that torch sees; sampling a published checkpoint needs one")
    for i in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(i).total_memory / 2**30
        yield Finding("hardware", f"gpu {i}", "ok", f"{torch.cuda.get_device_name(i)}, {memory:.0f} GiB")


def folders() -> Iterator[Finding]:
    """Where things are kept, and whether the network may be used."""
    cache = cache_folder()
    existing = next(parent for parent in [cache, *cache.parents] if parent.exists())
    writable, free = can_write(existing), shutil.disk_usage(existing).free / 2**30
    text = f"{cache} ({free:.0f} GiB free)" if writable else f"{cache} cannot be written; set LATTE_EVAL_CACHE"
    yield Finding("folders", "cache", "ok" if writable else "broken", text)
    folder = user_folder()
    if folder is None:
        yield Finding("folders", "LATTE_EVAL_WEIGHTS", "note", "not set; name a folder with weights there")
    else:
        yield Finding("folders", "LATTE_EVAL_WEIGHTS", "ok" if folder.is_dir() else "broken", str(folder))
    yield Finding("folders", "network", "note", "offline mode" if is_offline() else "used for absent weights only")


def can_write(folder: Path) -> bool:
    """Whether a file can be made there; permissions alone do not tell, as in /proc."""
    try:
        make_writable(folder)
    except OSError:
        return False
    return True


STATUS: dict[str, Status] = {"ok": "ok", "unpinned": "ok", "missing": "missing", "corrupt": "broken"}


def weights() -> Iterator[Finding]:
    """State of every pinned file."""
    for record in all_weights():
        state, fetch = weights_state(record), f"latte-eval weights fetch {record.name}"
        where = next((path for path in weights_paths(record) if path.exists()), Path(record.filename))
        text = {
            "ok": f"{where}",
            "unpinned": f"{where}; no public hash: trusted on first use",
            "missing": f"{record.filename}; {fetch}",
            "corrupt": f"{where} has another hash; delete it and run {fetch}",
        }
        yield Finding("weights", record.name, STATUS[state], text[state])


def verify_findings(device: str) -> Iterator[Finding]:
    """Every network, loop, distance and converter against its reference on this device, then the published numbers of
    whatever real weights are installed."""
    from latte_eval.evaluation.golden.verify import verify_all

    yield Finding("verified on", device, "note", device_text(device), {"device": device_text(device)})
    for each in verify_all(device):
        check = each.check
        status: Status = "note" if check.got is None else "ok" if check.ok else "broken"
        details = {"got": finite(check.got), "expected": check.expected, "tolerance": check.tolerance,
                   "source": check.note, "seconds": each.seconds}  # fmt: skip
        yield Finding(each.section, check.name, status, check_text(check), details)


def finite(value: float | None) -> float | None:
    """JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None


def check_text(check: Check) -> str:
    """What came out, and what was to come out."""
    if check.got is None or math.isnan(check.got):
        return check.note
    if check.expected:
        return f"{check.got:.9g}, published {check.expected:.9g}"
    off = f"{check.got:.1e} off" if check.got else "equal"
    return f"{off}, {check.tolerance:g} allowed; {check.note}"


def device_text(device: str) -> str:
    """Which machine a check ran on."""
    import torch

    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.processor() or platform.machine()}, {platform.system()}, torch {torch.__version__}"
