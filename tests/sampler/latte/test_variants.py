"""Every member of the Latte family against slow loops, its information flow, its sizes, and how it is recognised."""

from __future__ import annotations

import itertools

import pytest
import torch
from slow_latte import SlowLatte
from small_latte import golden_latte

from latte_eval.core.errors import CheckpointError, SamplerError
from latte_eval.sampler.dit import dit_to_latte, start_from_dit
from latte_eval.sampler.latte import Latte, LatteConfig
from latte_eval.sampler.latte.config import latte_config, published_name
from latte_eval.sampler.latte.recognise import untraced_choices

TINY = {"input_size": 4, "patch": 2, "channels": 2, "width": 16, "depth": 4, "heads": 4, "frames": 4, "classes": 3}
CHOICES = {
    "published": {},
    "unconditional": {"classes": None},
    "fixed variance": {"learned_variance": False},
    "variant 2": {"variant": 2},
    "variant 3": {"variant": 3, "depth": 3},
    "variant 4": {"variant": 4},
    "tubes": {"tube": 2},
    "tubes, variant 3": {"tube": 2, "variant": 3},
    "all tokens": {"conditioning": "all-tokens"},
    "all tokens, unconditional": {"conditioning": "all-tokens", "classes": None},
    "all tokens, variant 3": {"conditioning": "all-tokens", "variant": 3},
    "all tokens, variant 4, tubes": {"conditioning": "all-tokens", "variant": 4, "tube": 2},
    "rotary": {"temporal_position": "rotary"},
    "rotary, variant 2": {"temporal_position": "rotary", "variant": 2},
    "rotary, variant 3": {"temporal_position": "rotary", "variant": 3},
    "rotary, variant 4, all tokens": {"temporal_position": "rotary", "variant": 4, "conditioning": "all-tokens"},
}
IMAGES = [name for name, choice in CHOICES.items() if "tube" not in choice]
UNTRACED_HEADS = {"heads": TINY["heads"]}


def tiny_config(**choices) -> LatteConfig:
    return LatteConfig(**{**TINY, **choices})


def random_latte(config: LatteConfig, dtype=torch.float64) -> Latte:
    """Random weights everywhere: a new model would answer zero."""
    torch.manual_seed(0)
    model = Latte(config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False).to(dtype)


def tiny_latents(config: LatteConfig, images: int = 0, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    size = config.input_size
    return torch.randn(batch, config.frames + images, config.channels, size, size, dtype=torch.float64)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.pow(2).mean().sqrt())


def tolerance(config: LatteConfig) -> float:
    """Float64 on both sides, but rotary angles, which the model keeps in float32."""
    return 1e-6 if config.temporal_position == "rotary" else 1e-12


@pytest.mark.parametrize("name", CHOICES)
def test_forward_is_the_slow_formulation(name):
    config = tiny_config(**CHOICES[name])
    model, x = random_latte(config), tiny_latents(config)
    timesteps, labels = torch.tensor([7, 640]), torch.tensor([2, 0])
    out = model(x, timesteps, labels)
    slow = SlowLatte(config, model.state_dict())
    sinusoids = model.t_embedder.sinusoid(timesteps)
    for n in range(2):
        label = None if config.classes is None else int(labels[n])
        expected = torch.from_numpy(slow(x[n], sinusoids[n], label))
        assert relative(out[n], expected) < tolerance(config)
    assert relative(model.float()(x.float(), timesteps, labels).double(), out) < 1e-4


def test_the_same_weights_answer_differently_under_another_choice():
    """So that agreement with the slow formulation means something."""
    state, x = random_latte(tiny_config(), torch.float32).state_dict(), tiny_latents(tiny_config()).float()
    choices = ({}, {"variant": 2}, {"temporal_position": "rotary"}, {"heads": 2})
    inputs = x, torch.tensor([7, 640]), torch.tensor([2, 0])
    outs = [Latte.from_state_dict(state, **UNTRACED_HEADS | choice)(*inputs) for choice in choices]
    for one, other in itertools.combinations(outs, 2):
        assert relative(one, other) > 0.01


