"""Every kind of file that is read back, in damaged copies: it is read right or refused in one sentence, never more."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import latte_eval
from gate_makers import NOISE, make_accepted, write_run
from mutations import damaged_bytes, damaged_records

from latte_eval.compare.results import load_results
from latte_eval.core.errors import LatteEvalError
from latte_eval.core.features import Features
from latte_eval.core.protocol import Protocol
from latte_eval.evaluation.stats import StatsSource
from latte_eval.files.run_folder import RunFolder
from latte_eval.gate.accepted import read_accepted
from latte_eval.gate.history import history_tables, read_entries
from latte_eval.gate.record import read_verdicts
from latte_eval.report.runs import read_runs
from latte_eval.sampler.samples import SamplesFolder
from latte_eval.sampler.shards import files_of

COUNT = 150


def survives(read: Callable[[], Any], path: Path, copies: Iterable[bytes | str]) -> int:
    """How many damaged copies are refused; any error that is not ours fails the test, with the copy."""
    refused = 0
    for copy in copies:
        path.write_bytes(copy if isinstance(copy, bytes) else copy.encode("utf-8", "surrogatepass"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read()
        except LatteEvalError as error:
            assert str(error)
            refused += 1
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__}: {error} on {copy[:3000]!r}") from error
    return refused


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", NOISE)


def read_all(run: Path) -> None:
    """What compare, history, gate and report do first."""
    load_results(run)
    for table in history_tables(read_entries([run])):
        str(table.rows)
    read_runs([run])


def test_results(run: Path) -> None:
    path = run / "results.jsonl"
    line = path.read_text()
    refused = survives(lambda: read_all(run), path, damaged_records(json.loads(line), 1, 4 * COUNT))
    refused += survives(lambda: read_all(run), path, damaged_bytes(line.encode(), 1, COUNT))
    assert refused > COUNT


@pytest.mark.parametrize("command", ["compare", "explain", "history", "report", "gate"])
def test_commands_on_results(command: str, tmp_path: Path) -> None:
    """Through the command line: what passes the reader is shown and compared too."""
    good, bad = write_run(tmp_path / "good", NOISE) / "results.jsonl", tmp_path / "bad.jsonl"
    accepted = make_accepted(tmp_path)
    arguments = {
        "history": [bad],
        "report": [bad, "-o", tmp_path / "report", "--quiet"],
        "gate": ["--results", bad, "--against", accepted, "--fail", "fvd:+9%", "--quiet"],
    }.get(command, [good, bad])
    for number, text in enumerate(damaged_records(json.loads(good.read_text()), 2, 110)):
        if command != "report" or number % 10 == 0:
            bad.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")
            done = latte_eval(command, *arguments)
            assert done.returncode < 70 and "Traceback" not in done.stderr, f"{done.stderr} on {text[:3000]}"


def test_accepted_results_and_their_features(tmp_path: Path) -> None:
    path = make_accepted(tmp_path)
    line = path.read_text()
    (first,) = read_accepted(path)
    assert first.features

    def read() -> None:
        for each in read_accepted(path):
            each.sides()

    assert survives(read, path, damaged_records(json.loads(line), 3, 3 * COUNT)) > COUNT
    survives(read, path, damaged_bytes(line.encode(), 3, COUNT))


def test_verdicts(run: Path, tmp_path: Path) -> None:
    latte_eval("gate", "--results", run, "--against", make_accepted(tmp_path), "--fail", "fvd:+9%", "--quiet")
    path = run / "gate.jsonl"
    line = path.read_text()
    refused = survives(lambda: read_verdicts(run), path, damaged_records(json.loads(line), 4, 2 * COUNT))
    assert refused > COUNT / 2
    survives(lambda: read_runs([run]), path, damaged_bytes(line.encode(), 4, COUNT))


def with_metadata(data: bytes, change: Callable[[dict[str, str]], Iterable[dict[str, Any]]]) -> Iterable[bytes]:
    """Copies of a safetensors file with other metadata."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for metadata in change(header["__metadata__"]):
        text = json.dumps({**header, "__metadata__": metadata}).encode()
        yield len(text).to_bytes(8, "little") + text + data[8 + length :]


def damaged_notes(metadata: dict[str, str]) -> Iterable[dict[str, Any]]:
    for name, note in metadata.items():
        for text in damaged_records({"note": json.loads(note)}, 5, COUNT):
            start = text.partition(": ")[2][:-1] if text.startswith('{"note": ') else text
            yield {**metadata, name: start}


def test_shards(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    rows = np.zeros((4, 3), np.float32)
    run.write_features("key", 0, 4, Features({"features": rows}, [0, 1, 2, 3], list("abcd"), [], [0, 1, 0, 1]))
    (path,) = tmp_path.rglob("*.safetensors")
    data = path.read_bytes()
    refused = survives(lambda: run.read_features("key"), path, with_metadata(data, damaged_notes))
    assert refused > COUNT / 2
    survives(lambda: run.read_features("key"), path, damaged_bytes(data, 5, 2 * COUNT))


def test_statistics(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "real.safetensors"
    meta = {
        "schema": 1, "version": "1", "step_version": 1, "protocol": Protocol().to_dict(), "detectors": {"d": "a" * 64},
        "source": {"name": "real", "fingerprint": "f", "rejected": 1, "seed": 0}, "groups": ["a", "b"],
        "indices": [0, 1], "rejected": [["x", "cut"]],
    }  # fmt: skip

    def read() -> None:
        source = StatsSource.open(path)
        source.check(Protocol(), [])
        assert (source.name, len(source), len(source.groups([0])), len(source.rejected)) and source.record()

    arrays = {"d/features": np.zeros((2, 3), np.float32)}
    texts = damaged_records(meta, 6, 4 * COUNT)
    assert survives(read, path, (save(arrays, {"latte-eval": text}) for text in texts if "\ud800" not in text)) > COUNT
    survives(read, path, damaged_bytes(save(arrays, {"latte-eval": json.dumps(meta)}), 6, 2 * COUNT))


def test_records_of_samples(tmp_path: Path) -> None:
    path = tmp_path / "samples.json"
    record = {"settings": {"seed": 0, "steps": 3}, "files": {"000000.mp4": "a" * 64}}
    folder = SamplesFolder(tmp_path, {"seed": 0, "steps": 3})
    assert survives(lambda: folder.continue_from(folder.read_record(path)), path, damaged_records(record, 7, COUNT))


def test_indices_of_shards(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    (tmp_path / "a.safetensors").write_bytes(b"")
    record = {"metadata": {"total_size": 3}, "weight_map": {"x": "a.safetensors", "y": "a.safetensors"}}
    assert survives(lambda: files_of(path), path, damaged_records(record, 8, COUNT))


def test_indices_of_pipelines(tmp_path: Path) -> None:
    path = tmp_path / "model_index.json"
    record = {"_class_name": "Pipeline", "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "DDIM"]}
    for text in damaged_records(record, 9, COUNT):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        done = latte_eval("inspect", tmp_path)
        assert done.returncode < 70 and "Traceback" not in done.stderr, f"{done.stderr} on {text[:3000]}"
