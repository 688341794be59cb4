"""Files of Google Drive by id, from a server on the loopback that has a confirm page, a quota page or another file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Site, serve

from latte_eval.core.errors import WeightsError
from latte_eval.core.notices import Notice
from latte_eval.files import drive
from latte_eval.files.addresses import hub_advice
from latte_eval.files.drive import fetch_drive_file
from latte_eval.sampler.checkpoint import EMBEDDED, embedded_file, load_checkpoint

NAME = "1WIAOm4n0HkmOHMhUj3y6wLLemtz_Xj8b"
URL = f"drive://{NAME}"
DATA = b"PK" + bytes(range(256)) * 6_000
SHA256 = hashlib.sha256(DATA).hexdigest()

CONFIRM = b"""<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form action="https://elsewhere.invalid/" method="get"><input type="hidden" name="id" value="other">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="a1&amp;b2"></form></html>"""
CONFIRMED = f"/download?id={NAME}&export=download&confirm=t&uuid=a1%26b2"
QUOTA = b"""<html><head><title>Google Drive - Quota exceeded</title></head>Too many users have viewed or downloaded this
 file recently.</body></html>"""


@pytest.fixture
def site(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A Drive with one file at once, and an empty cache."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "LATTE_EVAL_WEIGHTS", "LATTE_EVAL_OFFLINE",
                 "HF_HUB_OFFLINE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("LATTE_EVAL_CACHE", str(tmp_path / "cache"))
    with serve(certificate) as site:
        monkeypatch.setattr(drive, "ADDRESS", f"{site.address}/download")
        site.files["/download"] = DATA
        yield site


pytestmark = pytest.mark.filterwarnings("ignore::latte_eval.core.notices.Notice")


def kept() -> list[str]:
    folder = drive.weights_paths(drive.drive_record(URL))[-1].parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_comes_once_and_its_hash_is_written_down(site: Site) -> None:
    with pytest.warns(Notice, match=f"{URL} is downloaded to"):
        path = fetch_drive_file(URL)
    assert path.read_bytes() == DATA and kept() == [f"drive-{NAME}.pt", f"drive-{NAME}.pt.sha256"]
    assert path.with_name(f"{path.name}.sha256").read_text().strip() == SHA256
    assert fetch_drive_file(URL, offline=True) == path and len(site.requests) == 1
    assert site.requests[0][1] == f"/download?id={NAME}&export=download&confirm=t"
    assert site.asked("authorization") == [None]


def test_the_form_of_the_page_is_sent_back_once(site: Site) -> None:
    """With the fields of the page, but the id and the address that were asked for."""
    site.files |= {"/download": CONFIRM, CONFIRMED: DATA}
    assert fetch_drive_file(URL).read_bytes() == DATA
    assert [path for _, path, _ in site.requests][1:] == [CONFIRMED]


def test_a_form_that_brings_another_form_is_given_up(site: Site) -> None:
    site.files["/download"] = CONFIRM
    with pytest.raises(WeightsError, match="sent a page instead of the file .*Virus scan warning.*it may be private"):
        fetch_drive_file(URL)
    assert len(site.requests) == 2 and kept() == []


def test_no_more_downloads_is_one_line_that_says_what_to_do(site: Site) -> None:
    site.files["/download"] = QUOTA
    with pytest.raises(WeightsError) as error:
        fetch_drive_file(URL)
    said = str(error.value)
    assert said.startswith(f"{URL} cannot be downloaded: Google Drive sent a page") and "\n" not in said
    assert "quota exceeded), try in a day" in said and f"drive.google.com/file/d/{NAME}/view with a browser" in said
    assert len(site.requests) == 1 and kept() == []


def test_other_bytes_than_at_first_use_are_refused(site: Site) -> None:
    path = fetch_drive_file(URL)
    site.files["/download"] = DATA[:-1] + b"!"
    path.unlink()
    with pytest.raises(
        WeightsError, match=f"not the file that it was at its first use: .* instead of {SHA256}"
    ) as error:
        fetch_drive_file(URL)
    assert kept() == [f"drive-{NAME}.pt.sha256"]
    (path.parent / f"drive-{NAME}.pt.sha256").unlink()
    assert f"delete {path}.sha256" in str(error.value) and fetch_drive_file(URL).read_bytes() == site.files["/download"]


def test_a_copy_that_was_damaged_is_downloaded_again(site: Site) -> None:
    path = fetch_drive_file(URL)
    path.write_bytes(DATA[:100])
    with pytest.warns(Notice, match="is damaged: sha256 .*downloaded again"):
        assert fetch_drive_file(URL).read_bytes() == DATA


def test_what_cannot_be_had(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.status["/download"] = 404
    with pytest.raises(WeightsError, match=f"{URL} cannot be downloaded: 127.0.0.1 answered 404 Not Found. Fetch"):
        fetch_drive_file(URL)
    with pytest.raises(WeightsError, match="offline mode is on"):
        fetch_drive_file(URL, offline=True)
    with pytest.raises(WeightsError, match="must read drive://ID"):
        fetch_drive_file("drive://../../etc/passwd")
    site.moved["/download"] = site.address.replace("https", "http") + "/file"
    with pytest.raises(WeightsError, match="redirects away from https"):
        fetch_drive_file(URL)
    site.moved.clear()
    site.status.clear()
    monkeypatch.setattr(drive, "MOST_BYTES", 1000)
    with pytest.raises(WeightsError, match="the file has at most 1,000"):
        fetch_drive_file(URL)
    assert kept() == []


def test_a_checkpoint_of_drive_is_one_like_any_other(site: Site) -> None:
    data = embedded_file("demo-vdt").read_bytes()
    site.files["/download"] = data
    checkpoint = load_checkpoint(URL)
    assert (checkpoint.name, checkpoint.sha256) == (URL, hashlib.sha256(data).hexdigest())
    assert checkpoint.family.name == load_checkpoint(next(name for name in EMBEDDED if "vdt" in name)).family.name


@pytest.mark.parametrize(
    "address",
    (f"https://drive.google.com/file/d/{NAME}/view?usp=sharing", f"https://drive.google.com/open?id={NAME}",
     f"https://drive.google.com/uc?export=download&id={NAME}"),
)  # fmt: skip
def test_an_address_of_a_page_says_what_to_type(address: str) -> None:
    assert hub_advice(address) == f"type {URL}"
