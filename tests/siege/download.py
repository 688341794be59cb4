"""Downloads: servers cut, drip, lie, change, redirect in circles; a file is whole and right, or it is not there."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from hub import Site, serve

from latte_eval.core.errors import WeightsError
from latte_eval.files import download as downloads
from latte_eval.files.download import download
from siege.siege import Siege, Wrong, main

Trick = Callable[[Site, random.Random, bytes], None]

PATH = "/file.pt"
ODD = ("", "-1", "0", "1", "9" * 30, "ten", "1e3", "\u00b2", " 5", "5,5")


def trial(material: None, chance: random.Random, folder: Path) -> str:
    shorten_waits()
    data, target = chance.randbytes(int(2 ** chance.uniform(0, 16))), folder / "cache" / "file.pt"
    sha256, old = hashlib.sha256(data).hexdigest(), b"what was there before"
    if chance.random() < 0.3:
        target.parent.mkdir()
        target.write_bytes(old)
    before = target.read_bytes() if target.exists() else None
    expected = chance.choice((sha256, sha256, None, "0" * 64))
    with serve() as site:
        site.files[PATH] = data
        for trick in chance.sample(TRICKS, chance.choice((0, 1, 1, 2, 3))):
            trick(site, chance, data)
        try:
            found = download(site.address + PATH, target, expected, most=len(data) if chance.random() < 0.7 else None)
        except WeightsError as error:
            check_refused(target, before, str(error))
            return "refused"
    return check_brought(target, data, found, expected, known=expected is not None)


def check_refused(target: Path, before: bytes | None, text: str) -> None:
    """Raise `Wrong` unless what was there is there still, and nothing else."""
    left = sorted(path.name for path in target.parent.iterdir()) if target.parent.exists() else []
    if left != ([] if before is None else [target.name]) or (before is not None and target.read_bytes() != before):
        raise Wrong(f"refused ({text[:100]}), and left {left}")
    if "\n" in text or not text:
        raise Wrong(f"not one line: {text[:200]!r}")


def check_brought(target: Path, data: bytes, found: str, expected: str | None, known: bool) -> str:
    """Raise `Wrong` for bytes that are not those whose hash was asked for, or said."""
    bytes_there = target.read_bytes()
    if hashlib.sha256(bytes_there).hexdigest() != found or (known and found != expected):
        raise Wrong(f"{len(bytes_there):,} bytes with sha256 {found[:12]}, {expected and expected[:12]} was asked for")
    if len(list(target.parent.iterdir())) != 1:
        raise Wrong("something was left beside the file")
    return "brought" if bytes_there == data else "other bytes, no hash known"


def shorten_waits() -> None:
    """Of this forked process."""
    downloads.RETRY_WAITS = (0.01, 0.01, 0.01)
    downloads.READ_SECONDS, downloads.SLOW_SECONDS, downloads.LEAST_BYTES_PER_SECOND = 0.6, 0.3, 10**6
    downloads.ANSWER_SECONDS = 1.0
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        os.environ.pop(name, None)


def drops(site: Site, chance: random.Random, data: bytes) -> None:
    site.drops = chance.choice((1, 2, 3, 100))


def no_ranges(site: Site, chance: random.Random, data: bytes) -> None:
    site.ranges, site.drops = False, chance.choice((0, 1, 2))


def status(site: Site, chance: random.Random, data: bytes) -> None:
    site.status[PATH] = chance.choice((204, 206, 304, 400, 401, 403, 404, 408, 416, 429, 500, 503))


def circle(site: Site, chance: random.Random, data: bytes) -> None:
    site.moved |= {PATH: "/a", "/a": "/b", "/b": chance.choice(("/a", PATH, "/c"))}


def nowhere(site: Site, chance: random.Random, data: bytes) -> None:
    odd = ("", "http://", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1", "//", "http://127.0.0.1:99999/x",
           "http://127.0.0.1:1/x", "javascript:1", "http://\u00e9/\u00e9", "x" * 5000)  # fmt: skip
    site.moved[PATH] = chance.choice(odd).encode("ascii", "ignore").decode()


def length(site: Site, chance: random.Random, data: bytes) -> None:
    lies = (*ODD, str(len(data) + 1), str(max(0, len(data) - 1)), str(2 * len(data)))
    site.headers["Content-Length"] = chance.choice(lies).encode("ascii", "ignore").decode()


def part(site: Site, chance: random.Random, data: bytes) -> None:
    site.drops = 1
    whole = len(data)
    site.headers["Content-Range"] = chance.choice(
        ("", "bytes", f"bytes 0-{whole - 1}/{whole}", f"bytes {whole // 2 + 1}-{whole - 1}/{whole}", "bytes x-y/z",
         f"bytes {whole // 2}-1/{'9' * 40}", "bytes */5", f"bytes {'9' * 40}-5/6")
    )  # fmt: skip


def changes(site: Site, chance: random.Random, data: bytes) -> None:
    """The file is another one after the first answer."""
    site.drops = 1
    site.headers["ETag"] = '"one"' if chance.random() < 0.5 else ""
    site.files = Changing(data, chance.randbytes(len(data)))


class Changing(dict[str, bytes]):
    """Gives other bytes of a path each time."""

    def __init__(self, *versions: bytes):
        super().__init__({PATH: versions[0]})
        self.versions = list(versions)

    def __getitem__(self, path: str) -> bytes:
        return self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]


def more(site: Site, chance: random.Random, data: bytes) -> None:
    site.extra = chance.choice((1, 1000, 2**22))
    site.headers["Content-Length"] = chance.choice(("", str(len(data))))


def drips(site: Site, chance: random.Random, data: bytes) -> None:
    what = chance.choice(("pause", "pause", "head_pause", "chunk_pause"))
    setattr(site, what, chance.choice((0.002, 0.05, 1.0)))


def encoded(site: Site, chance: random.Random, data: bytes) -> None:
    name = chance.choice(("Content-Encoding", "Transfer-Encoding"))
    site.headers[name] = chance.choice(("gzip", "chunked", "br", "odd"))


def wrong(site: Site, chance: random.Random, data: bytes) -> None:
    site.files[PATH] = chance.choice((data[:-1], data + b"x", data[::-1] + b"y", b"", b"<html>sign in</html>"))


TRICKS: list[Trick] = [drops, no_ranges, status, circle, nowhere, length, part, changes, more, drips, encoded, wrong]
OUTCOMES = ("brought", "refused", "other bytes, no hash known")
SIEGE = Siege("download", trial, OUTCOMES, trials=1000, seconds=20, memory=2**31)

if __name__ == "__main__":
    main(SIEGE)
