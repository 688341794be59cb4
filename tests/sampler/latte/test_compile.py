"""`torch.compile(fullgraph=True)` of the denoiser: one graph for all steps, no break, the same answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from small_latte import SMALL, small_latte
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.testing import CompileCounterWithBackend

from latte_eval.sampler.guidance import Guidance, guided_denoiser
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.conditioning import AdaptiveBranch, PlainBranch

CHOICES = {
    "plain": ({}, 1.0),
    "guided": ({}, 4.0),
    "without classes": ({"classes": None}, 1.0),
    "variant 3": ({"variant": 3}, 4.0),
    "variant 4": ({"variant": 4}, 4.0),
    "tubes": ({"tube": 2}, 4.0),
    "all tokens, rotary": ({"conditioning": "all-tokens", "temporal_position": "rotary"}, 4.0),
}
X = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def check_compiled(model: Latte, scale: float = 4.0, backend: str = "eager") -> None:
    """Three steps give the answers of the plain denoiser, from one graph."""
    labels = None if model.config.classes is None else torch.tensor([0, 2])
    denoiser, counter = guided_denoiser(model, labels, Guidance(scale)), CompileCounterWithBackend(backend)
    compiled = torch.compile(denoiser, fullgraph=True, backend=counter)
    with torch.no_grad():
        for step in (999, 500, 0):
            timesteps = torch.full((2,), step)
            torch.testing.assert_close(compiled(X, timesteps), denoiser(X, timesteps), rtol=1e-5, atol=1e-5)
    assert counter.frame_count == 1, "a step was compiled anew"


@pytest.mark.parametrize("name", CHOICES)
def test_one_graph_for_all_steps(name: str) -> None:
    changes, scale = CHOICES[name]
    check_compiled(small_latte(dataclasses.replace(SMALL, **changes)), scale)


def test_attention_in_parts_is_one_graph_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_eval.sampler.latte.attention.MOST_SEQUENCES", 5)
    check_compiled(small_latte(), backend="aot_eager")


def test_reading_a_value_breaks_the_graph() -> None:
    """What the tests above would see."""
    model = small_latte()
    model.blocks[1].register_forward_hook(lambda block, given, out: out if out.mean().item() < 1e9 else None)
    with pytest.raises(TorchDynamoException, match="data-dependent|item"):
        check_compiled(model)


@pytest.mark.parametrize("branch", [AdaptiveBranch, PlainBranch])
def test_branches_have_a_hash_before_they_have_fields(branch: type) -> None:
    """Dynamo of torch 2.11 asks for it when it traces the call of one; seen on a GPU."""
    assert isinstance(hash(object.__new__(branch)), int)
