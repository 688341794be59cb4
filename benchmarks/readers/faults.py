"""Faults of the machine, told from what the bytes of a file say: only the latter rejects a file.

A disk that does not answer, a full TMPDIR or too few file handles are over in a moment. If they rejected files, the
numbers of clips would depend on that moment, and features that are kept would make it part of every later result. So
they stop the run. Readers turn errors into `ClipError`; the causes of these are what counts here.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from av.error import FFmpegError

from latte_eval.core.errors import MachineFault, first_line

# What Python and Pillow also raise for a damaged file that leads to an impossible place in it.
OF_BYTES = (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG, errno.ESPIPE)

# What FFmpeg never says of bytes. It says EIO for a file that is merely cut, and several others for headers.
OF_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOMEM, errno.EACCES,
              errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET)  # fmt: skip

# FFmpeg says ENOMEM also of a file that wants more than this in one piece, which it never gives.
MOST_AT_ONCE = 2**31

# How torch says it where no exception of Python's tells.
NO_MEMORY = ("can't allocate memory", "not enough memory")


def machine_fault(error: BaseException) -> BaseException | None:
    """The fault of the machine that an error is, or that led to it; None where the bytes are to blame."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        if is_fault(following):
            return following
        following = following.__cause__ or following.__context__
    return None


def is_fault(error: BaseException) -> bool:
    """Whether an error, taken by itself, is a fault of the machine."""
    if asks_for_memory(error):
        return memory_is_short()
    if isinstance(error, FFmpegError):
        return error.errno in OF_MACHINE
    return isinstance(error, OSError) and error.errno is not None and error.errno not in OF_BYTES


def asks_for_memory(error: BaseException) -> bool:
    """Whether a reader could not have the memory that it wanted; where the system itself had none, it is an OSError."""
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in NO_MEMORY)
    return isinstance(error, MemoryError)


def memory_is_short() -> bool:
    """Whether the machine does not give `MOST_AT_ONCE`. If it does, the file is to blame: damage asks for anything."""
    try:
        mmap.mmap(-1, MOST_AT_ONCE).close()
    except (OSError, MemoryError):
        return True
    return False


def refuse_fault(error: BaseException, path: str) -> None:
    """Raise `MachineFault` if an error is one, or comes from one.

    Args:
        path: what was being read.
    """
    if fault := machine_fault(error):
        raise MachineFault(
            f"{path} could not be read: the machine failed, not the file: {words_of(fault)}; {advice_for(fault)}. "
            "What was finished before is kept: then run the same command again"
        ) from error


def words_of(fault: BaseException) -> str:
    """What the machine said, with the name of its number."""
    number = getattr(fault, "errno", None)
    if not number:
        return first_line(fault)
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


def advice_for(fault: BaseException) -> str:
    """What to do about it."""
    number = getattr(fault, "errno", None) or errno.ENOMEM
    if number in (errno.EMFILE, errno.ENFILE):
        return "close other programs, or allow more open files: ulimit -n 4096"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"make room in {tempfile.gettempdir()}, where members of archives are unpacked, or set TMPDIR"
    if number == errno.ENOMEM:
        return "free some memory, or move the file away if it is the only one"
    if number in (errno.EACCES, errno.EPERM):
        return "make it readable (chmod a+rX), or take it out of the folder"
    if number == errno.ENOENT:
        return "it was there a moment ago: look at what removes files, or at the disk"
    return "look at the disk or network that it lies on"


@contextmanager
def faults_refused(path: str) -> Iterator[None]:
    """Whatever error passes, if it comes from a fault of the machine, becomes a `MachineFault`."""
    try:
        yield
    except MachineFault:
        raise
    except Exception as error:
        refuse_fault(error, path)
        raise
