"""Other people's generators: every accepted form, names, and everything that goes wrong, in one sentence each."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from repository import ROOT

from latte_eval.core.clips import ClipSource, Rejected
from latte_eval.core.errors import GeneratorError, NotEnoughClips, UsageError
from latte_eval.sampler.generators import clip_seed, open_generator, open_made

SHAPE = (4, 6, 6, 3)


def clip_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """`module(text)` writes a module of a new name where a user stands, and returns the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    count = iter(range(1000))

    def write(text: str) -> str:
        name = f"user_model_{tmp_path.name.replace('-', '_')}_{next(count)}"
        (tmp_path / f"{name}.py").write_text("import numpy as np, torch\n" + textwrap.dedent(text))
        return name

    return write


BY_SEED = """
class Model:
    def __len__(self):
        return 5
    def generate(self, indices, seeds):
        return np.stack([np.random.default_rng(s).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8) for s in seeds])
make = Model
"""


def test_a_generator_gives_clips_by_seed(module):
    source = open_generator(f"{module(BY_SEED)}:make", seed=3)
    assert isinstance(source, ClipSource)
    assert len(source) == 5
    clips = source.clips([1, 4])
    assert clips.indices == (1, 4)
    for pixels, index in zip(clips.pixels, (1, 4), strict=True):
        assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), clip_of(clip_seed(3, index)))
    assert torch.equal(source.clips([4]).pixels[0], clips.pixels[1])
    assert len(set(source.groups(range(5)))) == 5


def test_the_example_of_the_docs_runs(module):
    text = (ROOT / "docs" / "generators.md").read_text()
    example = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    assert example.count("\n") < 25
    source = open_generator(f"{module(example)}:make_generator", clips=2, frames=3, size=8)
    assert source.clips([0, 1]).pixels.shape == (2, 3, 3, 8, 8)
    assert source.name == "noise"


def test_arguments_are_handed_to_those_who_name_them(module):
    name = module("""
        seen = {}
        class Model:
            def __len__(self): return 2
            def generate(self, indices, seeds): return np.zeros((len(seeds), 4, 6, 6, 3), np.uint8)
        def none(): return Model()
        def some(size, device): seen["some"] = (size, device); return Model()
        def every(**kwargs): seen["every"] = kwargs; return Model()
    """)
    for attribute in ("none", "some", "every"):
        open_generator(f"{name}:{attribute}", seed=7, clips=2, frames=4, size=6)
    seen = sys.modules[name].seen
    assert seen["some"] == (6, "cpu")
    assert seen["every"] == {"seed": 7, "clips": 2, "frames": 4, "size": 6, "device": "cpu"}


STREAM = """
def make():
    for i in range(6):
        yield np.full((4, 6, 6, 3), i, np.uint8)
def batches():
    yield torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1, 1).expand(4, 4, 3, 6, 6)
    yield torch.arange(4, 6, dtype=torch.uint8).view(2, 1, 1, 1, 1).expand(2, 4, 3, 6, 6)
def flipped():
    yield np.zeros((4, 6, 6, 3), np.uint8)[..., ::-1]
"""


@pytest.mark.parametrize("attribute", ["make", "batches"])
def test_an_iterator_of_clips(module, attribute):
    source = open_generator(f"{module(STREAM)}:{attribute}", clips=6)
    assert len(source) == 6
    for indices in ([0, 1], [3, 5], [1, 2], [5]):
        assert [int(clip[0, 0, 0, 0]) for clip in source.clips(indices).pixels] == indices


def test_views_are_taken(module):
    assert len(open_generator(f"{module(STREAM)}:flipped", clips=2).clips([0])) == 1


def test_an_iterator_that_ends_too_early(module):
    source = open_generator(f"{module(STREAM)}:make", clips=8)
    assert len(source.clips([4, 5])) == 2
    with pytest.raises(NotEnoughClips, match=r"ended after 6 clips, clip 6 was asked for. Use --clips 6"):
        source.clips([6, 7])


FULL_SOURCE = """
from latte_eval.core.clips import Clips, Rejected
class make:
    name, fingerprint, frames = "full", "f" * 64, 4
    rejected = (Rejected("b", "damaged"),)
    def __len__(self): return 3
    def groups(self, indices): return ["video"] * len(indices)
    def clips(self, indices):
        kept = [index for index in indices if index != 1]
        return Clips(torch.zeros(len(kept), 4, 3, 6, 6, dtype=torch.uint8), tuple(kept))
"""


