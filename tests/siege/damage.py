"""Damage: files that runs leave are flipped, cut, swapped, emptied or edited; a number is the same or it is refused."""

from __future__ import annotations

import json
import os
import random
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from mutations import damaged_bytes, damaged_records

from latte_eval.core.errors import LatteEvalError
from latte_eval.files.run_folder import RunFolder
from latte_eval.files.weights import C3D_ARCHIVE, file_sha256, record_first_use, weights_state
from latte_eval.gate.record import read_verdicts
from siege.siege import Siege, Wrong, main
from siege.toy_runs import EVALUATE, GATE, Toys, check_said, check_same, made, prepare, register_toys, run

HISTORY = ("history", "run", "--format", "json")
AGAINST_STATS = (
    "evaluate", "--metrics", "gap", "--ckpt", "toy.pt", "--heads", "4", "--real", "real.safetensors",
    "--protocol", "toy", "--param", "frames=4", "--param", "fake_clips=6", "--sampler", "halving", "--steps", "3",
    "--vae", "identity", "--out", "against", "--device", "cpu", "--json", "--quiet",
)  # fmt: skip
AGAINST_VIDEOS = tuple({"real.safetensors": "videos", "against": "filmed"}.get(word, word) for word in AGAINST_STATS)
# What a gate says where shards are gone: it compares two numbers then.
TOLD = "there are no features of the new result"
# What `history` says of a file without a whole line.
NOTHING: dict[str, Any] = {"tables": []}
LEFT = ("run", "accepted.jsonl", "accepted.features", "real.safetensors", "cache")


@dataclass(frozen=True)
class Material:
    """Toys, and what commands say of files that nothing happened to."""

    toys: Toys
    said: dict[tuple[str, ...], Any]


def prepare_files(folder: Path) -> Material:
    toys = prepare(folder)
    said = {words: numbers(made(folder, *words).out) for words in (GATE, HISTORY, AGAINST_STATS, AGAINST_VIDEOS)}
    os.environ["LATTE_EVAL_CACHE"] = str(folder / "cache")
    archive = folder / "cache" / C3D_ARCHIVE.filename
    archive.write_bytes(bytes(1000))
    record_first_use(C3D_ARCHIVE, file_sha256(archive))
    del os.environ["LATTE_EVAL_CACHE"]
    return Material(toys, said)


def numbers(text: str) -> Any:
    """What a command says in JSON, but for times and names that hold times."""
    record = json.loads(text)
    for name in ("started", "seconds", "digest"):
        record.pop(name, None)
    return record


def trial(material: Material, chance: random.Random, folder: Path) -> str:
    material.toys.begin_in(folder, *LEFT)
    os.environ["LATTE_EVAL_CACHE"] = str(folder / "cache")
    register_toys()
    pattern, reads = chance.choice(KINDS)
    if pattern.startswith("filmed"):  # what is known of videos is known by where they are
        made(folder, *AGAINST_VIDEOS)
    path = chance.choice(sorted(folder.glob(pattern)))
    how = damage(path, chance)
    try:
        return chance.choice(reads)(material, folder)
    except Wrong as error:
        raise Wrong(f"{path.relative_to(folder)} {how}: {error}") from error


def damage(path: Path, chance: random.Random) -> str:
    """Change a file; what was done."""
    data = path.read_bytes()
    ways = [flipped, holed, emptied, swapped, gone, grown, *([edited, digit] * 3 if path.suffix == ".jsonl" else [])]
    way = chance.choice(ways)
    way(path, data, chance)
    if path.exists() and path.read_bytes() == data:
        flipped(path, data, chance)
    return way.__name__


def flipped(path: Path, data: bytes, chance: random.Random) -> None:
    path.write_bytes(next(damaged_bytes(data, chance.randrange(2**32), 1)))


def holed(path: Path, data: bytes, chance: random.Random) -> None:
    """A part is zeros, as after a loss of power."""
    at = chance.randrange(len(data))
    size = min(len(data) - at, 2 ** chance.randrange(13))
    path.write_bytes(data[:at] + bytes(size) + data[at + size :])


def emptied(path: Path, data: bytes, chance: random.Random) -> None:
    path.write_bytes(b"")


def gone(path: Path, data: bytes, chance: random.Random) -> None:
    path.unlink()


def grown(path: Path, data: bytes, chance: random.Random) -> None:
    path.write_bytes(data + chance.randbytes(chance.randrange(1, 200)))


def swapped(path: Path, data: bytes, chance: random.Random) -> None:
    """It has the bytes of another file of the same kind."""
    others = [each for each in path.parent.parent.glob(f"*/*{path.suffix}") if each != path]
    path.write_bytes(chance.choice(sorted(others)).read_bytes() if others else data[::-1])


