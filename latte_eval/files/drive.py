"""Files of Google Drive by their id, `drive://ID`: checkpoints that are published nowhere else.

Drive sends a small file at once. Before a large one it may put a page that says that it cannot look for viruses, with a
form; its hidden fields, sent back once, bring the file. A page that comes then says why there is none. Drive publishes
no hash: the one that a file has at its first use is written down, and other bytes are refused later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from urllib.parse import urlencode

from latte_eval.core.errors import WeightsError
from latte_eval.core.notices import notice
from latte_eval.files.download import LocationError, OtherBytes, is_offline, keep, read_resuming, unreachable_hosts
from latte_eval.files.weights import (
    Weights,
    file_sha256,
    find_weights,
    first_use_note,
    known_sha256,
    record_first_use,
    refuse_wrong_file,
    weights_paths,
)

SCHEME = "drive://"
ADDRESS = "https://drive.usercontent.google.com/download"
ID = re.compile("[A-Za-z0-9_-]{10,100}")

# What the form of the page may ask back; the id and the address stay those that were typed.
FIELDS, LONGEST_FIELD = ("confirm", "uuid", "at"), 200

# A page is told by its beginning; no more of it is read than this.
PAGE, PAGE_BYTES = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), 1 << 20
HEAD_BYTES = 64

# The most that a checkpoint may have: the largest with the state of their training have a third of it.
MOST_BYTES = 32 << 30


def fetch_drive_file(url: str, offline: bool | None = None) -> Path:
    """The local copy of `drive://ID`, downloaded into the cache where it is not there.

    A copy named `drive-ID.pt` in the folder that `LATTE_EVAL_WEIGHTS` names is taken first. Raises `WeightsError` in
    one line that names the id: no such id, a file that cannot be had, or one with other bytes than at its first use.
    """
    record = drive_record(url)
    if path := find_weights(record):
        return path
    refuse_wrong_file(record)
    target = weights_paths(record)[-1]
    if target.is_file():
        notice(f"{target} is damaged: sha256 {file_sha256(target)[:12]}, at its first use it was "
               f"{str(known_sha256(record))[:12]}; it is downloaded again")  # fmt: skip
    why = "offline mode is on" if is_offline(offline) else "".join(unreachable_hosts([ADDRESS]).values())
    if why:
        raise absent(url, why)
    notice(f"{url} is downloaded to {target}")
    try:
        record_first_use(record, keep(drive_bytes(url), target, known_sha256(record), "Google Drive"))
    except OtherBytes as error:
        raise WeightsError(f"{url} is not the file that it was at its first use: {error}. To take it all the same "
                           f"delete {first_use_note(record)}") from error  # fmt: skip
    except LocationError as error:
        raise absent(url, str(error)) from error
    return target


def drive_record(url: str) -> Weights:
    """What the cache calls the file. Raises `WeightsError` for what is no id."""
    name = url.removeprefix(SCHEME)
    if not ID.fullmatch(name):
        raise WeightsError(
            f"{url!r} must read drive://ID: ID is the long word in the address of a file of Google Drive"
        )
    return Weights(name=url, filename=f"drive-{name}.pt", urls=(ADDRESS,), sha256=None, size=None,
                   licence="not known", origin="Google Drive")  # fmt: skip


def absent(url: str, why: str) -> WeightsError:
    """The error for a file that cannot be had."""
    return WeightsError(
        f"{url} cannot be downloaded: {why}. Fetch https://drive.google.com/file/d/{url.removeprefix(SCHEME)}/view "
        f"with a browser and give the path of the file"
    )


def drive_bytes(url: str) -> Iterator[bytes]:
    """The bytes of a file, its page confirmed where there is one. Raises `LocationError`."""
    asked = {"id": url.removeprefix(SCHEME), "export": "download", "confirm": "t"}
    page, chunks = page_or_bytes(asked)
    if page and (fields := hidden_fields(page)):
        page, chunks = page_or_bytes(asked | fields)
    if page:
        raise LocationError(f"Google Drive sent a page instead of the file{title_of(page)}; {reason(page)}")
    return chunks


def page_or_bytes(asked: dict[str, str]) -> tuple[str, Iterator[bytes]]:
    """What Drive answers: the text of a page and nothing, or no text and the bytes of the file."""
    chunks = read_resuming(f"{ADDRESS}?{urlencode(asked)}", most=MOST_BYTES)
    head = beginning(chunks, HEAD_BYTES)
    if not PAGE.match(head):
        return "", chain([head], chunks)
    page = head + beginning(chunks, PAGE_BYTES)
    return page.decode("utf-8", "replace"), iter(())


def beginning(chunks: Iterator[bytes], size: int) -> bytes:
    """The next `size` bytes or a few more; fewer where no more come."""
    found = b""
    while len(found) < size and (chunk := next(chunks, b"")):
        found += chunk
    return found


class Page(HTMLParser):
    """The hidden fields and the title of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.fields: dict[str, str] = {}
        self.title, self.in_title = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.in_title = tag == "title"
        if tag == "input" and found.get("type") == "hidden":
            self.fields[found.get("name") or ""] = found.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.title += data if self.in_title else ""

    def handle_endtag(self, tag: str) -> None:
        self.in_title = False


def hidden_fields(page: str) -> dict[str, str]:
    """What the page's form asks back; empty without such a form."""
    fields = Page(page).fields
    return {name: fields[name][:LONGEST_FIELD] for name in FIELDS if fields.get(name)}


def title_of(page: str) -> str:
    """The title of a page, as ` ("Quota exceeded")`; of what a stranger wrote only what can be printed in one line."""
    title = " ".join("".join(c if c.isprintable() else " " for c in Page(page).title).split())
    return f' ("{title[:80]}")' if title else ""


def reason(page: str) -> str:
    """Why there is a page and no file, as far as it tells."""
    if "quota exceeded" in page.lower() or "too many users" in page.lower():
        return "the downloads that Drive allows for this file are used up for now (quota exceeded), try in a day"
    return "it may be private, gone, or over its limit of downloads (quota exceeded)"