@pytest.mark.parametrize("name", IMAGES)
def test_joint_forward_is_the_slow_formulation(name):
    config = tiny_config(**CHOICES[name])
    model, x = random_latte(config), tiny_latents(config, images=2, batch=1)
    image_labels = torch.tensor([[1, 3]])
    out = model.joint_forward(x, torch.tensor([300]), torch.tensor([2]), image_labels)
    slow = SlowLatte(config, model.state_dict())
    sinusoid = model.t_embedder.sinusoid(torch.tensor([300]))[0]
    expected = slow(x[0], sinusoid, None if config.classes is None else 2, image_labels[0].tolist())
    assert relative(out[0], torch.from_numpy(expected)) < tolerance(config)


@pytest.mark.parametrize("case", ["latte_img_cond", "latte_img_uncond"])
def test_joint_forward_is_the_published_one(golden, seeded, case):
    data = golden(case)
    meta, joint = data.meta, data.meta["joint"]
    model = golden_latte(data)
    x = torch.from_numpy(seeded.seeded_normal(*joint["x"], meta["seed"]))
    labels = [None if y is None else torch.tensor(y) for y in (meta["y"], joint["y_image"])]
    out = model.joint_forward(x, torch.tensor(meta["t"]), *labels)
    assert (out - torch.from_numpy(data["joint_out"])).abs().max() < 1e-5


def test_no_images_is_the_plain_forward():
    config = tiny_config()
    model, x = random_latte(config), tiny_latents(config)
    timesteps, labels = torch.tensor([7, 640]), torch.tensor([2, 0])
    assert relative(model.joint_forward(x, timesteps, labels), model(x, timesteps, labels)) < 1e-12


def reach(function, shape: tuple[int, ...], target: tuple[int, ...]) -> torch.Tensor:
    """Which [frame, position] of the input move the output at `target`: true where the gradient is not zero."""
    x = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    function(x)[0][target].square().sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(-1) > 0


def rectangle(frames, positions, shape=(4, 5)) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    for f, p in itertools.product(frames, positions):
        mask[f, p] = True
    return mask


ALL_FRAMES, ALL_POSITIONS = range(4), range(5)
FLOWS = {  # variant, block -> what the token (2, 3) hears
    (1, 0): rectangle([2], ALL_POSITIONS),
    (1, 1): rectangle(ALL_FRAMES, [3]),
    (2, 1): rectangle([2], ALL_POSITIONS),
    (2, 2): rectangle(ALL_FRAMES, [3]),
    (3, 0): rectangle(ALL_FRAMES, ALL_POSITIONS),
    (4, 0): rectangle([2], ALL_POSITIONS) | rectangle(ALL_FRAMES, [3]),
}


@pytest.mark.parametrize("conditioning", ["s-adaln", "all-tokens"])
@pytest.mark.parametrize(("variant", "block"), FLOWS)
def test_information_flows_along_its_axis_only(variant, block, conditioning):
    model = random_latte(tiny_config(variant=variant, conditioning=conditioning))
    condition = torch.randn(1, 1, 16, dtype=torch.float64) if conditioning == "s-adaln" else None

    heard = reach(lambda x: model.blocks[block](x, condition, 4), (4, 5, 16), (2, 3))
    assert torch.equal(heard, FLOWS[variant, block])


@pytest.mark.parametrize(("variant", "block"), FLOWS)
def test_images_take_part_in_space_only(variant, block):
    model = random_latte(tiny_config(variant=variant))
    condition = torch.randn(1, 6, 16, dtype=torch.float64)

    def run(x):
        return model.blocks[block](x, condition, 4)

    to_video = reach(run, (6, 5, 16), (2, 3))
    assert not to_video[4:].any()
    to_image = reach(run, (6, 5, 16), (5, 3))
    temporal_block = (variant, block) in ((1, 1), (2, 2))
    assert torch.equal(to_image, rectangle([5], [3] if temporal_block else ALL_POSITIONS, (6, 5)))


