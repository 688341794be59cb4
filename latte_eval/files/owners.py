"""Who works in a run folder, and who is lost: every process shows a sign of life there, which others watch.

    RUN/.claims/alive/<owner>.json   who it is, and a number that grows every ten seconds

No clock is compared with another one. Who watches sees whether the file changed, and counts the seconds since then on a
clock of its own. So clocks of machines may differ, and times of a file server tell nothing.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from latte_eval.core.errors import StoreError
from latte_eval.core.processes import host
from latte_eval.files.shared_files import DiskFiles, SharedFiles

CLAIMS, ALIVE = ".claims", "alive"

# Seconds between signs of life, and of silence after which a process is lost. NFS keeps what it knows of a folder for
# up to 60 seconds.
BEAT_SECONDS, LOST_SECONDS = 10.0, 90.0

# Files of processes that ended without cleaning up are deleted after so long.
FORGET_SECONDS = 30 * 86_400

Clock = Callable[[], float]


@dataclass(frozen=True)
class Owner:
    """A process that works in a run folder.

    Attributes:
        id: no other process has it, on any machine; those of one run begin with the same token.
        mark: by which processes of one machine find each other: boot, process namespace, number, time of start; empty
            where the system does not say.
    """

    id: str
    rank: int
    host: str
    pid: int
    mark: tuple[str, ...] = ()

    @classmethod
    def here(cls, token: str, rank: int) -> Owner:
        """This process."""
        return cls(f"{token}-{rank:05d}", rank, host(), os.getpid(), own_mark())

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Owner | None:
        """None for bytes that name no owner, as in a file that was cut."""
        try:
            record = json.loads(data)
            return cls(str(record["id"]), int(record["rank"]), str(record["host"]), int(record["pid"]),
                       tuple(map(str, record["mark"])))  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def name(self) -> str:
        """As a person would look for it."""
        return f"rank {self.rank} on {self.host} (process {self.pid})"

    @property
    def ended_here(self) -> bool:
        """Whether it was a process of this machine and is one no more; False where that cannot be told."""
        mine = own_mark()
        if not self.mark or self.mark[:2] != mine[:2]:
            return False
        return time_of_start(self.mark[2]) != self.mark[3]


def own_mark() -> tuple[str, ...]:
    """The mark of this process; empty where the system has no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        number = str(Path("/proc/self").readlink())
        return boot, str(Path("/proc/self/ns/pid").readlink()), number, time_of_start(number)
    except OSError:
        return ()


def time_of_start(number: str) -> str:
    """When a process of this machine started, in ticks; empty where there is none of that number, or it has ended."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@dataclass
class Watch:
    """What one process sees of the signs of life of others.

    Attributes:
        folder: in which they are.
        clock: seconds of this process alone.
        seen: by owner, what the sign was and when it changed last.
    """

    folder: Path
    files: SharedFiles = field(default_factory=DiskFiles)
    clock: Clock = time.monotonic
    seen: dict[str, tuple[bytes | None, float, float]] = field(default_factory=dict)

    def is_lost(self, owner: Owner) -> bool:
        """Whether a process has ended, or gave no sign of life for `LOST_SECONDS` while it was watched."""
        return owner.ended_here or self.silence(owner.id) > LOST_SECONDS

    def silence(self, owner: str) -> float:
        """Seconds since its sign of life changed; 0 when it is looked at for the first time."""
        now = self.clock()
        sign, changed, looked = self.seen.get(owner, (b"", now, now - BEAT_SECONDS))
        if now - looked >= BEAT_SECONDS / 2:
            found = self.files.read(sign_path(self.folder, owner))
            changed = now if found != sign else changed
            self.seen[owner] = found, changed, now
        return now - changed

    def has_left(self, owner: str) -> bool:
        """Whether it took its sign away, as a process does at its end."""
        return self.files.read(sign_path(self.folder, owner)) is None


def sign_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.json"


@dataclass
class SignOfLife:
    """The sign of life of this process: a context, in which a thread renews it."""

    folder: Path
    owner: Owner
    files: SharedFiles = field(default_factory=DiskFiles)
    beats: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def __enter__(self) -> SignOfLife:
        self.beat()
        self.thread = threading.Thread(target=self.keep_beating, daemon=True, name="sign of life")
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        if self.thread:
            self.thread.join()
        try:
            self.files.remove(sign_path(self.folder, self.owner.id))
        except StoreError:  # the folder is gone or full; others see that nothing changes any more
            return

    def keep_beating(self) -> None:
        while not self.ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except StoreError:  # a file server that is away for a while
                continue

    def beat(self) -> None:
        """Show that this process lives. Raises `StoreError`."""
        self.beats += 1
        self.files.replace(sign_path(self.folder, self.owner.id), self.owner.to_bytes() + f"\n{self.beats}".encode())


def forget_old_files(folder: Path, now_of: Path) -> None:
    """Delete files below a folder that are older than a month, by the time of the file server itself."""
    try:
        now = now_of.stat().st_mtime
        for path in folder.rglob("*.json"):
            if now - path.stat().st_mtime > FORGET_SECONDS:
                path.unlink(missing_ok=True)
    except OSError:  # others tidy up too
        return
