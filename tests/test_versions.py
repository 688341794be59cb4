"""Files of earlier versions are read; a protocol that gains a field does not turn its old results into edited ones."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from command_line import latte_eval
from repository import ROOT

from latte_eval.compare import comparable, results
from latte_eval.compare.comparable import decisive, differences, line_key
from latte_eval.compare.results import load_results
from latte_eval.core.errors import StoreError
from latte_eval.core.protocol import Protocol

VERSIONS = sorted((ROOT / "tests" / "golden" / "versions").iterdir())


@dataclasses.dataclass(frozen=True)
class Later(Protocol):
    """The protocol of a version to come."""

    grain: str = "none"


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What one version wrote: a run, an accepted line with its features, statistics and a result measured with them."""
    return Path(shutil.copytree(request.param, tmp_path / "written"))


def test_results_accepted_lines_and_statistics_of_earlier_versions_are_read(written: Path, tmp_path: Path) -> None:
    run, accepted = written / "run", written / "accepted.jsonl"
    for words in (("history", run, accepted), ("compare", run, written / "folders"), ("explain", run, run),
                  ("table2", "--results", run), ("report", run, "-o", tmp_path / "report"),
                  ("gate", "--results", run, "--against", accepted, "--fail", "fvd:+1")):  # fmt: skip
        done = latte_eval(*words)
        assert done.returncode == 0, (words, done.stderr)
        if words[0] in ("gate", "report"):
            assert "without a digest: damage to the" in done.stderr, (words, done.stderr)


def test_statistics_of_earlier_versions_serve(written: Path, tmp_path: Path) -> None:
    from media_makers import moving_frames, write_lossless

    for i in range(4):
        write_lossless(tmp_path / "real" / f"{i}.mkv", moving_frames(20, 24, 32) // (i + 1))
    done = latte_eval("fvd", "--fake", tmp_path / "real", "--real", written / "stats.safetensors", "--param", "size=16",
                      "--clips", "4", "--detector", "seeded", "--no-interval", "--json", "--out", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("without a digest: damage to it cannot be seen") == 1
    (old,) = load_results(written / "folders")
    assert json.loads(done.stdout)["value"] == pytest.approx(old.value, rel=1e-4)


def test_a_protocol_may_gain_a_field(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (comparable, results):
        monkeypatch.setattr(module, "Protocol", Later)
    monkeypatch.setattr(comparable, "text_to_protocol", lambda text: Later.from_dict(json.loads(text)))  # nothing kept
    (old,) = load_results(written / "run")
    protocol = Later.from_dict(old.protocol_fields)
    new = dataclasses.replace(
        old, protocol=protocol.id, protocol_sha256=protocol.sha256, protocol_fields=protocol.to_dict()
    )
    assert new.protocol_sha256 != old.protocol_sha256
    assert line_key(new) == line_key(old) and not decisive(differences(new, old))
    grainy = dataclasses.replace(new, protocol_fields={**new.protocol_fields, "grain": "film"})
    monkeypatch.setitem(comparable.PROTOCOL_REASONS, "grain", "other noise")
    assert [each.field for each in decisive(differences(grainy, old))] == ["grain"]


@pytest.mark.parametrize("change", [{"real_stride": 3}, {"windows": None}])
def test_an_edited_or_dropped_field_is_still_found(written: Path, change: dict[str, object]) -> None:
    file = written / "run" / "results.jsonl"
    record = json.loads(file.read_text())
    fields = record["protocol_fields"] | change
    record["protocol_fields"] = {name: value for name, value in fields.items() if name != "windows" or value}
    file.write_text(json.dumps(record) + "\n")
    with pytest.raises(StoreError, match="was edited: its protocol fields belong to"):
        load_results(file)
