"""Run folders behind addresses: in memory, and in a loopback S3; what is refused, and what is never shown."""

from __future__ import annotations

import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from command_line import latte_eval
from share_makers import alike, evaluate, merge, only_result, results_of, save_toy, shares, toy_rows

from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.features import Features
from latte_eval.core.notices import Notice
from latte_eval.files.remote import RemoteFolder, is_address, is_inside, public_address
from latte_eval.files.remote_run import open_run, pulled
from latte_eval.files.run_folder import FEATURES, RunFolder

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with toy_rows():
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def other_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """From here on, commands run where nothing lies yet."""
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / name))


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    store = fsspec.filesystem("memory")
    yield store
    if store.exists("/bucket"):
        store.rm("/bucket", recursive=True)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and its result by one process beside it."""
    checkpoint = save_toy(tmp_path_factory.mktemp("remote") / "toy.pt")
    evaluate(checkpoint, checkpoint.parent / "whole")
    return checkpoint


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A server of S3 on this machine; its address."""
    lacking = "not installed: pip install -r tests/requirements-s3.txt"
    pytest.importorskip("s3fs", reason=f"s3fs is {lacking}")
    server = pytest.importorskip("moto.server", reason=f"moto is {lacking}")
    moto = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket `runs`, with keys in the environment, as users have them."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3}.items():
        monkeypatch.setenv(name, value)
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("runs")
    yield "s3://runs"
    tell(s3, "reset")


def tell(s3: str, what: str, data: bytes = b"") -> None:
    """Tell the server itself to do something."""
    header = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{s3}/moto-api/{what}", data, header, method="POST"))


def clips(*indices: int) -> Features:
    return Features({"features": np.ones((len(indices), 2), np.float32)}, list(indices), ["v"] * len(indices), [])