def test_a_full_source_keeps_its_groups_and_rejects(module):
    source = open_generator(f"{module(FULL_SOURCE)}:make")
    assert source.clips([0, 1, 2]).indices == (0, 2)
    assert list(source.rejected) == [Rejected("b", "damaged")]
    assert source.groups([0, 2]) == ["video", "video"]


def test_fingerprints_change_with_what_changes_clips(module):
    one, other = module(BY_SEED), module(BY_SEED.replace("256", "255"))
    assert open_generator(f"{one}:make").fingerprint == open_generator(f"{one}:make").fingerprint
    prints = {
        open_generator(f"{one}:make").fingerprint,
        open_generator(f"{one}:make", seed=1).fingerprint,
        open_generator(f"{one}:make", size=6).fingerprint,
        open_generator(f"{other}:make").fingerprint,
    }
    assert len(prints) == 4


def test_an_entry_point_gives_a_short_name(module, tmp_path, monkeypatch):
    name, info = module(BY_SEED), tmp_path / "user_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: user-model\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[latte_eval.generators]\nmy-model = {name}:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(open_generator("my-model").clips([0, 1])) == 2
    with pytest.raises(UsageError, match="Did you mean my-model"):
        open_generator("my-modell")


def yields(expression: str) -> str:
    return f"""
class Model:
    def __len__(self): return 4
    def generate(self, indices, seeds):
        n = len(seeds)
        return {expression}
make = Model
"""


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("np.full((n, 4, 6, 6, 3), -0.5)", r"float64 from -0.5 to -0.5; .*\(\(x \+ 1\) \* 127.5\).round"),
        ("torch.rand(n, 4, 3, 6, 6)", r"float32 from .*\(x \* 255\).round"),
        ("torch.full((n, 4, 3, 6, 6), float('nan'))", "864 values that are NaN or infinite"),
        ("np.zeros((n, 4, 6, 6, 3), np.int64)", "yielded torch.int64; a clip is uint8"),
        ("np.zeros((n, 4, 6, 6, 1), np.uint8)", r"yielded \(2, 4, 6, 6, 1\)"),
        ("np.zeros((n, 4, 6, 6), np.uint8)", r"yielded \(2, 4, 6, 6\)"),
        ("np.zeros((1, 4, 6, 6, 3), np.uint8)", "yielded 1 clips, 2 were asked for"),
        ("np.zeros((n, 5, 6, 6, 3), np.uint8)", "clips of 5 frames, 4 are needed; --param frames=5"),
        ("np.zeros((n, 4, 8, 6, 3), np.uint8)", "yielded 6x8 pixels, 6x6 are needed"),
        ("'a clip'", "yielded str, not an array of clips"),
        ("None", "not an array of clips"),
    ],
)
def test_what_is_not_a_clip(module, expression, message):
    source = open_generator(f"{module(yields(expression))}:make", frames=4, size=6)
    with pytest.raises(GeneratorError, match=message):
        source.clips([0, 1])


def test_the_first_batch_sets_the_size(module):
    text = yields("np.zeros((n, 4, 6 + 2 * (indices[0] > 0), 6 + 2 * (indices[0] > 0), 3), np.uint8)")
    source = open_generator(f"{module(text)}:make")
    source.clips([0, 1])
    with pytest.raises(GeneratorError, match="8x8 pixels, 6x6 are needed"):
        source.clips([2, 3])


def test_a_generator_that_dies_keeps_what_it_gave(module):
    text = yields("np.zeros((n, 4, 6, 6, 3), np.uint8) if indices[0] < 2 else [][1]")
    source = open_generator(f"{module(text)}:make")
    assert len(source.clips([0, 1])) == 2
    with pytest.raises(GeneratorError, match=r"died at clips 2 to 3: IndexError: .* is kept, run the same command"):
        source.clips([2, 3])


