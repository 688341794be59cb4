"""Networks without initial weights."""

from __future__ import annotations

import subprocess
import sys

import torch
from repository import ROOT
from torch import nn

from latte_eval.core.unset_weights import UnsetWeights


def make_layers() -> nn.Module:
    return nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 5), nn.Conv3d(1, 2, 3))


def test_no_random_number_is_drawn() -> None:
    before = torch.get_rng_state()
    with UnsetWeights():
        layers = make_layers()
    assert torch.equal(torch.get_rng_state(), before)
    make_layers()
    assert not torch.equal(torch.get_rng_state(), before)
    assert {name: value.shape for name, value in layers.state_dict().items()} == {
        name: value.shape for name, value in make_layers().state_dict().items()
    }


def test_a_network_without_weights_is_made_without_the_compiler_of_torch() -> None:
    """It takes two seconds to import."""
    script = (
        "import sys; from latte_eval.sampler.cost import on_meta; from latte_eval.sampler.latte.config import "
        "latte_config; on_meta(latte_config('Latte-S/8', classes=3)); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