@pytest.mark.parametrize("place", ["memory://bucket/run", "s3://runs/toy"])
def test_jobs_on_several_machines_and_a_merge_on_another(
    place: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("memory" if place.startswith("memory") else "bucket")
    for number in ("3", "1"):
        other_machine(monkeypatch, tmp_path, f"machine{number}")
        shares(toy, place, number)
    other_machine(monkeypatch, tmp_path, "laptop")
    said = merge(place, status=5).stderr
    assert "fake clips 4-7" in said and f"--shard 2/3, then latte-eval merge {place}" in said
    shares(toy, place, "2")
    (result,) = results_of(merge(place, "--json").stdout)
    assert alike(result, only_result(toy.parent / "whole"))
    other_machine(monkeypatch, tmp_path, "desk")
    assert len(latte_eval("merge", place, "--json", "--quiet").stdout.splitlines()) == 1  # nothing is added twice
    assert only_result(pulled(place)).value == result.value


def test_commands_that_read_a_run_take_its_address(
    toy: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    place = "memory://bucket/run"
    evaluate(toy, place)
    done = latte_eval("report", place, "-o", tmp_path / "report", "--quiet")
    assert done.returncode == 0 and "1 result" in done.stdout, done.stderr
    assert "toy.pt" in latte_eval("history", f"{place}/results.jsonl").stdout
    done = latte_eval("compare", place, toy.parent / "whole")
    assert done.returncode == 0 and "stripes" in done.stdout, done.stderr
    done = latte_eval("gate", "accept", place, "--into", tmp_path / "accepted.jsonl", "--why", "a test")
    assert done.returncode == 0 and "features in" in done.stdout, done.stderr
    done = latte_eval("gate", "--results", place, "--against", tmp_path / "accepted.jsonl", "--fail", "gap:+1")
    assert "the verdict is not kept" in done.stderr and done.returncode in (0, 4), done.stderr


def test_a_run_without_shards_is_continued_on_another_machine(
    toy: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares(toy, "memory://bucket/run", "2")
    before = {name: memory.info(name)["created"] for name in memory.find("/bucket/run/features")}
    other_machine(monkeypatch, tmp_path, "other")
    evaluate(toy, "memory://bucket/run")
    assert before == {name: memory.info(name)["created"] for name in before} and len(before) == 2
    assert only_result(pulled("memory://bucket/run")).value == only_result(toy.parent / "whole").value
    evaluate(toy, "memory://bucket/run", "--seed", "1")
    assert len(memory.cat("/bucket/run/results.jsonl").splitlines()) == 2


def test_a_damaged_object_is_made_again_there(
    toy: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares(toy, "memory://bucket/run", "1 2 3")
    (name, *_) = [each for each in memory.find("/bucket/run/features") if "000004-000008" in each]
    good = memory.cat(name)
    memory.pipe_file(name, good[:-4] + b"????")
    other_machine(monkeypatch, tmp_path, "laptop")
    assert "is damaged" in merge("memory://bucket/run", status=5).stderr
    shares(toy, "memory://bucket/run", "2")
    assert memory.cat(name) == good
    assert merge("memory://bucket/run", "--json").stdout


def test_a_shard_of_other_clips_is_removed_there_before_others_take_its_place(
    memory: fsspec.AbstractFileSystem,
) -> None:
    run = open_run("memory://bucket/run").make()
    run.write_features("key", 0, 8, clips(0, 1), ["a"] * 8)
    with pytest.warns(Notice, match="holds other clips"):
        open_run("memory://bucket/run").make().drop_unusable("key", 4, ["b"] * 4)
    assert not memory.exists("/bucket/run/features/key/000000-000008.safetensors")


def test_what_did_not_arrive_is_kept_and_sent_by_the_next_run(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run("memory://bucket/run").make()
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "pipe_file", lambda *_, **__: (_ for _ in ()).throw(OSError("the line is dead")))
        with pytest.raises(StoreError, match="the line is dead.*000000-000004.safetensors is kept") as failed:
            run.write_features("key", 0, 4, clips(0, 1))
        assert "memory://bucket/run" in str(failed.value)
    assert not memory.exists("/bucket/run/features")
    again = open_run("memory://bucket/run").make()
    assert again.lacking(FEATURES, "key", (0, 5)) == [(4, 5)]
    assert [path.name for path in again.path.rglob("*.unsent")] == []
    shutil.rmtree(again.path)
    assert len(open_run("memory://bucket/run").read_features("key") or ()) == 2


def test_a_local_copy_that_is_gone_is_brought_again(memory: fsspec.AbstractFileSystem) -> None:
    run = open_run("memory://bucket/run").make()
    run.write_features("key", 0, 4, clips(0, 1))
    shutil.rmtree(run.path / FEATURES)
    assert len(run.read_features("key", 4) or ()) == 2


def test_a_shard_that_another_machine_stored_meanwhile_is_seen(memory: fsspec.AbstractFileSystem) -> None:
    run = open_run("memory://bucket/run").make()
    assert run.lacking(FEATURES, "key", (0, 4)) == [(0, 4)]
    open_run("memory://bucket/run").make().write_features("key", 0, 4, clips(0, 1))
    run.wait_for(FEATURES, "key", (0, 4), "toy")
    assert run.lacking(FEATURES, "key", (0, 4)) == []


def test_a_copy_to_read_holds_nothing_that_is_gone_there(memory: fsspec.AbstractFileSystem) -> None:
    run = open_run("memory://bucket/run").make()
    for start in (0, 4):
        run.write_features("key", start, start + 4, clips(start, start + 1))
    assert len(list(pulled("memory://bucket/run").rglob("*.safetensors"))) == 2
    memory.rm("/bucket/run/features/key/000004-000008.safetensors")
    assert [path.name for path in pulled("memory://bucket/run").rglob("*.safetensors")] == ["000000-000004.safetensors"]


def test_what_was_deleted_there_does_not_come_back(memory: fsspec.AbstractFileSystem, toy: Path) -> None:
    evaluate(toy, "memory://bucket/run")
    memory.rm("/bucket/run", recursive=True)
    evaluate(toy, "memory://bucket/run", "--seed", "1")
    assert len(memory.cat("/bucket/run/results.jsonl").splitlines()) == 1
    assert {name.split("/")[3] for name in memory.find("/bucket/run")} == {"features", "previews", "results.jsonl"}


def test_a_bucket_that_refuses_or_is_absent_is_one_line_before_any_clip(
    toy: Path, bucket: str, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluate(toy, "s3://absent/run", "--shard", "1/3", status=5)
    assert done.stderr.startswith("Error: cannot write to s3://absent/run: ") and len(done.stderr.splitlines()) == 1
    assert "bucket" in done.stderr.lower()
    assert fsspec.filesystem("s3", skip_instance_cache=True).ls("") == ["runs"]  # none was made
    tell(s3, "reset-auth", b"0")  # from now on keys are looked at
    try:
        done = evaluate(toy, f"{bucket}/run", "--shard", "1/3", status=5)
        assert done.stderr.startswith("Error: cannot write to s3://runs/run: ") and len(done.stderr.splitlines()) == 1
        said = merge(f"{bucket}/run", status=5).stderr
        assert said.startswith("Error: cannot list s3://runs/run: ") and "testing" not in said
    finally:
        tell(s3, "reset-auth", b"inf")


def test_an_address_that_no_package_reaches_is_one_line(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    done = evaluate(toy, "s3://bucket/run", "--shard", "1/3", status=2)
    assert "pip install 'latte-eval[s3]'" in done.stderr and len(done.stderr.splitlines()) == 1
    assert "Protocol not known" in evaluate(toy, "nope://bucket/run", "--shard", "1/3", status=2).stderr


@pytest.mark.parametrize(
    ("address", "public", "text", "shown"),
    [
        ("s3://bucket/run/", "s3://bucket/run", "no bucket", "no bucket"),
        ("ftp://ann:pass@host:21/run", "ftp://host:21/run", "530 ann:pass: pass", "530 ***: ***"),
        ("https://h/run?sig=abc&se=1#x1", "https://h/run", "11 no sig=abc, abc: se=1", "11 no ***, ***: ***"),
    ],
)
def test_secrets_of_an_address_are_not_shown(address: str, public: str, text: str, shown: str) -> None:
    assert is_address(address) and public_address(address) == public
    assert RemoteFolder(address).shown(ValueError(text)) == shown


def test_secrets_reach_neither_results_nor_files(toy: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    place = "memory://ann:hunter2@bucket/run?token=s3cr3t"
    store = RemoteFolder(place)
    said = [evaluate(toy, place, "--shard", "1/1"), merge(place, "--json")]
    texts = [text for done in said for text in (done.stdout, done.stderr)]
    files = [memory.cat(name) for name in memory.find("/") if name.endswith((".json", ".jsonl"))]
    local = [str(path).encode() + path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert store.public == "memory://bucket/run" and files and local
    assert not any(secret in text for text in texts for secret in ("hunter2", "s3cr3t"))
    assert not any(secret in data for data in (*files, *local) for secret in (b"hunter2", b"s3cr3t"))
    memory.rm("/", recursive=True)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\b", "", "a\0b"])
def test_an_object_whose_name_leads_elsewhere_is_passed_over(name: str) -> None:
    assert not is_inside(name) and is_inside("features/key/000000-000004.safetensors")


def test_an_option_that_takes_a_path_refuses_an_address(toy: Path, tmp_path: Path) -> None:
    words = ["stats", "--metrics", "gap", "--real", "s3://u:p@bucket/videos", "--out", tmp_path / "x.safetensors"]
    done = latte_eval(*words)
    assert done.returncode == 2 and "--real is s3://bucket/videos: this takes a path" in done.stderr
    assert not Path("s3:").exists()


def test_what_a_store_answers_is_taken_with_care() -> None:
    """Whoever may write there must not choose where files are written here."""
    folder, found = RemoteFolder("memory://bucket/run"), ("../x", "a", "/etc/x", "b\\..\\x", ".writable")
    names = [f"/bucket/run/{name}" for name in found]

    def absent(path: str) -> None:
        raise FileNotFoundError(path)

    store = SimpleNamespace(invalidate_cache=lambda: None, find=lambda path: names, cat=lambda paths, on_error: b"1",
                            rm_file=absent)  # fmt: skip
    folder.__dict__.update(root="/bucket/run", store=store)
    assert folder.names() == ["a"]
    assert list(folder.read(["a"])) == [("a", b"1")]  # as some stores answer for one path
    folder.remove("a")  # another process was first


def test_a_store_that_remembers_its_listings_is_asked_anew() -> None:
    """As s3fs does: a process that waits for others would never see what they wrote."""
    there, folder = ["bucket/run/a"], RemoteFolder("memory://bucket/run")

    class Remembers:
        listing: list[str] | None = None

        def invalidate_cache(self) -> None:
            self.listing = None

        def find(self, path: str) -> list[str]:
            self.listing = self.listing or list(there)
            return self.listing

    folder.__dict__.update(store=Remembers(), root="bucket/run")
    assert folder.names() == ["a"]
    there.append("bucket/run/b")
    assert folder.names() == ["a", "b"]


def test_addresses_of_this_machine_are_paths(tmp_path: Path) -> None:
    assert type(open_run(f"file://{tmp_path}/run")) is RunFolder and open_run(tmp_path).path == tmp_path
    assert open_run(f"file://{tmp_path}/run").path == tmp_path / "run"
    for address in ("simplecache::s3://bucket/run", "s3://[", "://x"):
        with pytest.raises(UsageError, match="is no address"):
            open_run(address)


def test_processes_of_one_torchrun_on_several_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="processes of one machine"):
        open_run("memory://bucket/run").make()


def test_an_address_without_a_run_is_said(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    done = latte_eval("report", "memory://bucket/none", "-o", tmp_path / "report")
    assert done.returncode == 5 and "memory://bucket/none holds no run" in done.stderr
    assert "holds no plan to merge" in merge("memory://bucket/none", status=5).stderr