@pytest.mark.parametrize("choice", [{}, {"variant": 2}, {"variant": 3}, {"variant": 4}, {"tube": 2}])
def test_every_output_hears_every_input(choice):
    config = tiny_config(**choice)
    model = random_latte(config)
    x = tiny_latents(config, batch=1).requires_grad_()
    model(x, torch.tensor([300]), torch.tensor([1]))[0, 1, 0, 0, 0].backward()
    assert x.grad is not None and bool((x.grad != 0).all())


def test_rotary_scores_depend_on_differences_alone():
    from latte_eval.sampler.latte.attention import rotate

    torch.manual_seed(0)
    q, k = torch.randn(2, 8, dtype=torch.float64)
    turned_q, turned_k = (rotate(v.repeat(9, 1)) for v in (q, k))
    scores = turned_q @ turned_k.T
    for distance in range(-4, 5):
        diagonal = scores.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-6)
    assert scores.diagonal(1)[0] != pytest.approx(float(scores.diagonal(2)[0]))


@pytest.mark.parametrize("name", CHOICES)
def test_a_state_dict_tells_what_it_is(name):
    config = tiny_config(**CHOICES[name])
    model, x = random_latte(config, torch.float32), tiny_latents(config).float()
    loaded = Latte.from_state_dict(model.state_dict(), **untraced_choices(config.to_dict()))
    assert loaded.config == config
    args = x, torch.tensor([7, 640]), torch.tensor([2, 0])
    assert torch.equal(loaded(*args), model(*args))
    seen = Latte.from_state_dict(model.state_dict(), **UNTRACED_HEADS).config
    hidden = {"variant": 1 if config.variant == 2 else config.variant, "temporal_position": "absolute"}
    assert seen.to_dict() == {**config.to_dict(), **hidden}


def test_weights_that_contradict_the_variant():
    state = random_latte(tiny_config(variant=3), torch.float32).state_dict()
    with pytest.raises(CheckpointError, match="variant 3, not of variant 2"):
        Latte.from_state_dict(state, variant=2)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"variant": 5}, "variant cannot be 5"),
        ({"depth": 3}, "depth 3 is odd"),
        ({"heads": 3}, "width 16 is not a multiple of heads 3"),
        ({"tube": 3}, "frames 4 is not a multiple of tube 3"),
        ({"input_size": 0}, "input_size 0 is not a multiple of patch 2"),
        ({"depth": 0}, "depth cannot be 0: a Latte has at least 1"),
        ({"classes": 0}, "classes cannot be 0: a Latte has at least 1"),
        ({"variant": 4, "heads": 1}, "1 is odd"),
        ({"heads": 16, "temporal_position": "rotary"}, "1 a head is odd"),
        ({"conditioning": "adaln"}, "one of s-adaln, all-tokens"),
    ],
)
def test_configs_that_no_latte_has(choices, message):
    with pytest.raises(CheckpointError, match=message):
        tiny_config(**choices)


def test_shorter_clips_where_the_table_allows():
    config = tiny_config()
    state = random_latte(config, torch.float32).state_dict()
    short = Latte.from_state_dict(state, frames=2, **UNTRACED_HEADS)
    assert short.config.frames == 2
    assert torch.equal(short.temp_embed, state["temp_embed"][:, :2])
    with pytest.raises(CheckpointError, match="positions for 4 frames; it cannot make clips of 6"):
        Latte.from_state_dict(state, frames=6)
    rotary = Latte.from_state_dict(state, frames=6, temporal_position="rotary", **UNTRACED_HEADS)
    assert rotary(torch.randn(1, 6, 2, 4, 4), torch.tensor([3]), torch.tensor([0])).shape == (1, 6, 4, 4, 4)
    with pytest.raises(SamplerError, match="takes"):
        short(torch.randn(1, 4, 2, 4, 4), torch.tensor([3]), torch.tensor([0]))


