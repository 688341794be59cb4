"""The dtype where nobody says, and where it is resolved."""

from __future__ import annotations

import pytest
import torch

from latte_eval.core.notices import Notice
from latte_eval.evaluation.opened_model import sampler_settings
from latte_eval.evaluation.request import Request
from latte_eval.evaluation.table_runs import request_conditions
from latte_eval.sampler.dtypes import usual_dtype
from latte_eval.sampler.vae import open_vae


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cuda:0` is an H100, `cuda:1` a T4."""
    found = {0: (9, 0), 1: (7, 5), None: (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: found[device.index])


@pytest.mark.usefixtures("cards")
@pytest.mark.filterwarnings("ignore::latte_eval.core.notices.Notice")
@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", "fp32"), ("mps", "fp32"), ("cuda", "bf16"), ("cuda:0", "bf16"), ("cuda:1", "fp32")]
)
def test_a_device_has_its_dtype(device, dtype):
    assert usual_dtype(device) == dtype
    request = Request(ckpt="x.pt", device=device)
    assert (request.sampler_dtype, sampler_settings(request, "uniform").dtype) == (dtype, dtype)
    assert request.pipeline_dtype == {"bf16": "fp16"}.get(dtype, dtype), "pipelines are published in fp16"


@pytest.mark.usefixtures("cards")
def test_an_older_card_is_told_about():
    with pytest.warns(Notice, match="cuda:1 has no bfloat16 at full rate, so sampling is in fp32; --dtype fp16"):
        usual_dtype("cuda:1")


@pytest.mark.usefixtures("cards")
def test_what_is_asked_for_comes_first():
    request = Request(ckpt="x.pt", device="cuda", dtype="fp16")
    assert (request.sampler_dtype, request.pipeline_dtype) == ("fp16", "fp16")
    assert Request(ckpt="demo", device="cuda", dtype="bf16").sampler_dtype == "bf16"


@pytest.mark.usefixtures("cards")
def test_the_demo_is_the_same_on_every_device():
    assert Request(ckpt="demo", device="cuda").sampler_dtype == "fp32"
    assert Request(ckpt="x.pt", benchmark="shapes", device="cuda").sampler_dtype == "fp32"
    assert Request(ckpt="x.pt", benchmark="ucf101", device="cuda").sampler_dtype == "bf16"


@pytest.mark.usefixtures("cards")
def test_a_table_looks_for_results_of_the_type_that_it_would_measure(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(b"x")
    request = Request(ckpt=str(path), benchmark="ucf101", device="cuda", detectors=("seeded",))
    assert request_conditions(request, "fvd").parts["sampler"]["dtype"] == "bf16"


@pytest.mark.parametrize(("device", "dtype", "decoded"), [
    ("cpu", "bf16", torch.float32), ("cpu", "fp16", torch.float16), ("cuda:0", "bf16", torch.float16),
    ("cuda:0", "fp32", torch.float32),
])  # fmt: skip
def test_bfloat16_is_too_coarse_for_pixels(monkeypatch, device, dtype, decoded):
    monkeypatch.setattr("latte_eval.sampler.vae.VaeCodec.seeded", lambda device, precision: precision)
    assert open_vae("vae-seeded", device, dtype) == decoded
