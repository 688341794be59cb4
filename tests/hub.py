"""Servers on the loopback that misbehave on demand: a file server with or without TLS, which also answers as a hub."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Site:
    """What a server has, and what it was asked.

    Attributes:
        files: bytes by path; with a query only for that one.
        drops: how many more answers to GET break off halfway.
        status: answers with this code instead of the file, by path.
        moved: answers with a redirect to this address, by path.
        ranges: whether the server can send a part of a file.
        headers: sent instead of those that would be right; an empty one is left out.
        extra: bytes after the end, in an answer that does not say how many there are.
        pause: seconds between single bytes.
        head_pause: seconds between single bytes of the head of an answer.
        chunk_pause: seconds between single bytes of the size of a chunk; the answer comes in chunks then.
        requests: (method, path, headers) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    drops: int = 0
    status: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    extra: int = 0
    pause: float = 0
    head_pause: float = 0
    chunk_pause: float = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    def asked(self, header: str) -> list[str | None]:
        """The value of a header in each request."""
        return [headers.get(header.lower()) for _, _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        site = self.site
        path = self.path if self.path in site.files else self.path.partition("?")[0]
        site.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        if path in site.moved:
            self.begin(302, 0, Location=site.moved[path])
        elif path in site.status or path not in site.files:
            code = site.status.get(path, 404)
            self.begin(code, 0, **({"X-Error-Code": "EntryNotFound"} if code == 404 else {}))
        else:
            self.send_file(site.files[path])

    def send_file(self, data: bytes) -> None:
        asked = self.headers.get("Range") if self.site.ranges else None
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        end = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        etag = hashlib.sha256(data).hexdigest()
        self.begin(206 if asked else 200, len(data) - start, ETag=f'"{etag}"', **{"X-Repo-Commit": "c" * 40}, **end)
        if self.command == "GET":
            self.send_body(data[start:])

    def begin(self, code: int, length: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(length), **headers, **self.site.headers}.items():
            if value:
                self.send_header(name, value)
        if self.site.chunk_pause:
            self.send_header("Transfer-Encoding", "chunked")
        if self.site.head_pause:
            self.drip(b"".join(self._headers_buffer), self.site.head_pause)  # type: ignore[attr-defined]
            self._headers_buffer: list[bytes] = []
        self.end_headers()

    def drip(self, data: bytes, pause: float) -> None:
        """Send single bytes."""
        for number in range(len(data)):
            self.wfile.write(data[number : number + 1])
            time.sleep(pause)

    def send_body(self, data: bytes) -> None:
        if self.site.chunk_pause:
            self.drip(b"0" * 1000 + f"{len(data):x}\r\n".encode(), self.site.chunk_pause)
        self.drip(data if self.site.pause else b"", self.site.pause)
        if self.site.extra:
            self.wfile.write(data + bytes(self.site.extra))
            self.close_connection = True
        elif self.site.drops:
            self.site.drops -= 1
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[Site]:
    """A site on a free port of 127.0.0.1 until the block ends; with a certificate (PEM, with its key) over TLS."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that goes away is what is tested
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.address = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def self_signed(folder: Path) -> Path:
    """A certificate of 127.0.0.1 with its key in one PEM file. Raises `FileNotFoundError` without openssl."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    both = folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both
