"""Exact float32 under every switch that a caller may have set, and the switches as they were afterwards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from float_switches import ALL, NEWER, state, value_of

from latte_eval.core.arithmetic import arithmetic_record, exact_float32


@pytest.mark.parametrize("name", ALL)
def test_inside_everything_is_float32_and_afterwards_as_before(name: str, switch: Callable[[str], None]) -> None:
    switch(name)
    before = state()
    with exact_float32():
        inside = state()
        with exact_float32():
            assert state() == inside
        assert state() == inside
    assert state() == before
    assert (inside["matmul"], inside["older matmul"], inside["older cudnn"]) == ("highest", False, False)
    assert {value for key, value in inside.items() if key.startswith("newer")} <= {"ieee"}


@NEWER
def test_what_inherits_still_inherits(switch: Callable[[str], None]) -> None:
    switch("all tf32")
    with exact_float32():
        pass
    switch("all ieee")
    assert value_of("cuda.matmul") == value_of("mkldnn.conv") == "ieee"


def test_switches_are_restored_after_an_error(switch: Callable[[str], None]) -> None:
    switch("medium")
    before = state()
    with pytest.raises(ZeroDivisionError), exact_float32():
        _ = 1 / 0
    assert state() == before


def test_autocast_and_gradients_end_at_the_door() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16), exact_float32():
        assert (x @ x).dtype == torch.float32 and not (x @ x).requires_grad


def test_the_record_says_what_runs_and_what_the_process_has_set(switch: Callable[[str], None]) -> None:
    switch("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        record = arithmetic_record()
    assert (record["tf32"], record["reduced_float32"], record["autocast"]) == (False, [], [])
    assert record["matmul_precision"] == "highest" and record["detectors"] == "float32"
    assert record["process"]["tf32"] and record["process"]["autocast"] == ["cpu bfloat16"]
    assert record["process"]["matmul_precision"] == "medium"
    assert any(each.startswith("cuda.matmul") for each in record["process"]["reduced_float32"])


def test_the_record_names_attention_and_determinism() -> None:
    assert set(arithmetic_record()["attention"]) == {"flash", "mem_efficient", "math", "cudnn"}
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cudnn.deterministic = True
    try:
        record = arithmetic_record()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.enable_flash_sdp(True)
        torch.backends.cudnn.deterministic = False
    assert record["deterministic_algorithms"] and record["cudnn_deterministic"]
    assert not record["cudnn_benchmark"] and not record["mkldnn_deterministic"]
    assert "flash" not in record["attention"]


@NEWER
def test_switches_that_contradict_each_other_are_recorded(switch: Callable[[str], None]) -> None:
    switch("cuda.matmul tf32")
    assert arithmetic_record()["process"]["matmul_precision"] == "mixed"


@pytest.mark.parametrize("order", ["nested", "crossed"])
def test_threads_inside_at_once_do_not_set_each_others_switches(switch: Callable[[str], None], order: str) -> None:
    """With the first that goes out, the others still compute in full; with the last, all reads as before."""
    switch("medium")
    before = state()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        uses = [(one, exact_float32()), (other, exact_float32())]
        for thread, use in uses:
            thread.submit(use.__enter__).result()
        inside = one.submit(state).result()
        (first, its), (last, others) = uses if order == "crossed" else uses[::-1]
        first.submit(its.__exit__, None, None, None).result()
        assert last.submit(state).result() == inside and inside["matmul"] == "highest" != before["matmul"]
        last.submit(others.__exit__, None, None, None).result()
    assert state() == before
