"""Weight records: where files are looked for, how their bytes are known, and what is said where they are missing."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub import Site, serve

from latte_eval.core.errors import UsageError, WeightsError
from latte_eval.files import weights as weights_module
from latte_eval.files.weights import (
    I3D_ARCHIVE,
    WEIGHTS,
    Weights,
    all_weights,
    cache_folder,
    fetch_weights,
    file_sha256,
    find_weights,
    weights_state,
)

DATA = b"the weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, an empty folder of the user's, and the network allowed."""
    for name in ("LATTE_EVAL_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LATTE_EVAL_WEIGHTS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("latte_eval.files.download.RETRY_WAITS", (0.01,))
    with serve() as site:
        yield site


def record(*urls: str, sha256: str | None = SHA256) -> Weights:
    return Weights("test", "weights.pt", urls, sha256, len(DATA), "Apache-2.0", "this test", instead="i3d-seeded")


def put(folder: str, tmp_path: Path, data: bytes = DATA) -> Path:
    path = tmp_path / folder / "weights.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_every_record_says_where_from_and_under_which_licence() -> None:
    names = [weights.name for weights in all_weights()]
    assert names == sorted(names) == WEIGHTS.names()
    assert len({weights.filename for weights in all_weights()}) == len(names) > 7
    for weights in all_weights():
        assert weights.urls and all(re.match(r"(https|hf)://", url) for url in weights.urls)
        assert weights.sha256 is None or re.fullmatch("[0-9a-f]{64}", weights.sha256)
        assert weights.licence and weights.origin and weights.instead.endswith("-seeded")
    with pytest.raises(UsageError, match="Did you mean i3d-archive"):
        WEIGHTS["i3d-archiv"]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder().name == "cache"
    monkeypatch.delenv("LATTE_EVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/latte-eval")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "latte-eval"


def test_the_user_s_folder_is_searched_before_the_cache(tmp_path: Path) -> None:
    assert find_weights(record()) is None and weights_state(record()) == "missing"
    cached = put("cache", tmp_path)
    assert find_weights(record()) == cached and weights_state(record()) == "ok"
    mine = put("mine", tmp_path)
    assert find_weights(record()) == mine == fetch_weights(record(), offline=True)


def test_other_bytes_are_not_the_weights(tmp_path: Path) -> None:
    mine = put("mine", tmp_path, b"other bytes")
    assert find_weights(record()) is None and weights_state(record()) == "corrupt"
    assert find_weights(record(), trust=True) == mine
    found = hashlib.sha256(b"other bytes").hexdigest()
    with pytest.raises(WeightsError, match=f"mine/weights.pt has sha256 {found} instead of {SHA256}"):
        fetch_weights(record())


def test_a_damaged_file_in_the_cache_is_replaced(site: Site, tmp_path: Path) -> None:
    site.files["/weights.pt"] = DATA
    cached = put("cache", tmp_path, DATA[:-1])
    assert weights_state(record()) == "corrupt"
    assert fetch_weights(record(f"{site.address}/weights.pt")) == cached and cached.read_bytes() == DATA


def test_a_file_is_hashed_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("mine", tmp_path)
    assert file_sha256(path) == SHA256
    with monkeypatch.context() as patch:
        patch.setattr(weights_module.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
        assert file_sha256(path) == SHA256
    path.write_bytes(b"changed")
    assert file_sha256(path) == hashlib.sha256(b"changed").hexdigest()


def test_locations_are_tried_in_order_until_one_has_the_right_file(site: Site) -> None:
    site.files |= {"/wrong": b"a page that asks to log in", "/right": DATA}
    urls = [f"{site.address}/{path}" for path in ("absent", "wrong", "right", "never")]
    path = fetch_weights(record(*urls))
    assert path.read_bytes() == DATA and path.parent == cache_folder()
    assert [path for _, path, _ in site.requests] == ["/absent", "/wrong", "/right"]
    assert fetch_weights(record(*urls)) == path and len(site.requests) == 3


def test_a_file_that_nobody_has_gives_one_line_with_all_that_is_needed(site: Site) -> None:
    site.files["/wrong"], site.status["/closed"] = b"wrong", 403
    with pytest.raises(WeightsError) as error:
        fetch_weights(record(*(f"{site.address}/{path}" for path in ("wrong", "closed", "absent"))))
    message, wrong = str(error.value), hashlib.sha256(b"wrong").hexdigest()
    for part in ("weights.pt", SHA256, wrong, "403", "404", "LATTE_EVAL_WEIGHTS", "--detector i3d-seeded"):
        assert part in message
    assert "\n" not in message and not list(cache_folder().iterdir())


def test_without_network_the_same_line_comes_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError, match="i3d_torchscript.pt .*bec6519f.* --detector i3d-seeded"):
        fetch_weights(replace(I3D_ARCHIVE, urls=("https://a.invalid/file", "https://b.invalid/file")))
    assert time.monotonic() - started < 15


def test_offline_mode_asks_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_EVAL_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline mode is on"):
        fetch_weights(record(f"{site.address}/weights.pt"))
    assert not site.requests


def test_a_file_without_public_hash_is_trusted_on_first_use(site: Site, tmp_path: Path) -> None:
    site.files["/weights.pt"] = DATA
    unpinned = record(f"{site.address}/weights.pt", sha256=None)
    path = fetch_weights(unpinned)
    assert (cache_folder() / "weights.pt.sha256").read_text().strip() == SHA256
    assert weights_state(unpinned) == "unpinned" and find_weights(unpinned) == path
    path.write_bytes(b"changed later")
    assert weights_state(unpinned) == "corrupt" and find_weights(unpinned) is None
    site.files["/weights.pt"] = b"changed at its source"
    with pytest.raises(WeightsError, match=f"instead of {SHA256}"):
        fetch_weights(unpinned)


@pytest.mark.parametrize("damage", [b"", b"\0" * 65, b"abc\n", b"\xff", SHA256[:-1].encode()])
def test_a_damaged_note_of_the_first_use_is_told(tmp_path: Path, damage: bytes) -> None:
    """Half of one would refuse the right file for ever."""
    put("cache", tmp_path)
    assert find_weights(record(sha256=None))
    note = tmp_path / "cache" / "weights.pt.sha256"
    assert note.read_text() == SHA256 + "\n"
    note.write_bytes(damage)
    with pytest.raises(WeightsError, match="weights.pt.sha256 is damaged: it must hold the sha256 .* or delete it"):
        find_weights(record(sha256=None))


def test_the_note_of_the_first_use_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    put("cache", tmp_path)
    monkeypatch.setattr("latte_eval.files.whole_files.to_disk", full)
    assert find_weights(record(sha256=None))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["weights.pt"]


def test_the_first_use_may_be_of_the_user_s_own_file(tmp_path: Path) -> None:
    unpinned = record(sha256=None)
    mine = put("mine", tmp_path)
    assert find_weights(unpinned) == mine
    mine.write_bytes(b"changed later, with another length")
    assert weights_state(unpinned) == "corrupt"


def test_progress_is_told(site: Site) -> None:
    site.files["/weights.pt"] = DATA
    seen: list[tuple[int, int | None]] = []
    fetch_weights(record(f"{site.address}/weights.pt"), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(DATA), len(DATA))