def edited(path: Path, data: bytes, chance: random.Random) -> None:
    """A value of a record is gone or has become another."""
    record = json.loads(data.splitlines()[0])
    copies = list(damaged_records(record, chance.randrange(2**32), 200))
    path.write_bytes(chance.choice(copies).encode("utf-8", "surrogatepass") + b"\n")


def digit(path: Path, data: bytes, chance: random.Random) -> None:
    """One digit of a file is another one."""
    at = chance.choice([index for index, byte in enumerate(data) if chr(byte).isdigit()])
    path.write_bytes(data[:at] + str((data[at] - 48 + chance.randrange(1, 10)) % 10).encode() + data[at + 1 :])


def runs_again(material: Material, folder: Path) -> str:
    """A run makes again what it cannot use, and gives the same; it may refuse what nothing can make again."""
    ended = run(folder, *EVALUATE)
    check_said(ended, [0, 5])
    if ended.status == 0:
        check_same(folder / "run", material.toys.folder / "run")
    return outcome(ended.status)


def keeps_value(material: Material, folder: Path) -> str:
    """As `runs_again`, where the files of the run may stay damaged: its value is the same."""
    ended = run(folder, *EVALUATE, "--json")
    check_said(ended, [0, 5])
    theirs = json.loads((material.toys.folder / "run" / "results.jsonl").read_text())
    if ended.status == 0 and json.loads(ended.out)["value"] != theirs["value"]:
        raise Wrong(f"another value: {ended.out[:200]}")
    return outcome(ended.status)


def says_the_same(*words: str) -> Callable[[Material, Path], str]:
    """A command says what it says of whole files, or refuses."""

    def read(material: Material, folder: Path) -> str:
        ended = run(folder, *words)
        check_said(ended, [0, 2, 3, 5])
        if TOLD in ended.out:
            return "refused"
        if ended.status == 0 and numbers(ended.out) not in (material.said[words], NOTHING):
            raise Wrong(f"{words[0]} says other numbers: {ended.out[:400]}")
        return outcome(ended.status)

    return read


def reads_the_same(read: Callable[[Path], Any]) -> Callable[[Material, Path], str]:
    """A function gives what it gives of whole files, or an error of our own."""

    def reads(material: Material, folder: Path) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = read(folder)
            except LatteEvalError:
                return "refused"
            os.environ["LATTE_EVAL_CACHE"] = str(material.toys.folder / "cache")
            if found and not is_part(found, read(material.toys.folder)):
                raise Wrong(f"{read.__name__} gives {str(found)[:200]}")
        return "the same" if found else "refused"

    return reads


def is_part(found: Any, whole: Any) -> bool:
    """Whether it is the same; of a list of lines some may be missing, for a torn one is passed over with a notice."""
    return all(each in whole for each in found) if isinstance(found, list) else bool(found == whole)


def outcome(status: int) -> str:
    return "refused" if status else "the same"


def strips(folder: Path) -> Any:
    """The previews of the fake side; fewer where a file is gone."""
    record = json.loads((folder / "run" / "results.jsonl").read_text())["fake_source"]
    found = RunFolder(folder / "run").read_previews(record["fingerprint"], range(40))
    return found if len(found) == 40 else None


def verdicts(folder: Path) -> Any:
    return read_verdicts(folder / "run")


def first_use(folder: Path) -> Any:
    """Whether the weights are those of the first use; None where they are refused or the note is gone."""
    note = folder / "cache" / f"{C3D_ARCHIVE.filename}.sha256"
    known = note.exists()
    return weights_state(C3D_ARCHIVE) if known and weights_state(C3D_ARCHIVE) != "corrupt" else None


# Files -> what reads them.
GATES, HISTORIES = says_the_same(*GATE), says_the_same(*HISTORY)
KINDS: list[tuple[str, list[Callable[[Material, Path], str]]]] = [
    ("run/features/*/*.safetensors", [runs_again, runs_again, GATES]),
    ("run/previews/*/*.safetensors", [keeps_value, reads_the_same(strips)]),
    ("run/results.jsonl", [HISTORIES, GATES]),
    ("run/gate.jsonl", [reads_the_same(verdicts)]),
    ("filmed/examined/*.json", [says_the_same(*AGAINST_VIDEOS)]),
    ("run/checkpoints.jsonl", [keeps_value]),
    ("accepted.jsonl", [GATES]),
    ("accepted.features/*.safetensors", [GATES]),
    ("real.safetensors", [says_the_same(*AGAINST_STATS)]),
    ("cache/*.sha256", [reads_the_same(first_use)]),
]

SIEGE = Siege("damage", trial, ("refused", "the same"), prepare_files, trials=1000, seconds=120, memory=2**32)

if __name__ == "__main__":
    main(SIEGE)
