"""A folder behind an address such as s3://bucket/run: whole objects are written, read, listed and removed.

fsspec speaks to it, with the credentials that its packages find in their own places. What an address itself says of a
user, a password or a token is used and never shown or written anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, urlsplit

from latte_eval.core.errors import StoreError, UsageError, first_line
from latte_eval.core.schemas import is_path

# Stores of objects: they have no folders to make, and making one may make a bucket.
WITHOUT_FOLDERS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "memory")

# What to type for the package of a scheme, where fsspec names none that is ours.
EXTRAS = {"s3": "'latte-eval[s3]'", "s3a": "'latte-eval[s3]'"}

SHORTEST = 3  # characters of a value that is hidden without its name, too

PROBE = ".writable"  # the object that is written to see whether anything can be
AT_ONCE = 32  # objects that are read at a time


def is_address(text: str) -> bool:
    """Whether a text names a place by its scheme, as s3://bucket/run does."""
    return "://" in text


def parts_of(address: str) -> SplitResult:
    """Scheme, host, path, query. Raises `UsageError` for what is no address, or a chain of several."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UsageError(f"{address.partition('://')[0]}://... is no address: {first_line(error)}") from error
    if "::" in address.partition("://")[0] or not parts.scheme:
        raise UsageError(f"{address.partition('://')[0]}://... is no address, or a chain of several: give one such as "
                         "s3://bucket/run")  # fmt: skip
    return parts


def public_address(address: str) -> str:
    """An address without user, password, query and fragment; and without a slash at its end."""
    parts = parts_of(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def secrets_of(address: str) -> list[str]:
    """The parts of an address that nobody may see, the longest first."""
    parts = parts_of(address)
    user, _, _ = parts.netloc.rpartition("@")
    pairs = parts.query.split("&")
    values = [value for pair in pairs if len(value := pair.partition("=")[2]) >= SHORTEST]
    found = {user, *user.split(":"), parts.query, *pairs, parts.fragment, *values}
    return sorted((text for text in found if text), key=len, reverse=True)


class RemoteFolder:
    """Objects below an address, by their names relative to it. Nothing is reached before a method is called.

    Every method raises `StoreError` in one line where the store refuses or does not answer, and `UsageError` for an
    address that nothing here can reach.
    """

    def __init__(self, address: str):
        self.address, self.public = address, public_address(address)

    @cached_property
    def store(self) -> Any:
        """The fsspec file system."""
        from fsspec.core import url_to_fs

        scheme = parts_of(self.address).scheme
        try:
            return url_to_fs(self.address, skip_instance_cache=True)[0]
        except ImportError as error:
            what = EXTRAS.get(scheme) or str(getattr(error, "name", None) or "the package that fsspec names")
            raise UsageError(
                f"{self.public}: nothing installed here reaches {scheme}:// ({self.shown(error)}): pip install {what}"
            ) from error
        except ValueError as error:
            raise UsageError(f"{self.public}: {self.shown(error)}") from error
        except Exception as error:  # of the many packages behind fsspec each has errors of its own
            raise StoreError(f"cannot reach {self.public}: {self.shown(error)}") from error

    @cached_property
    def root(self) -> str:
        """The path of the folder within its store."""
        return str(self.store._strip_protocol(self.address)).rstrip("/")

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def shown(self, error: BaseException) -> str:
        """The first line of an error, without the secrets of the address."""
        text = first_line(error)
        for secret in secrets_of(self.address):
            text = text.replace(secret, "***")
        return text

    @contextmanager
    def answering(self, what: str) -> Iterator[None]:
        """Turn whatever the store raises into one line; `FileNotFoundError` passes, for some callers expect it."""
        try:
            yield
        except (StoreError, UsageError, FileNotFoundError):
            raise
        except Exception as error:  # as in `store`
            raise StoreError(f"cannot {what} {self.public}: {self.shown(error)}") from error

    def check_writable(self) -> None:
        """Write an object and remove it. Raises `StoreError` where the store refuses or has no such bucket."""
        try:
            self.write(PROBE, b"")
        except FileNotFoundError as error:
            raise StoreError(f"cannot write to {self.public}: {self.shown(error)}") from error
        with suppress(Exception):  # a job may be allowed to write and not to delete
            self.store.rm_file(self.path(PROBE))

    def names(self, folder: str = "") -> list[str]:
        """Names of all objects below a folder, in order; none where there is nothing."""
        with self.answering("list"), suppress(FileNotFoundError):
            self.store.invalidate_cache()
            found = self.store.find(self.path(folder).rstrip("/"))
            names = [str(path).removeprefix(f"{self.root}/") for path in found]
            return sorted(name for name in names if is_inside(name) and name != PROBE)
        return []

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Names with the bytes of their objects. Raises `FileNotFoundError` for one that is absent."""
        for start in range(0, len(names), AT_ONCE):
            paths = {self.path(name): name for name in names[start : start + AT_ONCE]}
            with self.answering("read from"):
                found: Mapping[str, bytes] = self.store.cat(list(paths), on_error="raise")
            if isinstance(found, bytes):  # some stores answer so for one path
                found = dict.fromkeys(paths, found)
            yield from ((paths[path], data) for path, data in found.items())

    def write(self, name: str, data: bytes) -> None:
        """Write an object, whole in stores of objects. Raises `FileNotFoundError` for a bucket that is absent."""
        with self.answering("write to"):
            if parts_of(self.address).scheme not in WITHOUT_FOLDERS:
                self.store.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)
            self.store.pipe_file(self.path(name), data)

    def remove(self, name: str) -> None:
        """Remove an object; one that is not there any more is nobody's fault."""
        with self.answering("remove a file of"), suppress(FileNotFoundError):
            self.store.rm_file(self.path(name))


def is_inside(name: str) -> bool:
    """Whether an object's name stays within its folder as the path of a file, too."""
    parts = PurePosixPath(name).parts
    return is_path(name) and not name.startswith("/") and ".." not in parts and "\\" not in name
