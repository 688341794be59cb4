"""VDT against the reference implementation, with the mistakes that would show, and state dicts that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_latte import SMALL, relative, seeded_input, small_latte
from small_vdt import SMALL_VDT, golden_vdt, small_vdt

from latte_eval.core.errors import CheckpointError, SamplerError
from latte_eval.sampler.latte import Latte
from latte_eval.sampler.latte.attention import MLP
from latte_eval.sampler.latte.config import LatteConfig
from latte_eval.sampler.latte.embedding import spatial_table, temporal_table
from latte_eval.sampler.vdt import VDT, VDTConfig, vdt_config
from latte_eval.sampler.vdt.config import published_name
from latte_eval.sampler.vdt.network import VDTBlock

# Relative to the rms. float64 is 1.2e-6 away, a wrong eps of the norms 1.0e-5: golden/README.md.
FORWARD = 5e-6


def answer(model: VDT, file) -> torch.Tensor:
    return model(seeded_input(file, "x"), torch.tensor(file.meta["t"]))


def test_forward_is_the_published_one(golden):
    file = golden("vdt")
    assert relative(answer(golden_vdt(file), file), file["forward_out"]) < FORWARD


def test_every_stage_is_the_published_one(golden):
    file = golden("vdt")
    model, seen = golden_vdt(file), {}
    block = model.blocks[0]
    stages = {"x_embedder": model.x_embedder, "t_embedder": model.t_embedder, "y_embedder": model.y_embedder,
              "block0_adaLN": block.adaLN_modulation, "block0_temporal_norm": block.temporal_norm1,
              "block0_temporal_attn": block.temporal_attn, "block0_temporal_fc": block.temporal_fc,
              "block0_attn": block.attn, "block0_mlp": block.mlp, "final_layer": model.final_layer.linear}  # fmt: skip
    stages |= {f"block{i}": each for i, each in enumerate(model.blocks)}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda _, inputs, out, name=name: seen.update({name: out}))
    block.register_forward_pre_hook(lambda _, inputs: seen.update({"block0_input": inputs[0]}))
    answer(model, file)
    assert {f"inter_{name}" for name in seen} == {name for name in file.arrays if name.startswith("inter_")}
    for name, out in seen.items():
        expected = torch.from_numpy(file[f"inter_{name}"])
        out = out.expand(2, -1) if name == "y_embedder" else out
        out = out.transpose(1, 2) if name == "block0_temporal_fc" else out
        # The reference has clips and frames (positions, in its attention over time) in one axis, cut to the first.
        flat = out.flatten(0, 1)[: len(expected)] if out.ndim > 2 else out
        assert relative(flat.reshape(expected.shape), expected) < FORWARD, name


class SpaceFirst(VDTBlock):
    def forward(self, x, condition, frames):
        parts = self.adaLN_modulation(condition).unsqueeze(2).chunk(6, dim=-1)
        x = x + parts[2] * self.attn(self.norm(x) * (1 + parts[1]) + parts[0])
        x = x + self.over_time(x)
        return x + parts[5] * self.mlp(self.norm(x) * (1 + parts[4]) + parts[3])


class NoTimeLayer(VDTBlock):
    def over_time(self, x):
        return self.temporal_attn(self.temporal_norm1(x.transpose(1, 2))).transpose(1, 2)


class ExactGelu(MLP):
    def forward(self, x):
        return self.fc2(torch.nn.functional.gelu(self.fc1(x)))


def blocks_as(kind):
    return lambda model: [setattr(block, "__class__", kind) for block in model.blocks]


def swap_row_and_column(model):
    grid = model.pos_embed.unflatten(1, (4, 4))
    model.pos_embed = torch.nn.Parameter(grid.transpose(1, 2).flatten(1, 2), False)


# The reference measured how far each moves its answer; a value here is at least half of that.
TWINS = {
    "no_time_embed": (lambda model: model.time_embed.zero_(), 1.0),
    "pos_xy_swapped": (swap_row_and_column, 1.0),
    "no_temporal_fc": (blocks_as(NoTimeLayer), 1.9),
    "no_label_row": (lambda model: model.y_embedder.embedding_table.weight.zero_(), 0.34),
    "label_row_1": (lambda model: model.y_embedder.embedding_table.weight.data.copy_(
        model.y_embedder.embedding_table.weight.flip(0)), 0.46),
    "spatial_before_temporal": (blocks_as(SpaceFirst), 0.36),
    "exact_gelu": (lambda model: [setattr(b.mlp, "__class__", ExactGelu) for b in model.blocks], 1e-4),
    "temporal_norm_eps_1e6": (lambda model: [setattr(b.temporal_norm1, "eps", 1e-6) for b in model.blocks], FORWARD),
    "adaln_eps_1e5": (lambda model: [setattr(n, "eps", 1e-5) for n in
                                     [*(b.norm for b in model.blocks), model.final_layer.norm]], FORWARD),
}  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
def test_golden_sees_a_mistake(golden, twin):
    file = golden("vdt")
    model, (spoil, least) = golden_vdt(file), TWINS[twin]
    spoil(model)
    far = relative(answer(model, file), file["forward_out"])
    assert least < far < 2 * file.meta["checks"][f"sens_{twin}"]


def test_golden_sees_the_next_timestep(golden):
    file = golden("vdt")
    out = golden_vdt(file)(seeded_input(file, "x"), torch.tensor(file.meta["t"]) + 1)
    assert relative(out, file["forward_out"]) > file.meta["checks"]["sens_t_plus_1"] / 2


def test_the_published_state_dict_loads_as_it_is(golden):
    file = golden("vdt")
    state, model = file.tensors(), golden_vdt(file)
    assert set(model.state_dict()) == set(file.meta["keys"])
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    assert model.config == VDTConfig(input_size=8, patch=2, channels=4, width=48, depth=3, heads=3, frames=16)
    assert np.abs(spatial_table(48, 4).numpy() - file["pos_embed"]).max() < 1e-6
    assert np.abs(temporal_table(48, 16).numpy() - file["time_embed"]).max() < 1e-6


def test_clips_do_not_depend_on_their_batch():
    model, x, t = small_vdt(), torch.randn(3, 4, 3, 8, 8), torch.tensor([5, 400, 999])
    together = model(x, t)
    for n in range(3):
        assert relative(model(x[n : n + 1], t[n : n + 1])[0], together[n]) < 1e-5


@pytest.mark.parametrize(("name", "keys", "trainable"), [("VDT-L/2", 517, 859_704_224), ("VDT-S/2", 229, 41_361_056)])
def test_published_sizes(name, keys, trainable):
    with torch.device("meta"):
        model = VDT(vdt_config(name))
    assert len(model.state_dict()) == keys
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable
    assert VDT.from_state_dict(model.state_dict()).config == vdt_config(name)
    assert published_name(model.config) == name and published_name(SMALL_VDT) is None


def spoiled(drop: str = "", **more):
    """The state dict of a small VDT without one key, or with others."""
    return lambda: {key: value for key, value in small_vdt().state_dict().items() if key != drop} | more


REFUSED = {
    "a Latte": (lambda: small_latte().state_dict(), "this is a Latte, not a VDT: it has temp_embed"),
    "no time_embed": (spoiled("time_embed"), "not a VDT checkpoint: time_embed is missing"),
    "no temporal_fc": (spoiled("blocks.0.temporal_fc.weight"), "blocks.0.temporal_fc.weight is missing"),
    "a gap": (spoiled("blocks.1.attn.proj.bias"), "blocks.1.attn.proj.bias is missing"),
    "one more": (spoiled(x=torch.zeros(1)), "not a VDT of these sizes: x is unknown"),
    "another width": (spoiled(time_embed=torch.zeros(1, 4, 16)), r"time_embed is \(1, 4, 16\), not \(1, 4, 32\)"),
    "a row alone": (spoiled(time_embed=torch.zeros(32)), r"time_embed is \(32,\), not 3 axes with values"),
    "nothing": (dict, "not a VDT checkpoint: x_embedder.proj.weight is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_vdt_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        VDT.from_state_dict(make(), heads=4)


def test_arguments_that_the_weights_do_not_allow():
    state = small_vdt().state_dict()
    assert VDT.from_state_dict(state, heads=4, frames=4).config == SMALL_VDT
    with pytest.raises(
        CheckpointError, match=r"positions for 4 frames \(time_embed\).*not of 8; give --param frames=4"
    ):
        VDT.from_state_dict(state, heads=4, frames=8)
    with pytest.raises(CheckpointError, match="width 32 is not a published one .* one of 1, 2, 4, 8, 16, 32"):
        VDT.from_state_dict(state)
    with pytest.raises(CheckpointError, match="width 32 is not a multiple of heads 5"):
        VDT.from_state_dict(state, heads=5)
    with pytest.raises(CheckpointError, match="this is a VDT, not a Latte"):
        Latte.from_state_dict(state, heads=4)
    with pytest.raises(CheckpointError, match="'VDT-B/2' is not a published size; they are VDT-S/2 and VDT-L/2"):
        vdt_config("VDT-B/2")


def test_inputs_that_do_not_fit():
    model, t = small_vdt(), torch.zeros(1, dtype=torch.long)
    for shape in ((1, 5, 3, 8, 8), (1, 4, 3, 16, 16), (1, 4, 4, 8, 8)):
        with pytest.raises(SamplerError, match=r"this VDT takes \(N, 4, 3, 8, 8\)"):
            model(torch.zeros(shape), t)
    with pytest.raises(SamplerError, match="a VDT has no classes"):
        model(torch.zeros(1, 4, 3, 8, 8), t, t)


def test_latte_of_the_same_sizes_is_another_network():
    """Latte's third variant attends in both ways in every block too: its keys must not pass for a VDT's."""
    latte = small_latte(LatteConfig(**{**SMALL.to_dict(), "variant": 3, "classes": 1}))
    with pytest.raises(CheckpointError, match="this is a Latte"):
        VDT.from_state_dict(latte.state_dict(), heads=4)
