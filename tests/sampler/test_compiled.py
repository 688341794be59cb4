"""Compiled blocks: one graph a kind, the answers of plain ones, and what happens where compiling fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from small_latte import SMALL, small_latte
from small_source import FAST, source
from torch._dynamo.testing import CompileCounterWithBackend

from latte_eval.sampler import compiled
from latte_eval.sampler.compiled import PAYS_FROM, compiling_pays, step_flops
from latte_eval.sampler.latte.config import latte_config
from latte_eval.sampler.model import run_block
from latte_eval.sampler.settings import SamplerSettings

DEEP = dataclasses.replace(SMALL, depth=6)
XL = latte_config("Latte-XL/2", classes=101)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Counts graphs and runs them as they are: a real compiler takes half a minute."""
    torch._dynamo.reset()
    counted = CompileCounterWithBackend("eager")
    monkeypatch.setattr(compiled.torch, "compile", partial(torch.compile, backend=counted))
    yield counted
    torch._dynamo.reset()


def test_two_graphs_serve_all_blocks_and_batches(counter):
    plain, fast = source(model=small_latte(DEEP)), source(model=small_latte(DEEP), compiled=True)
    assert fast.about == {}
    found, expected = fast.latents(range(6)), plain.latents(range(6))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 2, "a block for space and one for time"
    assert (fast.about, plain.about) == ({"compiled": True}, {})
    assert fast.fingerprint == plain.fingerprint


def test_seconds_are_told_once_and_only_whole_ones(counter):
    said: list[str] = []
    fast = source(compiled=True, say=said.append)
    assert fast.compiled is not None
    fast.compiled.seconds = 21.4
    fast.latents([0])
    assert len(said) == 1 and said[0].startswith("compiled the model in 2") and "--no-compile" in said[0]
    fast.latents([1])
    fast.compiled.seconds = 0.2
    fast.compiled.tell()
    assert len(said) == 1


@pytest.mark.parametrize("variant", [2, 3, 4])
def test_every_variant(counter, variant):
    config = dataclasses.replace(SMALL, depth=4, variant=variant)
    plain, fast = source(model=small_latte(config)), source(model=small_latte(config), compiled=True)
    torch.testing.assert_close(fast.latents([1]), plain.latents([1]), rtol=1e-4, atol=1e-4)
    assert counter.frame_count == (2 if variant == 2 else 1)


def test_a_smaller_batch_runs_as_it_is_and_a_larger_one_is_compiled(counter):
    model = small_latte()
    blocks = compiled.CompiledBlocks(lambda text: None)
    assert [blocks.serves(clips) for clips in (3, 3, 2, 8, 3, 8)] == [True, True, False, True, False, True]
    fast = source(model=model, compiled=True)
    for clips in (3, 2, 4):
        list(fast.states(range(clips)))
    assert counter.frame_count == 4, "two kinds, at 3 and at 4 clips"


def test_both_sizes_of_a_guidance_interval_are_compiled(counter):
    settings = SamplerSettings("ddim", 6, 3.0, clip_x0=True, guidance_interval=(0.3, 5.0))
    plain, fast = source(settings), source(settings, compiled=True)
    torch.testing.assert_close(fast.latents([0, 1]), plain.latents([0, 1]), rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 4


def test_where_compiling_fails_it_is_said_and_clips_are_made(monkeypatch):
    def fails(*args: object, **choices: object) -> object:
        raise RuntimeError("Cannot find a working triton installation.\nLong story")

    said: list[str] = []
    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: fails)
    fast = source(compiled=True, say=said.append)
    assert torch.equal(fast.latents([0, 5]), source().latents([0, 5]))
    assert said == ["torch.compile failed, so blocks run as they are, at lower speed: "
                    "RuntimeError: Cannot find a working triton installation."]  # fmt: skip
    assert fast.about == {}


def test_where_compiling_fails_at_another_size_clips_are_made_too(monkeypatch):
    known, others_fail, said = set(), [], []

    def picky(block, x, condition, frames):
        kind = block.route, tuple(x.shape)
        if others_fail and kind not in known:
            raise RuntimeError("no room for another kernel")
        known.add(kind)
        return run_block(block, x, condition, frames)

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: picky)
    fast = source(compiled=True, say=said.append)
    list(fast.states([0]))
    others_fail.append(True)
    assert len(list(fast.states(range(4)))) == len(list(source().states(range(4))))
    assert said == ["torch.compile failed, so blocks run as they are, at lower speed: "
                    "RuntimeError: no room for another kernel"]  # fmt: skip


def test_too_little_memory_is_no_failure_of_the_compiler(monkeypatch):
    def fails(*args: object, **choices: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: fails)
    monkeypatch.setattr("latte_eval.sampler.sources.free_bytes", lambda device: 2**20)
    with pytest.raises(torch.OutOfMemoryError):
        source(compiled=True).latents([0])


def test_it_pays_where_sampling_takes_minutes():
    assert 3.7e12 < step_flops(XL) < 3.9e12
    assert compiling_pays(XL, 250, False, 2048)
    assert not compiling_pays(XL, 250, False, 16) and compiling_pays(XL, 250, False, 32)
    fewest = PAYS_FROM / step_flops(XL) / 250
    assert compiling_pays(XL, 250, True, round(fewest / 2) + 1) and not compiling_pays(XL, 250, False, int(fewest))


@pytest.mark.parametrize(("asked", "found"), [(None, False), (False, False), (True, True)])
def test_on_the_cpu_it_is_used_where_asked(asked, found):
    assert (source(FAST, 10**9, compiled=asked).compiled is not None) == found


@pytest.mark.parametrize("position", ["absolute", "rotary"])
def test_tables_made_ahead_are_those_of_each_step(position):
    model = small_latte(dataclasses.replace(SMALL, temporal_position=position))
    names, steps, x = set(model.state_dict()), torch.tensor([0, 999]), torch.randn(2, 4, 3, 8, 8)
    labels = torch.tensor([0, 2])
    one_by_one = model(x, steps, labels)
    model.tabulate()
    torch.testing.assert_close(model(x, steps, labels), one_by_one, rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) == names
    assert model.t_embedder.table.shape == (1000, SMALL.width)
    rotary = [block.attn.table is not None for block in model.blocks]
    assert rotary == [False, position == "rotary"], "in space positions are absolute"
    model.t_embedder.table += 1
    assert not torch.allclose(model(x, steps, labels), one_by_one, atol=1e-3), "the table is used"