def test_names_that_lead_nowhere(module):
    name = module(BY_SEED)
    with pytest.raises(UsageError, match="cannot import no_such_module: ModuleNotFoundError"):
        open_generator("no_such_module:make")
    with pytest.raises(UsageError, match="Did you mean make"):
        open_generator(f"{name}:mak")
    with pytest.raises(UsageError, match="SyntaxError"):
        open_generator(f"{module('def broken(')}:make")
    with pytest.raises(UsageError, match="Unknown generator 'nothing'"):
        open_generator("nothing")
    with pytest.raises(GeneratorError, match="could not be made: ZeroDivisionError"):
        open_generator(f"{module('def make(): 1 / 0')}:make")
    with pytest.raises(GeneratorError, match="returned int"):
        open_generator(f"{module('def make(): return 3')}:make")
    with pytest.raises(NotEnoughClips, match="has 5 clips, 9 were asked for. Use --clips 5"):
        open_generator(f"{name}:make", clips=9)


def fingerprint_elsewhere(spec: str) -> tuple[str, str]:
    """Fingerprint and sentence of a generator as another process opens it."""
    script = (
        "import sys; from latte_eval.sampler.generators import open_generator; source = open_generator(sys.argv[1]);"
        "print(source.fingerprint); print(source.no_reuse)"
    )
    done = subprocess.run([sys.executable, "-c", script, spec], capture_output=True, text=True, check=True)
    fingerprint, said = done.stdout.split("\n")[:2]
    return fingerprint, said


def test_without_a_fingerprint_no_other_process_finds_the_features(module):
    spec = f"{module(BY_SEED)}:make"
    here, (there, said) = open_generator(spec), fingerprint_elsewhere(spec)
    assert here.fingerprint == open_generator(spec).fingerprint != there
    assert said == here.no_reuse and "has no fingerprint, so nothing tells whether its weights changed" in said


def test_with_a_fingerprint_every_process_finds_them(module):
    named = BY_SEED.replace("class Model:", "class Model:\n    fingerprint = 'v1'")
    spec = f"{module(named)}:make"
    assert fingerprint_elsewhere(spec) == (open_generator(spec).fingerprint, "")
    full = open_generator(f"{module(FULL_SOURCE)}:make")
    assert full.no_reuse == ""


def test_what_a_dead_generator_leaves_depends_on_its_fingerprint(module):
    text = yields("[][1]")
    with pytest.raises(GeneratorError, match="with a fingerprint what was finished before is kept, .* starts anew$"):
        open_generator(f"{module(text)}:make").clips([0])
    named = text.replace("class Model:", "class Model:\n    fingerprint = 'v1'")
    with pytest.raises(GeneratorError, match="; what was finished before is kept, .* to continue$"):
        open_generator(f"{module(named)}:make").clips([0])


RANK = """
import sys
from latte_eval.sampler.generators import open_generator
print(open_generator(sys.argv[1]).fingerprint)
"""


def test_all_processes_of_a_run_share_one_fingerprint(module):
    spec, prints = f"{module(BY_SEED)}:make", []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen([sys.executable, "-c", RANK, spec], env={**shared, "RANK": str(rank)}, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    for process in started:
        prints.append(process.communicate(timeout=240)[0])
        assert process.returncode == 0
    assert prints[0] == prints[1] and len(prints[0].strip()) == 64


class Once:
    """Clips that can be gone through once."""

    fingerprint = "once"

    def __init__(self):
        self.left = iter(range(4))

    def __iter__(self):
        return self

    def __next__(self):
        return clip_of(next(self.left))


class Anew(Once):
    def __iter__(self):
        return map(clip_of, range(4))


def test_an_object_that_cannot_start_anew_gives_no_other_clips():
    once, anew = open_made(Once(), clips=4), open_made(Anew(), clips=4)
    expected = torch.from_numpy(clip_of(1)).permute(0, 3, 1, 2)
    for source in (once, anew):
        assert torch.equal(source.clips([1]).pixels[0], expected)
    assert torch.equal(anew.clips([1]).pixels[0], expected)
    with pytest.raises(GeneratorError, match="gave 2 clips and cannot go back to clip 1: it can be gone through once"):
        once.clips([1])


def test_an_object_without_fingerprint_is_another_one_each_time():
    class Model(Anew):
        fingerprint = None

    made = Model()
    assert open_made(made, clips=2).fingerprint != open_made(made, clips=2).fingerprint
    assert open_made(made, clips=2).no_reuse.startswith("Model has no fingerprint")
    assert open_made(Anew(), clips=2).fingerprint == open_made(Anew(), clips=2).fingerprint