def test_bad_labels_and_images():
    config = tiny_config()
    model, x = random_latte(config), tiny_latents(config)
    with pytest.raises(SamplerError, match="label 4 is outside 0..2: this checkpoint has 3 classes"):
        model(x, torch.tensor([3, 3]), torch.tensor([0, 4]))
    with pytest.raises(SamplerError, match="latents are"):
        model.joint_forward(x[:, :3], torch.tensor([3, 3]), torch.tensor([0, 1]))
    tubes = random_latte(tiny_config(tube=2))
    with pytest.raises(SamplerError, match="tubes of 2 frames"):
        tubes.joint_forward(x, torch.tensor([3, 3]), torch.tensor([0, 1]))


def trainable(config: LatteConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Latte(config).parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "choices", "parameters"),
    [
        ("Latte-S/2", {}, 32_480_672),
        ("Latte-B/2", {}, 129_547_040),
        ("Latte-L/2", {}, 456_815_648),
        ("Latte-XL/2", {}, 673_681_568),
        ("LatteIMG-XL/2", {"classes": 101}, 673_799_072),
        ("Latte-XL/2", {"variant": 2}, 673_681_568),
        ("Latte-XL/2", {"variant": 3}, 676_355_360),
        ("Latte-XL/2", {"variant": 4}, 673_713_824),
        ("Latte-XL/2", {"input_size": 64}, 673_681_568),
    ],
)
def test_published_sizes(name, choices, parameters):
    config = latte_config(name, **choices)
    assert trainable(config) == parameters
    assert published_name(config) == name.replace("IMG", "")


def test_names_that_are_no_size():
    for name in ("Latte-M/2", "Latte-XL/3", "DiT-XL/2", "XL"):
        with pytest.raises(CheckpointError, match="not a published size"):
            latte_config(name)
    with pytest.raises(CheckpointError, match="no 'version'"):
        latte_config("Latte-S/2", version=2)


def dit_state(depth: int = 4) -> dict[str, torch.Tensor]:
    """A DiT: a class-conditional Latte without its temporal table, 7 classes and the null class."""
    state = random_latte(tiny_config(depth=depth, classes=7), torch.float32).state_dict()
    return {key: value for key, value in state.items() if key != "temp_embed"}


def test_a_dit_becomes_a_latte():
    dit = dit_state()
    model = Latte.from_state_dict(dit_to_latte(dit, frames=4, classes=2), heads=4)
    assert model.config == tiny_config(classes=2)
    assert not model.y_embedder.embedding_table.weight.any()
    fresh = {"temp_embed", "y_embedder.embedding_table.weight"}
    assert all(torch.equal(value, dit[key]) for key, value in model.state_dict().items() if key not in fresh)
    assert Latte.from_state_dict(dit_to_latte(dit, frames=4), heads=4).config.classes is None
    with pytest.raises(CheckpointError, match="an image DiT"):
        Latte.from_state_dict(dit)
    with pytest.raises(CheckpointError, match="Latte already"):
        dit_to_latte(model.state_dict(), frames=4)


def test_a_dit_starts_every_variant():
    dit = dit_state()
    for choice in ({}, {"variant": 2}, {"conditioning": "all-tokens"}, {"tube": 2}, {"variant": 3, "depth": 3}):
        model = random_latte(tiny_config(**choice), torch.float32)
        left = start_from_dit(model, dit)
        assert torch.equal(model.blocks[1].attn.qkv.weight, dit["blocks.1.attn.qkv.weight"])
        assert "blocks.0.attn.qkv.weight" not in left
        assert ("x_embedder.proj.weight" in left) == ("tube" in choice)
        assert ("blocks.0.temporal_attn.qkv.weight" in left) == (choice.get("variant") == 3)
    with pytest.raises(CheckpointError, match="width 16, this Latte 32"):
        start_from_dit(random_latte(tiny_config(width=32), torch.float32), dit)


def test_halves_of_a_dits_attention_add_up_to_it():
    dit = dit_state()
    split, whole = random_latte(tiny_config(variant=4), torch.float32), random_latte(tiny_config(), torch.float32)
    start_from_dit(split, dit)
    start_from_dit(whole, dit)
    x = torch.randn(3, 5, 16)
    block = split.blocks[2]
    assert torch.allclose(block.attn(x) + block.temporal_attn(x), whole.blocks[2].attn(x), atol=1e-5)
