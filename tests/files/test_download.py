"""Downloads, from servers on the loopback that break off, lie, refuse and redirect."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Site, serve

from latte_eval.core.errors import WeightsError
from latte_eval.files import download as download_module
from latte_eval.files.download import (
    HubFile,
    LocationError,
    download,
    fetch_hub_file,
    first_hop,
    is_offline,
    unreachable_hosts,
)

DATA = bytes(range(256)) * 12_000  # 3 MB: several chunks
SHA256 = hashlib.sha256(DATA).hexdigest()
REVISION = "c" * 40


@pytest.fixture
def site(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An https site whose certificate is trusted, with one file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download_module, "RETRY_WAITS", (0.01, 0.01, 0.01))
    with serve(certificate) as site:
        site.files["/file.pt"] = DATA
        yield site


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.pt"


def nothing_kept(target: Path) -> bool:
    return not target.parent.exists() or not list(target.parent.iterdir())


def test_a_file_arrives_whole_with_progress(site: Site, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    found = download(f"{site.address}/file.pt", target, SHA256, lambda done, total: seen.append((done, total)))
    assert found == SHA256 and target.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA)) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert list(target.parent.iterdir()) == [target]


def test_a_connection_that_breaks_off_is_taken_up_again(site: Site, target: Path) -> None:
    site.drops = 3
    download(f"{site.address}/file.pt", target, SHA256)
    half, quarter = len(DATA) // 2, len(DATA) // 4
    starts = [0, half, half + quarter, half + quarter + quarter // 2]
    assert target.read_bytes() == DATA
    assert site.asked("range") == [None, *(f"bytes={start}-" for start in starts[1:])]


def test_a_server_that_cannot_resume_sends_it_all_again(site: Site, target: Path) -> None:
    site.drops, site.ranges = 2, False
    assert download(f"{site.address}/file.pt", target) == SHA256
    assert target.read_bytes() == DATA


def test_a_connection_that_always_breaks_off_is_given_up(site: Site, target: Path) -> None:
    site.drops = 99
    with pytest.raises(LocationError, match="127.0.0.1: the connection broke off at .* given up after 4 tries"):
        download(f"{site.address}/file.pt", target)
    assert len(site.requests) < 10 and nothing_kept(target)


def test_a_connection_that_breaks_off_often_but_gets_on_is_not_given_up(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "RETRY_WAITS", (0.01,))
    monkeypatch.setattr(download_module, "CHUNK", 1 << 10)
    site.drops = 9
    assert download(f"{site.address}/file.pt", target) == SHA256 and len(site.requests) == 10


def test_a_file_that_changes_on_the_way_is_not_patched_together(site: Site, target: Path) -> None:
    def change(done: int, _: int | None) -> None:
        site.files["/file.pt"] = bytes(len(DATA))

    site.drops = 1
    with pytest.raises(LocationError, match="changed while it was being downloaded"):
        download(f"{site.address}/file.pt", target, progress=change)
    assert nothing_kept(target)


def test_a_wrong_file_is_not_kept_and_both_hashes_are_named(site: Site, target: Path) -> None:
    site.files["/file.pt"] = b"<html>please log in</html>"
    found = hashlib.sha256(site.files["/file.pt"]).hexdigest()
    with pytest.raises(LocationError, match=f"sha256 {found} instead of {SHA256}"):
        download(f"{site.address}/file.pt", target, SHA256)
    assert nothing_kept(target)


def test_a_file_that_is_there_survives_a_failed_download(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(LocationError):
        download(f"{site.address}/absent.pt", target)
    assert target.read_bytes() == b"old" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(("code", "times"), [(404, 1), (403, 1), (503, 4), (429, 4)])
def test_refusals_are_named_and_only_passing_ones_are_tried_again(
    code: int, times: int, site: Site, target: Path
) -> None:
    site.status["/file.pt"] = code
    with pytest.raises(LocationError, match=f"127.0.0.1.* answered {code}"):
        download(f"{site.address}/file.pt", target)
    assert len(site.requests) == times and nothing_kept(target)


@pytest.mark.parametrize("length", ["abc", "-5", "1e3", "9" * 30, "\u00b2"])
def test_a_length_that_is_no_number_is_named(site: Site, target: Path, length: str) -> None:
    site.headers["Content-Length"] = length
    with pytest.raises(LocationError, match="127.0.0.1 announces .* bytes, which is no number"):
        download(f"{site.address}/file.pt", target)
    assert nothing_kept(target)


@pytest.mark.parametrize(
    "address", ["http://[::1", "https://host:port/x", "//", "https://", "nothing://x", "file:///x"]
)
def test_a_redirect_to_no_address_is_named(site: Site, target: Path, address: str) -> None:
    site.moved["/file.pt"] = address
    with pytest.raises(LocationError):
        download(f"{site.address}/file.pt", target)
    assert nothing_kept(target)


def test_a_redirect_in_a_circle_is_one_line(site: Site, target: Path) -> None:
    site.moved |= {"/file.pt": "/other", "/other": "/file.pt"}
    with pytest.raises(LocationError, match="answered 302 .* infinite loop") as found:
        download(f"{site.address}/file.pt", target)
    assert "\n" not in str(found.value) and nothing_kept(target)


@pytest.mark.parametrize("size", [b"f" * 40, b"-5", b"odd"])
def test_chunks_of_odd_sizes_break_off(site: Site, target: Path, size: bytes) -> None:
    site.headers |= {"Content-Length": "", "Transfer-Encoding": "chunked"}
    site.files["/file.pt"] = size + b"\r\n" + bytes(100)
    with pytest.raises(LocationError, match="broke off"):
        download(f"{site.address}/file.pt", target)
    assert nothing_kept(target)


@pytest.mark.parametrize("part", ["bytes 0-9/10", "bytes */10", "nonsense", ""])
def test_another_part_than_the_missing_one_is_refused(site: Site, target: Path, part: str) -> None:
    """A proxy may answer from a copy of another part; the sizes would fit."""

    def answer_wrong(*_: object) -> None:
        site.headers["Content-Range"] = part

    site.drops = 1
    with pytest.raises(LocationError, match=f"sent another part .* from byte {len(DATA) // 2}"):
        download(f"{site.address}/file.pt", target, progress=answer_wrong)
    assert nothing_kept(target)


def test_no_more_bytes_come_than_the_file_has(site: Site, target: Path) -> None:
    with pytest.raises(LocationError, match="sends 3,072,000 bytes or more; the file has at most 1,000"):
        download(f"{site.address}/file.pt", target, SHA256, most=1_000)
    site.headers["Content-Length"], site.extra = "", 50 << 20
    seen: list[int] = []
    with pytest.raises(LocationError, match="the file has at most 3,072,000"):
        download(f"{site.address}/file.pt", target, SHA256, lambda done, _: seen.append(done), most=len(DATA))
    assert max(seen) <= len(DATA) + download_module.CHUNK and nothing_kept(target)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "SLOW_SECONDS", 0.1)
    site.pause = 0.02
    with pytest.raises(LocationError, match=r"too slow: \d bytes in 0 seconds; given up after 4 tries"):
        download(f"{site.address}/file.pt", target)
    assert nothing_kept(target)


@pytest.mark.parametrize("what", ["head_pause", "chunk_pause"])
def test_what_comes_before_the_bytes_may_not_drip_for_ever(
    what: str, site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(download_module, "SLOW_SECONDS", 0.3)
    setattr(site, what, 0.02)
    begin = time.monotonic()
    with pytest.raises(LocationError, match="no answer in time"):
        download(f"{site.address}/file.pt", target)
    assert time.monotonic() - begin < 4 and nothing_kept(target)


def test_redirects_are_followed(site: Site, target: Path, certificate: Path) -> None:
    with serve(certificate) as other:
        other.files["/elsewhere"] = DATA
        site.moved["/file.pt"] = f"{other.address}/elsewhere"
        assert download(f"{site.address}/file.pt", target, SHA256) == SHA256


def test_redirects_away_from_https_are_not(site: Site, target: Path) -> None:
    with serve() as open_site:
        open_site.files["/file.pt"] = DATA
        site.moved["/file.pt"] = f"{open_site.address}/file.pt"
        with pytest.raises(LocationError, match="redirects away from https"):
            download(f"{site.address}/file.pt", target, SHA256)
        assert not open_site.requests


def test_a_certificate_that_nobody_vouches_for_is_refused(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(LocationError, match="certificate verify failed"):
        download(f"{site.address}/file.pt", target)
    assert not site.requests and nothing_kept(target)


def test_a_full_disk_is_named_and_leaves_nothing(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    target.parent.mkdir()
    temporary = target.with_name("full.part")
    temporary.symlink_to("/dev/full")
    monkeypatch.setattr(download_module, "temporary_path", lambda _: temporary)
    with pytest.raises(WeightsError, match="file.pt cannot be written: No space left on device") as error:
        download(f"{site.address}/file.pt", target)
    assert not isinstance(error.value, LocationError) and nothing_kept(target)


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be written"):
        download(f"{site.address}/file.pt", tmp_path / "cache" / "file.pt")


def test_absent_hosts_are_known_at_once() -> None:
    with serve() as site:
        started, gone = time.monotonic(), site.address
        assert unreachable_hosts([f"{gone}/file.pt"]) == {}
    found = unreachable_hosts([f"{gone}/file.pt", "https://latte-eval.invalid/file.pt"])
    assert set(found) == {"127.0.0.1", "latte-eval.invalid"} and found["127.0.0.1"] == "Connection refused"
    assert time.monotonic() - started < 10


def test_a_host_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> None:
        over.wait(60)
        raise TimeoutError

    monkeypatch.setattr(download_module.socket, "create_connection", hang)
    started = time.monotonic()
    found = unreachable_hosts([f"https://host{i}.invalid/" for i in range(5)], seconds=0.2)
    over.set()
    assert set(found.values()) == {"no answer in time"} and len(found) == 5
    assert time.monotonic() - started < 30


def test_the_first_hop_is_the_proxy_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert first_hop("https://huggingface.co/file") == ("proxy.example", 3128)
    assert first_hop("https://inside.example/file") == ("inside.example", 443)
    assert first_hop("http://127.0.0.1:8000/file") == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("environment", "argument", "expected"),
    [({}, None, False), ({"LATTE_EVAL_OFFLINE": "1"}, None, True), ({"HF_HUB_OFFLINE": "true"}, None, True),
     ({"LATTE_EVAL_OFFLINE": "0"}, None, False), ({"LATTE_EVAL_OFFLINE": "1"}, False, False), ({}, True, True)],
)  # fmt: skip
def test_offline_mode(
    environment: dict[str, str], argument: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LATTE_EVAL_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_offline(argument) is expected


def test_addresses_of_the_hub_are_read() -> None:
    assert HubFile.parse("hf://owner/repo/folder/file.pt@v1") == HubFile("owner/repo", "folder/file.pt", "v1")
    assert HubFile.parse("hf://owner/repo/file.pt") == HubFile("owner/repo", "file.pt", "main")
    for wrong in ("hf://owner/file.pt", "hf://owner", "owner/repo/file.pt", "hf://owner/repo/file.pt@"):
        with pytest.raises(WeightsError, match="must read hf://owner/repo/file"):
            HubFile.parse(wrong)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A hub of one repository, with a cache of its own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "LATTE_EVAL_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve() as site:
        site.files[f"/owner/repo/resolve/{REVISION}/folder/model.pt"] = DATA
        site.files["/owner/repo/resolve/main/folder/model.pt"] = DATA
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        yield site


def test_weights_come_from_the_hub_that_the_environment_names(
    hub: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.drops = 1
    assert download(f"hf://owner/repo/folder/model.pt@{REVISION}", target, SHA256) == SHA256
    assert set(hub.asked("authorization")) == {"Bearer hf_secret"}
    assert {path for _, path, _ in hub.requests} == {f"/owner/repo/resolve/{REVISION}/folder/model.pt"}


def test_the_token_stays_with_the_hub(hub: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve() as storage:
        storage.files["/blob"] = DATA
        hub.moved[f"/owner/repo/resolve/{REVISION}/folder/model.pt"] = f"{storage.address}/blob"
        download(f"hf://owner/repo/folder/model.pt@{REVISION}", target, SHA256)
        assert storage.asked("authorization") == [None]


@pytest.mark.parametrize("revision", [REVISION, "main"])
def test_checkpoints_come_from_the_hub_and_stay_in_its_cache(hub: Site, revision: str) -> None:
    url = f"hf://owner/repo/folder/model.pt@{revision}"
    path = fetch_hub_file(url)
    assert path.read_bytes() == DATA and path.name == "model.pt"
    asked = len(hub.requests)
    assert fetch_hub_file(url, offline=True) == path == fetch_hub_file(f"hf://owner/repo/folder/model.pt@{REVISION}")
    assert len(hub.requests) == asked


def test_a_checkpoint_in_the_cache_needs_no_network(hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch_hub_file("hf://owner/repo/folder/model.pt")
    with serve() as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.address)
    assert fetch_hub_file("hf://owner/repo/folder/model.pt") == path


def test_a_checkpoint_that_the_hub_does_not_have_is_named(hub: Site) -> None:
    with pytest.raises(WeightsError, match="hf://owner/repo/absent.pt cannot be downloaded: .*404") as error:
        fetch_hub_file("hf://owner/repo/absent.pt")
    assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match="absent.pt is not in the hub's cache .* offline mode is on"):
        fetch_hub_file("hf://owner/repo/absent.pt", offline=True)


def test_a_checkpoint_without_network_fails_at_once(hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.address)
    started = time.monotonic()
    with pytest.raises(WeightsError, match="cannot be downloaded: Connection refused"):
        fetch_hub_file("hf://owner/repo/folder/model.pt")
    assert time.monotonic() - started < 10


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, latte_eval.files.weights, latte_eval.metrics.detectors; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "huggingface_hub"} & set(found.stdout.split())
