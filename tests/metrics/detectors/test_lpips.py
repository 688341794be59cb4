"""LPIPS against the package lpips under the same seeded backbone, what counts of a frame, and missing files."""

from __future__ import annotations

import hashlib
import importlib.util

import pytest
import torch

from latte_eval.core.errors import ClipError, UsageError, WeightsError
from latte_eval.files.weights import ALEXNET
from latte_eval.metrics.detectors import lpips as own
from latte_eval.metrics.detectors.archive import load_tensors
from latte_eval.metrics.detectors.base import open_detector
from latte_eval.metrics.detectors.lpips import LPIPS, heads_file, seeded_backbone, seeded_heads


def frames(seed: int, n: int = 1, t: int = 3, side: int = 40) -> torch.Tensor:  # [N, T, 3, H, W] uint8
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, t, 3, side, side + 7), generator=generator).to(torch.uint8)


def reference(spatial: bool = False):
    """The package's network with the published heads and our seeded AlexNet."""
    package = pytest.importorskip("lpips", reason="the extra lpips is not installed")
    network = package.LPIPS(net="alex", pnet_rand=True, spatial=spatial, verbose=False)
    slices = {0: "slice1", 3: "slice2", 6: "slice3", 8: "slice4", 10: "slice5"}
    state = {f"{slices[int(name.split('.')[1])]}.{name.partition('.')[2]}": value
             for name, value in seeded_backbone().items()}  # fmt: skip
    missing, unknown = network.net.load_state_dict(state, strict=False)
    assert not missing and not unknown
    return network


def published_heads() -> LPIPS:
    return LPIPS(seeded_backbone(), load_tensors(heads_file()))


def test_values_are_those_of_the_package():
    network, ours = reference(), published_heads()
    fake, real = frames(0, 2), frames(1, 2)
    fake = ((fake.int() + 2 * real.int()) // 3).to(torch.uint8)
    scaled = [(each.flatten(0, 1).float() / 127.5 - 1) for each in (fake, real)]
    with torch.no_grad():
        expected = network(*scaled).reshape(2, 3).double()
    found = ours.frame_distance(fake, real)
    assert found == pytest.approx(expected, rel=2e-5)
    assert float(expected.min()) > 1e-3


@pytest.mark.parametrize(("name", "value"), [("SHIFT", (0.0, 0.0, 0.0)), ("RELUS", (1, 4, 7, 9, 10))])
def test_the_comparison_sees_another_network(monkeypatch, name, value):
    fake, real = frames(0), frames(1)
    right = published_heads().frame_distance(fake, real)
    monkeypatch.setattr(own, name, value)
    assert float((published_heads().frame_distance(fake, real) / right - 1).abs().max()) > 1e-3


def test_only_what_counts_is_measured():
    """All of a frame is the published number; a part is nearer to the truth the less of it differs."""
    ours, real = LPIPS.seeded(), frames(0)
    fake = real.clone()
    fake[..., :20] = frames(1)[..., :20]
    everywhere = torch.ones(1, 3, 40, 47, dtype=torch.bool)
    assert torch.equal(ours.frame_distance(fake, real, everywhere), ours.frame_distance(fake, real))
    left = everywhere.clone()
    left[..., 20:] = False
    whole, there, elsewhere = (ours.frame_distance(fake, real, where) for where in (everywhere, left, ~left))
    assert bool((elsewhere < whole).all()) and bool((whole < there).all())
    one = torch.zeros_like(everywhere)
    one[:, 1] = True
    found = ours.frame_distance(fake, real, one)
    assert found[0, 1] == whole[0, 1] and found[0, [0, 2]].isnan().all()


def test_a_frame_does_not_depend_on_the_others():
    ours, fake, real = LPIPS.seeded(), frames(0, t=5), frames(1, t=5)
    alone = torch.cat([ours.frame_distance(fake[:, i : i + 1], real[:, i : i + 1]) for i in range(5)], dim=1)
    assert torch.equal(alone, ours.frame_distance(fake, real))
    assert ours.frame_distance(real, real).tolist() == [[0.0] * 5]


def test_frames_that_are_too_small():
    ours = LPIPS.seeded()
    least = frames(0, side=31)[..., :31]
    assert float(ours.frame_distance(least, frames(1, side=31)[..., :31])[0, 0]) > 0
    with pytest.raises(ClipError, match="at least 31 pixels a side, these are 30x37"):
        ours.frame_distance(frames(0, side=30), frames(1, side=30))


def test_weights_that_do_not_fit():
    with pytest.raises(WeightsError, match=r"features.0.bias must be \(64,\), and is not there"):
        LPIPS({name: value for name, value in seeded_backbone().items() if name != "features.0.bias"}, seeded_heads())
    with pytest.raises(WeightsError, match=r"lin1.model.1.weight must be \(1, 192, 1, 1\), and is \(1, 64, 1, 1\)"):
        LPIPS(seeded_backbone(), {**seeded_heads(), "lin1.model.1.weight": torch.ones(1, 64, 1, 1)})


def test_it_opens_from_files(tmp_path, monkeypatch):
    """The backbone is found by its hash, as all weights are; the heads lie in the package."""
    pytest.importorskip("lpips", reason="the extra lpips is not installed")
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"alexnet-owt-7be5be79.pth .*--detector lpips-seeded"):
        open_detector("lpips", offline=True)
    file = tmp_path / ALEXNET.filename
    torch.save(seeded_backbone(), file)
    with pytest.raises(WeightsError, match=f"instead of {ALEXNET.sha256}"):
        open_detector("lpips", offline=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(own, "ALEXNET", own.ALEXNET.__class__(**{**vars(ALEXNET), "sha256": digest}))
    opened = open_detector("lpips", offline=True)
    assert opened.record()["pinned"] and opened.comparable
    assert torch.equal(opened.network.frame_distance(frames(0), frames(1)),
                       published_heads().frame_distance(frames(0), frames(1)))  # fmt: skip


def test_heads_of_another_version_and_none(tmp_path, monkeypatch):
    pytest.importorskip("lpips", reason="the extra lpips is not installed")
    monkeypatch.setattr(own, "HEADS_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="instead of 0000"):
        heads_file()
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "lpips" else find(name))
    with pytest.raises(UsageError, match=r"pip install 'latte-eval\[lpips\]'; or use --detector lpips-seeded"):
        open_detector("lpips")
