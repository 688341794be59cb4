"""Attention as matrix products: its answers, and where it is taken."""

from __future__ import annotations

import pytest
import torch
from fake_cuda import CUDA, MODE
from small_latte import small_latte

from latte_eval.sampler.latte import attention
from latte_eval.sampler.latte.attention import FEW_TOKENS, products, takes_products


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 3e-3)])
def test_products_are_attention(dtype, close):
    query, key, value = torch.randn(3, 6, 2, 16, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    exact = torch.nn.functional.scaled_dot_product_attention(*(each.double() for each in (query, key, value)))
    found = products(*(each.to(dtype) for each in (query, key, value)))
    assert found.dtype == dtype and (found.double() - exact).abs().max() < close


def test_a_model_answers_the_same_with_products(monkeypatch):
    model, x, steps = small_latte(), torch.randn(2, 4, 3, 8, 8), torch.tensor([5, 900])
    expected, taken = model(x, steps, torch.tensor([0, 1])), []
    monkeypatch.setattr(attention, "takes_products", lambda query: not taken.append(query.shape))
    torch.testing.assert_close(model(x, steps, torch.tensor([0, 1])), expected, rtol=1e-4, atol=1e-5)
    assert len(taken) == len(model.blocks)


@pytest.mark.parametrize(("tokens", "dtype", "compiling", "taken"), [
    (16, torch.bfloat16, True, True), (FEW_TOKENS, torch.float16, True, True),
    (FEW_TOKENS + 1, torch.bfloat16, True, False), (16, torch.float32, True, False),
    (16, torch.bfloat16, False, False),
])  # fmt: skip
def test_they_are_taken_where_they_were_faster(monkeypatch, tokens, dtype, compiling, taken):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    with MODE:
        assert takes_products(torch.empty(2, 4, tokens, 8, dtype=dtype, device=CUDA)) == taken
    assert not takes_products(torch.empty(2, 4, tokens, 8, dtype=dtype)), "on the CPU they are slower"
