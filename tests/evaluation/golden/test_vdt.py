"""What `doctor --verify` says of VDT on this machine, and of a VDT with a mistake."""

from __future__ import annotations

import pytest
import torch

from latte_eval.evaluation.golden.vdt import vdt_measures
from latte_eval.sampler.vdt.network import LabelTable


def test_this_machine_passes():
    found = [each.check() for each in vdt_measures("cpu")]
    assert [each.name for each in found] == ["VDT, one step, fp32", "VDT, ddpm, 10 predicted steps, fp32"]
    assert all(0 <= each.got < each.tolerance for each in found)


def test_a_mistake_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LabelTable, "forward", lambda self: torch.zeros(48))
    assert all(each.check().got > 0.1 for each in vdt_measures("cpu"))
