"""Parameters and operations against the figures of the paper and of the published code."""

from typing import Any

import pytest
import torch
from torch import nn

from latte_eval.baselines.published import published_table
from latte_eval.sampler.cost import (
    count_flops,
    count_paper_operations,
    count_parameters,
    latent_inputs,
    measure_cost,
    modulation_as_published,
    on_meta,
)
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.config import LatteConfig, latte_config
from latte_eval.sampler.latte.operations import forward_operations

# Vchitect/Latte@b27c24a, counted with thop 0.1 and torch's flop counter.
PARAMETERS = {"Latte-S": 32_480_672, "Latte-B": 129_547_040, "Latte-L": 456_815_648, "Latte-XL": 673_681_568}
PAPER_ONE_CLIP = {"Latte-S": 88.576e9, "Latte-B": 353.996e9, "Latte-L": 1258.133e9, "Latte-XL": 1857.565016064e9}
TRUE_ONE_CLIP = {"Latte-S": 187.263e9, "Latte-B": 728.212e9, "Latte-L": 2570.205e9, "Latte-XL": 3785.928e9}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones_and_the_paper_truncates_them(name: str) -> None:
    count = count_parameters(on_meta(latte_config(f"{name}/2")))
    assert count == PARAMETERS[name]
    assert int(count / 1e4) == int(published_table("table4").rows[name]["parameters"] * 100)


def test_cost_of_the_published_model_in_both_ways_of_counting() -> None:
    cost = measure_cost(on_meta(latte_config("Latte-XL/2")))
    assert cost.paper_operations == 5_572_695_048_192
    assert cost.flops == pytest.approx(3785.928e9, rel=1e-6)
    assert int(cost.paper_operations / 1e7) == int(published_table("table3").rows["Variant 1"]["flops"] * 100)
    # The modulation of 28 blocks and the last layer runs once a clip here, once a frame or token there.
    spared = 14 * (15 + 255) * 6 * 1152**2 + 15 * 2 * 1152**2
    assert cost.flops - cost.own_flops == 2 * spared


@pytest.mark.parametrize("name", ["Latte-S", "Latte-B"])
def test_smaller_sizes(name: str) -> None:
    model = on_meta(latte_config(f"{name}/2"))
    with modulation_as_published(model):
        assert count_paper_operations(model, *latent_inputs(model.config, 1)) == pytest.approx(
            PAPER_ONE_CLIP[name], abs=1e6
        )
        assert count_flops(model, *latent_inputs(model.config, 1)) == pytest.approx(TRUE_ONE_CLIP[name], abs=1e6)


def test_repeating_the_modulation_changes_no_value() -> None:
    config = LatteConfig(input_size=4, patch=2, channels=2, width=8, depth=2, heads=2, frames=3)
    torch.manual_seed(0)
    model = Latte(config)
    latents, timesteps = torch.randn(2, 3, 2, 4, 4), torch.tensor([3, 700])
    with torch.no_grad():
        plain = model(latents, timesteps)
        with modulation_as_published(model):
            repeated = model(latents, timesteps)
        torch.testing.assert_close(repeated, plain, rtol=0, atol=1e-6)
        assert torch.equal(model(latents, timesteps), plain), "hooks were left behind"


def test_each_layer_counts_what_it_multiplies() -> None:
    layers = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.LayerNorm(6 * 9), nn.Linear(54, 7))
    convolution, norm, linear = 6 * 9 * 2 * 9, 2 * 54, 54 * 7
    assert count_paper_operations(layers, torch.zeros(1, 4, 5, 5)) == convolution + norm + linear


@pytest.mark.parametrize("variant", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"tube": 2, "classes": 5},
        {"conditioning": "all-tokens"},
        {"conditioning": "all-tokens", "classes": 5, "learned_variance": False},
    ],
)
def test_the_closed_form_is_what_the_network_does(variant: int, choices: dict[str, Any]) -> None:
    config = LatteConfig(
        input_size=8, patch=2, channels=3, width=24, depth=4, heads=4, frames=6, variant=variant, **choices
    )
    model = on_meta(config)
    assert forward_operations(config) == count_flops(model, *latent_inputs(config, 1))
    assert 3 * forward_operations(config) == count_flops(model, *latent_inputs(config, 3))


def test_the_closed_form_of_a_published_size() -> None:
    config = latte_config("Latte-XL/2")
    assert forward_operations(config) == measure_cost(on_meta(config)).own_flops
