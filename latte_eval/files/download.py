"""Downloads: https with resume, streamed hash and rename; files of the Hugging Face hub; quick failure without network.

Environment: `LATTE_EVAL_OFFLINE=1` or `HF_HUB_OFFLINE=1` forbids downloads, `HF_ENDPOINT` names another hub, and the
usual proxy variables and `SSL_CERT_FILE` apply.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from latte_eval.core.errors import WeightsError, first_line
from latte_eval.files.deadlines import cut_off, within
from latte_eval.files.whole_files import put_in_place

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all (None if unknown)

RETRY_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each further try; progress starts the count anew
CONNECT_SECONDS, READ_SECONDS = 4.0, 15.0
CHUNK = 1 << 20

# A server that has not begun to send the file by then, redirects included, is given up.
ANSWER_SECONDS = 60.0

# A transfer that brings less than this in `SLOW_SECONDS` is broken off: a server that sends a byte now and then would
# never run into a timeout.
LEAST_BYTES_PER_SECOND, SLOW_SECONDS = 1024, 30.0

# The most that a file may have whose size is not published: no weights of any detector come near it.
MOST_BYTES = 4 << 30
COMMIT = re.compile("[0-9a-f]{40}")


class LocationError(WeightsError):
    """One location did not give the file; another one may."""


class OtherBytes(LocationError):
    """A location gave a whole file with another sha256 than it must have."""


class BrokenOff(Exception):
    """A transfer that stopped on the way and may be resumed."""


def is_offline(offline: bool | None = None) -> bool:
    """Whether downloads are forbidden: `offline` itself, or what the environment says where it is None."""
    if offline is not None:
        return offline
    names = ("LATTE_EVAL_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in names)


@dataclass(frozen=True)
class HubFile:
    """One file of a Hugging Face repository, written `hf://owner/repo/path/to/file@revision`."""

    repo: str
    path: str
    revision: str

    @classmethod
    def parse(cls, url: str) -> HubFile:
        """Read the written form; the revision is `main` where none is given. Raises `WeightsError`."""
        match = re.fullmatch(r"hf://([^/@]+/[^/@]+)/([^@]+)(?:@([^@]+))?", url)
        if not match:
            raise WeightsError(f"{url!r} must read hf://owner/repo/file or hf://owner/repo/file@revision")
        return cls(match[1], match[2], match[3] or "main")


def hub_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def web_address(url: str) -> str:
    """The http(s) address of an `hf://` or https URL."""
    if not url.startswith("hf://"):
        return url
    from huggingface_hub import hf_hub_url

    file = HubFile.parse(url)
    return hf_hub_url(file.repo, file.path, revision=file.revision, endpoint=hub_endpoint())


def web_headers(url: str) -> dict[str, str]:
    """What the server is told: who asks and, for the hub, the token of a user who is logged in."""
    if url.startswith("hf://"):
        from huggingface_hub.utils import build_hf_headers

        return build_hf_headers(library_name="latte-eval")
    return {"User-Agent": "latte-eval"}


def download(
    url: str, target: Path, sha256: str | None = None, progress: Progress | None = None, most: int | None = None
) -> str:
    """Bring the file at `url` (https or `hf://`) to `target` and return its sha256. `most` is the bytes it may have.

    Bytes go to a temporary name beside `target` and are hashed on the way; the file appears under its own name only
    when it is whole and, if `sha256` is given, right. Raises `LocationError` where this location fails (nothing is
    kept), and `WeightsError` where the disk fails.
    """
    return keep(read_resuming(url, progress, MOST_BYTES if most is None else most), target, sha256, host_of(url))


def keep(chunks: Iterable[bytes], target: Path, sha256: str | None, sender: str) -> str:
    """What comes from `sender` as a file, whole or absent; its sha256. Raises as `download` does."""
    temporary = temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        found = write_hashed(chunks, temporary)
        if sha256 is not None and found != sha256:
            raise OtherBytes(f"{sender} sent a file with sha256 {found} instead of {sha256}; it was not kept")
        put_in_place(temporary, target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return found


def temporary_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")


def write_hashed(chunks: Iterable[bytes], path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def read_resuming(url: str, progress: Progress | None = None, most: int = MOST_BYTES) -> Iterator[bytes]:
    """The bytes at `url`; a transfer that breaks off is resumed where it stopped, as long as it makes progress."""
    source, failures, reached = Source(url, most), 0, 0
    while True:
        try:
            for chunk in source.read():
                if progress:
                    progress(source.done, source.total)
                yield chunk
            return
        except BrokenOff as error:
            if source.done - reached >= CHUNK:  # progress: only tries without it are counted
                failures, reached = 0, source.done
            if failures == len(RETRY_WAITS):
                raise LocationError(f"{host_of(url)}: {error}; given up after {failures + 1} tries") from error
            time.sleep(RETRY_WAITS[failures])
            failures += 1


class Source:
    """A file on a server, and how much of it has been read."""

    def __init__(self, url: str, most: int = MOST_BYTES):
        self.url, self.most, self.done = url, most, 0
        self.total: int | None = None
        self.etag: str | None = None
        self.answered = False

    def read(self) -> Iterator[bytes]:
        """The bytes that are still missing. Raises `BrokenOff` or `LocationError`."""
        with self.open() as response:
            self.note(response)
            skip = self.done if response.status == 200 else 0  # a server that cannot resume sends it all again
            speed = Speed(time.monotonic())
            while chunk := self.receive(response, CHUNK):
                speed.add(len(chunk), time.monotonic())
                fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                self.done += len(fresh)
                self.check_size(self.done)
                if fresh:
                    yield fresh
        if self.total is not None and self.done < self.total:
            raise BrokenOff(f"the connection broke off at {self.done} of {self.total} bytes")

    def open(self) -> Any:
        headers = web_headers(self.url)
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
        try:
            request = urllib.request.Request(web_address(self.url), headers=headers)
            return within(ANSWER_SECONDS, lambda: build_opener().open(request, timeout=READ_SECONDS))
        except urllib.error.HTTPError as error:
            raise self.refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self.unreached(error) from error
        except ValueError as error:  # of urllib, for a redirect to what is no address
            raise LocationError(f"{host_of(self.url)} redirects to a broken address ({first_line(error)})") from error

    def note(self, response: Any) -> None:
        """Remember what the first answer said; a later answer must be about the same bytes."""
        headers = response.headers
        length, start = self.length(headers), self.start(headers) if response.status == 206 else 0
        total, etag = None if length is None else length + start, headers.get("ETag")
        self.check_size(total or 0)
        if self.answered and (total, etag) != (self.total, self.etag):
            raise LocationError(f"{host_of(self.url)}: the file changed while it was being downloaded")
        self.total, self.etag, self.answered = total, etag, True

    def length(self, headers: Any) -> int | None:
        """The bytes that an answer announces; None where it does not. Raises `LocationError`."""
        text = headers.get("Content-Length")
        if text is not None and not re.fullmatch("[0-9]{1,18}", text.strip()):
            raise LocationError(f"{host_of(self.url)} announces {text[:40]!r} bytes, which is no number")
        return None if text is None else int(text)

    def start(self, headers: Any) -> int:
        """The byte at which a part begins: the first that is missing. Raises `LocationError` for another part."""
        text = headers.get("Content-Range") or ""
        found = re.match("bytes ([0-9]{1,18})-", text)
        if not found or int(found[1]) != self.done:
            raise LocationError(f"{host_of(self.url)} sent another part ({text[:60] or 'it does not say which'}) than "
                                f"was asked for, from byte {self.done}")  # fmt: skip
        return self.done

    def check_size(self, size: int) -> None:
        """Raise `LocationError` for more bytes than the file may have: a disk is not filled with them."""
        if size > self.most:
            raise LocationError(f"{host_of(self.url)} sends {size:,} bytes or more; the file has at most {self.most:,}")

    def receive(self, response: Any, size: int) -> bytes:
        try:
            # The sizes of chunks may drip too: there one read takes many answers of the socket.
            read = partial(response.read1, size)
            data: bytes = within(SLOW_SECONDS, read) if response.chunked else read()
        except TimeoutError as error:
            cut_off(response)
            raise BrokenOff(f"the connection broke off ({reason_of(error)})") from error
        except (OSError, http.client.HTTPException, OverflowError, ValueError) as error:  # the last two: odd chunks
            raise BrokenOff(f"the connection broke off ({reason_of(error)})") from error
        return data

    def refused(self, error: urllib.error.HTTPError) -> Exception:
        reason = str(error.reason).partition("\n")[0]  # urllib's, for redirects in a circle, has three lines
        text = f"{host_of(self.url)} answered {error.code} {reason}".rstrip()
        return BrokenOff(text) if error.code in (408, 429) or error.code >= 500 else LocationError(text)

    def unreached(self, error: Exception) -> Exception:
        text = f"{host_of(self.url)}: {reason_of(error)}"
        return BrokenOff(text) if self.answered else LocationError(text)


@dataclass
class Speed:
    """How much arrived since `since`; a window of `SLOW_SECONDS` that brought too little ends the transfer."""

    since: float
    arrived: int = 0

    def add(self, size: int, now: float) -> None:
        """Note bytes that arrived. Raises `BrokenOff` where they come too slowly."""
        self.arrived += size
        if now - self.since < SLOW_SECONDS:
            return
        if self.arrived < LEAST_BYTES_PER_SECOND * (now - self.since):
            raise BrokenOff(f"too slow: {self.arrived:,} bytes in {now - self.since:.0f} seconds")
        self.since, self.arrived = now, 0


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, and takes no token to another host."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise LocationError(f"{req.host} redirects away from https, to {urlsplit(newurl).hostname}")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and request.host != req.host:
            request.remove_header("Authorization")
        return request


def build_opener() -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if not context.get_ca_certs():  # a Python without the system's certificates, as on macOS
        import certifi

        context.load_verify_locations(certifi.where())
    return urllib.request.build_opener(SafeRedirects(), urllib.request.HTTPSHandler(context=context))


def host_of(url: str) -> str:
    return urlsplit(web_address(url)).hostname or url


def reason_of(error: BaseException) -> str:
    """The innermost reason of a network error, in a few words."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason_of(reason)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def unreachable_hosts(urls: Iterable[str], seconds: float = CONNECT_SECONDS) -> dict[str, str]:
    """The hosts (or the proxies before them) that do not take a connection within `seconds`, each with the reason.

    All are tried at the same time, so that a machine without network finds out at once: name servers and closed
    networks may otherwise take minutes to say no.
    """
    found: dict[str, str] = {host_of(url): "no answer in time" for url in urls}
    threads = [threading.Thread(target=try_host, args=(url, seconds, found), daemon=True) for url in urls]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {host: reason for host, reason in found.items() if reason}


