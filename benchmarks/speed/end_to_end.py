"""Whole commands against whole programs: every turn is a process that starts anew."""

from __future__ import annotations

from latte_eval.benchmarks.speed import sides
from latte_eval.benchmarks.speed.cold import cold_turns
from latte_eval.benchmarks.speed.material import Material
from latte_eval.benchmarks.speed.measured import Measured


def fid_torch_fidelity(material: Material, turns: int) -> Measured:
    return cold_turns(sides.ours_fid(material, "--no-interval"), sides.torch_fidelity(material), turns)


def fid_pytorch_fid(material: Material, turns: int) -> Measured:
    return cold_turns(sides.ours_fid(material, "--no-interval"), sides.pytorch_fid(material), turns)


def fid_clean_fid(material: Material, turns: int) -> Measured:
    return cold_turns(sides.ours_fid(material, "--no-interval"), sides.clean_fid(material), turns)


def fid_interval(material: Material, turns: int) -> Measured:
    return cold_turns(sides.ours_fid(material), sides.ours_fid(material, "--no-interval"), turns)


def fvd_cd_fvd(material: Material, turns: int) -> Measured:
    return cold_turns(sides.ours_fvd(material), sides.cd_fvd(material), turns)