def try_host(url: str, seconds: float, found: dict[str, str]) -> None:
    try:
        socket.create_connection(first_hop(web_address(url)), timeout=seconds).close()
        found[host_of(url)] = ""
    except OSError as error:
        found[host_of(url)] = reason_of(error)


def first_hop(address: str) -> tuple[str, int]:
    """Host and port that a request to `address` connects to: a proxy's where the environment names one."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def fetch_hub_file(url: str, offline: bool | None = None) -> Path:
    """The local copy of `hf://owner/repo/path/file@revision`, such as a checkpoint, downloaded when it is not there.

    It lives in the hub's own cache, shared with other tools. Without network, a copy in this cache is used. Raises
    `WeightsError` with the reason where the file cannot be had.
    """
    file = HubFile.parse(url)
    if COMMIT.fullmatch(file.revision) and (path := cached_hub_file(file)):
        return path
    why = "offline mode is on" if is_offline(offline) else "".join(unreachable_hosts([url]).values())
    if not why:
        return download_hub_file(file, url)
    if path := cached_hub_file(file):
        return path
    raise WeightsError(f"{url} is not in the hub's cache and cannot be downloaded: {why}")


def cached_hub_file(file: HubFile) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(file.repo, file.path, revision=file.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except (HFValidationError, ValueError) as error:
        raise WeightsError(f"hf://{file.repo}/{file.path} is no name of the hub: {first_line(error)}") from error


def download_hub_file(file: HubFile, url: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(file.repo, file.path, revision=file.revision, endpoint=hub_endpoint())
    except Exception as error:  # its own errors, and whatever its network library makes of a broken answer
        raise WeightsError(f"{url} cannot be downloaded: {first_line(error)}") from error
    return Path(path)
